/* The lines of a script that are commands: names, operands, options. */
#include "core/script/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

struct script_step *parser_add_step(struct script_parser *parser, enum script_step_kind kind)
{
        struct script_device *device = parser->device;
        struct script_step *step;

        if (device->count == device->capacity) {
                uint32_t capacity = device->capacity ? 2 * device->capacity : FIRST_CAPACITY;
                struct script_step *steps = realloc(device->steps, capacity * sizeof *steps);

                if (!steps) {
                        error_no_memory(parser->err);
                        return NULL;
                }
                device->steps = steps;
                device->capacity = capacity;
        }
        step = &device->steps[device->count++];
        memset(step, 0, sizeof *step);
        step->kind = kind;
        step->line = parser->line;
        return step;
}

#define MEMBER(name) .offset = offsetof(struct script_command, name)

/* What the word behind a command's name is. */
static const struct value no_operand = { .kind = VALUE_NONE };
static const struct value of_bytes = { VALUE_I32, "a size", 1, VDS_TRANSFER_MAX, MEMBER(size) };
static const struct value of_count = { VALUE_I32, "a count", INT32_MIN, INT32_MAX, MEMBER(size) };
static const struct value of_place = { VALUE_PLACE, "a position", MEMBER(at) };
static const struct value of_code = { VALUE_I32, "a command's number", INT32_MIN, INT32_MAX, MEMBER(code) };

static const struct command_word {
        const char *word;
        int32_t code;
        const struct value *operand;
} commands[] = {
        { "read", VDC_Read, &of_bytes },
        { "write", VDC_Write, &of_bytes },
        { "clearerror", VDC_ClearError, &no_operand },
        { "rewind", VDC_Rewind, &no_operand },
        { "writemark", VDC_WriteMark, &no_operand },
        { "skipmarks", VDC_SkipMarks, &of_count },
        { "skipblocks", VDC_SkipBlocks, &of_count },
        { "load", VDC_Load, &of_count },
        { "getposition", VDC_GetPosition, &no_operand },
        { "setposition", VDC_SetPosition, &of_place },
        { "discard", VDC_Discard, &no_operand },
        { "flush", VDC_Flush, &no_operand },
        { "snapshot", VDC_Snapshot, &no_operand },
        { "mountsnapshot", VDC_MountSnapshot, &no_operand },
        { "preparetofreeze", VDC_PrepareToFreeze, &no_operand },
        { "fileinfobegin", VDC_FileInfoBegin, &no_operand },
        { "fileinfoend", VDC_FileInfoEnd, &no_operand },
        { "geterror", VDC_GetError, &no_operand },
        { "complete", VDC_Complete, &no_operand },
        { "command", 0, &of_code },
};

static int parse_bytes_option(struct script_parser *parser, struct script_command *command)
{
        static const struct value bytes = { VALUE_U64, "a number of bytes", 0, INT64_MAX, MEMBER(bytes) };

        command->bytes_rule = parser_take(parser, "<=") ? SCRIPT_BYTES_AT_MOST : SCRIPT_BYTES_EXACT;
        return parser_need_value(parser, &bytes, command);
}

static int parse_data_option(struct script_parser *parser, struct script_command *command)
{
        static const struct value seed = { VALUE_U64, "a seed", 0, INT64_MAX, MEMBER(seed) };

        command->data = parser_take(parser, "zero") ? SCRIPT_DATA_ZERO : SCRIPT_DATA_PATTERN;
        if (command->data == SCRIPT_DATA_ZERO)
                return 0;
        if (!parser_take(parser, "pattern"))
                return parser_refuse(parser, "the data is 'zero' or 'pattern SEED'");
        return parser_need_value(parser, &seed, command);
}

static int parse_check_option(struct script_parser *parser, struct script_command *command)
{
        command->check = true;
        return parse_data_option(parser, command);
}

static int parse_label_option(struct script_parser *parser, struct script_command *command)
{
        if (!command->sent)
                return parser_refuse(parser, "a command that is waited for needs no label: put 'send' in front of it");
        return parser_need_name(parser, &parser->device->labels, /* make= */ true, &command->label);
}

static const struct named origins[] = {
        { "beginning", VDC_Beginning },
        { "current", VDC_Current },
        { "end", VDC_End },
        { NULL, 0 },
};

/* Commands that take an option, a bit each. */
enum {
        FOR_ALL = 0,
        FOR_READS = 1 << VDC_Read,
        FOR_WRITES = 1 << VDC_Write,
        FOR_TRANSFERS = FOR_READS | FOR_WRITES,
        FOR_SETPOSITION = 1 << VDC_SetPosition,
        FOR_POSITIONS = FOR_SETPOSITION | 1 << VDC_GetPosition,
};

