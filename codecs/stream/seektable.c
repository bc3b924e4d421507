#include "codecs/stream/seektable.h"

#include <stdlib.h>

#include "codecs/base/room.h"
#include "codecs/stream/zstd_frame.h"
#include "core/base/bytes.h"

enum { LONG_RUN_WORDS = 4, USUAL_CONTENT = FRAME_CONTENT_MAX };

struct seektable_run {
        uint32_t compressed;
        uint32_t count;
        uint32_t content;
};

void seektable_deinit(struct seektable *table)
{
        free(table->words);
        *table = (struct seektable){ 0 };
}

/* The run that begins at `word`. Returns how many words it has. */
static size_t seektable_run_at(const uint32_t *word, struct seektable_run *ret_run)
{
        *ret_run = (struct seektable_run){ .compressed = word[0], .count = 1, .content = USUAL_CONTENT };
        if (!(word[0] & SEEKTABLE_LONG_RUN))
                return 1;
        *ret_run = (struct seektable_run){ .compressed = word[0] & ~SEEKTABLE_LONG_RUN,
                                           .count = word[1],
                                           .content = word[2] };
        return LONG_RUN_WORDS;
}

/* The last run, whose words are taken off. The table is not empty. */
static void seektable_take_last(struct seektable *table, struct seektable_run *ret_run)
{
        bool is_long = table->words[table->word_count - 1] & SEEKTABLE_LONG_RUN;

        table->word_count -= is_long ? LONG_RUN_WORDS : 1;
        (void)seektable_run_at(&table->words[table->word_count], ret_run);
}

/* There is room. */
static void seektable_append(struct seektable *table, const struct seektable_run *run)
{
        uint32_t *word = &table->words[table->word_count];

        word[0] = run->compressed;
        table->word_count++;
        if (run->count == 1 && run->content == USUAL_CONTENT)
                return;
        word[0] = word[3] = run->compressed | SEEKTABLE_LONG_RUN;
        word[1] = run->count;
        word[2] = run->content;
        table->word_count += LONG_RUN_WORDS - 1;
}

int seektable_add(struct seektable *table, uint32_t compressed, uint32_t content, struct error *err)
{
        struct seektable_run run = { .compressed = compressed, .count = 1, .content = content };

        if (table->frames == SEEKTABLE_FRAMES_MAX)
                return error_raise(err, ERR_FAILED, "a vdi stream holds at most %d frames", SEEKTABLE_FRAMES_MAX);
        if (room_grow(&table->words, &table->word_room, table->word_count + (size_t)2 * LONG_RUN_WORDS,
                      sizeof *table->words, err) < 0)
                return -1;
        if (table->frames > 0) {
                struct seektable_run last;

                seektable_take_last(table, &last);
                if (last.compressed == compressed && last.content == content)
                        run.count = last.count + 1;
                else
                        seektable_append(table, &last);
        }
        seektable_append(table, &run);
        table->frames++;
        return 0;
}

bool seektable_drop(struct seektable *table, uint32_t *ret_compressed, uint32_t *ret_content)
{
        struct seektable_run last;

        if (table->frames == 0)
                return false;
        seektable_take_last(table, &last);
        *ret_compressed = last.compressed;
        *ret_content = last.content;
        if (--last.count > 0)
                seektable_append(table, &last);
        table->frames--;
        return true;
}

uint64_t seektable_size(uint64_t frames)
{
        return SEEKTABLE_PREFIX + frames * SEEKTABLE_ENTRY + SEEKTABLE_FOOTER;
}

void seektable_prefix(uint64_t frames, uint8_t ret_prefix[SEEKTABLE_PREFIX])
{
        put_le32(ret_prefix, SEEKTABLE_MAGIC);
        put_le32(ret_prefix + 4, (uint32_t)(seektable_size(frames) - SEEKTABLE_PREFIX));
}

void seektable_entry(uint32_t compressed, uint32_t content, uint8_t ret_entry[SEEKTABLE_ENTRY])
{
        put_le32(ret_entry, compressed);
        put_le32(ret_entry + 4, content);
}

void seektable_footer(uint64_t frames, uint8_t ret_footer[SEEKTABLE_FOOTER])
{
        put_le32(ret_footer, (uint32_t)frames);
        ret_footer[4] = 0; /* entries carry no checksum of their own; every frame has one */
        put_le32(ret_footer + 5, SEEKTABLE_FOOTER_MAGIC);
}

int seektable_write(const struct seektable *table, int (*put)(void *to, const void *bytes, size_t n, struct error *err),
                    void *to, struct error *err)
{
        uint8_t bytes[SEEKTABLE_FOOTER];

        seektable_prefix(table->frames, bytes);
        if (put(to, bytes, SEEKTABLE_PREFIX, err) < 0)
                return -1;
        for (size_t at = 0; at < table->word_count;) {
                struct seektable_run run;

                at += seektable_run_at(&table->words[at], &run);
                seektable_entry(run.compressed, run.content, bytes);
                for (uint32_t k = 0; k < run.count; k++) {
                        if (put(to, bytes, SEEKTABLE_ENTRY, err) < 0)
                                return -1;
                }
        }
        seektable_footer(table->frames, bytes);
        return put(to, bytes, SEEKTABLE_FOOTER, err);
}
