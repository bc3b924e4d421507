/*
 * label.h - how messages call an input, and what most of them say about it
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum { LABEL_MAX = 512 };

/* The name quoted and escaped, or the words "standard input". */
int label_of_input(const char *name, char label[LABEL_MAX], struct error *err);

/* "LABEL is damaged at byte POSITION: WHAT". ERR_DAMAGED. */
int raise_damaged_at(const char *label, uint64_t position, const char *what, struct error *err);

/* "LABEL ends at byte POSITION inside WHAT: it was cut off". ERR_DAMAGED. */
int raise_cut_at(const char *label, uint64_t position, const char *what, struct error *err);
