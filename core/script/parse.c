#include "core/script/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/script/words.h"

enum {
        DEFAULT_BLOCK = 4096,
        DEFAULT_TRANSFER = 1 << 20,
        DEFAULT_TIMEOUT_MS = 60000,
        BUFFERS_MAX = 65536,
};

/* ---- settings ---- */

static int set_block_size(struct parser *parser)
{
        if (parser_need_u32(parser, "a block size", VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX,
                            &parser->script->block_size) < 0)
                return -1;
        if (parser->script->block_size & (parser->script->block_size - 1))
                return parser_refuse(parser, "a block size of %" PRIu32 " is not possible: it is a power of two",
                                     parser->script->block_size);
        return 0;
}

static int set_max_transfer(struct parser *parser)
{
        if (parser_need_u32(parser, "a transfer size", VDS_TRANSFER_UNIT, VDS_TRANSFER_MAX,
                            &parser->script->max_transfer) < 0)
                return -1;
        if (parser->script->max_transfer % VDS_TRANSFER_UNIT)
                return parser_refuse(parser, "a transfer size of %" PRIu32 " is not possible: it is a multiple of %d",
                                     parser->script->max_transfer, VDS_TRANSFER_UNIT);
        return 0;
}

static int set_alignment(struct parser *parser)
{
        if (parser_need_u32(parser, "an alignment", 0, VDS_ALIGNMENT_MAX, &parser->script->alignment) < 0)
                return -1;
        if (parser->script->alignment & (parser->script->alignment - 1))
                return parser_refuse(parser, "an alignment of %" PRIu32 " is not possible: it is a power of two",
                                     parser->script->alignment);
        return 0;
}

static int set_buffers(struct parser *parser)
{
        return parser_need_u32(parser, "a number of buffers", 1, BUFFERS_MAX, &parser->script->buffers);
}

static int set_direction(struct parser *parser)
{
        static const struct named directions[] = {
                { "write", VDF_WriteMedia },
                { "read", VDF_ReadMedia },
                { "both", VDF_WriteMedia | VDF_ReadMedia },
                { NULL, 0 },
        };
        int64_t value = 0;

        if (parser_need_named(parser, directions, "a direction", &value) < 0)
                return -1;
        parser->script->direction = (uint32_t)value;
        return 0;
}

static int set_grant(struct parser *parser)
{
        if (!parser_take(parser, "all"))
                return parser_need_features(parser, &parser->script->grant);
        parser->script->grant = UINT32_MAX;
        return 0;
}

static int set_timeout(struct parser *parser)
{
        return parser_need_seconds(parser, &parser->script->timeout_ms);
}

static int set_patience(struct parser *parser)
{
        return parser_need_seconds(parser, &parser->script->patience_ms);
}

static int set_on_failure(struct parser *parser)
{
        static const struct named choices[] = { { "stop", false }, { "continue", true }, { NULL, 0 } };
        int64_t value = 0;

        if (parser_need_named(parser, choices, "what to do on a failure", &value) < 0)
                return -1;
        parser->script->goes_on = value != 0;
        return 0;
}

static int set_info(struct parser *parser)
{
        const char *text = parser_need(parser, "a text");

        if (text)
                snprintf(parser->script->info, sizeof parser->script->info, "%s", text);
        return text ? 0 : -1;
}

struct statement {
        const char *word;
        int (*parse)(struct parser *parser);
};

static const struct statement settings[] = {
        { "blocksize", set_block_size },
        { "maxtransfer", set_max_transfer },
        { "alignment", set_alignment },
        { "buffers", set_buffers },
        { "direction", set_direction },
        { "grant", set_grant },
        { "timeout", set_timeout },
        { "patience", set_patience },
        { "onfailure", set_on_failure },
        { "info", set_info },
        { NULL, NULL },
};

static const struct statement *find_statement(const struct statement *table, const char *word)
{
        for (; table->word; table++)
                if (strcmp(table->word, word) == 0)
                        return table;
        return NULL;
}

