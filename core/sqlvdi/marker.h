/*
 * marker.h - what a shared library's file says of itself, read before it is loaded: loading runs its code
 *
 * Our drop-in bears an ELF note (section .note.vdipipe, owner "vdipipe", type MARKER_DROPIN, the version as text),
 * since its symbols are those of Microsoft's library and no others. Files are hostile input: of any file only its
 * header, its program headers and its notes are looked at, each within bounds. Thread safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define MARKER_OWNER "vdipipe"

enum {
        MARKER_DROPIN = 1,       /* the note's type: its file is a drop-in libsqlvdi.so */
        MARKER_VERSION_SIZE = 32 /* of the version's text, with the NUL */
};

struct sqlvdi_file {
        unsigned bits; /* 32 or 64 */
        bool big_endian;
        unsigned machine;                  /* EM_X86_64, EM_AARCH64, ... of elf.h */
        bool shared_object;                /* else a program, an object file or a core */
        bool dropin;                       /* bears our note */
        char version[MARKER_VERSION_SIZE]; /* of a drop-in, printable ASCII; else "" */
};

/* Reads what the file is. Returns 0, or -1: it cannot be read, is no ELF file, or one that is cut off or damaged. */
int sqlvdi_read_file(const char *path, struct sqlvdi_file *ret_file, struct error *err);

/* The same of an open descriptor; `name` stands in the messages. The descriptor has to be able to pread(2). */
int sqlvdi_read_fd(int fd, const char *name, struct sqlvdi_file *ret_file, struct error *err);

/* Returns 1 when the file is our drop-in, 0 when it is another ELF file, -1 as above. */
int sqlvdi_is_dropin(const char *path, struct error *err);

/* Can a process like this one load the file, as far as the kind of processor and the size of its words tell? */
bool sqlvdi_runs_here(const struct sqlvdi_file *file);

/* The processor's usual name with its word size: "x86-64", "ARM 64-bit"; "machine 258" for those not in the table.
 * `text` holds `size` bytes. Returns text. */
const char *sqlvdi_machine_text(const struct sqlvdi_file *file, char *text, size_t size);
