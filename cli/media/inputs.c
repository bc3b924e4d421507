#include "cli/media/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "codecs/base/pool.h"
#include "core/base/cleanup.h"

static const char stdin_name[] = "standard input";

void input_deinit(struct input *input)
{
        reader_freep(&input->reader);
        if (input->fd != STDIN_FILENO)
                fd_closep(&input->fd);
        free(input->name);
        memset(input, 0, sizeof *input);
        input->fd = -1;
}

static int input_open_as(struct input *input, const char *path, int flags, struct error *err)
{
        struct stat st;

        *input = (struct input){ .fd = -1, .begin = -1 };
        input->name = strdup(path ? path : stdin_name);
        if (!input->name)
                return error_no_memory(err);
        input->fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags) : STDIN_FILENO;
        if (input->fd < 0 || fstat(input->fd, &st) < 0) {
                int cause = errno;

                error_raise_errno(err, cause, "'%s' cannot be read", input->name);
                if (err && path)
                        err->code = ERR_USAGE;
                return -1;
        }
        if (S_ISDIR(st.st_mode))
                return error_raise(err, ERR_USAGE, "'%s' is a folder, not a backup", input->name);
        if (!path && isatty(STDIN_FILENO))
                return error_raise(err, ERR_USAGE, "no backup on standard input; give -i FILE, or < FILE");
        if (S_ISREG(st.st_mode))
                input->begin = lseek(input->fd, 0, SEEK_CUR);
        return 0;
}

int input_open(struct input *input, const char *path, struct error *err)
{
        return input_open_as(input, path, /* flags= */ 0, err);
}

static int input_recognise(struct input *input, const struct args *args, bool one_backup, const atomic_bool *cancel,
                           struct error *err)
{
        struct reader_options options = {
                .name = input->name,
                .cancel = cancel,
                .accept_unconfirmed = args->accept_unconfirmed,
                .one_backup = one_backup,
                .bare = args->raw,
                .memory_limit = (uint64_t)args->memory_limit,
                .identities = args->coding->identities,
                .sealed_only = args->coding->identities && args->layer < 0 && !input->only_shown,
                .pool = args->pool,
                .facts = &input->facts,
                .outermost_only = args->layer >= 0,
                .outermost = (enum layer_kind)(args->layer >= 0 ? args->layer : 0),
        };

        return reader_open(input->fd, &options, &input->reader, err);
}

int input_start(struct input *input, const struct args *args, const atomic_bool *cancel, struct error *err)
{
        return input_recognise(input, args, /* one_backup= */ false, cancel, err);
}

/* A seekable stream is looked at from both ends before anything is served from it. */
static int input_check_ends(const struct input *input, const struct args *args, struct error *err)
{
        CLEANUP(stream_info_deinit) struct stream_info info = { 0 };
        CLEANUP(stream_tail_deinit) struct stream_tail tail = { 0 };
        struct error found = ERROR_INIT;
        int rc;

        if (args->raw)
                return 0;
        rc = vdistream_probe(input->fd, input->name, &info, &tail, &found);
        if (rc >= 0 || (found.code == ERR_UNCONFIRMED && args->accept_unconfirmed))
                return 0;
        return error_hand_over(err, &found);
}

/* It is opened once: a fifo's writer would take a second look for the end. */
int input_take(struct input *input, const char *path, const struct args *args, const atomic_bool *cancel,
               struct error *err)
{
        if (input_open(input, path, err) < 0 || input_check_ends(input, args, err) < 0)
                return -1;
        return input_recognise(input, args, /* one_backup= */ true, cancel, err);
}

/* Adds one input; NULL means standard input. */
static int inputs_add(struct inputs *inputs, const char *path, const struct args *args, const atomic_bool *cancel,
                      struct error *err)
{
        if (inputs->count == VDS_DEVICES_MAX)
                return error_raise(err, ERR_USAGE, "more than %d inputs", VDS_DEVICES_MAX);
        return input_take(&inputs->items[inputs->count++], path, args, cancel, err);
}

/* The path behind an input, allocated; NULL when it is no file with a name. */
static char *input_path(const struct input *input)
{
        char link[64];
        char path[PATH_MAX];
        struct stat st;
        ssize_t n;

        if (input->fd != STDIN_FILENO)
                return strdup(input->name);
        snprintf(link, sizeof link, "/proc/self/fd/%d", input->fd);
        n = readlink(link, path, sizeof path - 1);
        if (n <= 0 || fstat(input->fd, &st) < 0 || !S_ISREG(st.st_mode))
                return NULL;
        path[n] = '\0';
        return strdup(path);
}

/* Characters that two names have in common at either end. */
static size_t name_likeness(const char *a, const char *b)
{
        size_t a_left = strlen(a), b_left = strlen(b), front = 0, back = 0;

        for (; a_left && b_left && a[front] == b[front]; front++)
                a_left--, b_left--;
        for (; a_left && b_left && a[front + a_left - 1] == b[front + b_left - 1]; back++)
                a_left--, b_left--;
        return front + back;
}

