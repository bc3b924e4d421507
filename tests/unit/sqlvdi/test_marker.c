#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/sqlvdi/marker.h"

/* A shared library of one segment of notes. */
struct image {
        Elf64_Ehdr header;
        Elf64_Phdr program_header;
        Elf64_Nhdr other; /* a note of somebody else's in front of ours */
        char other_name[4];
        uint8_t other_text[8];
        Elf64_Nhdr note;
        char name[8];
        char version[8];
};

/* Without the padding at its end. */
#define IMAGE_SIZE (offsetof(struct image, version) + sizeof((struct image *)0)->version)

static struct image make_image(void)
{
        return (struct image){
                .header = {
                        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                        .e_type = ET_DYN,
                        .e_machine = EM_X86_64,
                        .e_phoff = offsetof(struct image, program_header),
                        .e_phentsize = sizeof(Elf64_Phdr),
                        .e_phnum = 1,
                },
                .program_header = {
                        .p_type = PT_NOTE,
                        .p_offset = offsetof(struct image, other),
                        .p_filesz = IMAGE_SIZE - offsetof(struct image, other),
                },
                .other = { .n_namesz = 4, .n_descsz = 5, .n_type = MARKER_DROPIN },
                .other_name = "GNU",
                .note = { .n_namesz = 8, .n_descsz = 6, .n_type = MARKER_DROPIN },
                .name = MARKER_OWNER,
                .version = "9.8.7",
        };
}

static int read_bytes(const void *bytes, size_t size, struct sqlvdi_file *ret_file, struct error *err)
{
        CLEANUP(fd_closep) int fd = memfd_create("image", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, size), size);
        return sqlvdi_read_fd(fd, "image", ret_file, err);
}

static void check_image(const struct image *image, bool dropin)
{
        struct sqlvdi_file file;

        assert_int_equal(read_bytes(image, IMAGE_SIZE, &file, NULL), 0);
        assert_int_equal(file.dropin, dropin);
        assert_string_equal(file.version, dropin ? "9.8.7" : "");
}

static void check_refused(const void *bytes, size_t size, const char *words)
{
        struct error err = ERROR_INIT;
        struct sqlvdi_file file;

        assert_int_equal(read_bytes(bytes, size, &file, &err), -1);
        assert_non_null(strstr(err.message, words));
        assert_false(file.dropin);
}

static void the_note_is_found_behind_another(void **state)
{
        struct image image = make_image();

        (void)state;
        check_image(&image, true);
}

static void only_our_owner_and_type_will_do(void **state)
{
        struct image image = make_image();

        (void)state;
        image.name[0] = 'V';
        check_image(&image, false);
        image = make_image();
        image.note.n_type++;
        check_image(&image, false);
        image = make_image();
        image.note.n_namesz--;
        check_image(&image, false);
        image = make_image();
        image.program_header.p_type = PT_LOAD;
        check_image(&image, false);
        image = make_image();
        image.header.e_phnum = 0;
        check_image(&image, false);
}

static void a_note_that_is_longer_than_its_segment_is_none(void **state)
{
        struct image image = make_image();

        (void)state;
        image.note.n_descsz = 9;
        check_image(&image, false);
        image.note.n_descsz = UINT32_MAX;
        check_image(&image, false);
        image = make_image();
        image.other.n_namesz = UINT32_MAX;
        image.other.n_descsz = UINT32_MAX;
        check_image(&image, false);
}

static void a_version_is_printable(void **state)
{
        struct image image = make_image();
        struct sqlvdi_file file;

        (void)state;
        image.version[3] = '\033';
        assert_int_equal(read_bytes(&image, IMAGE_SIZE, &file, NULL), 0);
        assert_string_equal(file.version, "9.8");
}

