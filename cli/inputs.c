#include "cli/inputs.h"

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

#include "cli/coding.h"
#include "codecs/pool.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

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

int input_open(struct input *input, const char *path, struct error *err)
{
        struct stat st;

        *input = (struct input){ .fd = -1, .begin = -1 };
        input->name = strdup(path ? path : stdin_name);
        if (!input->name)
                return error_raise(err, ERR_MEMORY, "out of memory");
        input->fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
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

static int start(struct input *input, const struct args *args, bool one_backup, const atomic_bool *cancel,
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
        return start(input, args, /* one_backup= */ false, cancel, err);
}

/* A seekable stream is looked at from both ends before anything is served from it. */
static int check_ends(const struct input *input, const struct args *args, struct error *err)
{
        struct stream_info info;
        struct stream_tail tail;
        struct error found = ERROR_INIT;
        int rc;

        if (args->raw)
                return 0;
        memset(&info, 0, sizeof info);
        memset(&tail, 0, sizeof tail);
        rc = vdistream_probe(input->fd, input->name, &info, &tail, &found);
        stream_info_deinit(&info);
        stream_tail_deinit(&tail);
        if (rc >= 0 || (found.code == ERR_UNCONFIRMED && args->accept_unconfirmed))
                return 0;
        *err = found;
        return -1;
}

/* It is opened once: a fifo's writer would take a second look for the end. */
int input_take(struct input *input, const char *path, const struct args *args, const atomic_bool *cancel,
               struct error *err)
{
        if (input_open(input, path, err) < 0 || check_ends(input, args, err) < 0)
                return -1;
        return start(input, args, /* one_backup= */ true, cancel, err);
}

/* Adds one input; NULL means standard input. */
static int add(struct inputs *inputs, const char *path, const struct args *args, const atomic_bool *cancel,
               struct error *err)
{
        if (inputs->count == VDS_DEVICES_MAX)
                return error_raise(err, ERR_USAGE, "more than %d inputs", VDS_DEVICES_MAX);
        return input_take(&inputs->items[inputs->count++], path, args, cancel, err);
}

/* The path behind an input, allocated; NULL when it is no file with a name. */
static char *path_of(const struct input *input)
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

static bool holds_device_of(const char *path, const char *set_id, const struct args *args, uint32_t *ret_device)
{
        struct input input;
        struct error ignored = ERROR_INIT;
        struct stat st;
        bool found = false;

        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
                return false;
        if (input_open(&input, path, &ignored) == 0 && input_start(&input, args, /* cancel= */ NULL, &ignored) == 0 &&
            input.reader->has_info && strcmp(input.reader->info.set_id, set_id) == 0) {
                *ret_device = input.reader->info.device;
                found = true;
        }
        input_deinit(&input);
        return found;
}

/* Adds the files of the same set that lie in the first one's folder. Names come from the file system alone. */
static int add_siblings(struct inputs *inputs, const struct args *args, const atomic_bool *cancel, struct error *err)
{
        struct error damage = ERROR_INIT;
        CLEANUP(freep) char *own_path = path_of(&inputs->items[0]);
        CLEANUP(freep) char *copy = own_path ? strdup(own_path) : NULL;
        CLEANUP(dir_closep) DIR *dir = NULL;
        char set_id[IDENT_UUID_SIZE];
        bool seen[VDS_DEVICES_MAX] = { false };
        const char *folder;
        struct dirent *entry;

        if (!copy)
                return 0;
        memcpy(set_id, inputs->items[0].reader->info.set_id, sizeof set_id);
        seen[inputs->items[0].reader->info.device] = true;
        folder = dirname(copy);
        dir = opendir(folder);
        while (dir && (entry = readdir(dir))) {
                CLEANUP(freep) char *path = NULL;
                uint32_t device;

                /* Partials of running backups begin with a dot. */
                if (entry->d_name[0] == '.')
                        continue;
                if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
                        return error_raise(err, ERR_MEMORY, "out of memory");
                if (!holds_device_of(path, set_id, args, &device) || seen[device])
                        continue;
                /* A damaged copy counts only where no whole one lies beside it. */
                if (add(inputs, path, args, cancel, &damage) == 0)
                        seen[device] = true;
                else
                        input_deinit(&inputs->items[--inputs->count]);
        }
        if (inputs->count == inputs->items[0].reader->info.device_count || !error_is_set(&damage))
                return 0;
        *err = damage;
        return -1;
}

static int order_by_device(const void *a, const void *b)
{
        const struct input *x = a;
        const struct input *y = b;
        uint32_t i = x->reader->info.device;
        uint32_t j = y->reader->info.device;

        return (i > j) - (i < j);
}

/* Every input belongs to the first one's set, and none says what another says already. */
static int check_membership(const struct inputs *inputs, struct error *err)
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
static int check_complete(const struct inputs *inputs, struct error *err)
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
static bool all_stripes(const struct inputs *inputs)
{
        for (uint32_t i = 0; i < inputs->count; i++) {
                const struct reader *reader = inputs->items[i].reader;

                if (reader->has_info || reader->layers[reader->layer_count - 1] != LAYER_MTF)
                        return false;
        }
        return true;
}

static int check_set(struct inputs *inputs, struct error *err)
{
        if (!inputs->items[0].reader->has_info) {
                if (inputs->count > 1 && !all_stripes(inputs))
                        return error_raise(err, ERR_USAGE, "'%s' is no stream of a striped set; give one input",
                                           inputs->items[0].name);
                return 0;
        }
        if (check_membership(inputs, err) < 0)
                return -1;
        qsort(inputs->items, inputs->count, sizeof inputs->items[0], order_by_device);
        return check_complete(inputs, err);
}

int inputs_open(struct inputs *inputs, const struct args *args, const atomic_bool *cancel, struct error *err)
{
        const struct reader *first;

        memset(inputs, 0, sizeof *inputs);
        if (args->inputs.count == 0 && add(inputs, NULL, args, cancel, err) < 0)
                return -1;
        for (size_t i = 0; i < args->inputs.count; i++)
                if (add(inputs, args->inputs.items[i], args, cancel, err) < 0)
                        return -1;
        first = inputs->items[0].reader;
        if (inputs->count == 1 && first->has_info && first->info.device_count > 1 &&
            add_siblings(inputs, args, cancel, err) < 0)
                return -1;
        pool_share(args->pool, inputs->count);
        return check_set(inputs, err);
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
                if (start(input, args, /* one_backup= */ true, cancel, err) < 0)
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
