/*
 * data.h - bytes that a script writes and expects: a pattern by seed and offset, or zeros
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/script/parse.h"

/* What stands in the part of a buffer that a command does not name. */
enum { SCRIPT_GUARD = 0xA5 };

void script_data_fill(const struct script_command *command, uint64_t offset, uint8_t *bytes, size_t size);

/* The index of the first byte that is another than `offset` demands; `size` when there is none. */
size_t script_data_compare(const struct script_command *command, uint64_t offset, const uint8_t *bytes, size_t size);

/* The byte that belongs at an offset. */
uint8_t script_data_byte(const struct script_command *command, uint64_t offset);
