#include "core/script/data.h"

#include <string.h>

enum { WORD = 8 };

/* A word of the pattern: the finalizer of a 64-bit hash, so that no two places of a stream look alike. */
static uint64_t pattern_word(uint64_t seed, uint64_t index)
{
        uint64_t word = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) + index;

        word = (word ^ (word >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        word = (word ^ (word >> 27)) * UINT64_C(0x94D049BB133111EB);
        return word ^ (word >> 31);
}

uint8_t script_data_byte(const struct script_command *command, uint64_t offset)
{
        if (command->data == SCRIPT_DATA_ZERO)
                return 0;
        return (uint8_t)(pattern_word(command->seed, offset / WORD) >> (8 * (offset % WORD)));
}

/* Eight bytes at an offset that is a multiple of eight; least significant first, as script_data_byte() has them. */
static void pattern_put_word(const struct script_command *command, uint64_t offset, uint8_t *bytes)
{
        uint64_t word = pattern_word(command->seed, offset / WORD);

        for (int i = 0; i < WORD; i++)
                bytes[i] = (uint8_t)(word >> (8 * i));
}

void script_data_fill(const struct script_command *command, uint64_t offset, uint8_t *bytes, size_t size)
{
        size_t i = 0;

        if (command->data == SCRIPT_DATA_ZERO) {
                memset(bytes, 0, size);
                return;
        }
        while (i < size) {
                if ((offset + i) % WORD == 0 && size - i >= WORD) {
                        pattern_put_word(command, offset + i, bytes + i);
                        i += WORD;
                } else {
                        bytes[i] = script_data_byte(command, offset + i);
                        i++;
                }
        }
}

size_t script_data_compare(const struct script_command *command, uint64_t offset, const uint8_t *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if (bytes[i] != script_data_byte(command, offset + i))
                        return i;
        return size;
}
