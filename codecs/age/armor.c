#include "codecs/age/armor.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "codecs/age/base64.h"
#include "codecs/base/intake.h"
#include "core/base/cleanup.h"

enum {
        COLUMNS = 64,
        LINE_BYTES = 48,
        ROOM = 64 << 10,
        LINE_MAX_LENGTH = COLUMNS + 2, /* with CRLF */
        SPACE_MAX = 1024,              /* behind the end line */
};

/* ---- writing ---- */

struct armor_stage {
        struct stage stage;
        bool begun;
        uint8_t held[LINE_BYTES]; /* what does not fill a line yet */
        size_t held_size;
        char text[ROOM]; /* lines on their way */
        size_t used;
};

/* Bytes that so many become in armor, begin and end included. */
static uint64_t armored_size(uint64_t bytes)
{
        return sizeof AGE_ARMOR_BEGIN + (bytes / LINE_BYTES + 1) * (COLUMNS + 1) + sizeof AGE_ARMOR_END;
}

static int armor_send(struct armor_stage *armor, struct error *err)
{
        size_t size = armor->used;

        armor->used = 0;
        return size > 0 ? stage_write(armor->stage.next, armor->text, size, err) : 0;
}

static void armor_put_text(struct armor_stage *armor, const char *line)
{
        armor->used = (size_t)(stpcpy(stpcpy(armor->text + armor->used, line), "\n") - armor->text);
}

static int armor_put_line(struct armor_stage *armor, const uint8_t *bytes, size_t size, struct error *err)
{
        char line[COLUMNS + 1];

        if (ROOM - armor->used < sizeof line + 1 && armor_send(armor, err) < 0)
                return -1;
        sodium_bin2base64(line, sizeof line, bytes, size, sodium_base64_VARIANT_ORIGINAL);
        armor_put_text(armor, line);
        return 0;
}

static void armor_begin(struct armor_stage *armor)
{
        if (!armor->begun)
                armor_put_text(armor, AGE_ARMOR_BEGIN);
        armor->begun = true;
}

static int armor_piece(struct armor_stage *armor, const uint8_t *bytes, size_t size, struct error *err)
{
        while (size > 0) {
                size_t room = LINE_BYTES - armor->held_size;
                size_t piece = size < room ? size : room;

                memcpy(armor->held + armor->held_size, bytes, piece);
                armor->held_size += piece;
                bytes += piece;
                size -= piece;
                if (armor->held_size < LINE_BYTES)
                        break;
                armor->held_size = 0;
                if (armor_put_line(armor, armor->held, LINE_BYTES, err) < 0)
                        return -1;
        }
        return 0;
}

static int armor_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        struct armor_stage *armor = (struct armor_stage *)stage;

        armor_begin(armor);
        for (int i = 0; i < count; i++)
                if (armor_piece(armor, iov[i].iov_base, iov[i].iov_len, err) < 0)
                        return -1;
        return armor_send(armor, err);
}

static int armor_reserve(struct stage *stage, uint64_t bytes, struct error *err)
{
        return stage_reserve(stage->next, armored_size(bytes + LINE_BYTES), err);
}

static int armor_finish(struct stage *stage, const char *report_json, struct error *err)
{
        struct armor_stage *armor = (struct armor_stage *)stage;

        armor_begin(armor);
        if (armor->held_size > 0 && armor_put_line(armor, armor->held, armor->held_size, err) < 0)
                return -1;
        if (ROOM - armor->used < sizeof AGE_ARMOR_END + 1 && armor_send(armor, err) < 0)
                return -1;
        armor_put_text(armor, AGE_ARMOR_END);
        if (armor_send(armor, err) < 0)
                return -1;
        return stage_finish(stage->next, report_json, err);
}

static const struct stage_ops armor_ops = {
        .name = "armor",
        .writev = armor_writev,
        .reserve = armor_reserve,
        .finish = armor_finish,
};

int age_armor_stage_new(struct stage *next, struct stage **ret_stage, struct error *err)
{
        struct armor_stage *armor = stage_make(sizeof *armor, &armor_ops, next, err);

        if (!armor)
                return -1;
        *ret_stage = &armor->stage;
        return 0;
}

/* ---- reading ---- */

struct armor_source {
        struct source source;
        struct intake intake;
        bool begun;
        bool crlf; /* how the first line ended: so must all */
        bool last; /* a line was shorter than the others: the end line follows */
        bool ended;
        uint8_t bytes[LINE_BYTES]; /* of the last line */
        size_t start, end;
};

static int armor_raise_cut(const struct armor_source *armor, size_t behind, struct error *err)
{
        return intake_raise_cut(&armor->intake, behind, "its age armor", err);
}

/* The next line without its end, which is the same for all lines; 0 and an empty one at the end of the input. Takes
 * nothing. */