static int parse_set(struct parser *parser)
{
        const char *word = parser_need(parser, "a setting");
        const struct statement *setting = word ? find_statement(settings, word) : NULL;

        if (!word)
                return -1;
        return setting ? setting->parse(parser)
                       : parser_refuse(parser, "'%s' is no setting: see the table of settings", word);
}

static int parse_wish(struct parser *parser)
{
        static const struct named wishes[] = {
                { "features", SCRIPT_WISH_FEATURES },     { "devices", SCRIPT_WISH_DEVICES },
                { "prefix", SCRIPT_WISH_PREFIX },         { "alignment", SCRIPT_WISH_ALIGNMENT },
                { "softmark", SCRIPT_WISH_SOFTMARK },     { "warning", SCRIPT_WISH_WARNING },
                { "servertimeout", SCRIPT_WISH_TIMEOUT }, { NULL, 0 },
        };
        int64_t which = 0;
        uint32_t value = 0;

        if (parser_need_named(parser, wishes, "a wish of the client", &which) < 0)
                return -1;
        if (which == SCRIPT_WISH_FEATURES ? parser_need_features(parser, &value) < 0
                                          : parser_need_u32(parser, "a value", 0, UINT32_MAX, &value) < 0)
                return -1;
        parser->script->wishes[which].given = true;
        parser->script->wishes[which].line = parser->line;
        parser->script->wishes[which].value = value;
        return 0;
}

static int parse_verdict(struct parser *parser)
{
        static const struct named verdicts[] = {
                { "success", VDS_VERDICT_SUCCESS },
                { "failed", VDS_VERDICT_FAILED },
                { "none", VDS_VERDICT_NONE },
                { NULL, 0 },
        };
        int64_t value = 0;
        const char *text;

        if (parser_need_named(parser, verdicts, "a verdict", &value) < 0)
                return -1;
        parser->script->verdict = (enum vds_verdict)value;
        text = parser_next(parser);
        if (text)
                snprintf(parser->script->verdict_text, sizeof parser->script->verdict_text, "%s", text);
        return 0;
}

/* ---- steps ---- */

static int close_device(struct parser *parser)
{
        if (parser->open_count == 0)
                return 0;
        return parser_refuse(parser, "the repeat of line %" PRIu32 " is not closed: a line '}' is missing",
                             parser->device->steps[parser->open[parser->open_count - 1]].line);
}

static int parse_device(struct parser *parser)
{
        struct script_device *device;
        const char *name;
        uint32_t number;

        if (close_device(parser) < 0 || parser_need_u32(parser, "a device's number", 1, VDS_DEVICES_MAX, &number) < 0)
                return -1;
        if (parser->script->devices[number - 1])
                return parser_refuse(parser, "device %" PRIu32 " has its sequence in line %" PRIu32 " already", number,
                                     parser->script->devices[number - 1]->line);
        device = calloc(1, sizeof *device);
        if (!device)
                return error_no_memory(parser->err);
        parser->script->devices[number - 1] = device;
        parser->device = device;
        device->line = parser->line;
        name = parser_next(parser);
        if (!name)
                return 0;
        if (number == 1)
                return parser_refuse(parser, "device 1 has the set's name: leave '%s' out", name);
        if (!*name || strlen(name) > VDS_NAME_MAX || strchr(name, '\\'))
                return parser_refuse(parser, "'%s' is no device's name: it has 1 to %d bytes and no backslash", name,
                                     VDS_NAME_MAX);
        snprintf(device->name, sizeof device->name, "%s", name);
        return 0;
}

static int parse_send(struct parser *parser)
{
        const char *word = parser_need(parser, "a command");
        const struct command_word *command = word ? parser_find_command(word) : NULL;

        if (!word)
                return -1;
        return command ? parser_command(parser, command, /* sent= */ true)
                       : parser_refuse(parser, "'%s' is no command that could be sent", word);
}

