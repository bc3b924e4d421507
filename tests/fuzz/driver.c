/*
 * A plain main for a fuzz target: `fuzz_x [-n MUTATIONS] [-w FOLDER] [FOLDER...]` runs the target's own seeds, every
 * file of the folders, and that many mutations of them. The same number always gives the same mutations. With -w the
 * seeds are written to files in that folder, as a corpus for a fuzzing engine.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "fuzz.h"

enum { SEEDS_MAX = 4096, FILE_MAX = 16 << 20, CHANGES_MAX = 6 };

static struct seed {
        uint8_t *data;
        size_t size;
} seeds[SEEDS_MAX];
static size_t seed_count;

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint64_t next_random(void)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state >> 11;
}

void fuzz_seed_append(const void *bytes, size_t size)
{
        struct seed *seed = &seeds[seed_count];
        uint8_t *data = realloc(seed->data, seed->size + size + 1);

        if (!data)
                abort();
        seed->data = data;
        if (size > 0)
                memcpy(seed->data + seed->size, bytes, size);
        seed->size += size;
}

void fuzz_seed_end(void)
{
        if (++seed_count == SEEDS_MAX)
                abort();
}

static void add_folder(const char *path)
{
        CLEANUP(dir_closep) DIR *dir = opendir(path);
        const struct dirent *entry;

        if (!dir) {
                perror(path);
                exit(2);
        }
        while ((entry = readdir(dir))) {
                CLEANUP(freep) char *text = NULL;
                size_t size;

                if (entry->d_name[0] == '.' || fd_read_file(dirfd(dir), entry->d_name, FILE_MAX, &text, &size) < 0)
                        continue;
                fuzz_seed_append(text, size);
                fuzz_seed_end();
        }
}

static void write_seeds(const char *folder)
{
        for (size_t i = 0; i < seed_count; i++) {
                CLEANUP(fd_closep) int fd = -1;
                char path[4096];

                snprintf(path, sizeof path, "%s/seed-%zu", folder, i);
                fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
                if (fd < 0 || fd_write_full(fd, seeds[i].data, seeds[i].size, NULL) < 0) {
                        perror(path);
                        exit(2);
                }
        }
}

static void change(uint8_t *data, size_t *size)
{
        size_t at = *size ? next_random() % *size : 0;
        size_t from = *size ? next_random() % *size : 0;
        size_t run = 1 + next_random() % 16;

        if (*size == 0)
                return;
        if (run > *size - at)
                run = *size - at;
        if (run > *size - from)
                run = *size - from;
        switch (next_random() % 6) {
        case 0:
                data[at] = (uint8_t)next_random();
                break;
        case 1:
                data[at] ^= (uint8_t)(1u << next_random() % 8);
                break;
        case 2:
                memmove(data + at, data + from, run);
                break;
        case 3:
                memset(data + at, next_random() % 2 ? 0xFF : 0, run);
                break;
        case 4:
                memmove(data + at, data + at + run, *size - at - run);
                *size -= run;
                break;
        default:
                if (next_random() % 4 == 0)
                        *size = at;
                else
                        data[at] = (uint8_t)(data[at] + 1);
                break;
        }
}

static void mutate_one(void)
{
        const struct seed *seed = &seeds[next_random() % seed_count];
        CLEANUP(freep) uint8_t *data = malloc(seed->size + 1);
        size_t size = seed->size;
        uint64_t changes = 1 + next_random() % CHANGES_MAX;

        if (!data)
                abort();
        memcpy(data, seed->data, size);
        while (changes-- > 0)
                change(data, &size);
        if (next_random() % 2)
                fuzz_repair(data, size);
        LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
        unsigned long mutations = 0;

        fuzz_make_seeds();
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
                        mutations = strtoul(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "-w") == 0 && i + 1 < argc)
                        write_seeds(argv[++i]);
                else
                        add_folder(argv[i]);
        }
        for (size_t i = 0; i < seed_count; i++)
                LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].size);
        while (seed_count > 0 && mutations-- > 0)
                mutate_one();
        for (size_t i = 0; i <= seed_count; i++)
                free(seeds[i].data);
        printf("%zu seeds\n", seed_count);
        return 0;
}
