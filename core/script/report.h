/*
 * report.h - where a client did not keep its contract, as a script saw it
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/error.h"

enum { SCRIPT_FAILURES_MAX = 100, SCRIPT_FAILURE_TEXT_MAX = 400 };

struct script_failure {
        uint32_t line;   /* of the script */
        uint32_t device; /* from 1; 0: the whole set */
        char text[SCRIPT_FAILURE_TEXT_MAX];
};

struct script_report {
        const char *path; /* the caller's texts */
        const char *set_name;
        bool timed_out;
        uint64_t commands; /* sent */
        uint64_t checks;   /* made of what came back */
        uint32_t failure_count;
        struct script_failure failures[SCRIPT_FAILURES_MAX]; /* the first ones */
};

/* Adds a failure; those behind the last place are only counted. Not thread safe. */
void script_report_add(struct script_report *report, uint32_t line, uint32_t device, const char *text);

/* One line for each failure, "FILE:LINE: device 1: ...", and one when there are more. */
void script_report_print(const struct script_report *report, FILE *to);

/* One JSON object, in one line. Returns -1 when memory is short or `to` cannot be written. */
int script_report_json(const struct script_report *report, FILE *to, struct error *err);

/* 0 when the client kept its contract; else raises ERR_TIMEOUT or ERR_FAILED and returns -1. */
int script_report_conclude(const struct script_report *report, struct error *err);
