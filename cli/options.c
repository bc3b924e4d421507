#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const option_headings[OPT_GROUPS] = {
        [OPT_GROUP_MAIN] = "",
        [OPT_GROUP_FILES] = "Input and output",
        [OPT_GROUP_CODING] = "Compression and encryption",
        [OPT_GROUP_SQLITE] = "SQLite",
        [OPT_GROUP_DEVICES] = "Devices and tuning",
        [OPT_GROUP_TIMEOUTS] = "Time-outs",
        [OPT_GROUP_MESSAGES] = "Messages and configuration",
        [OPT_GROUP_MSSQL] = "SQL Server",
};

const char *options_heading(enum opt_group group)
{
        return option_headings[group];
}

static void *option_field(struct args *args, size_t offset)
{
        return (char *)args + offset;
}

/* Digits, optionally a point and digits; yields the number times `scale`, exactly. */
static int parse_decimal(const char *text, const char **ret_end, int64_t scale, int64_t *ret_value)
{
        int64_t value = 0;
        int64_t unit = scale;
        const char *p = text;

        if (!isdigit((unsigned char)*p))
                return -1;
        for (; isdigit((unsigned char)*p); p++)
                if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value))
                        return -1;
        if (__builtin_mul_overflow(value, scale, &value))
                return -1;
        if (*p == '.') {
                if (!isdigit((unsigned char)*++p))
                        return -1;
                for (; isdigit((unsigned char)*p); p++) {
                        if (unit % 10 != 0 && unit < 10)
                                return -1;
                        if (__builtin_add_overflow(value, (*p - '0') * (unit / 10), &value))
                                return -1;
                        unit /= 10;
                }
        }
        *ret_end = p;
        *ret_value = value;
        return 0;
}

int options_parse_size(const char *text, int64_t *ret_bytes)
{
        static const char suffixes[] = "KMGT";
        const char *end;
        const char *suffix;
        int64_t thousandths;
        int64_t unit = 1;

        if (parse_decimal(text, &end, 1000, &thousandths) < 0)
                return -1;
        if (*end) {
                suffix = strchr(suffixes, toupper((unsigned char)*end));
                if (!suffix)
                        return -1;
                unit = (int64_t)1 << (10 * (suffix - suffixes + 1));
                end++;
                if (*end == 'i')
                        end++;
                if (*end == 'B')
                        end++;
        }
        if (*end || __builtin_mul_overflow(thousandths, unit, &thousandths) || thousandths % 1000 != 0)
                return -1;
        *ret_bytes = thousandths / 1000;
        return 0;
}

int options_parse_seconds(const char *text, int64_t *ret_ms)
{
        const char *end;

        if (parse_decimal(text, &end, 1000, ret_ms) < 0)
                return -1;
        if (*end == 's')
                end++;
        return *end ? -1 : 0;
}

static int parse_number(const char *text, int64_t *ret_value)
{
        char *end;

        errno = 0;
        *ret_value = strtoll(text, &end, 10);
        return errno || end == text || *end || isspace((unsigned char)*text) ? -1 : 0;
}

static int append_item(struct string_list *list, const char *item, struct error *err)
{
        const char **items = reallocarray(list->items, list->count + 1, sizeof *items);

        if (!items)
                return error_no_memory(err);
        list->items = items;
        list->items[list->count++] = item;
        return 0;
}

static int append_given(struct args *args, const struct opt_spec *spec, struct error *err)
{
        const struct opt_spec **given =
                reallocarray(args->given, args->given_count + 1, sizeof(const struct opt_spec *));

        if (!given)
                return error_no_memory(err);
        args->given = given;
        args->given[args->given_count++] = spec;
        return 0;
}

static int set_choice(const struct opt_spec *spec, const char *text, struct args *args, struct error *err)
{
        struct nearest nearest = nearest_to(text, strlen(text));
        char words[256] = "";

        for (const struct opt_choice *choice = spec->choices; choice->word; choice++) {
                if (strcmp(choice->word, text) == 0) {
                        *(int64_t *)option_field(args, spec->offset) = choice->value;
                        return 0;
                }
                strncat(words, words[0] ? ", " : "", sizeof words - strlen(words) - 1);
                strncat(words, choice->word, sizeof words - strlen(words) - 1);
                nearest_try(&nearest, choice->word);
        }
        return error_raise(err, ERR_USAGE, "--%s does not take '%s'; it takes one of: %s%s", spec->name, text, words,
                           nearest_hint(&nearest, ""));
}

static const struct quantity {
        int (*parse)(const char *text, int64_t *ret_value);
        const char *words;
        double unit; /* of what is stored, in what is typed */
} quantities[] = {
        [OPT_NUMBER] = { parse_number, "a whole number", 1 },
        [OPT_SIZE] = { options_parse_size, "a size such as 64K or 1M", 1 },
        [OPT_SECONDS] = { options_parse_seconds, "a number of seconds", 1000 },
};

static int set_quantity(const struct opt_spec *spec, const char *text, struct args *args, struct error *err)
{
        const struct quantity *quantity = &quantities[spec->type];
        int64_t value;

        if (quantity->parse(text, &value) < 0)
                return error_raise(err, ERR_USAGE, "--%s takes %s, not '%s'", spec->name, quantity->words, text);
        if (value < spec->min && spec->max == INT64_MAX)
                return error_raise(err, ERR_USAGE, "--%s is %s, less than %lld", spec->name, text,
                                   (long long)spec->min);
        if (value < spec->min || value > spec->max)
                return error_raise(err, ERR_USAGE, "--%s is %s, outside %.15g to %.15g", spec->name, text,
                                   (double)spec->min / quantity->unit, (double)spec->max / quantity->unit);
        *(int64_t *)option_field(args, spec->offset) = value;
        return 0;
}

