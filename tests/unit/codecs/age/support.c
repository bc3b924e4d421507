#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codecs/codecs.h"
#include "core/base/fd_io.h"

struct age_pair age_make_pair(const char *name)
{
        CLEANUP(fd_closep) int fd = -1;
        struct error err = ERROR_INIT;
        struct age_pair pair;

        snprintf(pair.path, sizeof pair.path, "%s/%s", test_folder(), name);
        fd = open(pair.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_ok(age_keygen(fd, pair.path, pair.recipient, &err), &err);
        assert_int_equal(setenv("KEY", pair.path, 1), 0);
        assert_int_equal(setenv("TO", pair.recipient, 1), 0);
        return pair;
}

struct age_recipients *age_for(const char *recipient)
{
        struct age_recipients *recipients = age_recipients_new();
        struct error err = ERROR_INIT;

        assert_non_null(recipients);
        assert_ok(age_recipients_add(recipients, recipient, &err), &err);
        return recipients;
}

int age_passphrase_fd(const char *passphrase)
{
        int fd = memfd_create("passphrase", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, passphrase, strlen(passphrase)), strlen(passphrase));
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        return fd;
}

struct age_recipients *age_for_passphrase(const char *passphrase)
{
        struct age_recipients *recipients = age_recipients_new();
        int fd = age_passphrase_fd(passphrase);
        struct error err = ERROR_INIT;

        assert_non_null(recipients);
        assert_ok(age_recipients_set_passphrase(recipients, fd, "phrase", &err), &err);
        close(fd);
        return recipients;
}

struct age_identities *age_with(const char *path)
{
        struct age_identities *identities = age_identities_new();
        struct error err = ERROR_INIT;
        bool exposed = true;

        assert_non_null(identities);
        assert_ok(age_identities_add_file(identities, path, &exposed, &err), &err);
        assert_false(exposed);
        return identities;
}

struct age_identities *age_with_passphrase(const char *passphrase)
{
        struct age_identities *identities = age_identities_new();
        int fd = age_passphrase_fd(passphrase);
        struct error err = ERROR_INIT;

        assert_non_null(identities);
        assert_ok(age_identities_set_passphrase(identities, fd, "phrase", &err), &err);
        close(fd);
        return identities;
}

void age_write_file(struct bytes *out, const struct age_options *options, const uint8_t *data, size_t size,
                    size_t piece, size_t flush_every)
{
        CLEANUP(stage_freep) struct stage *stage = NULL;
        struct memory_sink *sink = memory_sink_new(out);
        struct error err = ERROR_INIT;
        size_t pieces = 0;

        assert_ok(age_writer_new(options, &sink->stage, &stage, &err), &err);
        for (size_t at = 0; at < size; at += piece) {
                assert_ok(stage_write(stage, data + at, size - at < piece ? size - at : piece, &err), &err);
                if (flush_every > 0 && ++pieces % flush_every == 0)
                        assert_ok(stage_flush(stage, &err), &err);
        }
        assert_ok(stage_complete(stage, &err), &err);
        assert_ok(stage_finish(stage, NULL, &err), &err);
        assert_true(sink->finished);
}

static void read_through(struct source *source, size_t piece, struct outcome *outcome)
{
        uint8_t *buffer = malloc(piece);
        ssize_t n;

        assert_non_null(buffer);
        do {
                n = source_read(source, buffer, piece, &outcome->error);
                assert_true(n <= (ssize_t)piece);
                if (n > 0)
                        bytes_append(&outcome->content, buffer, (size_t)n);
        } while (n > 0);
        free(buffer);
        outcome->ended = n == 0;
}

struct outcome age_read_file(const uint8_t *data, size_t size, size_t piece, const struct reader_options *options)
{
        CLEANUP(fd_closep) int fd = memfd_create("age", MFD_CLOEXEC);
        struct outcome outcome = { .error = ERROR_INIT };
        struct source *source = NULL;

        assert_true(fd >= 0);
        assert_int_equal(fd_pwrite_full(fd, data, size, 0), 0);
        assert_int_equal(fd_source_new(fd, "'f.age'", NULL, &source, &outcome.error), 0);
        if (age_source_new(source, "'f.age'", options, &source, &outcome.error) < 0)
                return outcome;
        outcome.opened = true;
        read_through(source, piece, &outcome);
        source_free(source);
        return outcome;
}