static int parse_await(struct parser *parser)
{
        struct script_step *step = parser_add_step(parser, SCRIPT_AWAIT);

        if (!step)
                return -1;
        do {
                int label = 0;

                if (parser_need_name(parser, &parser->device->labels, /* make= */ false, &label) < 0)
                        return -1;
                if (step->await.labels & UINT64_C(1) << label)
                        return parser_refuse(parser, "'%s' is awaited twice on one line",
                                             parser->device->labels.words[label]);
                step->await.labels |= UINT64_C(1) << label;
                step->await.order[step->await.count++] = (uint8_t)label;
                step->await.ordered = parser_take(parser, "ordered");
        } while (parser_peek(parser) && !step->await.ordered);
        return 0;
}

static int parse_repeat(struct parser *parser)
{
        struct script_step *step = parser_add_step(parser, SCRIPT_REPEAT);

        if (!step)
                return -1;
        if (parser->open_count == SCRIPT_NESTING_MAX)
                return parser_refuse(parser, "more than %d repeats in each other: count the commands with xN",
                                     SCRIPT_NESTING_MAX);
        if (parser_need_u32(parser, "a count", 1, SCRIPT_COUNT_MAX, &step->repeat.count) < 0)
                return -1;
        if (!parser_take(parser, "{"))
                return parser_refuse(parser, "a '{' is missing at the end of the line");
        parser->open[parser->open_count++] = parser->device->count - 1;
        return 0;
}

static int parse_end_repeat(struct parser *parser)
{
        struct script_step *step = parser_add_step(parser, SCRIPT_END_REPEAT);
        uint32_t first;

        if (!step)
                return -1;
        if (parser->open_count == 0)
                return parser_refuse(parser, "'}' closes nothing: 'repeat N {' is missing");
        first = parser->open[--parser->open_count];
        step->repeat.partner = first;
        parser->device->steps[first].repeat.partner = parser->device->count - 1;
        return 0;
}

static int parse_buffers(struct parser *parser)
{
        struct script_step *step = parser_add_step(parser, SCRIPT_BUFFERS);

        return step ? parser_need_u32(parser, "a number of buffers", 1, BUFFERS_MAX, &step->buffers) : -1;
}

static int parse_stall(struct parser *parser)
{
        struct script_step *step = parser_add_step(parser, SCRIPT_STALL);

        return step ? parser_need_seconds(parser, &step->stall_ms) : -1;
}

static int parse_hold(struct parser *parser)
{
        static const struct named reasons[] = {
                { "abort", VDS_ABORT_CLIENT },      { "close", VDS_ABORT_CLIENT_CLOSED },
                { "death", VDS_ABORT_CLIENT_DIED }, { "timeout", VDS_ABORT_TIMEOUT },
                { "observer", VDS_ABORT_OBSERVER }, { NULL, 0 },
        };
        struct script_step *step = parser_add_step(parser, SCRIPT_HOLD);
        int64_t value = VDS_ABORT_NONE;

        if (!step)
                return -1;
        if (parser_take(parser, "for") && parser_need_named(parser, reasons, "a reason", &value) < 0)
                return -1;
        step->hold = (enum vds_abort_reason)value;
        return 0;
}

static int parse_close(struct parser *parser)
{
        return parser_add_step(parser, parser_take(parser, "set") ? SCRIPT_CLOSE_SET : SCRIPT_CLOSE) ? 0 : -1;
}

static int parse_drain(struct parser *parser)
{
        return parser_add_step(parser, SCRIPT_DRAIN) ? 0 : -1;
}

static int parse_meet(struct parser *parser)
{
        return parser_add_step(parser, SCRIPT_MEET) ? 0 : -1;
}

static int parse_abort(struct parser *parser)
{
        return parser_add_step(parser, SCRIPT_ABORT) ? 0 : -1;
}

static int parse_exit(struct parser *parser)
{
        return parser_add_step(parser, SCRIPT_EXIT) ? 0 : -1;
}

static int parse_die(struct parser *parser)
{
        return parser_add_step(parser, SCRIPT_DIE) ? 0 : -1;
}

static const struct statement set_statements[] = {
        { "set", parse_set },
        { "expect", parse_wish },
        { "verdict", parse_verdict },
        { NULL, NULL },
};

