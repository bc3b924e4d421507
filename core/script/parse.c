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

/* ---- for the whole set ---- */

static const struct named directions[] = {
        { "write", VDF_WriteMedia },
        { "read", VDF_ReadMedia },
        { "both", VDF_WriteMedia | VDF_ReadMedia },
        { NULL, 0 },
};
static const struct named on_failure[] = {
        { "stop", false },
        { "continue", true },
        { NULL, 0 },
};

#define MEMBER(name) .offset = offsetof(struct script, name)

static const struct {
        const char *word;
        struct value value;
} settings[] = {
        { "blocksize",
          { VALUE_POWER_OF_TWO, "a block size", VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX, MEMBER(block_size) } },
        { "maxtransfer",
          { VALUE_UNITS, "a transfer size", VDS_TRANSFER_UNIT, VDS_TRANSFER_MAX, MEMBER(max_transfer) } },
        { "alignment", { VALUE_POWER_OF_TWO, "an alignment", 0, VDS_ALIGNMENT_MAX, MEMBER(alignment) } },
        { "buffers", { VALUE_U32, "a number of buffers", 1, BUFFERS_MAX, MEMBER(buffers) } },
        { "direction", { VALUE_NAMED, "a direction", .names = directions, MEMBER(direction) } },
        { "grant", { VALUE_GRANT, "the features", MEMBER(grant) } },
        { "timeout", { VALUE_SECONDS, "a number of seconds", MEMBER(timeout_ms) } },
        { "patience", { VALUE_SECONDS, "a number of seconds", MEMBER(patience_ms) } },
        { "onfailure", { VALUE_NAMED, "what to do on a failure", .names = on_failure, MEMBER(goes_on) } },
        { "info", { VALUE_TEXT, "a text", MEMBER(info) } },
};

static int parse_set(struct script_parser *parser)
{
        const char *word = parser_need(parser, "a setting");
        __typeof__(&settings[0]) setting = word ? parser_find(settings, word) : NULL;

        if (!word)
                return -1;
        return setting ? parser_need_value(parser, &setting->value, parser->script)
                       : parser_refuse(parser, "'%s' is no setting: see the table of settings", word);
}

static int parse_wish(struct script_parser *parser)
{
        static const struct named wishes[] = {
                { "features", SCRIPT_WISH_FEATURES },     { "devices", SCRIPT_WISH_DEVICES },
                { "prefix", SCRIPT_WISH_PREFIX },         { "alignment", SCRIPT_WISH_ALIGNMENT },
                { "softmark", SCRIPT_WISH_SOFTMARK },     { "warning", SCRIPT_WISH_WARNING },
                { "servertimeout", SCRIPT_WISH_TIMEOUT }, { NULL, 0 },
        };
        static const struct value which_one = { VALUE_NAMED, "a wish of the client", .names = wishes };
        struct value value = { VALUE_U32, "a value", .max = UINT32_MAX };
        int32_t which = 0;
        uint32_t wanted = 0;

        if (parser_need_value(parser, &which_one, &which) < 0)
                return -1;
        if (which == SCRIPT_WISH_FEATURES)
                value = (struct value){ VALUE_FEATURES, .what = "the features" };
        if (parser_need_value(parser, &value, &wanted) < 0)
                return -1;
        parser->script->wishes[which].given = true;
        parser->script->wishes[which].line = parser->line;
        parser->script->wishes[which].value = wanted;
        return 0;
}

static int parse_verdict(struct script_parser *parser)
{
        static const struct named verdicts[] = {
                { "success", VDS_VERDICT_SUCCESS },
                { "failed", VDS_VERDICT_FAILED },
                { "none", VDS_VERDICT_NONE },
                { NULL, 0 },
        };
        static const struct value verdict = { VALUE_NAMED, "a verdict", .names = verdicts, MEMBER(verdict) };
        static const struct value text = { VALUE_TEXT, "a text", MEMBER(verdict_text) };

        if (parser_need_value(parser, &verdict, parser->script) < 0)
                return -1;
        return parser_peek(parser) ? parser_need_value(parser, &text, parser->script) : 0;
}

static const struct {
        const char *word;
        int (*parse)(struct script_parser *parser);
} set_statements[] = { { "set", parse_set }, { "expect", parse_wish }, { "verdict", parse_verdict } };

/* ---- for one device ---- */

static int check_repeats(struct script_parser *parser)
{
        if (parser->open_count == 0)
                return 0;
        return parser_refuse(parser, "the repeat of line %" PRIu32 " is not closed: a line '}' is missing",
                             parser->device->steps[parser->open[parser->open_count - 1]].line);
}

