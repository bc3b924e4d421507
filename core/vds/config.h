/*
 * config.h - the negotiated configuration: which wishes are allowed, how the server's answer is merged with them, and
 * whether an answer that came from a server can be believed
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/vds/abi.h"

enum { CONFIG_PREFIX_MAX = 1048576 };

/* What BeginConfiguration is given. */
struct config_shape {
        uint32_t features;
        uint32_t block_size;
        uint32_t alignment; /* 0: the block size */
        uint32_t max_transfer_size;
};

/* Is `name` one that a set or a device may have? */
bool config_name_ok(const char *name);

/* Copies a name that config_name_ok() has seen. `to` holds VDS_NAME_MAX + 1 bytes. */
void config_copy_name(char *to, const char *name);

bool config_is_power_of_two(uint32_t value);

/* Checks a client's wishes. 0, or -1 with the words. */
int config_check_wishes(const struct VDConfig *wishes, struct error *err);

/* Wishes and shape make the final configuration, all but bufferAreaSize. 0, or -1 when the shape breaks the rules.
 * Feature bits that the client did not ask for are dropped. */
int config_merge(const struct VDConfig *wishes, const struct config_shape *shape, struct VDConfig *ret_config,
                 struct error *err);

/* The client's look at the final configuration: it must be its own wishes with a valid shape. */
int config_check_final(const struct VDConfig *wishes, const struct VDConfig *config, struct error *err);
