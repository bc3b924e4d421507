/*
 * bytes.h - numbers of either byte order at any address
 */
#pragma once

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t get_le24(const uint8_t *at)
{
        return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

static inline void put_le24(uint8_t *at, uint32_t value)
{
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)(value >> 8);
        at[2] = (uint8_t)(value >> 16);
}

static inline uint32_t get_le32(const uint8_t *at)
{
        uint32_t value;

        memcpy(&value, at, sizeof value);
        return le32toh(value);
}

static inline void put_le32(uint8_t *at, uint32_t value)
{
        value = htole32(value);
        memcpy(at, &value, sizeof value);
}

static inline uint64_t get_le64(const uint8_t *at)
{
        uint64_t value;

        memcpy(&value, at, sizeof value);
        return le64toh(value);
}

static inline void put_le64(uint8_t *at, uint64_t value)
{
        value = htole64(value);
        memcpy(at, &value, sizeof value);
}

/* Of 0 to 8 bytes. */
static inline uint64_t get_le(const uint8_t *at, size_t size)
{
        uint64_t value = 0;

        while (size-- > 0)
                value = value << 8 | at[size];
        return value;
}

static inline uint16_t get_be16(const uint8_t *at)
{
        uint16_t value;

        memcpy(&value, at, sizeof value);
        return be16toh(value);
}

static inline uint32_t get_be32(const uint8_t *at)
{
        uint32_t value;

        memcpy(&value, at, sizeof value);
        return be32toh(value);
}
