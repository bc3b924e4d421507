/*
 * room.h - memory that grows with what is put into it
 *
 * `array` is the address of a pointer to allocated memory, NULL at first; *room says how many elements fit there.
 */
#pragma once

#include <stddef.h>

#include "core/base/error.h"

/* Makes room for `wanted` elements of `size` bytes, and for half as many more as there was room for, so that it is
 * seldom asked for. What is there stays. */
int room_grow(void *array, size_t *room, size_t wanted, size_t size, struct error *err);

/* Makes room for `wanted` bytes and no more. What is there may be lost. */
int room_renew(void *array, size_t *room, size_t wanted, struct error *err);
