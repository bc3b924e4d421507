#include "codecs/seektable.h"

#include <stdlib.h>

#include "codecs/bytes.h"

void seektable_deinit(struct seektable *table)
{
        free(table->runs);
        *table = (struct seektable){ 0 };
}

int seektable_add(struct seektable *table, uint32_t compressed, uint32_t content, struct error *err)
{
        struct seektable_run *last = table->run_count ? &table->runs[table->run_count - 1] : NULL;

        if (table->frames == SEEKTABLE_FRAMES_MAX)
                return error_raise(err, ERR_FAILED, "a vdi stream holds at most %d frames", SEEKTABLE_FRAMES_MAX);
        if (!last || last->compressed != compressed || last->content != content) {
                if (!table->runs || table->run_count == table->run_room) {
                        size_t room = table->run_room + table->run_room / 2 + 64;
                        struct seektable_run *runs = realloc(table->runs, room * sizeof *runs);

                        if (!runs)
                                return error_raise(err, ERR_MEMORY, "out of memory");
                        table->runs = runs;
                        table->run_room = room;
                }
                last = &table->runs[table->run_count++];
                *last = (struct seektable_run){ .compressed = compressed, .content = content };
        }
        last->count++;
        table->frames++;
        return 0;
}

bool seektable_drop(struct seektable *table, uint32_t *ret_compressed, uint32_t *ret_content)
{
        struct seektable_run *last = table->run_count ? &table->runs[table->run_count - 1] : NULL;

        if (!last)
                return false;
        *ret_compressed = last->compressed;
        *ret_content = last->content;
        if (--last->count == 0)
                table->run_count--;
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
        for (size_t i = 0; i < table->run_count; i++) {
                const struct seektable_run *run = &table->runs[i];

                seektable_entry(run->compressed, run->content, bytes);
                for (uint32_t k = 0; k < run->count; k++) {
                        if (put(to, bytes, SEEKTABLE_ENTRY, err) < 0)
                                return -1;
                }
        }
        seektable_footer(table->frames, bytes);
        return put(to, bytes, SEEKTABLE_FOOTER, err);
}
