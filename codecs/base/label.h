/*
 * label.h - how messages call an input: its name quoted and escaped, or the words "standard input"
 */
#ifndef VDIPIPE_CODECS_BASE_LABEL_H
#define VDIPIPE_CODECS_BASE_LABEL_H

#include "core/base/error.h"

enum { LABEL_MAX = 512 };

int label_of_input(const char *name, char label[LABEL_MAX], struct error *err);

#endif
