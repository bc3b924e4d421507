/* What can be wrong with the file that is to be SQL Server's library, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/sqlvdi/library.h"

#define ANOTHER "; name SQL Server's own with --sqlvdi PATH, which is usually /opt/mssql/lib/libsqlvdi.so"

enum { NOBODY = 65534 };

static char folder[] = "/tmp/vdipipe-test-XXXXXX";

/* The path of a file of the test's, in a static buffer. */
static const char *path_of(const char *name)
{
        static char path[sizeof folder + 64];

        snprintf(path, sizeof path, "%s/%s", folder, name);
        return path;
}

static const char *write_file(const char *name, const void *bytes, size_t size)
{
        const char *path = path_of(name);
        CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_full(fd, bytes, size, NULL), 0);
        return path;
}

/* A copy of the whole library whose header was changed. */
static const char *write_changed(const char *name, void (*change)(Elf64_Ehdr *header))
{
        CLEANUP(freep) char *bytes = NULL;
        size_t size;

        assert_int_equal(fd_read_file(AT_FDCWD, FAKE_WHOLE, 64 << 20, &bytes, &size), 0);
        change((Elf64_Ehdr *)bytes);
        return write_file(name, bytes, size);
}

/* `words` follow the path in quotes. */
static void check_refused(const char *path, enum err_code code, const char *words)
{
        struct sqlvdi_library *library = NULL;
        struct error err = ERROR_INIT;
        char expected[ERROR_MESSAGE_MAX];

        snprintf(expected, sizeof expected, "'%s'%s", path, words);
        assert_int_equal(sqlvdi_library_open(path, /* dropin_wanted= */ false, &library, &err), -1);
        assert_string_equal(err.message, expected);
        assert_int_equal(err.code, code);
        assert_null(library);
}

static void check_missing(const char *path)
{
        struct sqlvdi_library *library = NULL;
        struct error err = ERROR_INIT;
        char expected[ERROR_MESSAGE_MAX];

        snprintf(expected, sizeof expected,
                 "there is no library '%s'; the package mssql-server brings it, and --sqlvdi PATH names another place",
                 path);
        assert_int_equal(sqlvdi_library_open(path, /* dropin_wanted= */ false, &library, &err), -1);
        assert_string_equal(err.message, expected);
        assert_int_equal(err.code, ERR_USAGE);
}

static void test_a_whole_library_has_its_members(void **state)
{
        struct sqlvdi_library *library = NULL;
        void *member;

        (void)state;
        assert_int_equal(sqlvdi_library_open(FAKE_WHOLE, false, &library, NULL), 0);
        for (size_t i = 0; i < sizeof library->members / sizeof member; i++) {
                memcpy(&member, (char *)&library->members + i * sizeof member, sizeof member);
                assert_non_null(member);
        }
        sqlvdi_library_close(library);
}

static void test_no_file(void **state)
{
        (void)state;
        check_missing(path_of("none.so"));
        write_file("file", "x", 1);
        check_missing(path_of("file/none.so"));
}

static void test_a_file_that_is_no_library(void **state)
{
        static const char text[] = "#!/bin/sh\necho this is a script, longer than an ELF file's header would be\n";

        (void)state;
        check_refused(folder, ERR_USAGE, " is no shared library: it is no file" ANOTHER);
        check_refused(write_file("text.so", text, sizeof text - 1), ERR_USAGE,
                      " is no shared library: it is no ELF file" ANOTHER);
        check_refused(write_file("empty.so", "", 0), ERR_USAGE, " is no shared library: it is no ELF file" ANOTHER);
}

static void cut_nothing(Elf64_Ehdr *header)
{
        (void)header;
}

static void test_a_library_that_is_cut_off(void **state)
{
        const char *path;

        (void)state;
        path = write_changed("cut.so", cut_nothing);
        assert_int_equal(truncate(path, 80), 0);
        check_refused(path, ERR_USAGE, " is a damaged library: it ends too early" ANOTHER);
}

static void make_arm(Elf64_Ehdr *header)
{
        header->e_machine = header->e_machine == EM_AARCH64 ? EM_X86_64 : EM_AARCH64;
}

static void make_program(Elf64_Ehdr *header)
{
        header->e_type = ET_EXEC;
}

