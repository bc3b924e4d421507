#include "codecs/age/bech32.h"

#include <ctype.h>
#include <string.h>

enum { CHECKSUM_LENGTH = 6, SYMBOL_BITS = 5, SYMBOL_MASK = 31 };

static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static uint32_t checksum_step(uint32_t checksum, unsigned symbol)
{
        static const uint32_t generator[] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
        uint32_t top = checksum >> 25;

        checksum = (checksum & 0x1ffffff) << 5 ^ symbol;
        for (unsigned i = 0; i < sizeof generator / sizeof generator[0]; i++)
                checksum ^= (top >> i & 1) ? generator[i] : 0;
        return checksum;
}

/* The checksum is always that of the lower-case text. */
static uint32_t checksum_prefix(const char *prefix)
{
        uint32_t checksum = 1;

        for (const char *at = prefix; *at; at++)
                checksum = checksum_step(checksum, (unsigned)tolower((unsigned char)*at) >> 5);
        checksum = checksum_step(checksum, 0);
        for (const char *at = prefix; *at; at++)
                checksum = checksum_step(checksum, (unsigned)tolower((unsigned char)*at) & SYMBOL_MASK);
        return checksum;
}

static bool is_upper(const char *prefix)
{
        return prefix[0] >= 'A' && prefix[0] <= 'Z';
}

static char symbol_to_text(unsigned symbol, bool upper)
{
        return (char)(upper ? toupper((unsigned char)alphabet[symbol]) : alphabet[symbol]);
}

/* -1: none of the alphabet, or in the other case. */
static int symbol_of_text(char c, bool upper)
{
        const char *at = NULL;

        if (c != '\0' && (upper ? !(c >= 'a' && c <= 'z') : !(c >= 'A' && c <= 'Z')))
                at = strchr(alphabet, tolower((unsigned char)c));
        return at ? (int)(at - alphabet) : -1;
}

/* The five bits from bit `index` * 5 on; behind the end there are zeros. */
static unsigned symbol_at(const uint8_t *data, size_t size, size_t index)
{
        size_t at = index * SYMBOL_BITS / 8;
        unsigned shift = (unsigned)(16 - SYMBOL_BITS - index * SYMBOL_BITS % 8);
        unsigned pair = (unsigned)data[at] << 8 | (at + 1 < size ? data[at + 1] : 0u);

        return pair >> shift & SYMBOL_MASK;
}

void bech32_encode(const char *prefix, const uint8_t *data, size_t size, char *text)
{
        uint32_t checksum = checksum_prefix(prefix);
        bool upper = is_upper(prefix);

        text = stpcpy(text, prefix);
        *text++ = '1';
        for (size_t i = 0; i * SYMBOL_BITS < size * 8; i++) {
                unsigned symbol = symbol_at(data, size, i);

                checksum = checksum_step(checksum, symbol);
                *text++ = symbol_to_text(symbol, upper);
        }
        for (unsigned i = 0; i < CHECKSUM_LENGTH; i++)
                checksum = checksum_step(checksum, 0);
        checksum ^= 1;
        for (unsigned i = 0; i < CHECKSUM_LENGTH; i++)
                *text++ = symbol_to_text(checksum >> (SYMBOL_BITS * (CHECKSUM_LENGTH - 1 - i)) & SYMBOL_MASK, upper);
        *text = '\0';
}

const char *bech32_decode(const char *text, size_t length, const char *prefix, uint8_t *data, size_t size)
{
        size_t start = strlen(prefix) + 1;
        size_t symbols = length - start - CHECKSUM_LENGTH;
        uint32_t checksum = checksum_prefix(prefix);
        unsigned bits = 0, count = 0;

        if (length < start || memcmp(text, prefix, start - 1) != 0 || text[start - 1] != '1')
                return "does not begin as it should";
        if (length != BECH32_LENGTH(start - 1, size))
                return "has the wrong length";
        for (size_t i = 0; i < symbols + CHECKSUM_LENGTH; i++) {
                int symbol = symbol_of_text(text[start + i], is_upper(prefix));

                if (symbol < 0)
                        return "has a character that cannot be in it";
                checksum = checksum_step(checksum, (unsigned)symbol);
                if (i >= symbols)
                        continue;
                bits = (bits << SYMBOL_BITS | (unsigned)symbol) & 0xfff;
                count += SYMBOL_BITS;
                if (count >= 8) {
                        count -= 8;
                        *data++ = (uint8_t)(bits >> count);
                }
        }
        if (checksum != 1)
                return "has a wrong checksum: a character was lost or changed";
        return bits & ((1u << count) - 1) ? "is not written in the one allowed way" : NULL;
}
