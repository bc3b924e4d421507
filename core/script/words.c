#include "core/script/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

/* ---- failures ---- */

/* The words of a script are shown, so they are made fit for it. */
int parser_refuse(struct script_parser *parser, const char *format, ...)
{
        CLEANUP(freep) char *safe = NULL;
        char words[ERROR_MESSAGE_MAX];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(words, sizeof words, format, arguments);
        va_end(arguments);
        safe = text_escape(words, strlen(words));
        return error_raise(parser->err, ERR_USAGE, "%s:%" PRIu32 ": %s", parser->name, parser->line, safe ? safe : "");
}

/* ---- words ---- */

const void *parser_find_row(const void *rows, size_t count, size_t size, const char *word)
{
        for (const char *row = rows; count > 0; count--, row += size)
                if (strcmp(*(const char *const *)(const void *)row, word) == 0)
                        return row;
        return NULL;
}

static bool word_ends(char c)
{
        return c == '\0' || c == '#' || isspace((unsigned char)c);
}

/* Cuts the next word out of the line; its end becomes a NUL. Returns where to go on, or NULL when a quote is open. */
static char *word_cut(char *at, struct word *ret_word)
{
        char quote = *at;
        char *end;

        if (quote != '\'' && quote != '"') {
                ret_word->text = at;
                while (!word_ends(*at))
                        at++;
                return at;
        }
        end = strchr(at + 1, quote);
        if (!end)
                return NULL;
        *end = '\0';
        *ret_word = (struct word){ .text = at + 1, .quoted = true };
        return end + 1;
}

int parser_split(struct script_parser *parser)
{
        char *at = parser->text;

        parser->count = 0;
        parser->at = 0;
        for (;;) {
                struct word word = { 0 };
                bool comment;

                while (isspace((unsigned char)*at))
                        at++;
                if (*at == '\0' || *at == '#')
                        return 0;
                at = word_cut(at, &word);
                if (!at)
                        return parser_refuse(parser, "a quotation mark is not closed on its line");
                if (parser->count == PARSER_WORDS_MAX)
                        return parser_refuse(parser, "more than %d words: give the rest a line of its own",
                                             PARSER_WORDS_MAX);
                if (!word_ends(*at))
                        return parser_refuse(parser, "a blank is missing after '%s'", word.text);
                comment = *at == '#';
                if (*at)
                        *at++ = '\0';
                parser->words[parser->count++] = word;
                if (comment)
                        return 0;
        }
}

const char *parser_peek(const struct script_parser *parser)
{
        return parser->at < parser->count ? parser->words[parser->at].text : NULL;
}

const char *parser_next(struct script_parser *parser)
{
        const char *text = parser_peek(parser);

        if (text)
                parser->at++;
        return text;
}

bool parser_take(struct script_parser *parser, const char *word)
{
        const char *text = parser_peek(parser);

        if (!text || parser->words[parser->at].quoted || strcmp(text, word) != 0)
                return false;
        parser->at++;
        return true;
}

const char *parser_need(struct script_parser *parser, const char *what)
{
        const char *text = parser_next(parser);

        if (!text)
                parser_refuse(parser, "%s is missing after '%s'", what, parser->words[parser->count - 1].text);
        return text;
}

/* ---- values ---- */

/* "512", "-3", "64K", "0x173": up to the first byte that does not belong; NULL when there is none or it is too big. */
static const char *scan_number(const char *text, int64_t *ret_value)
{
        bool negative = *text == '-';
        const char *digits = text + negative;
        uint64_t value = 0;
        int shift = 0;
        char *end;

        if (!isdigit((unsigned char)*digits))
                return NULL;
        value = strtoull(digits, &end, digits[0] == '0' && (digits[1] | 32) == 'x' ? 16 : 10);
        if (*end == 'K' || *end == 'M' || *end == 'G')
                shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
        if (value > (uint64_t)INT64_MAX >> shift)
                return NULL;
        *ret_value = (int64_t)(value << shift) * (negative ? -1 : 1);
        return end + (shift > 0);
}

int parser_number(struct script_parser *parser, const char *text, const char *what, int64_t min, int64_t max,
                  int64_t *ret_value)
{
        const char *end = scan_number(text, ret_value);

        if (!end || *end)
                return parser_refuse(parser, "'%s' is no number for %s: write digits, with K, M or G behind them", text,
                                     what);
        if (*ret_value < min || *ret_value > max)
                return parser_refuse(parser, "%s of %s is not possible: it is from %" PRId64 " to %" PRId64, what, text,
                                     min, max);
        return 0;
}