static void what_points_outside_the_file_is_damaged(void **state)
{
        struct image image = make_image();

        (void)state;
        image.header.e_phoff = IMAGE_SIZE - 8;
        check_refused(&image, IMAGE_SIZE, "ends too early");
        image.header.e_phoff = UINT64_MAX - 8;
        check_refused(&image, IMAGE_SIZE, "points outside itself");
        image = make_image();
        image.program_header.p_offset = (uint64_t)INT64_MAX;
        check_refused(&image, IMAGE_SIZE, "points outside itself");
        image.program_header.p_offset = IMAGE_SIZE;
        check_refused(&image, IMAGE_SIZE, "ends too early");
        image = make_image();
        image.header.e_phnum = UINT16_MAX;
        check_refused(&image, IMAGE_SIZE, "program headers are wrong");
        image = make_image();
        image.header.e_phentsize--;
        check_refused(&image, IMAGE_SIZE, "program headers are wrong");
        image = make_image();
        check_refused(&image, IMAGE_SIZE - 1, "ends too early");
        check_refused(&image, sizeof(Elf64_Ehdr) - 1, "header is wrong");
        image.header.e_ident[EI_CLASS] = 3;
        check_refused(&image, IMAGE_SIZE, "header is wrong");
        check_refused("", 0, "no ELF file");
        check_refused("#!/bin/sh\n# a script that is longer than a header is, of any sort\n", 60, "no ELF file");
}

static void what_is_no_library_is_named(void **state)
{
        struct error err = ERROR_INIT;
        char pipe[] = "/tmp/vdipipe-marker-XXXXXX";

        (void)state;
        assert_int_equal(sqlvdi_is_dropin("/nowhere/lib.so", &err), -1);
        assert_string_equal(err.message, "cannot open '/nowhere/lib.so': No such file or directory");
        err = (struct error)ERROR_INIT;
        assert_int_equal(sqlvdi_is_dropin("/", &err), -1);
        assert_string_equal(err.message, "'/' is no shared library: it is no file");
        /* Nobody writes to it: this must not wait. */
        assert_non_null(mkdtemp(pipe));
        assert_int_equal(rmdir(pipe), 0);
        assert_int_equal(mkfifo(pipe, 0600), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(sqlvdi_is_dropin(pipe, &err), -1);
        assert_non_null(strstr(err.message, "is no shared library: it is no file"));
        assert_int_equal(unlink(pipe), 0);
}

static void the_machine_is_told(void **state)
{
        Elf32_Ehdr small = {
                .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2MSB },
                .e_type = ET_DYN >> 8 | ET_DYN << 8,
                .e_machine = EM_ARM << 8,
        };
        struct sqlvdi_file file;
        char text[64];

        (void)state;
        assert_int_equal(read_bytes(&small, sizeof small, &file, NULL), 0);
        assert_int_equal(file.bits, 32);
        assert_true(file.big_endian);
        assert_true(file.shared_object);
        assert_string_equal(sqlvdi_machine_text(&file, text, sizeof text), "ARM 32-bit");
        assert_false(sqlvdi_runs_here(&file));
        file.machine = 4711;
        assert_string_equal(sqlvdi_machine_text(&file, text, sizeof text), "machine 4711, 32-bit");
}

static void this_program_runs_here_and_is_no_drop_in(void **state)
{
        struct sqlvdi_file file;

        (void)state;
        assert_int_equal(sqlvdi_read_file("/proc/self/exe", &file, NULL), 0);
        assert_true(sqlvdi_runs_here(&file));
        assert_int_equal(sqlvdi_is_dropin("/proc/self/exe", NULL), 0);
}

static void the_drop_in_is_one(void **state)
{
        (void)state;
#ifdef DROPIN
        struct sqlvdi_file file;

        assert_int_equal(sqlvdi_is_dropin(DROPIN, NULL), 1);
        assert_int_equal(sqlvdi_read_file(DROPIN, &file, NULL), 0);
        assert_string_equal(file.version, VDIPIPE_VERSION);
        assert_true(file.shared_object);
        assert_true(sqlvdi_runs_here(&file));
#else
        skip();
#endif
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_note_is_found_behind_another),
                cmocka_unit_test(only_our_owner_and_type_will_do),
                cmocka_unit_test(a_note_that_is_longer_than_its_segment_is_none),
                cmocka_unit_test(a_version_is_printable),
                cmocka_unit_test(what_points_outside_the_file_is_damaged),
                cmocka_unit_test(what_is_no_library_is_named),
                cmocka_unit_test(the_machine_is_told),
                cmocka_unit_test(this_program_runs_here_and_is_no_drop_in),
                cmocka_unit_test(the_drop_in_is_one),
        };

        return cmocka_run_group_tests_name("marker", tests, NULL, NULL);
}
