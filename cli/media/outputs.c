#include "cli/media/outputs.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/sqlite/format.h"

static const char *output_word(const char *name, size_t length, const struct output_words *words, const char *device)
{
        const struct {
                const char *name;
                const char *word;
        } table[] = {
                { "db", words->db },
                { "type", words->type },
                { "date", words->date },
                { "device", device },
        };

        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
                if (strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0)
                        return table[i].word;
        return NULL;
}

int outputs_expand(const char *pattern, const struct output_words *words, uint32_t device, char **ret_name,
                   struct error *err)
{
        CLEANUP(freep) char *name = NULL;
        char number[16];
        size_t size;
        FILE *out = open_memstream(&name, &size);

        if (!out)
                return error_no_memory(err);
        snprintf(number, sizeof number, "%u", device);
        while (*pattern) {
                size_t length = strcspn(pattern, "}");
                const char *word;

                if (*pattern != '{') {
                        fputc(*pattern++, out);
                        continue;
                }
                word = pattern[length] ? output_word(pattern + 1, length - 1, words, number) : NULL;
                if (!word) {
                        error_raise(err, ERR_USAGE,
                                    "'%.*s' is no placeholder of an output name; there are {db} {date} {type} {device}",
                                    (int)length + (pattern[length] == '}'), pattern);
                        fclose(out);
                        return -1;
                }
                /* A database of a SQL Server may be called anything. */
                for (; *word; word++)
                        fputc(*word == '/' ? '_' : *word, out);
                pattern += length + 1;
        }
        if (fclose(out) != 0 || !name)
                return error_no_memory(err);
        *ret_name = take_ptr(&name);
        return 0;
}

void outputs_date(const char *time_text, char ret_date[32])
{
        size_t at = 0;

        for (; *time_text && at < 31; time_text++)
                if (*time_text != '-' && *time_text != ':')
                        ret_date[at++] = *time_text;
        ret_date[at] = '\0';
}

int outputs_check_stdout(const struct args *args, struct error *err)
{
        struct stat data;
        struct stat progress;

        if (isatty(STDOUT_FILENO))
                return error_raise(err, ERR_USAGE,
                                   "refusing to write a backup to the terminal; give -o FILE or a pipe");
        if (fstat(STDOUT_FILENO, &data) < 0)
                return error_raise_errno(err, errno, "standard output");
        if (args->progress_fd >= 0 && fstat((int)args->progress_fd, &progress) == 0 && !S_ISCHR(data.st_mode) &&
            data.st_dev == progress.st_dev && data.st_ino == progress.st_ino)
                return error_raise(err, ERR_USAGE, "--progress-fd %lld is where the data goes; give another descriptor",
                                   (long long)args->progress_fd);
        return 0;
}

static int outputs_check_one(const struct args *args, struct error *err)
{
        if (args->devices == 1)
                return outputs_check_stdout(args, err);
        return error_raise(err, ERR_USAGE,
                           "standard output takes one device, not %lld; give a name for each: -o 'NAME.{device}'",
                           (long long)args->devices);
}

int outputs_check(const struct args *args, struct error *err)
{
        static const struct output_words sample = { .db = "db", .type = "full", .date = "date" };
        CLEANUP(freep) char *name = NULL;

        if (!args->output)
                return outputs_check_one(args, err);
        if (args->devices > 1 && !strstr(args->output, "{device}"))
                return error_raise(err, ERR_USAGE,
                                   "%lld devices need as many files; put {device} into the name: -o '%s.{device}'",
                                   (long long)args->devices, args->output);
        if (args->devices > 1 && args->force)
                return error_raise(err, ERR_USAGE,
                                   "--force does not go with several devices: a striped set is never replaced "
                                   "file by file; choose another name");
        return outputs_expand(args->output, &sample, 1, &name, err);
}

/* Whether both paths name one file, also one that is yet to be made. */
static bool output_is_same_file(const char *a, const char *b)
{
        CLEANUP(freep) char *a_folder = strdup(a);
        CLEANUP(freep) char *b_folder = strdup(b);
        const char *a_name = strrchr(a, '/') ? strrchr(a, '/') + 1 : a;
        const char *b_name = strrchr(b, '/') ? strrchr(b, '/') + 1 : b;
        struct stat a_st;
        struct stat b_st;

        if (stat(a, &a_st) == 0 && stat(b, &b_st) == 0)
                return a_st.st_dev == b_st.st_dev && a_st.st_ino == b_st.st_ino;
        return a_folder && b_folder && strcmp(a_name, b_name) == 0 && stat(dirname(a_folder), &a_st) == 0 &&
               stat(dirname(b_folder), &b_st) == 0 && a_st.st_dev == b_st.st_dev && a_st.st_ino == b_st.st_ino;
}

/* An output that would overwrite what is being backed up. */
static int output_check_apart(const char *output, const char *shown, const char *database, struct error *err)
{
        for (enum format_file i = FORMAT_DATABASE; database && i < FORMAT_FILES; i++) {
                CLEANUP(freep) char *file = format_file_path(database, i);

                if (!file)
                        return error_no_memory(err);
                if (output_is_same_file(output, file))
                        return error_raise(err, ERR_USAGE,
                                           "'%s' belongs to the database itself; choose another name for its backup",
                                           shown);
        }
        return 0;
}

int outputs_name(const char *pattern, const struct output_words *words, uint32_t device, char **ret_path,
                 struct error *err)
{
        *ret_path = NULL;
        if (!pattern)
                return output_check_apart("/proc/self/fd/1", "standard output", words->source, err);
        if (outputs_expand(pattern, words, device, ret_path, err) < 0 || !*ret_path)
                return -1;
        return output_check_apart(*ret_path, *ret_path, words->source, err);
}
