/*
 * armor.h - age's armor: strict PEM around an age file
 *
 * Of the forms of PEM this takes the one that age writes, with LF or CRLF throughout, and white space behind the end.
 */
#pragma once

#include <stdatomic.h>

#include "codecs/base/source.h"
#include "codecs/base/stage.h"

#define AGE_ARMOR_BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define AGE_ARMOR_END   "-----END AGE ENCRYPTED FILE-----"

/* Writes lines of 64 columns into `next`, which it owns from here on, also on failure. What does not fill a line is
 * held back until finish, which writes the end line; an aborted file has none. */
int age_armor_stage_new(struct stage *next, struct stage **ret_stage, struct error *err);

/* Takes the armor off what `next` delivers, which it owns from here on, also on failure. */
int age_armor_source_new(struct source *next, const char *label, const atomic_bool *cancel, struct source **ret_source,
                         struct error *err);
