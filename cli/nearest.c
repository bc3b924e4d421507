#include "cli/nearest.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
        LETTERS_MAX = 32, /* longer ones are not compared */
        LETTERS_PER_CHANGE = 3,
        BEGINNING_MIN = 3, /* letters of a word that was not typed to its end */
};

struct nearest nearest_to(const char *typed, size_t size)
{
        return (struct nearest){ .typed = typed, .size = size, .distance = (unsigned)size / LETTERS_PER_CHANGE + 1 };
}

static unsigned least(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

/* How many changes make one of the other, by the usual table over all pairs of beginnings. */
static unsigned count_changes(const char *a, size_t a_size, const char *b, size_t b_size)
{
        unsigned changes[LETTERS_MAX + 1][LETTERS_MAX + 1];

        for (size_t i = 0; i <= a_size; i++) {
                for (size_t j = 0; j <= b_size; j++) {
                        bool same = i && j && a[i - 1] == b[j - 1];

                        if (i == 0 || j == 0) {
                                changes[i][j] = (unsigned)(i + j);
                                continue;
                        }
                        changes[i][j] =
                                least(least(changes[i - 1][j], changes[i][j - 1]) + 1, changes[i - 1][j - 1] + !same);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                changes[i][j] = least(changes[i][j], changes[i - 2][j - 2] + 1);
                }
        }
        return changes[a_size][b_size];
}

void nearest_try(struct nearest *nearest, const char *word)
{
        size_t size = strlen(word);
        unsigned distance;

        if (nearest->size > LETTERS_MAX || size > LETTERS_MAX)
                return;
        distance = count_changes(nearest->typed, nearest->size, word, size);
        if (nearest->size >= BEGINNING_MIN && strncmp(nearest->typed, word, nearest->size) == 0)
                distance = 1;
        if (distance >= nearest->distance)
                return;
        nearest->distance = distance;
        nearest->word = word;
}

const char *nearest_hint(struct nearest *nearest, const char *prefix)
{
        nearest->hint[0] = '\0';
        if (nearest->word)
                snprintf(nearest->hint, sizeof nearest->hint, " (did you mean '%s%s'?)", prefix, nearest->word);
        return nearest->hint;
}
