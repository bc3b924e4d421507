#include "cli/media/outputs.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/sqlite/format.h"

static const char *word_of(const char *name, size_t length, const struct output_words *words, const char *device)
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
                const char *end = *pattern == '{' ? strchr(pattern, '}') : NULL;
                const char *word;

                if (!end) {
                        fputc(*pattern++, out);
                        continue;
                }
                word = word_of(pattern + 1, (size_t)(end - pattern - 1), words, number);
                if (!word) {
                        error_raise(err, ERR_USAGE,
                                    "'%.*s' is no placeholder of an output name; there are {db} {date} {type} {device}",
                                    (int)(end - pattern + 1), pattern);
                        fclose(out);
                        return -1;
                }
                /* A database of a SQL Server may be called anything. */
                for (; *word; word++)
                        fputc(*word == '/' ? '_' : *word, out);
                pattern = end + 1;
        }
        if (fclose(out) != 0)
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

static int check_one_device(const struct args *args, struct error *err)
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
                return check_one_device(args, err);
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
static bool same_file(const char *a, const char *b)
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
static int check_apart(const char *output, const char *shown, const char *database, struct error *err)
{
        for (enum format_file i = FORMAT_DATABASE; database && i < FORMAT_FILES; i++) {
                CLEANUP(freep) char *file = format_file_path(database, i);

                if (!file)
                        return error_no_memory(err);
                if (same_file(output, file))
                        return error_raise(err, ERR_USAGE,
                                           "'%s' belongs to the database itself; choose another name for its backup",
                                           shown);
        }
        return 0;
}

int outputs_open(struct outputs *outputs, const struct args *args, const struct output_words *words, const char *set_id,
                 const atomic_bool *cancel, struct error *err)
{
        enum file_existing existing = args->force         ? FILE_EXISTING_REPLACED
                                      : args->devices > 1 ? FILE_EXISTING_KEPT
                                                          : FILE_EXISTING_KEPT_FORCE_HELPS;

        outputs->to_stdout = !args->output;
        if (!args->output && check_apart("/proc/self/fd/1", "standard output", words->source, err) < 0)
                return -1;
        for (uint32_t i = 0; i < (uint32_t)args->devices; i++) {
                outputs->count = i + 1;
                if (!args->output) {
                        outputs->names[i] = strdup("standard output");
                        if (fd_sink_new(STDOUT_FILENO, outputs->names[i], cancel, &outputs->sinks[i], err) < 0)
                                return -1;
                        continue;
                }
                if (outputs_expand(args->output, words, i + 1, &outputs->names[i], err) < 0 ||
                    check_apart(outputs->names[i], outputs->names[i], words->source, err) < 0 ||
                    file_sink_new(outputs->names[i], set_id, existing, cancel, &outputs->sinks[i], err) < 0)
                        return -1;
        }
        return 0;
}

void outputs_deinit(struct outputs *outputs)
{
        for (uint32_t i = 0; i < outputs->count; i++) {
                stage_free(outputs->sinks[i]);
                free(outputs->names[i]);
        }
        memset(outputs, 0, sizeof *outputs);
}
