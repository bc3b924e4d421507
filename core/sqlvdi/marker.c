/* An ELF file's header, program headers and notes, of either word size and byte order. */
#include "core/sqlvdi/marker.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

enum {
        HEADERS_MAX = 128,    /* program headers; linkers make about a dozen */
        NOTES_MAX = 64 << 10, /* bytes of one segment of notes */
};

/* Offsets of the fields that are needed, and their sizes where they depend on the class. */
struct elf_shape {
        uint8_t header_size;
        uint8_t word; /* bytes of an offset or a size */
        uint8_t phoff, phentsize, phnum;
        uint8_t program_header_size;
        uint8_t p_offset, p_filesz;
};

static const struct elf_shape shape_32 = {
        .header_size = sizeof(Elf32_Ehdr),
        .word = sizeof(Elf32_Off),
        .phoff = offsetof(Elf32_Ehdr, e_phoff),
        .phentsize = offsetof(Elf32_Ehdr, e_phentsize),
        .phnum = offsetof(Elf32_Ehdr, e_phnum),
        .program_header_size = sizeof(Elf32_Phdr),
        .p_offset = offsetof(Elf32_Phdr, p_offset),
        .p_filesz = offsetof(Elf32_Phdr, p_filesz),
};

static const struct elf_shape shape_64 = {
        .header_size = sizeof(Elf64_Ehdr),
        .word = sizeof(Elf64_Off),
        .phoff = offsetof(Elf64_Ehdr, e_phoff),
        .phentsize = offsetof(Elf64_Ehdr, e_phentsize),
        .phnum = offsetof(Elf64_Ehdr, e_phnum),
        .program_header_size = sizeof(Elf64_Phdr),
        .p_offset = offsetof(Elf64_Phdr, p_offset),
        .p_filesz = offsetof(Elf64_Phdr, p_filesz),
};

struct elf_input {
        int fd;
        const char *name;
        const struct elf_shape *shape;
        bool big_endian;
};

static uint64_t elf_get_number(const struct elf_input *input, const uint8_t *bytes, size_t size)
{
        uint64_t number = 0;

        for (size_t i = 0; i < size; i++)
                number = number << 8 | bytes[input->big_endian ? i : size - 1 - i];
        return number;
}

static int elf_read_at(const struct elf_input *input, void *buffer, size_t size, uint64_t offset, struct error *err)
{
        ssize_t got;

        if (offset > INT64_MAX - size)
                return error_raise(err, ERR_FAILED, "'%s' is a damaged library: it points outside itself", input->name);
        got = fd_pread_full(input->fd, buffer, size, (off_t)offset);
        if (got < 0)
                return error_raise_errno(err, errno, "cannot read '%s'", input->name);
        if ((size_t)got < size)
                return error_raise(err, ERR_FAILED, "'%s' is a damaged library: it ends too early", input->name);
        return 0;
}

/* A version is shown to users: what does not look like one is cut. */
static void elf_copy_version(char *version, const uint8_t *text, size_t size)
{
        size_t length = 0;

        while (length < size && length < MARKER_VERSION_SIZE - 1 && text[length] > ' ' && text[length] < 0x7f) {
                version[length] = (char)text[length];
                length++;
        }
        version[length] = '\0';
}

/* Goes through one segment of notes. Padding is to four bytes; where others pad to eight, a note of ours is not. */
static void elf_look_for_marker(const struct elf_input *input, const uint8_t *notes, size_t size,
                                struct sqlvdi_file *ret_file)
{
        size_t at = 0;

        while (!ret_file->dropin && size - at >= sizeof(Elf32_Nhdr)) {
                uint64_t name_size = elf_get_number(input, notes + at, 4);
                uint64_t text_size = elf_get_number(input, notes + at + 4, 4);
                uint64_t type = elf_get_number(input, notes + at + 8, 4);
                const uint8_t *name = notes + at + sizeof(Elf32_Nhdr);
                uint64_t name_room = (name_size + 3) & ~UINT64_C(3);
                uint64_t text_room = (text_size + 3) & ~UINT64_C(3);

                at += sizeof(Elf32_Nhdr);
                if (name_room + text_room > size - at)
                        return;
                if (name_size == sizeof MARKER_OWNER && memcmp(name, MARKER_OWNER, sizeof MARKER_OWNER) == 0 &&
                    type == MARKER_DROPIN) {
                        ret_file->dropin = true;
                        elf_copy_version(ret_file->version, name + name_room, (size_t)text_size);
                }
                at += (size_t)(name_room + text_room);
        }
}

static int elf_read_notes(const struct elf_input *input, const uint8_t *program_header, struct sqlvdi_file *ret_file,
                          struct error *err)
{
        const struct elf_shape *shape = input->shape;
        uint64_t offset = elf_get_number(input, program_header + shape->p_offset, shape->word);
        uint64_t size = elf_get_number(input, program_header + shape->p_filesz, shape->word);
        CLEANUP(freep) uint8_t *notes = NULL;

        /* Ours is in front of nothing that long. */
        if (size > NOTES_MAX)
                size = NOTES_MAX;
        notes = malloc((size_t)size + 1);
        if (!notes)
                return error_raise(err, ERR_MEMORY, "'%s': out of memory", input->name);
        if (elf_read_at(input, notes, (size_t)size, offset, err) < 0)
                return -1;
        elf_look_for_marker(input, notes, (size_t)size, ret_file);
        return 0;
}