static int name_most_alike_first(const void *a, const void *b, void *own_name)
{
        const char *x = (*(const struct dirent *const *)a)->d_name;
        const char *y = (*(const struct dirent *const *)b)->d_name;
        size_t i = name_likeness(x, own_name);
        size_t j = name_likeness(y, own_name);

        return i != j ? (i < j) - (i > j) : strcmp(x, y);
}

/* Partials of running backups begin with a dot. */
static int name_is_shown(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

/* Whether the input holds a device of the set that was not seen yet. */
static bool input_is_wanted(const struct input *input, const struct stream_info *set, const bool *seen)
{
        const struct stream_info *info = &input->reader->info;

        return input->reader->has_info && strcmp(info->set_id, set->set_id) == 0 && !seen[info->device];
}

/* Adds the file if it holds a device that is wanted; if its end is damaged, that is told in `damage` instead. */
static void inputs_try_sibling(struct inputs *inputs, const char *path, const struct args *args,
                               const atomic_bool *cancel, bool *seen, struct error *damage)
{
        struct input *input = &inputs->items[inputs->count];
        struct error ignored = ERROR_INIT;
        struct error ends = ERROR_INIT;
        struct stat st;

        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
                return;
        /* Whatever bears the name by now, nobody waits for it. */
        if (input_open_as(input, path, O_NONBLOCK, &ignored) == 0 && input->begin >= 0) {
                int rc = input_check_ends(input, args, &ends);

                if (input_recognise(input, args, /* one_backup= */ true, cancel, &ignored) == 0 &&
                    input_is_wanted(input, &inputs->items[0].reader->info, seen)) {
                        if (rc == 0) {
                                seen[input->reader->info.device] = true;
                                inputs->count++;
                                return;
                        }
                        *damage = ends;
                }
        }
        input_deinit(input);
}

/* Tries the files beside the first input, `own_path`, those first that are named like it: each has to be opened to see
 * what it is, which with a passphrase takes a second. Names come from the file system alone. */
static int inputs_try_siblings(struct inputs *inputs, char *own_path, const struct args *args,
                               const atomic_bool *cancel, struct error *damage, struct error *err)
{
        const struct stream_info *set = &inputs->items[0].reader->info;
        char *own_name = strrchr(own_path, '/') ? strrchr(own_path, '/') + 1 : own_path;
        CLEANUP(freep) char *copy = strdup(own_path);
        const char *folder = copy ? dirname(copy) : NULL;
        bool seen[VDS_DEVICES_MAX] = { false };
        struct dirent **entries = NULL;
        int count = folder ? scandir(folder, &entries, name_is_shown, NULL) : 0;
        int rc = folder ? 0 : error_no_memory(err);

        if (count > 0)
                qsort_r(entries, (size_t)count, sizeof(struct dirent *), name_most_alike_first, own_name);
        seen[set->device] = true;
        for (int i = 0; i < count; i++) {
                CLEANUP(freep) char *path = NULL;

                if (rc == 0 && inputs->count < set->device_count && strcmp(entries[i]->d_name, own_name) != 0) {
                        if (cancel && atomic_load(cancel))
                                rc = error_raise(err, ERR_ABORTED,
                                                 "looking for the other files of the set was interrupted");
                        else if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0)
                                rc = error_no_memory(err);
                        else
                                inputs_try_sibling(inputs, path, args, cancel, seen, damage);
                }
                free(entries[i]);
        }
        free(entries);
        return rc;
}

/* Adds the files of the same set that lie in the first one's folder. */
static int inputs_add_siblings(struct inputs *inputs, const struct args *args, const atomic_bool *cancel,
                               struct error *err)
{
        CLEANUP(freep) char *own_path = input_path(&inputs->items[0]);
        struct error damage = ERROR_INIT;

        if (own_path && inputs_try_siblings(inputs, own_path, args, cancel, &damage, err) < 0)
                return -1;
        /* A damaged copy counts only where no whole one lies beside it. */
        if (inputs->count == inputs->items[0].reader->info.device_count || !error_is_set(&damage))
                return 0;
        error_keep_first(err, &damage);
        return -1;
}

static int input_order_by_device(const void *a, const void *b)
{
        const struct input *x = a;
        const struct input *y = b;
        uint32_t i = x->reader->info.device;
        uint32_t j = y->reader->info.device;

        return (i > j) - (i < j);
}

/* Every input belongs to the first one's set, and none says what another says already. */
static int inputs_check_membership(const struct inputs *inputs, struct error *err)
{
        const struct input *first = &inputs->items[0];

        for (uint32_t i = 1; i < inputs->count; i++) {
                const struct input *input = &inputs->items[i];

                if (!input->reader->has_info)
                        return error_raise(err, ERR_DAMAGED, "'%s' is no stream of a striped set, '%s' is", input->name,
                                           first->name);
                if (strcmp(input->reader->info.set_id, first->reader->info.set_id) != 0 ||
                    input->reader->info.device_count != first->reader->info.device_count)
                        return error_raise(err, ERR_DAMAGED,
                                           "'%s' belongs to another backup than '%s' (set %s, not %s)", input->name,
                                           first->name, input->reader->info.set_id, first->reader->info.set_id);
                for (uint32_t j = 0; j < i; j++)
                        if (inputs->items[j].reader->info.device == input->reader->info.device)
                                return error_raise(err, ERR_DAMAGED, "'%s' and '%s' both carry device %u of %u",
                                                   input->name, inputs->items[j].name, input->reader->info.device + 1,
                                                   input->reader->info.device_count);
        }
        return 0;
}