static int peek_line(struct armor_source *armor, const char **ret_line, size_t *ret_length, size_t *ret_taken,
                     struct error *err)
{
        const uint8_t *bytes, *newline;
        ssize_t n = intake_peek(&armor->intake, LINE_MAX_LENGTH, &bytes, err);
        size_t length;

        if (n < 0)
                return -1;
        newline = memchr(bytes, '\n', (size_t)n);
        length = newline ? (size_t)(newline - bytes) : (size_t)n;
        if (!newline && n == LINE_MAX_LENGTH)
                return intake_raise_damaged(&armor->intake, "a line of its age armor is too long", err);
        *ret_taken = length + (newline ? 1 : 0);
        if (newline && !armor->begun)
                armor->crlf = length > 0 && bytes[length - 1] == '\r';
        if (newline && armor->crlf) {
                if (length == 0 || bytes[length - 1] != '\r')
                        return intake_raise_damaged(&armor->intake, "the lines of its age armor end now so, now so",
                                                    err);
                length--;
        }
        *ret_line = (const char *)bytes;
        *ret_length = length;
        return newline ? 1 : 0;
}

static bool line_is(const char *line, size_t length, const char *text)
{
        return length == strlen(text) && memcmp(line, text, length) == 0;
}

static int read_begin(struct armor_source *armor, struct error *err)
{
        const char *line = "";
        size_t length = 0, taken = 0;
        int whole = peek_line(armor, &line, &length, &taken, err);

        if (whole < 0)
                return -1;
        if (whole == 0)
                return armor_raise_cut(armor, length, err);
        if (!line_is(line, length, AGE_ARMOR_BEGIN))
                return intake_raise_damaged(&armor->intake, "no line with which age armor begins", err);
        intake_skip(&armor->intake, taken);
        armor->begun = true;
        return 0;
}

static bool is_white(uint8_t byte)
{
        return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Behind the end line only white space may follow. */
static int read_end(struct armor_source *armor, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n = intake_peek(&armor->intake, SPACE_MAX + 1, &bytes, err);

        if (n < 0)
                return -1;
        for (ssize_t i = 0; i < n; i++)
                if (n > SPACE_MAX || !is_white(bytes[i]))
                        return intake_raise_damaged(&armor->intake, "something follows the end of its age armor", err);
        intake_skip(&armor->intake, (size_t)n);
        armor->ended = true;
        return 0;
}

/* Decodes the next line to `bytes`, LINE_BYTES of room. Returns how many, 0 at the end, -1. */
static ssize_t read_line(struct armor_source *armor, uint8_t *bytes, struct error *err)
{
        const char *line = "";
        size_t length = 0, taken = 0, size;
        int whole = peek_line(armor, &line, &length, &taken, err);

        if (whole < 0)
                return -1;
        if (line_is(line, length, AGE_ARMOR_END)) {
                intake_skip(&armor->intake, taken);
                return read_end(armor, err);
        }
        if (whole == 0)
                return armor_raise_cut(armor, length, err);
        if (armor->last)
                return intake_raise_damaged(&armor->intake, "a line follows the last of its age armor", err);
        if (length == 0 || length > COLUMNS ||
            !age_base64_decode(bytes, LINE_BYTES, line, length, /* padded= */ true, &size))
                return intake_raise_damaged(&armor->intake, "a line of its age armor is not written as age writes it",
                                            err);
        armor->last = size < LINE_BYTES;
        intake_skip(&armor->intake, taken);
        return (ssize_t)size;
}

static ssize_t armor_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct armor_source *armor = (struct armor_source *)source;
        uint8_t *to = buffer;
        size_t done = 0;

        if (!armor->begun && read_begin(armor, err) < 0)
                return -1;
        while (done < size) {
                size_t piece = armor->end - armor->start;

                if (piece == 0) {
                        ssize_t n = armor->ended ? 0 : read_line(armor, armor->bytes, err);

                        if (n < 0)
                                return -1;
                        if (n == 0)
                                break;
                        armor->start = 0;
                        armor->end = (size_t)n;
                        continue;
                }
                piece = piece < size - done ? piece : size - done;
                memcpy(to + done, armor->bytes + armor->start, piece);
                armor->start += piece;
                done += piece;
        }
        return (ssize_t)done;
}

static void armor_source_free(struct source *source)
{
        struct armor_source *armor = (struct armor_source *)source;

        intake_deinit(&armor->intake);
        free(armor);
}

static const struct source_ops armor_source_ops = {
        .name = "armor",
        .read = armor_read,
        .free = armor_source_free,
};

int age_armor_source_new(struct source *next, const char *label, const atomic_bool *cancel, struct source **ret_source,
                         struct error *err)
{
        struct armor_source *armor = source_make(sizeof *armor, &armor_source_ops, next, label, err);

        if (!armor)
                return -1;
        if (intake_init(&armor->intake, next, armor->source.label, cancel, err) < 0) {
                source_free(&armor->source);
                return -1;
        }
        *ret_source = &armor->source;
        return 0;
}
