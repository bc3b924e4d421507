/* What a shared library's file says of itself: mutated ELF files of both word sizes and byte orders. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/sqlvdi/marker.h"
#include "fuzz.h"

enum { INPUT_MAX = 4096 };

static void insist(int condition)
{
        if (!condition)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static int fd = -1;
        struct error err = ERROR_INIT;
        struct sqlvdi_file file;
        char text[64];

        if (fd < 0)
                fd = memfd_create("fuzz_elf", MFD_CLOEXEC);
        if (size > INPUT_MAX || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
                return 0;
        if (sqlvdi_read_fd(fd, "x", &file, &err) < 0) {
                insist(err.code != ERR_NONE && err.message[0]);
                return 0;
        }
        insist(file.bits == 32 || file.bits == 64);
        insist(memchr(file.version, '\0', sizeof file.version) != NULL);
        insist(file.dropin || file.version[0] == '\0');
        for (const char *at = file.version; *at; at++)
                insist(*at > ' ' && *at < 0x7f);
        insist(sqlvdi_machine_text(&file, text, sizeof text)[0]);
        return 0;
}

void fuzz_repair(uint8_t *data, size_t size)
{
        (void)data;
        (void)size;
}

/* Two notes behind the program headers. The bytes of the numbers in it are written out, for both orders. */
static void seed_notes(bool big_endian)
{
        static const uint8_t little[] = { 4, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 'G',           'N', 'U', 0,
                                          1, 2, 3, 4, 8, 0, 0, 0, 6, 0, 0, 0, MARKER_DROPIN, 0,   0,   0 };
        static const uint8_t big[] = { 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1, 'G', 'N', 'U', 0,
                                       1, 2, 3, 4, 0, 0, 0, 8, 0, 0, 0, 6, 0,   0,   0,   MARKER_DROPIN };

        fuzz_seed_append(big_endian ? big : little, sizeof little);
        fuzz_seed_append(MARKER_OWNER, sizeof MARKER_OWNER);
        fuzz_seed_append("0.1.0\0\0", 8);
        fuzz_seed_end();
}

enum { NOTES_SIZE = 48 };

static void seed_64(void)
{
        const Elf64_Ehdr header = {
                .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                .e_type = ET_DYN,
                .e_machine = EM_X86_64,
                .e_phoff = sizeof header,
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = 2,
        };
        const Elf64_Phdr headers[] = {
                { .p_type = PT_LOAD, .p_filesz = 64 },
                { .p_type = PT_NOTE, .p_offset = sizeof header + 2 * sizeof(Elf64_Phdr), .p_filesz = NOTES_SIZE },
        };

        fuzz_seed_append(&header, sizeof header);
        fuzz_seed_append(headers, sizeof headers);
        seed_notes(false);
}

static void seed_32_big(void)
{
        const Elf32_Ehdr header = {
                .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2MSB, EV_CURRENT },
                .e_type = __builtin_bswap16(ET_DYN),
                .e_machine = __builtin_bswap16(EM_PPC),
                .e_phoff = __builtin_bswap32(sizeof header),
                .e_phentsize = __builtin_bswap16(sizeof(Elf32_Phdr)),
                .e_phnum = __builtin_bswap16(1),
        };
        const Elf32_Phdr program_header = {
                .p_type = __builtin_bswap32(PT_NOTE),
                .p_offset = __builtin_bswap32(sizeof header + sizeof program_header),
                .p_filesz = __builtin_bswap32(NOTES_SIZE),
        };

        fuzz_seed_append(&header, sizeof header);
        fuzz_seed_append(&program_header, sizeof program_header);
        seed_notes(true);
}

void fuzz_make_seeds(void)
{
        seed_64();
        seed_32_big();
}