static const struct statement device_statements[] = {
        { "send", parse_send },    { "await", parse_await }, { "drain", parse_drain },     { "repeat", parse_repeat },
        { "}", parse_end_repeat }, { "meet", parse_meet },   { "buffers", parse_buffers }, { "stall", parse_stall },
        { "hold", parse_hold },    { "abort", parse_abort }, { "close", parse_close },     { "exit", parse_exit },
        { "die", parse_die },      { NULL, NULL },
};

/* ---- lines ---- */

static int parse_statement(struct parser *parser)
{
        const char *word = parser_next(parser);
        const struct statement *statement = find_statement(set_statements, word);
        const struct command_word *command = parser_find_command(word);

        if (strcmp(word, "device") == 0)
                return parse_device(parser);
        if (statement && parser->device)
                return parser_refuse(parser, "'%s' is for the whole set: it comes before the first 'device'", word);
        if (statement)
                return statement->parse(parser);
        statement = find_statement(device_statements, word);
        if (!statement && !command)
                return parser_refuse(parser, "'%s' is no statement: see the table of statements", word);
        if (!parser->device)
                return parser_refuse(parser, "'%s' is for one device: a line 'device N' comes before it", word);
        return command ? parser_command(parser, command, /* sent= */ false) : statement->parse(parser);
}

static int parse_line(struct parser *parser, const char *text, size_t length)
{
        if (parser->line > SCRIPT_LINES_MAX)
                return parser_refuse(parser, "a script has %d lines at most: use repeat", SCRIPT_LINES_MAX);
        if (length >= sizeof parser->text)
                return parser_refuse(parser, "a line has %zu bytes at most", sizeof parser->text - 1);
        if (memchr(text, '\0', length))
                return parser_refuse(parser, "a NUL byte: a script is text");
        memcpy(parser->text, text, length);
        parser->text[length] = '\0';
        if (parser_split(parser) < 0)
                return -1;
        if (parser->count == 0)
                return 0;
        if (parse_statement(parser) < 0)
                return -1;
        if (parser->at < parser->count)
                return parser_refuse(parser, "'%s' is too much on this line", parser_peek(parser));
        return 0;
}

static int check_whole(struct parser *parser)
{
        if (close_device(parser) < 0)
                return -1;
        if (parser->script->alignment && parser->script->alignment < parser->script->block_size)
                return parser_refuse(parser, "an alignment of %" PRIu32 " is less than the block size, %" PRIu32,
                                     parser->script->alignment, parser->script->block_size);
        if (!parser->device)
                return parser_refuse(parser, "no device has a sequence: a line 'device 1' is missing");
        return 0;
}

static int parse_text(struct parser *parser, const char *text, size_t size)
{
        while (size > 0) {
                const char *end = memchr(text, '\n', size);
                size_t length = end ? (size_t)(end - text) : size;

                parser->line++;
                if (parse_line(parser, text, length) < 0)
                        return -1;
                text += length + (end != NULL);
                size -= length + (end != NULL);
        }
        return check_whole(parser);
}

int script_parse(const char *name, const char *text, size_t size, struct script **ret_script, struct error *err)
{
        struct script *script = calloc(1, sizeof *script);
        struct parser parser = { .name = name, .script = script, .err = err };

        *ret_script = NULL;
        if (!script)
                return error_no_memory(err);
        script->block_size = DEFAULT_BLOCK;
        script->max_transfer = DEFAULT_TRANSFER;
        script->direction = VDF_WriteMedia;
        script->grant = UINT32_MAX;
        script->timeout_ms = DEFAULT_TIMEOUT_MS;
        script->patience_ms = -1;
        script->verdict = VDS_VERDICT_UNCONFIRMED;
        if (size > SCRIPT_SIZE_MAX)
                parser_refuse(&parser, "a script has %d bytes at most", SCRIPT_SIZE_MAX);
        else if (parse_text(&parser, text, size) == 0)
                *ret_script = take_ptr(&script);
        script_free(script);
        return *ret_script ? 0 : -1;
}

void script_free(struct script *script)
{
        if (!script)
                return;
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                if (script->devices[i]) {
                        free(script->devices[i]->steps);
                        free(script->devices[i]);
                }
        free(script);
}