static int elf_read_program_headers(const struct elf_input *input, const uint8_t *header, struct sqlvdi_file *ret_file,
                                    struct error *err)
{
        const struct elf_shape *shape = input->shape;
        uint64_t offset = elf_get_number(input, header + shape->phoff, shape->word);
        uint64_t each = elf_get_number(input, header + shape->phentsize, 2);
        uint64_t count = elf_get_number(input, header + shape->phnum, 2);

        if (count > HEADERS_MAX || (count > 0 && each != shape->program_header_size))
                return error_raise(err, ERR_FAILED, "'%s' is a damaged library: its program headers are wrong",
                                   input->name);
        for (uint64_t i = 0; i < count && !ret_file->dropin; i++) {
                uint8_t program_header[sizeof(Elf64_Phdr)];

                if (elf_read_at(input, program_header, shape->program_header_size, offset + i * each, err) < 0)
                        return -1;
                if (elf_get_number(input, program_header, 4) == PT_NOTE &&
                    elf_read_notes(input, program_header, ret_file, err) < 0)
                        return -1;
        }
        return 0;
}

int sqlvdi_read_fd(int fd, const char *name, struct sqlvdi_file *ret_file, struct error *err)
{
        struct elf_input input = { .fd = fd, .name = name };
        uint8_t header[sizeof(Elf64_Ehdr)];
        ssize_t got = fd_pread_full(fd, header, sizeof header, 0);

        *ret_file = (struct sqlvdi_file){ 0 };
        if (got < 0)
                return error_raise_errno(err, errno, "cannot read '%s'", name);
        if (got < (ssize_t)sizeof(Elf32_Ehdr) || memcmp(header, ELFMAG, SELFMAG) != 0)
                return error_raise(err, ERR_FAILED, "'%s' is no shared library: it is no ELF file", name);
        input.shape = header[EI_CLASS] == ELFCLASS64 ? &shape_64 : &shape_32;
        input.big_endian = ret_file->big_endian = header[EI_DATA] == ELFDATA2MSB;
        if (got < input.shape->header_size || (header[EI_CLASS] != ELFCLASS64 && header[EI_CLASS] != ELFCLASS32) ||
            (header[EI_DATA] != ELFDATA2LSB && header[EI_DATA] != ELFDATA2MSB))
                return error_raise(err, ERR_FAILED, "'%s' is a damaged library: its header is wrong", name);
        ret_file->bits = input.shape->word * 8u;
        ret_file->machine = (unsigned)elf_get_number(&input, header + offsetof(Elf64_Ehdr, e_machine), 2);
        ret_file->shared_object = elf_get_number(&input, header + offsetof(Elf64_Ehdr, e_type), 2) == ET_DYN;
        return elf_read_program_headers(&input, header, ret_file, err);
}

int sqlvdi_read_file(const char *path, struct sqlvdi_file *ret_file, struct error *err)
{
        /* Opening a fifo or a tape must not wait for anybody. */
        CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat status;

        *ret_file = (struct sqlvdi_file){ 0 };
        if (fd < 0 || fstat(fd, &status) < 0)
                return error_raise_errno(err, errno, "cannot open '%s'", path);
        if (!S_ISREG(status.st_mode))
                return error_raise(err, ERR_FAILED, "'%s' is no shared library: it is no file", path);
        return sqlvdi_read_fd(fd, path, ret_file, err);
}

int sqlvdi_is_dropin(const char *path, struct error *err)
{
        struct sqlvdi_file file;

        return sqlvdi_read_file(path, &file, err) < 0 ? -1 : file.dropin;
}

static const struct machine {
        unsigned number;
        unsigned bits;
        const char *name;
} machines[] = {
        { EM_X86_64, 64, "x86-64" },
        { EM_X86_64, 32, "x86-64 with 32-bit words" },
        { EM_386, 32, "x86 32-bit" },
        { EM_AARCH64, 64, "ARM 64-bit" },
        { EM_ARM, 32, "ARM 32-bit" },
        { EM_RISCV, 64, "RISC-V 64-bit" },
        { EM_PPC64, 64, "POWER 64-bit" },
        { EM_S390, 64, "S/390 64-bit" },
        { EM_LOONGARCH, 64, "LoongArch 64-bit" },
};

const char *sqlvdi_machine_text(const struct sqlvdi_file *file, char *text, size_t size)
{
        snprintf(text, size, "machine %u, %u-bit", file->machine, file->bits);
        for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++)
                if (machines[i].number == file->machine && machines[i].bits == file->bits)
                        snprintf(text, size, "%s", machines[i].name);
        return text;
}

bool sqlvdi_runs_here(const struct sqlvdi_file *file)
{
        CLEANUP(fd_closep) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        struct sqlvdi_file own;

        /* Where this cannot be found out, the loader's own words have to do. */
        if (fd < 0 || sqlvdi_read_fd(fd, "/proc/self/exe", &own, NULL) < 0)
                return true;
        return own.machine == file->machine && own.bits == file->bits && own.big_endian == file->big_endian;
}