static void test_a_library_of_another_processor(void **state)
{
        const Elf32_Ehdr header = {
                .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
                .e_type = ET_DYN,
                .e_machine = EM_386,
        };

        (void)state;
#ifdef __x86_64__
        check_refused(write_changed("arm.so", make_arm), ERR_USAGE,
                      " is for another processor (ARM 64-bit) than this program" ANOTHER);
#else
        check_refused(write_changed("x86.so", make_arm), ERR_USAGE,
                      " is for another processor (x86-64) than this program" ANOTHER);
#endif
        check_refused(write_file("i386.so", &header, sizeof header), ERR_USAGE,
                      " is for another processor (x86 32-bit) than this program" ANOTHER);
        check_refused(write_changed("program", make_program), ERR_USAGE, " is no shared library" ANOTHER);
}

static void test_the_drop_in(void **state)
{
        struct sqlvdi_library *library = NULL;

        (void)state;
        check_refused(DROPIN, ERR_USAGE,
                      " is vdipipe's own drop-in library, which reaches 'vdipipe serve' and 'vdipipe exec' but no SQL "
                      "Server" ANOTHER);
        assert_int_equal(sqlvdi_library_open(DROPIN, /* dropin_wanted= */ true, &library, NULL), 0);
        sqlvdi_library_close(library);
}

static void test_a_symbol_is_missing(void **state)
{
        (void)state;
        check_refused(FAKE_LACKING, ERR_USAGE, " lacks the symbol _ZN22ClientVirtualDeviceSet5CloseEv" ANOTHER);
}

static void test_what_the_loader_says(void **state)
{
        struct sqlvdi_library *library = NULL;
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(sqlvdi_library_open(FAKE_UNLOADABLE, false, &library, &err), -1);
        assert_int_equal(err.code, ERR_FAILED);
        assert_non_null(strstr(err.message, "' cannot be loaded: undefined symbol: symbol_that_nobody_has; 'ldd "));
}

/* A name without a slash is a file here, not one along the loader's path. */
static void test_a_bare_name_is_a_file(void **state)
{
        struct sqlvdi_library *library = NULL;

        (void)state;
        write_changed("bare.so", cut_nothing);
        assert_int_equal(chdir(folder), 0);
        assert_int_equal(sqlvdi_library_open("bare.so", false, &library, NULL), 0);
        sqlvdi_library_close(library);
        check_missing("libc.so.6");
        assert_int_equal(chdir("/"), 0);
}

/* In a process of its own, that gives root's rights up. */
static int read_as_nobody(const char *path)
{
        struct sqlvdi_library *library = NULL;
        struct error err = ERROR_INIT;

        if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
                return 2;
        if (sqlvdi_library_open(path, false, &library, &err) == 0 || err.code != ERR_FAILED ||
            !strstr(err.message, "' may not be read by this user; run as SQL Server's (--run-as mssql), or join its "
                                 "group"))
                return 1;
        return 0;
}

static void test_a_library_that_may_not_be_read(void **state)
{
        const char *path;
        int status;
        pid_t pid;

        (void)state;
        if (geteuid() != 0)
                skip();
        path = write_changed("secret.so", cut_nothing);
        assert_int_equal(chmod(folder, 0755), 0);
        pid = fork();
        if (pid == 0)
                _exit(read_as_nobody(path));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static int make_folder(void **state)
{
        (void)state;
        return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
        static const char *const names[] = { "file",   "text.so", "empty.so", "cut.so",  "arm.so",
                                             "x86.so", "i386.so", "program",  "bare.so", "secret.so" };

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                unlink(path_of(names[i]));
        return rmdir(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_whole_library_has_its_members),
                cmocka_unit_test(test_no_file),
                cmocka_unit_test(test_a_file_that_is_no_library),
                cmocka_unit_test(test_a_library_that_is_cut_off),
                cmocka_unit_test(test_a_library_of_another_processor),
                cmocka_unit_test(test_the_drop_in),
                cmocka_unit_test(test_a_symbol_is_missing),
                cmocka_unit_test(test_what_the_loader_says),
                cmocka_unit_test(test_a_bare_name_is_a_file),
                cmocka_unit_test(test_a_library_that_may_not_be_read),
        };

        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
