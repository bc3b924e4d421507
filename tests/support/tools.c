/*
 * tools.c - small jobs that the scenario scripts cannot do in the shell
 *
 *     tools slow-reader BYTES-PER-SECOND         copies standard input to standard output at that pace
 *     tools wait-pid PID MILLISECONDS            waits for the end of any process; exits 1 if it still lives
 *     tools vary FILE FOLDER EVERY cut           writes FOLDER/cut-N for every EVERY-th length N below the file's own
 *     tools vary FILE FOLDER EVERY change MASK   writes FOLDER/change-N with byte N exclusive-ored, for every EVERY-th
 *     tools find-secret PID FILE                 counts how often the secret in FILE's last line is in that process's
 *                                                memory: as text, and a secret key of age also as bytes
 *     tools flock FILE                           holds a flock; says "locked", ends with its standard input
 *     tools peak COMMAND...                      runs it, prints the KiB that the largest of its processes took
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIECES_PER_SECOND = 20, VARY_MAX = 1 << 16, PIECE_MAX = 1 << 20 };

static int slow_reader(long rate)
{
        static char buffer[PIECE_MAX];
        size_t piece = (size_t)(rate / PIECES_PER_SECOND);
        struct timespec at;

        if (piece == 0 || piece > sizeof buffer)
                return 2;
        clock_gettime(CLOCK_MONOTONIC, &at);
        for (;;) {
                ssize_t n = read(STDIN_FILENO, buffer, piece);

                if (n < 0)
                        return 1;
                if (n == 0)
                        return 0;
                for (ssize_t done = 0; done < n;) {
                        ssize_t m = write(STDOUT_FILENO, buffer + done, (size_t)(n - done));

                        if (m < 0)
                                return 1;
                        done += m;
                }
                at.tv_nsec += (long)(1e9 * (double)n / (double)rate);
                while (at.tv_nsec >= 1000000000) {
                        at.tv_nsec -= 1000000000;
                        at.tv_sec++;
                }
                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        }
}

static int wait_pid(pid_t pid, int milliseconds)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        struct pollfd poller = { .fd = fd, .events = POLLIN };

        if (fd < 0)
                return errno == ESRCH ? 0 : 2;
        return poll(&poller, 1, milliseconds) == 1 ? 0 : 1;
}

static int put(const char *folder, const char *kind, size_t number, const char *bytes, size_t size)
{
        char path[4096];
        FILE *file;

        snprintf(path, sizeof path, "%s/%s-%zu", folder, kind, number);
        file = fopen(path, "w");
        if (!file || fwrite(bytes, 1, size, file) != size)
                return 1;
        return fclose(file) == 0 ? 0 : 1;
}

static int vary(const char *path, const char *folder, size_t every, const char *kind, int mask)
{
        static char bytes[VARY_MAX];
        FILE *file = fopen(path, "r");
        size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        int rc = 0;

        if (size == 0 || size == sizeof bytes || every == 0)
                return 2;
        fclose(file);
        for (size_t i = 0; rc == 0 && i < size; i += every) {
                if (strcmp(kind, "cut") == 0) {
                        rc = put(folder, kind, i, bytes, i);
                        continue;
                }
                bytes[i] = (char)(bytes[i] ^ mask);
                rc = put(folder, kind, i, bytes, size);
                bytes[i] = (char)(bytes[i] ^ mask);
        }
        return rc;
}

/* Holds until standard input ends. */
static int hold(void)
{
        char byte;

        puts("locked");
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
        return 0;
}

static int flock_hold(const char *path)
{
        int fd = open(path, O_RDWR);

        return fd < 0 || flock(fd, LOCK_EX) < 0 ? 2 : hold();
}

enum { SECRET_MAX = 256 };