static int set_value(const struct opt_spec *spec, const char *text, struct args *args, struct error *err)
{
        if (spec->type == OPT_CHOICE)
                return set_choice(spec, text, args, err);
        if (spec->type != OPT_STRING && spec->type != OPT_STRINGS)
                return set_quantity(spec, text, args, err);
        if (!*text)
                return error_raise(err, ERR_USAGE, "--%s is empty; it takes %s", spec->name, spec->value);
        if (spec->type == OPT_STRINGS)
                return append_item(option_field(args, spec->offset), text, err);
        *(const char **)option_field(args, spec->offset) = text;
        return 0;
}

/* 1 for yes, 0 for no, -1 for neither. */
static int parse_truth(const char *text, bool digits)
{
        /* Every second one is a yes. */
        static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
        size_t count = sizeof words / sizeof words[0] - (digits ? 0 : 2);

        for (size_t i = 0; i < count; i++)
                if (strcasecmp(words[i], text) == 0)
                        return (int)(i % 2);
        return -1;
}

int options_set_from_file(const struct opt_spec *spec, const char *value, struct args *args, struct error *err)
{
        int truth = parse_truth(value, /* digits= */ spec->type == OPT_FLAG);

        if (spec->type == OPT_FLAG) {
                if (truth < 0)
                        return error_raise(err, ERR_USAGE, "'%s' takes yes or no, not '%s'", spec->name, value);
                *(bool *)option_field(args, spec->offset) = truth > 0;
                return 0;
        }
        if (spec->optional && truth == 0)
                return 0;
        if (spec->given_offset)
                *(bool *)option_field(args, spec->given_offset) = true;
        if (spec->optional && (truth > 0 || !*value)) {
                *(int64_t *)option_field(args, spec->offset) = spec->fallback;
                return 0;
        }
        return set_value(spec, value, args, err);
}

const struct opt_spec *options_find(const struct opt_spec *const *tables, const char *name, size_t size)
{
        OPTIONS_EACH(tables)
                if (strlen(spec->name) == size && memcmp(spec->name, name, size) == 0)
                        return spec;
        return NULL;
}

static const struct opt_spec *find_letter(const struct opt_spec *const *tables, char letter)
{
        OPTIONS_EACH(tables)
                if (spec->letter == letter)
                        return spec;
        return NULL;
}

/* What is parsed, and how far that is. */
struct command_line {
        const struct opt_spec *const *tables;
        int argc;
        const char *const *argv;
        int at;
        struct args *args;
};

/* One option with the text after '=' or after the letter, if any; takes the next argument when the value stands there.
 */
static int take_option(struct command_line *line, const struct opt_spec *spec, const char *attached, struct error *err)
{
        struct args *args = line->args;

        if (append_given(args, spec, err) < 0)
                return -1;
        if (spec->given_offset)
                *(bool *)option_field(args, spec->given_offset) = true;
        if (spec->type == OPT_FLAG) {
                if (attached)
                        return error_raise(err, ERR_USAGE, "--%s takes no value", spec->name);
                *(bool *)option_field(args, spec->offset) = true;
                return 0;
        }
        if (!attached && spec->optional) {
                *(int64_t *)option_field(args, spec->offset) = spec->fallback;
                return 0;
        }
        if (!attached && line->at + 1 >= line->argc)
                return error_raise(err, ERR_USAGE, "--%s needs a value: --%s %s", spec->name, spec->name, spec->value);
        return set_value(spec, attached ? attached : line->argv[++line->at], args, err);
}

static int raise_unknown_option(const struct opt_spec *const *tables, const char *name, size_t length,
                                struct error *err)
{
        struct nearest nearest = nearest_to(name, length);

        OPTIONS_EACH(tables)
                nearest_try(&nearest, spec->name);
        return error_raise(err, ERR_USAGE, "unknown option '--%.*s'%s", (int)length, name,
                           nearest_hint(&nearest, "--"));
}

static int parse_long(struct command_line *line, const char *name, struct error *err)
{
        size_t length = strcspn(name, "=");
        const struct opt_spec *spec = options_find(line->tables, name, length);

        if (spec)
                return take_option(line, spec, name[length] ? name + length + 1 : NULL, err);
        return raise_unknown_option(line->tables, name, length, err);
}

static int parse_letters(struct command_line *line, const char *letters, struct error *err)
{
        for (const char *p = letters; *p; p++) {
                const struct opt_spec *spec = find_letter(line->tables, *p);

                if (!spec)
                        return error_raise(err, ERR_USAGE, "unknown option '-%c'", *p);
                if (spec->type != OPT_FLAG && !spec->optional)
                        return take_option(line, spec, p[1] ? p + 1 : NULL, err);
                if (take_option(line, spec, NULL, err) < 0)
                        return -1;
        }
        return 0;
}

int options_parse(const struct opt_spec *const *tables, int argc, const char *const *argv, struct args *args,
                  struct error *err)
{
        struct command_line line = { .tables = tables, .argc = argc, .argv = argv, .args = args };
        bool only_operands = false;
        int rc = 0;

        while (rc == 0 && ++line.at < argc) {
                const char *arg = argv[line.at];

                if (!only_operands && strcmp(arg, "--") == 0)
                        only_operands = true;
                else if (only_operands || arg[0] != '-' || !arg[1])
                        rc = append_item(&args->operands, arg, err);
                else if (arg[1] == '-')
                        rc = parse_long(&line, arg + 2, err);
                else
                        rc = parse_letters(&line, arg + 1, err);
        }
        return rc;
}