static int parse_device_line(struct script_parser *parser)
{
        struct script_device *device;
        const char *name;
        uint32_t number;

        if (check_repeats(parser) < 0 || parser_need_u32(parser, "a device's number", 1, VDS_DEVICES_MAX, &number) < 0)
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

static int parse_send(struct script_parser *parser)
{
        const char *word = parser_need(parser, "a command");
        const struct command_word *command = word ? parser_find_command(word) : NULL;

        if (!word)
                return -1;
        return command ? parser_command(parser, command, /* sent= */ true)
                       : parser_refuse(parser, "'%s' is no command that could be sent", word);
}

static int parse_await(struct script_parser *parser, struct script_step *step)
{
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

static int parse_repeat(struct script_parser *parser, struct script_step *step)
{
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

static int parse_end_repeat(struct script_parser *parser, struct script_step *step)
{
        uint32_t first;

        if (parser->open_count == 0)
                return parser_refuse(parser, "'}' closes nothing: 'repeat N {' is missing");
        first = parser->open[--parser->open_count];
        step->repeat.partner = first;
        parser->device->steps[first].repeat.partner = parser->device->count - 1;
        return 0;
}

static int parse_hold(struct script_parser *parser, struct script_step *step)
{
        static const struct named reasons[] = {
                { "abort", VDS_ABORT_CLIENT },      { "close", VDS_ABORT_CLIENT_CLOSED },
                { "death", VDS_ABORT_CLIENT_DIED }, { "timeout", VDS_ABORT_TIMEOUT },
                { "observer", VDS_ABORT_OBSERVER }, { NULL, 0 },
        };
        static const struct value reason = { VALUE_NAMED, "a reason", .names = reasons,
                                             .offset = offsetof(struct script_step, hold) };

        step->hold = VDS_ABORT_NONE;
        return parser_take(parser, "for") ? parser_need_value(parser, &reason, step) : 0;
}

static int parse_close(struct script_parser *parser, struct script_step *step)
{
        if (parser_take(parser, "set"))
                step->kind = SCRIPT_CLOSE_SET;
        return 0;
}

static const struct device_statement {
        const char *word;
        enum script_step_kind kind;
        int (*parse)(struct script_parser *parser, struct script_step *step); /* NULL: `value` is what follows */
        struct value value;
} device_statements[] = {
        { "await", SCRIPT_AWAIT, .parse = parse_await },
        { "drain", .kind = SCRIPT_DRAIN },
        { "repeat", SCRIPT_REPEAT, .parse = parse_repeat },
        { "}", SCRIPT_END_REPEAT, .parse = parse_end_repeat },
        { "meet", .kind = SCRIPT_MEET },
        { "buffers", SCRIPT_BUFFERS,
          .value = { VALUE_U32, "a number of buffers", 1, BUFFERS_MAX,
                     .offset = offsetof(struct script_step, buffers) } },
        { "stall", SCRIPT_STALL,
          .value = { VALUE_SECONDS, "a number of seconds", .offset = offsetof(struct script_step, stall_ms) } },
        { "hold", SCRIPT_HOLD, .parse = parse_hold },
        { "abort", .kind = SCRIPT_ABORT },
        { "close", SCRIPT_CLOSE, .parse = parse_close },
        { "exit", .kind = SCRIPT_EXIT },
        { "die", .kind = SCRIPT_DIE },
};

static int parse_step(struct script_parser *parser, const struct device_statement *statement)
{
        struct script_step *step = parser_add_step(parser, statement->kind);

        if (!step)
                return -1;
        return statement->parse ? statement->parse(parser, step) : parser_need_value(parser, &statement->value, step);
}

/* ---- lines ---- */

static int parse_statement(struct script_parser *parser)
{
        const char *word = parser_next(parser);
        __typeof__(&set_statements[0]) for_set = parser_find(set_statements, word);
        const struct device_statement *for_device = parser_find(device_statements, word);
        const struct command_word *command = parser_find_command(word);
        bool sends = strcmp(word, "send") == 0;

        if (strcmp(word, "device") == 0)
                return parse_device_line(parser);
        if (for_set && parser->device)
                return parser_refuse(parser, "'%s' is for the whole set: it comes before the first 'device'", word);
        if (for_set)
                return for_set->parse(parser);
        if (!for_device && !command && !sends)
                return parser_refuse(parser, "'%s' is no statement: see the table of statements", word);
        if (!parser->device)
                return parser_refuse(parser, "'%s' is for one device: a line 'device N' comes before it", word);
        if (for_device)
                return parse_step(parser, for_device);
        return sends ? parse_send(parser) : parser_command(parser, command, /* sent= */ false);
}

static int parse_line(struct script_parser *parser, const char *text, size_t length)
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

static int script_check_whole(struct script_parser *parser)
{
        if (check_repeats(parser) < 0)
                return -1;
        if (parser->script->alignment && parser->script->alignment < parser->script->block_size)
                return parser_refuse(parser, "an alignment of %" PRIu32 " is less than the block size, %" PRIu32,
                                     parser->script->alignment, parser->script->block_size);
        if (!parser->device)
                return parser_refuse(parser, "no device has a sequence: a line 'device 1' is missing");
        return 0;
}

static int parse_text(struct script_parser *parser, const char *text, size_t size)
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
        return script_check_whole(parser);
}

int script_parse(const char *name, const char *text, size_t size, struct script **ret_script, struct error *err)
{
        struct script *script = calloc(1, sizeof *script);
        struct script_parser parser = { .name = name, .script = script, .err = err };

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