static const struct option_word {
        const char *word;
        uint32_t commands;
        struct value value;                                                         /* VALUE_NONE: `parse` reads it */
        int (*parse)(struct script_parser *parser, struct script_command *command); /* or NULL */
        size_t flag; /* offset of a bool that says the option was given; 0: none */
} options[] = {
        { "at", FOR_ALL, .value = { VALUE_PLACE, "a position", MEMBER(at) } },
        { "size", FOR_ALL, .value = { VALUE_I32, "a size", INT32_MIN, INT32_MAX, MEMBER(size) } },
        { "depth", FOR_ALL, .value = { VALUE_U32, "a queue depth", 1, VDS_QUEUE_DEPTH, MEMBER(depth) } },
        { "expect", FOR_ALL, .value = { VALUE_CODES, "a completion code", MEMBER(expect) } },
        { "until", FOR_TRANSFERS, .value = { VALUE_CODES, "a completion code", MEMBER(until) } },
        { "bytes", FOR_TRANSFERS, .parse = parse_bytes_option },
        { "total", FOR_TRANSFERS, .value = { VALUE_U64, "a number of bytes", 0, INT64_MAX, MEMBER(total) },
          .flag = offsetof(struct script_command, has_total) },
        { "gives", FOR_POSITIONS, .value = { VALUE_PLACE, "a position", MEMBER(gives) } },
        { "save", FOR_POSITIONS, .value = { VALUE_SAVE, "a name", MEMBER(save) } },
        { "from", FOR_SETPOSITION, .value = { VALUE_NAMED, "an origin", .names = origins, MEMBER(size) } },
        { "from", FOR_TRANSFERS, .value = { VALUE_U64, "an offset", 0, INT64_MAX, MEMBER(from) },
          .flag = offsetof(struct script_command, has_from) },
        { "data", FOR_WRITES, .parse = parse_data_option },
        { "check", FOR_READS, .parse = parse_check_option },
        { "as", FOR_ALL, .parse = parse_label_option },
};

static bool option_is_for(const struct option_word *option, int32_t code)
{
        return option->commands == FOR_ALL || (code > 0 && code < 31 && (option->commands >> code & 1));
}

static const struct option_word *find_command_option(const char *word, int32_t code)
{
        for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
                if (strcmp(options[i].word, word) == 0 && option_is_for(&options[i], code))
                        return &options[i];
        return NULL;
}

static int parse_command_option(struct script_parser *parser, struct script_command *command)
{
        const struct option_word *option = find_command_option(parser_peek(parser), command->code);

        if (!option)
                return parser_refuse(parser, "'%s' is no option of this command: see the table of options",
                                     parser_peek(parser));
        parser->at++;
        if (option->flag)
                *(bool *)((char *)command + option->flag) = true;
        return option->parse ? option->parse(parser, command) : parser_need_value(parser, &option->value, command);
}

/* "x100", if the next word is one. Returns 1 when it was. */
static int take_times(struct script_parser *parser, struct script_command *command)
{
        const char *text = parser_peek(parser);
        int64_t value = 0;

        if (!text || text[0] != 'x' || !isdigit((unsigned char)text[1]))
                return 0;
        parser->at++;
        if (parser_number(parser, text + 1, "a count", 1, SCRIPT_COUNT_MAX, &value) < 0)
                return -1;
        command->count = (uint32_t)value;
        return 1;
}

static int parse_command_options(struct script_parser *parser, struct script_command *command)
{
        while (parser_peek(parser)) {
                int taken = take_times(parser, command);

                if (taken < 0 || (taken == 0 && parse_command_option(parser, command) < 0))
                        return -1;
        }
        return 0;
}

/* Is the command, as a whole, one that can be sent? */
static int check_command(struct script_parser *parser, struct script_command *command)
{
        const struct script *script = parser->script;

        if (script_moves_data(command) && (command->size <= 0 || (uint32_t)command->size > script->max_transfer))
                return parser_refuse(parser,
                                     "a transfer of %" PRId32 " bytes is not possible: 'set maxtransfer' is %" PRIu32,
                                     command->size, script->max_transfer);
        if (script_moves_data(command) && (uint32_t)command->size % script->block_size)
                return parser_refuse(parser,
                                     "a transfer of %" PRId32 " bytes is not possible: 'set blocksize' is %" PRIu32,
                                     command->size, script->block_size);
        if (command->sent && command->label >= 0 && command->count > 1)
                return parser_refuse(parser, "a label is for one command: leave the count or the label out");
        if (command->sent && (command->until.count || command->has_total))
                return parser_refuse(parser, "'until' and 'total' need commands that are waited for: leave 'send' out");
        if (command->sent && command->count > VDS_QUEUE_DEPTH)
                return parser_refuse(parser, "more than %d commands cannot be outstanding: leave 'send' out",
                                     VDS_QUEUE_DEPTH);
        return 0;
}

/* What a device holds at most, so that the pool is large enough. What is sent in a loop and not awaited in it counts
 * once. */
static void count_command_buffers(struct script_device *device, const struct script_command *command)
{
        uint32_t at_once = command->sent ? command->count : command->depth;

        if (script_moves_data(command))
                device->buffers += at_once;
        if (device->buffers > VDS_QUEUE_DEPTH)
                device->buffers = VDS_QUEUE_DEPTH;
}

int parser_command(struct script_parser *parser, const struct command_word *word, bool sent)
{
        struct script_step *step = parser_add_step(parser, SCRIPT_COMMAND);
        struct script_command *command;

        if (!step)
                return -1;
        command = &step->command;
        command->sent = sent;
        command->label = -1;
        command->save = -1;
        command->depth = 1;
        command->code = word->code;
        if (parser_need_value(parser, word->operand, command) < 0 || parse_command_options(parser, command) < 0)
                return -1;
        if (command->count == 0)
                command->count = command->until.count ? SCRIPT_COUNT_MAX : 1;
        if (check_command(parser, command) < 0)
                return -1;
        count_command_buffers(parser->device, command);
        return 0;
}

const struct command_word *parser_find_command(const char *word)
{
        return parser_find(commands, word);
}