/* The bytes of "AGE-SECRET-KEY-1...": what Bech32 has between its separator and its six check characters. */
static size_t decode_key(const char *text, uint8_t *bytes)
{
        static const char letters[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
        static const char prefix[] = "AGE-SECRET-KEY-1";
        unsigned value = 0;
        unsigned bits = 0;
        size_t size = 0;

        if (strncmp(text, prefix, sizeof prefix - 1) != 0)
                return 0;
        for (text += sizeof prefix - 1; text[6]; text++) {
                value = (value << 5 | (unsigned)(strchr(letters, tolower(*text)) - letters)) & 0xFFF;
                bits += 5;
                if (bits >= 8) {
                        bits -= 8;
                        bytes[size++] = (uint8_t)(value >> bits);
                }
        }
        return size;
}

static unsigned count_in(const uint8_t *bytes, size_t size, const void *needle, size_t needle_size)
{
        unsigned count = 0;
        const uint8_t *at = bytes;

        while (needle_size && (at = memmem(at, size - (size_t)(at - bytes), needle, needle_size))) {
                count++;
                at++;
        }
        return count;
}

static int last_line(const char *path, char line[SECRET_MAX])
{
        char text[SECRET_MAX];
        FILE *file = fopen(path, "r");

        line[0] = '\0';
        if (!file)
                return -1;
        while (fgets(text, sizeof text, file))
                snprintf(line, SECRET_MAX, "%.*s", (int)strcspn(text, "\n"), text);
        fclose(file);
        return line[0] ? 0 : -1;
}

static int find_secret(const char *pid, const char *path)
{
        char text[SECRET_MAX];
        uint8_t bytes[SECRET_MAX];
        size_t byte_count;
        char name[64];
        char line[512];
        unsigned texts = 0;
        unsigned keys = 0;
        FILE *maps;
        int memory;

        if (last_line(path, text) < 0)
                return 2;
        byte_count = decode_key(text, bytes);
        snprintf(name, sizeof name, "/proc/%s/mem", pid);
        memory = open(name, O_RDONLY | O_CLOEXEC);
        snprintf(name, sizeof name, "/proc/%s/maps", pid);
        maps = fopen(name, "r");
        if (memory < 0 || !maps)
                return 2;
        while (fgets(line, sizeof line, maps)) {
                unsigned long start;
                unsigned long end;
                uint8_t *copy;
                ssize_t n;

                if (sscanf(line, "%lx-%lx rw", &start, &end) != 2 || end - start > 1UL << 30)
                        continue;
                copy = malloc(end - start);
                n = copy ? pread(memory, copy, end - start, (off_t)start) : -1;
                if (n > 0) {
                        texts += count_in(copy, (size_t)n, text, strlen(text));
                        /* X25519 works on a copy whose first and last byte were changed. */
                        if (byte_count > 2)
                                keys += count_in(copy, (size_t)n, bytes + 1, byte_count - 2);
                }
                free(copy);
        }
        fclose(maps);
        close(memory);
        printf("%u %u\n", texts, keys);
        return 0;
}

static int peak(char **command)
{
        struct rusage usage;
        int status = -1;
        pid_t pid = fork();

        if (pid == 0) {
                execvp(command[0], command);
                _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || getrusage(RUSAGE_CHILDREN, &usage) < 0)
                return 2;
        printf("%ld\n", usage.ru_maxrss);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
        const char *verb = argc > 2 ? argv[1] : "";

        if (strcmp(verb, "slow-reader") == 0)
                return slow_reader(atol(argv[2]));
        if (strcmp(verb, "wait-pid") == 0 && argc == 4)
                return wait_pid(atoi(argv[2]), atoi(argv[3]));
        if (strcmp(verb, "vary") == 0 && argc >= 6)
                return vary(argv[2], argv[3], strtoul(argv[4], NULL, 10), argv[5], argc > 6 ? atoi(argv[6]) : 0);
        if (strcmp(verb, "find-secret") == 0 && argc == 4)
                return find_secret(argv[2], argv[3]);
        if (strcmp(verb, "flock") == 0)
                return flock_hold(argv[2]);
        if (strcmp(verb, "peak") == 0)
                return peak(argv + 2);
        return 2;
}
