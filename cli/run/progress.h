/*
 * progress.h - how far the transfer is: a bar, lines, or JSON, never on standard output
 *
 * Device threads add bytes; the supervisor's thread draws.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/args.h"
#include "core/base/error.h"

enum { PROGRESS_NOTE_MAX = 160 };

struct progress {
        enum progress_mode mode; /* never PROGRESS_AUTO once initialised */
        bool bar;                /* redraw one line of a terminal */
        int fd;
        const char *verb;  /* "backup", "restore" */
        const char *about; /* further members for JSON, each with a comma in front; borrowed */
        int64_t started_ns;
        int64_t drawn_ns;
        _Atomic uint64_t done;
        _Atomic uint64_t total; /* 0: unknown */
        _Atomic int percent;    /* as the server says it; -1: it has not */
        pthread_mutex_t lock;   /* of the note */
        char note[PROGRESS_NOTE_MAX];
};

/* ERR_USAGE when --progress-fd names a descriptor that cannot be written to. */
int progress_init(struct progress *progress, const struct args *args, const char *verb, struct error *err);

/* From any thread. */
void progress_add(struct progress *progress, uint64_t bytes);

/* What keeps the server, in a few words; "" when nothing does. Cut to fit. From any thread. */
void progress_set_note(struct progress *progress, const char *note);

/* Draws if it is time to; `last` draws in any case, and ends a bar's line. */
void progress_tick(struct progress *progress, bool last);

/* How much there was, as progress_format_bytes() has it; returns how many seconds it took until now. */
double progress_done(const struct progress *progress, char size[32]);

/* Bytes for people: "12.3 MB". Fits 32 bytes. */
void progress_format_bytes(uint64_t bytes, char text[32]);
