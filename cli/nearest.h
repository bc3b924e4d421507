/*
 * nearest.h - which word was meant by one that nobody knows
 *
 * A word is near when it takes few changes (a letter more, less, another, or two exchanged; one for each three
 * letters), or when it goes on where the typed one ended.
 */
#pragma once

#include <stddef.h>

struct nearest {
        const char *typed;
        size_t size;
        const char *word;  /* the nearest so far; NULL: none is near */
        unsigned distance; /* its own, or the first that is too far */
        char hint[64];
};

/* For what was typed, which has to live as long. */
struct nearest nearest_to(const char *typed, size_t size);

/* Holds a known word against it; of equally near ones the first stays. */
void nearest_try(struct nearest *nearest, const char *word);

/* " (did you mean 'PREFIXword'?)", or "" when no word is near. Belongs to *nearest. */
const char *nearest_hint(struct nearest *nearest, const char *prefix);
