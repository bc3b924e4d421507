#include "cli/render.h"

#include <sqlite3.h>
#include <string.h>
#include <jansson.h>
#include <sodium.h>
#include <xxhash.h>
#include <zstd.h>

#include "cli/exit_status.h"
#include "codecs/age/fast.h"
#include "core/mssql/mssql.h"

enum { HELP_WIDTH = 100, HELP_COLUMN = 28, LABEL_MAX = 64, UNGROUPED_MAX = 12 };

static const char *const topic_headings[TOPICS] = {
        [TOPIC_BACKUPS] = "Backups",
        [TOPIC_SETS] = "Device sets, for programs that use the interface themselves",
        [TOPIC_MSSQL] = "SQL Server",
};

void render_overview(FILE *out)
{
        fputs("usage: vdipipe COMMAND [OPTION...]\n\n"
              "Backs databases up through the Virtual Device Interface, and restores them.\n\n",
              out);
        for (enum command_topic topic = 0; topic < TOPICS; topic++) {
                fprintf(out, "%s%s:\n", topic ? "\n" : "", topic_headings[topic]);
                COMMANDS_EACH_SHOWN(commands)
                        if ((*command)->topic == topic)
                                fprintf(out, "  %-15s %s\n", (*command)->name, (*command)->summary);
        }
        fputs("\n'vdipipe COMMAND --help' shows a command's options; 'vdipipe --version' the versions in use.\n", out);
}

/* "-o, --output=FILE" */
static void option_label(const struct opt_spec *spec, char label[LABEL_MAX])
{
        char letter[8] = "    ";

        if (spec->letter)
                snprintf(letter, sizeof letter, "-%c, ", spec->letter);
        if (!spec->value)
                snprintf(label, LABEL_MAX, "%s--%s", letter, spec->name);
        else
                snprintf(label, LABEL_MAX, spec->optional ? "%s--%s[=%s]" : "%s--%s %s", letter, spec->name,
                         spec->value);
}

/* Prints `text` from the column `indent` on, broken between words, continued at the same column. An empty line stays.
 */
static void print_wrapped(FILE *out, const char *text, int indent)
{
        int column = indent;

        while (*text) {
                int length = (int)strcspn(text, " \n");

                if (column > indent && column + 1 + length > HELP_WIDTH) {
                        fprintf(out, "\n%*s", indent, "");
                        column = indent;
                }
                column += fprintf(out, "%s%.*s", column > indent ? " " : "", length, text);
                text += length;
                if (strncmp(text, "\n\n", 2) == 0) {
                        fprintf(out, "\n\n%*s", indent, "");
                        column = indent;
                }
                text += strspn(text, " \n");
        }
        fputc('\n', out);
}

static void print_option(FILE *out, const struct opt_spec *spec)
{
        char label[LABEL_MAX];

        option_label(spec, label);
        if (strlen(label) + 3 > HELP_COLUMN)
                fprintf(out, "  %s\n%*s", label, HELP_COLUMN, "");
        else
                fprintf(out, "  %-*s", HELP_COLUMN - 2, label);
        print_wrapped(out, spec->help, HELP_COLUMN);
}

/* Prints the options group by group; `headed`: each under its heading. */
static void print_groups(FILE *out, const struct opt_spec *const *tables, bool headed,
                         void (*print_heading)(FILE *out, const char *heading),
                         void (*print)(FILE *out, const struct opt_spec *spec))
{
        for (enum opt_group group = 0; group < OPT_GROUPS; group++) {
                const char *heading = options_heading(group);

                OPTIONS_EACH(tables) {
                        if (spec->group != group)
                                continue;
                        if (headed && *heading)
                                print_heading(out, heading);
                        heading = "";
                        print(out, spec);
                }
        }
}

static bool has_many(const struct opt_spec *const *tables)
{
        size_t count = 0;

        OPTIONS_EACH(tables)
                count++;
        return count > UNGROUPED_MAX;
}