/* With the inputs sorted: names the first device that is not there. */
static int inputs_check_complete(const struct inputs *inputs, struct error *err)
{
        const struct stream_info *info = &inputs->items[0].reader->info;
        uint32_t missing = 0;

        if (inputs->count == info->device_count)
                return 0;
        while (missing < inputs->count && inputs->items[missing].reader->info.device == missing)
                missing++;
        return error_raise(
                err, ERR_DAMAGED,
                "device %u of %u is missing: '%s' is one stream of a striped set; give all its files with -i, or "
                "put them into one folder",
                missing + 1, info->device_count, inputs->items[0].name);
}

int inputs_check_extents(const struct inputs *inputs, struct error *err)
{
        uint64_t offset = 0;

        for (uint32_t i = 0; i < inputs->count && inputs->items[0].reader->has_info; i++) {
                const struct stream_info *info = &inputs->items[i].reader->info;

                if (!info->has_extent)
                        return inputs->count == 1 ? 0
                                                  : error_raise(err, ERR_DAMAGED,
                                                                "'%s' does not say which part of the "
                                                                "database it carries",
                                                                inputs->items[i].name);
                if (info->part_offset != offset || info->total_size != inputs->items[0].reader->info.total_size)
                        return error_raise(err, ERR_DAMAGED, "'%s' does not carry on where the device before it ends",
                                           inputs->items[i].name);
                offset += info->part_length;
        }
        if (inputs->items[0].reader->has_info && offset != inputs->items[0].reader->info.total_size)
                return error_raise(err, ERR_DAMAGED, "'%s' ends before the database does",
                                   inputs->items[inputs->count - 1].name);
        return 0;
}

/* Raw stripes of a SQL Server say in their own headers which they are. */
static bool inputs_all_stripes(const struct inputs *inputs)
{
        for (uint32_t i = 0; i < inputs->count; i++) {
                const struct reader *reader = inputs->items[i].reader;

                if (reader->has_info || reader->layers[reader->layer_count - 1] != LAYER_MTF)
                        return false;
        }
        return true;
}

static int inputs_check_set(struct inputs *inputs, struct error *err)
{
        if (!inputs->items[0].reader->has_info) {
                if (inputs->count > 1 && !inputs_all_stripes(inputs))
                        return error_raise(err, ERR_USAGE, "'%s' is no stream of a striped set; give one input",
                                           inputs->items[0].name);
                return 0;
        }
        if (inputs_check_membership(inputs, err) < 0)
                return -1;
        qsort(inputs->items, inputs->count, sizeof inputs->items[0], input_order_by_device);
        return inputs_check_complete(inputs, err);
}

int inputs_open(struct inputs *inputs, const struct args *args, const atomic_bool *cancel, struct error *err)
{
        const struct reader *first;

        memset(inputs, 0, sizeof *inputs);
        if (args->inputs.count == 0 && inputs_add(inputs, NULL, args, cancel, err) < 0)
                return -1;
        for (size_t i = 0; i < args->inputs.count; i++)
                if (inputs_add(inputs, args->inputs.items[i], args, cancel, err) < 0)
                        return -1;
        first = inputs->items[0].reader;
        if (inputs->count == 1 && first->has_info && first->info.device_count > 1 &&
            inputs_add_siblings(inputs, args, cancel, err) < 0)
                return -1;
        pool_share(args->pool, inputs->count);
        return inputs_check_set(inputs, err);
}

bool inputs_are_files(const struct inputs *inputs)
{
        for (uint32_t i = 0; i < inputs->count; i++)
                if (inputs->items[i].begin < 0)
                        return false;
        return true;
}

int inputs_restart(struct inputs *inputs, const struct args *args, const atomic_bool *cancel, struct error *err)
{
        for (uint32_t i = 0; i < inputs->count; i++) {
                struct input *input = &inputs->items[i];

                reader_freep(&input->reader);
                memset(&input->facts, 0, sizeof input->facts);
                if (lseek(input->fd, input->begin, SEEK_SET) < 0)
                        return error_raise_errno(err, errno, "'%s' cannot be read again", input->name);
                if (input_recognise(input, args, /* one_backup= */ true, cancel, err) < 0)
                        return -1;
        }
        return 0;
}

void inputs_deinit(struct inputs *inputs)
{
        for (uint32_t i = 0; i < inputs->count; i++)
                input_deinit(&inputs->items[i]);
        memset(inputs, 0, sizeof *inputs);
}

const struct stream_info *inputs_info(const struct inputs *inputs)
{
        return inputs->items[0].reader->has_info ? &inputs->items[0].reader->info : NULL;
}