static int read_u32(struct script_parser *parser, const struct value *value, const char *text, uint32_t *ret_value)
{
        int64_t number = 0;

        if (parser_number(parser, text, value->what, value->min, value->max, &number) < 0)
                return -1;
        *ret_value = (uint32_t)number;
        if (value->kind == VALUE_POWER_OF_TWO && (*ret_value & (*ret_value - 1)))
                return parser_refuse(parser, "%s of %" PRIu32 " is not possible: it is a power of two", value->what,
                                     *ret_value);
        if (value->kind == VALUE_UNITS && *ret_value % VDS_TRANSFER_UNIT)
                return parser_refuse(parser, "%s of %" PRIu32 " is not possible: it is a multiple of %d", value->what,
                                     *ret_value, VDS_TRANSFER_UNIT);
        return 0;
}

int parser_need_u32(struct script_parser *parser, const char *what, uint32_t min, uint32_t max, uint32_t *ret_value)
{
        const struct value value = { VALUE_U32, what, .min = min, .max = max };

        return parser_need_value(parser, &value, ret_value);
}

/* "1.5": seconds, as milliseconds. */
static int read_seconds(struct script_parser *parser, const char *text, int64_t *ret_ms)
{
        char *end;
        double seconds = strtod(text, &end);

        if (!isdigit((unsigned char)*text) || *end || !(seconds <= 1e6))
                return parser_refuse(parser, "'%s' is no number of seconds: write digits, like 0.5, up to 1000000",
                                     text);
        *ret_ms = (int64_t)(seconds * 1000 + 0.5);
        return 0;
}

static const struct named *find_named(const struct named *table, const char *word, size_t length)
{
        for (; table->word; table++)
                if (strlen(table->word) == length && memcmp(table->word, word, length) == 0)
                        return table;
        return NULL;
}

static int read_named(struct script_parser *parser, const struct value *value, const char *text, int32_t *ret_value)
{
        const struct named *found = find_named(value->names, text, strlen(text));
        char words[256] = "";

        for (const struct named *each = value->names; !found && each->word; each++)
                snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s", each == value->names ? "" : ", ",
                         each->word);
        if (!found)
                return parser_refuse(parser, "'%s' is not %s: it is one of %s", text, value->what, words);
        *ret_value = found->value;
        return 0;
}

static const struct named feature_names[] = {
        { "none", 0 },
        { "pipe", VDF_LikePipe },
        { "tape", VDF_LikeTape },
        { "disk", VDF_LikeDisk },
        { "removable", VDF_Removable },
        { "rewind", VDF_Rewind },
        { "position", VDF_Position },
        { "skipblocks", VDF_SkipBlocks },
        { "reverse", VDF_ReversePosition },
        { "discard", VDF_Discard },
        { "marks", VDF_FileMarks },
        { "random", VDF_RandomAccess },
        { "prepare", VDF_SnapshotPrepare },
        { "complete", VDF_RequestComplete },
        { NULL, 0 },
};

static int read_features(struct script_parser *parser, const struct value *value, const char *text,
                         uint32_t *ret_features)
{
        if (isdigit((unsigned char)*text))
                return read_u32(parser, &(struct value){ VALUE_U32, value->what, .max = UINT32_MAX }, text,
                                ret_features);
        *ret_features = 0;
        for (const char *at = text;; at++) {
                size_t length = strcspn(at, "+");
                const struct named *found = find_named(feature_names, at, length);

                if (!found)
                        return parser_refuse(parser, "'%s' are no features: write names joined by '+', or a number",
                                             text);
                *ret_features |= (uint32_t)found->value;
                at += length;
                if (!*at)
                        return 0;
        }
}

static const struct named code_names[] = {
        { "success", ERROR_SUCCESS },
        { "eof", ERROR_HANDLE_EOF },
        { "unsupported", ERROR_NOT_SUPPORTED },
        { "full", ERROR_DISK_FULL },
        { "aborted", ERROR_OPERATION_ABORTED },
        { "eom", ERROR_END_OF_MEDIA },
        { "mark", ERROR_FILEMARK_DETECTED },
        { "bom", ERROR_BEGINNING_OF_MEDIA },
        { "nodata", ERROR_NO_DATA_DETECTED },
        { "ioerror", ERROR_IO_DEVICE },
        { "overflow", ERROR_EOM_OVERFLOW },
        { "queuefull", ERROR_NO_SYSTEM_RESOURCES },
        { "any", SCRIPT_ANY_CODE },
        { NULL, 0 },
};