static void print_heading(FILE *out, const char *heading)
{
        fprintf(out, "\n %s:\n", heading);
}

void render_help(FILE *out, const struct command *command)
{
        fprintf(out, "usage: vdipipe %s%s%s\n\n", command->name, *command->operands ? " " : "", command->operands);
        print_wrapped(out, command->text, /* indent= */ 0);
        fputs("\nOptions:\n", out);
        print_groups(out, command->options, has_many(command->options), print_heading, print_option);
        fprintf(out, "\nExample:\n%s\nExit status:\n%s", command->example, exit_status_text);
}

/* Text for man(7): backslashes and hyphens escaped, and a line that would look like a request kept from it. */
static void man_text(FILE *out, const char *text)
{
        for (const char *p = text; *p; p++) {
                if (*p == '\\')
                        fputs("\\e", out);
                else if (*p == '-')
                        fputs("\\-", out);
                else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
                        fprintf(out, "\\&%c", *p);
                else
                        fputc(*p, out);
        }
}

static void man_heading(FILE *out, const char *heading)
{
        fprintf(out, ".SS \"%s\"\n", heading);
}

static void man_option(FILE *out, const struct opt_spec *spec)
{
        char label[LABEL_MAX];

        option_label(spec, label);
        fputs(".TP\n.B ", out);
        man_text(out, label + strspn(label, " "));
        fputc('\n', out);
        man_text(out, spec->help);
        fputc('\n', out);
}

void render_man(FILE *out)
{
        fprintf(out,
                ".TH VDIPIPE 1 \"\" \"vdipipe %s\"\n.SH NAME\nvdipipe \\- back databases up through the Virtual "
                "Device Interface, and restore them\n.SH SYNOPSIS\n",
                VDIPIPE_VERSION);
        COMMANDS_EACH_SHOWN(commands) {
                fprintf(out, ".B vdipipe %s\n", (*command)->name);
                man_text(out, (*command)->operands);
                fputs("\n.br\n", out);
        }
        COMMANDS_EACH_SHOWN(commands) {
                fprintf(out, ".SH \"VDIPIPE %s\"\n", (*command)->name);
                man_text(out, (*command)->text);
                fputc('\n', out);
                print_groups(out, (*command)->options, has_many((*command)->options), man_heading, man_option);
                fputs(".PP\nExample:\n.nf\n", out);
                man_text(out, (*command)->example);
                fputs(".fi\n", out);
        }
        fputs(".SH \"EXIT STATUS\"\n.nf\n", out);
        man_text(out, exit_status_text);
        fputs(".fi\n", out);
}

static void print_word(FILE *out, const struct opt_spec *spec)
{
        bool special = spec->group == OPT_GROUP_SQLITE || spec->group == OPT_GROUP_MSSQL;

        fprintf(out, "--%s%s\t%s%s%s\n", spec->name, spec->value && !spec->optional ? "=" : "",
                special ? options_heading(spec->group) : "", special ? ": " : "", spec->help);
}

void render_words(FILE *out, const struct command *of)
{
        if (!of) {
                COMMANDS_EACH_SHOWN(commands)
                        fprintf(out, "%s\t%s\n", (*command)->name, (*command)->summary);
                return;
        }
        print_groups(out, of->options, /* headed= */ false, /* print_heading= */ NULL, print_word);
}

void render_version(FILE *out)
{
        unsigned xxh = XXH_VERSION_NUMBER; /* compiled in */

        fprintf(out, "vdipipe %s\nsqlite %s\nzstd %s\nlibsodium %s\njansson %s\nxxhash %u.%u.%u\n", VDIPIPE_VERSION,
                sqlite3_libversion(), ZSTD_versionString(), sodium_version_string(), jansson_version_str(), xxh / 10000,
                xxh / 100 % 100, xxh % 100);
        if (age_fast_version())
                fprintf(out, "libcrypto %s\n", age_fast_version());
        if (mssql_library_version())
                fprintf(out, "freetds %s\n", mssql_library_version());
}
