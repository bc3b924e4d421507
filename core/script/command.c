/* The lines of a script that are commands: names, operands, options. */
#include "core/script/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

/* A new step at the end of the sequence; NULL when memory is short. */
struct script_step *parser_add_step(struct parser *parser, enum script_step_kind kind)
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

/* What the word behind a command's name is. */
enum operand {
        OPERAND_NONE,
        OPERAND_BYTES,  /* a transfer's size */
        OPERAND_COUNT,  /* a signed number in the size field */
        OPERAND_PLACE,  /* the position */
        OPERAND_NUMBER, /* the command's code */
};

static const struct command_word {
        const char *word;
        int32_t code;
        enum operand operand;
} commands[] = {
        { "read", VDC_Read, OPERAND_BYTES },
        { "write", VDC_Write, OPERAND_BYTES },
        { "clearerror", VDC_ClearError, OPERAND_NONE },
        { "rewind", VDC_Rewind, OPERAND_NONE },
        { "writemark", VDC_WriteMark, OPERAND_NONE },
        { "skipmarks", VDC_SkipMarks, OPERAND_COUNT },
        { "skipblocks", VDC_SkipBlocks, OPERAND_COUNT },
        { "load", VDC_Load, OPERAND_COUNT },
        { "getposition", VDC_GetPosition, OPERAND_NONE },
        { "setposition", VDC_SetPosition, OPERAND_PLACE },
        { "discard", VDC_Discard, OPERAND_NONE },
        { "flush", VDC_Flush, OPERAND_NONE },
        { "snapshot", VDC_Snapshot, OPERAND_NONE },
        { "mountsnapshot", VDC_MountSnapshot, OPERAND_NONE },
        { "preparetofreeze", VDC_PrepareToFreeze, OPERAND_NONE },
        { "fileinfobegin", VDC_FileInfoBegin, OPERAND_NONE },
        { "fileinfoend", VDC_FileInfoEnd, OPERAND_NONE },
        { "geterror", VDC_GetError, OPERAND_NONE },
        { "complete", VDC_Complete, OPERAND_NONE },
        { "command", 0, OPERAND_NUMBER },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static bool is_transfer(const struct script_command *command)
{
        return command->code == VDC_Read || command->code == VDC_Write;
}

static int option_at(struct parser *parser, struct script_command *command)
{
        return parser_need_place(parser, &command->at);
}

static int option_size(struct parser *parser, struct script_command *command)
{
        int64_t value = 0;

        if (parser_need_number(parser, "a size", INT32_MIN, INT32_MAX, &value) < 0)
                return -1;
        command->size = (int32_t)value;
        return 0;
}

static int option_depth(struct parser *parser, struct script_command *command)
{
        return parser_need_u32(parser, "a queue depth", 1, VDS_QUEUE_DEPTH, &command->depth);
}

static int option_expect(struct parser *parser, struct script_command *command)
{
        return parser_need_codes(parser, &command->expect);
}

static int option_until(struct parser *parser, struct script_command *command)
{
        return parser_need_codes(parser, &command->until);
}

static int option_bytes(struct parser *parser, struct script_command *command)
{
        command->bytes_rule = parser_take(parser, "<=") ? SCRIPT_BYTES_AT_MOST : SCRIPT_BYTES_EXACT;
        return parser_need_u64(parser, "a number of bytes", &command->bytes);
}

static int option_total(struct parser *parser, struct script_command *command)
{
        command->has_total = true;
        return parser_need_u64(parser, "a number of bytes", &command->total);
}

static int option_gives(struct parser *parser, struct script_command *command)
{
        return parser_need_place(parser, &command->gives);
}

static int option_save(struct parser *parser, struct script_command *command)
{
        return parser_need_name(parser, &parser->device->places, /* make= */ true, &command->save);
}

static int option_from(struct parser *parser, struct script_command *command)
{
        static const struct named origins[] = {
                { "beginning", VDC_Beginning },
                { "current", VDC_Current },
                { "end", VDC_End },
                { NULL, 0 },
        };
        int64_t value = 0;

        if (command->code == VDC_SetPosition) {
                if (parser_need_named(parser, origins, "an origin", &value) < 0)
                        return -1;
                command->size = (int32_t)value;
                return 0;
        }
        command->has_from = true;
        return parser_need_u64(parser, "an offset", &command->from);
}

static int option_data(struct parser *parser, struct script_command *command)
{
        if (parser_take(parser, "zero")) {
                command->data = SCRIPT_DATA_ZERO;
                return 0;
        }
        command->data = SCRIPT_DATA_PATTERN;
        if (!parser_take(parser, "pattern"))
                return parser_refuse(parser, "the data is 'zero' or 'pattern SEED'");
        return parser_need_u64(parser, "a seed", &command->seed);
}

static int option_check(struct parser *parser, struct script_command *command)
{
        command->check = true;
        return option_data(parser, command);
}

static int option_as(struct parser *parser, struct script_command *command)
{
        if (!command->sent)
                return parser_refuse(parser, "a command that is waited for needs no label: put 'send' in front of it");
        return parser_need_name(parser, &parser->device->labels, /* make= */ true, &command->label);
}

/* Which commands take an option. */
enum audience {
        FOR_ALL,
        FOR_TRANSFERS,
        FOR_READS,
        FOR_WRITES,
        FOR_POSITIONS,
        FOR_OFFSETS, /* transfers, and SetPosition with its origin */
};

static const struct option_word {
        const char *word;
        enum audience audience;
        int (*parse)(struct parser *parser, struct script_command *command);
} options[] = {
        { "at", FOR_ALL, option_at },
        { "size", FOR_ALL, option_size },
        { "depth", FOR_ALL, option_depth },
        { "expect", FOR_ALL, option_expect },
        { "until", FOR_TRANSFERS, option_until },
        { "bytes", FOR_TRANSFERS, option_bytes },
        { "total", FOR_TRANSFERS, option_total },
        { "gives", FOR_POSITIONS, option_gives },
        { "save", FOR_POSITIONS, option_save },
        { "from", FOR_OFFSETS, option_from },
        { "data", FOR_WRITES, option_data },
        { "check", FOR_READS, option_check },
        { "as", FOR_ALL, option_as },
};

static bool is_for(enum audience audience, int32_t code)
{
        bool transfer = code == VDC_Read || code == VDC_Write;

        switch (audience) {
        case FOR_TRANSFERS:
                return transfer;
        case FOR_READS:
                return code == VDC_Read;
        case FOR_WRITES:
                return code == VDC_Write;
        case FOR_POSITIONS:
                return code == VDC_GetPosition || code == VDC_SetPosition;
        case FOR_OFFSETS:
                return transfer || code == VDC_SetPosition;
        case FOR_ALL:
                break;
        }
        return true;
}

/* "x100", if the next word is one. Returns 1 when it was. */
static int take_times(struct parser *parser, struct script_command *command)
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

static int parse_options(struct parser *parser, struct script_command *command)
{
        while (parser_peek(parser)) {
                const struct option_word *option = options;
                int taken = take_times(parser, command);

                if (taken < 0)
                        return -1;
                if (taken)
                        continue;
                while (option < options + sizeof options / sizeof options[0] &&
                       strcmp(option->word, parser_peek(parser)) != 0)
                        option++;
                if (option == options + sizeof options / sizeof options[0] || !is_for(option->audience, command->code))
                        return parser_refuse(parser, "'%s' is no option of this command: see the table of options",
                                             parser_peek(parser));
                parser->at++;
                if (option->parse(parser, command) < 0)
                        return -1;
        }
        return 0;
}

static int parse_operand(struct parser *parser, const struct command_word *word, struct script_command *command)
{
        int64_t value = 0;

        command->code = word->code;
        switch (word->operand) {
        case OPERAND_BYTES:
                if (parser_need_number(parser, "a size", 1, VDS_TRANSFER_MAX, &value) < 0)
                        return -1;
                break;
        case OPERAND_COUNT:
                if (parser_need_number(parser, "a count", INT32_MIN, INT32_MAX, &value) < 0)
                        return -1;
                break;
        case OPERAND_PLACE:
                return parser_need_place(parser, &command->at);
        case OPERAND_NUMBER:
                if (parser_need_number(parser, "a command's number", INT32_MIN, INT32_MAX, &value) < 0)
                        return -1;
                command->code = (int32_t)value;
                return 0;
        case OPERAND_NONE:
                break;
        }
        command->size = (int32_t)value;
        return 0;
}

/* Is the command, as a whole, one that can be sent? */
static int check_command(struct parser *parser, struct script_command *command)
{
        const struct script *script = parser->script;

        if (is_transfer(command) && (command->size <= 0 || (uint32_t)command->size > script->max_transfer))
                return parser_refuse(parser,
                                     "a transfer of %" PRId32 " bytes is not possible: 'set maxtransfer' is %" PRIu32,
                                     command->size, script->max_transfer);
        if (is_transfer(command) && (uint32_t)command->size % script->block_size)
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
static void count_buffers(struct script_device *device, const struct script_command *command)
{
        uint32_t at_once = command->sent ? command->count : command->depth;

        if (is_transfer(command))
                device->buffers += at_once;
        if (device->buffers > VDS_QUEUE_DEPTH)
                device->buffers = VDS_QUEUE_DEPTH;
}

int parser_command(struct parser *parser, const struct command_word *word, bool sent)
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
        if (parse_operand(parser, word, command) < 0)
                return -1;
        if (parse_options(parser, command) < 0)
                return -1;
        if (command->count == 0)
                command->count = command->until.count ? SCRIPT_COUNT_MAX : 1;
        if (check_command(parser, command) < 0)
                return -1;
        count_buffers(parser->device, command);
        return 0;
}

const struct command_word *parser_find_command(const char *word)
{
        for (size_t i = 0; i < COMMANDS; i++)
                if (strcmp(commands[i].word, word) == 0)
                        return &commands[i];
        return NULL;
}
