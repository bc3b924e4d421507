/*
 * doctor_report.h - what the doctor finds: one line a check
 *
 * What is right is said as well, since it tells which folder, which library, which limit is meant.
 */
#pragma once

#include <jansson.h>

#include "cli/args.h"
#include "cli/config.h"

enum doctor_level {
        DOCTOR_OK,
        DOCTOR_WARNING, /* a backup works, and something about it may surprise */
        DOCTOR_FAULT,   /* a backup would fail */
};

struct doctor {
        const struct args *args;     /* with what the configuration says for all commands */
        const struct config *config; /* NULL: it cannot be read */
        json_t *checks;              /* an array of objects; NULL: lines on standard output */
        unsigned counts[DOCTOR_FAULT + 1];
};

/* What was looked at, and one line: what was found, and with anything but DOCTOR_OK the remedy behind a semicolon. */
void doctor_say(struct doctor *doctor, enum doctor_level level, const char *check, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