static int read_code(struct script_parser *parser, const char *list, const char *at, size_t length, int32_t *ret_code)
{
        const struct named *found = find_named(code_names, at, length);
        const char *end = found ? at + length : NULL;
        int64_t code = found ? found->value : 0;

        if (!found)
                end = scan_number(at, &code);
        if (end != at + length || (!found && (code < 0 || code > INT32_MAX)))
                return parser_refuse(
                        parser, "'%s' are no completion codes: write numbers or names like eof, joined by ','", list);
        *ret_code = (int32_t)code;
        return 0;
}

static int read_codes(struct script_parser *parser, const char *text, struct script_codes *codes)
{
        codes->count = 0;
        for (const char *at = text;; at++) {
                size_t length = strcspn(at, ",");

                if (codes->count == SCRIPT_CODES_MAX)
                        return parser_refuse(parser, "more than %d completion codes: write 'any'", SCRIPT_CODES_MAX);
                if (read_code(parser, text, at, length, &codes->codes[codes->count]) < 0)
                        return -1;
                codes->count++;
                at += length;
                if (!*at)
                        return 0;
        }
}

/* The index of a name, which is made if need be. */
static int find_or_make_name(struct script_parser *parser, struct script_names *names, const char *text, size_t length,
                             bool make, int *ret_index)
{
        if (length == 0 || length > SCRIPT_WORD_MAX || !isalpha((unsigned char)*text))
                return parser_refuse(parser, "'%s' is no name: it is a letter and %d letters, digits or '_' at most",
                                     text, SCRIPT_WORD_MAX - 1);
        for (size_t i = 0; i < length; i++)
                if (!isalnum((unsigned char)text[i]) && text[i] != '_')
                        return parser_refuse(parser, "'%s' is no name: it is made of letters, digits and '_'", text);
        for (uint32_t i = 0; i < names->count; i++)
                if (strlen(names->words[i]) == length && memcmp(names->words[i], text, length) == 0) {
                        *ret_index = (int)i;
                        return 0;
                }
        if (!make)
                return parser_refuse(parser, "nothing above gives '%s' a meaning: name it with 'save' or 'as' first",
                                     text);
        if (names->count == SCRIPT_NAMES_MAX)
                return parser_refuse(parser, "more than %d names on one device: use one again", SCRIPT_NAMES_MAX);
        memcpy(names->words[names->count], text, length);
        *ret_index = (int)names->count++;
        return 0;
}

int parser_need_name(struct script_parser *parser, struct script_names *names, bool make, int *ret_index)
{
        const char *text = parser_need(parser, "a name");

        return text ? find_or_make_name(parser, names, text, strlen(text), make, ret_index) : -1;
}

/* "8192", "HERE", "HERE+4096". */
static int read_place(struct script_parser *parser, const char *text, struct script_place *place)
{
        size_t length = strcspn(text, "+-");

        *place = (struct script_place){ .given = true, .saved = -1 };
        if (!isalpha((unsigned char)*text))
                return parser_number(parser, text, "a position", -INT64_MAX, INT64_MAX, &place->number);
        if (find_or_make_name(parser, &parser->device->places, text, length, /* make= */ false, &place->saved) < 0)
                return -1;
        if (!text[length])
                return 0;
        return parser_number(parser, text + length + (text[length] == '+'), "a distance", -INT64_MAX, INT64_MAX,
                             &place->number);
}

int parser_need_value(struct script_parser *parser, const struct value *value, void *object)
{
        void *member = (char *)object + value->offset;
        const char *text;

        if (value->kind == VALUE_NONE)
                return 0;
        if (value->kind == VALUE_GRANT && parser_take(parser, "all")) {
                *(uint32_t *)member = UINT32_MAX;
                return 0;
        }
        text = parser_need(parser, value->what);
        if (!text)
                return -1;
        switch (value->kind) {
        case VALUE_U64:
                return parser_number(parser, text, value->what, value->min, value->max, member);
        case VALUE_SECONDS:
                return read_seconds(parser, text, member);
        case VALUE_NAMED:
                return read_named(parser, value, text, member);
        case VALUE_FEATURES:
        case VALUE_GRANT:
                return read_features(parser, value, text, member);
        case VALUE_CODES:
                return read_codes(parser, text, member);
        case VALUE_PLACE:
                return read_place(parser, text, member);
        case VALUE_SAVE:
                return find_or_make_name(parser, &parser->device->places, text, strlen(text), /* make= */ true, member);
        case VALUE_TEXT:
                snprintf(member, ERROR_MESSAGE_MAX, "%s", text);
                return 0;
        default:
                return read_u32(parser, value, text, member);
        }
}
