#include "core/vds/config.h"

#include <string.h>

#include "core/vds/vds.h"

#define POSITIONING \
        (VDF_Rewind | VDF_Position | VDF_SkipBlocks | VDF_ReversePosition | VDF_FileMarks | VDF_RandomAccess)
#define CLIENT_EXTRAS (VDF_Discard | VDF_SnapshotPrepare | VDF_RequestComplete)
#define CLIENT_BITS   (POSITIONING | VDF_Removable | CLIENT_EXTRAS)
#define SERVER_BITS   (VDF_WriteMedia | VDF_ReadMedia | VDF_CompleteEnabled)

bool config_name_ok(const char *name)
{
        size_t length = name ? strnlen(name, VDS_NAME_MAX + 1) : 0;

        return length > 0 && length <= VDS_NAME_MAX && !strchr(name, '\\');
}

void config_copy_name(char *to, const char *name)
{
        size_t length = strnlen(name, VDS_NAME_MAX);

        memcpy(to, name, length);
        to[length] = '\0';
}

bool config_is_power_of_two(uint32_t value)
{
        return value && (value & (value - 1)) == 0;
}

static int config_check_features(uint32_t features, struct error *err)
{
        uint32_t positioning = features & POSITIONING;

        if (features & ~(uint32_t)CLIENT_BITS)
                return error_raise(err, ERR_USAGE, "feature bits 0x%x are not a client's to ask for",
                                   features & ~(uint32_t)CLIENT_BITS);
        if (positioning == 0 || positioning == VDF_LikeDisk)
                return 0;
        if ((features & (POSITIONING | VDF_Removable)) == VDF_LikeTape)
                return 0;
        return error_raise(err, ERR_USAGE, "feature mix 0x%x is neither pipe-like, tape-like nor disk-like", features);
}

int config_check_wishes(const struct VDConfig *wishes, struct error *err)
{
        if (wishes->deviceCount < 1 || wishes->deviceCount > VDS_DEVICES_MAX)
                return error_raise(err, ERR_USAGE, "%u devices: a set has 1 to %d", wishes->deviceCount,
                                   VDS_DEVICES_MAX);
        if (config_check_features(wishes->features, err) < 0)
                return -1;
        if (wishes->prefixZoneSize > CONFIG_PREFIX_MAX)
                return error_raise(err, ERR_USAGE, "a prefix zone of %u bytes is more than %d", wishes->prefixZoneSize,
                                   CONFIG_PREFIX_MAX);
        if (wishes->alignment && (!config_is_power_of_two(wishes->alignment) || wishes->alignment > VDS_ALIGNMENT_MAX))
                return error_raise(err, ERR_USAGE, "alignment %u is no power of two up to %d", wishes->alignment,
                                   VDS_ALIGNMENT_MAX);
        if ((wishes->features & VDF_FileMarks) && wishes->softFileMarkBlockSize &&
            (!config_is_power_of_two(wishes->softFileMarkBlockSize) ||
             wishes->softFileMarkBlockSize < VDS_BLOCK_SIZE_MIN || wishes->softFileMarkBlockSize > VDS_BLOCK_SIZE_MAX))
                return error_raise(err, ERR_USAGE, "soft file marks of %u bytes are no power of two from %d to %d",
                                   wishes->softFileMarkBlockSize, VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX);
        return 0;
}

static int config_check_shape(const struct config_shape *shape, struct error *err)
{
        if (!config_is_power_of_two(shape->block_size) || shape->block_size < VDS_BLOCK_SIZE_MIN ||
            shape->block_size > VDS_BLOCK_SIZE_MAX)
                return error_raise(err, ERR_USAGE, "block size %u is no power of two from %d to %d", shape->block_size,
                                   VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX);
        if (shape->alignment && (!config_is_power_of_two(shape->alignment) || shape->alignment < shape->block_size ||
                                 shape->alignment > VDS_ALIGNMENT_MAX))
                return error_raise(err, ERR_USAGE, "alignment %u is no power of two from the block size to %d",
                                   shape->alignment, VDS_ALIGNMENT_MAX);
        if (shape->max_transfer_size == 0 || shape->max_transfer_size % VDS_TRANSFER_UNIT ||
            shape->max_transfer_size > VDS_TRANSFER_MAX)
                return error_raise(err, ERR_USAGE, "transfer size %u is no multiple of %d up to %d",
                                   shape->max_transfer_size, VDS_TRANSFER_UNIT, VDS_TRANSFER_MAX);
        return 0;
}

int config_merge(const struct VDConfig *wishes, const struct config_shape *shape, struct VDConfig *ret_config,
                 struct error *err)
{
        uint32_t allowed = SERVER_BITS;
        uint32_t alignment = shape->alignment ? shape->alignment : shape->block_size;

        if (config_check_shape(shape, err) < 0)
                return -1;
        if (!(wishes->features & VDF_RequestComplete))
                allowed &= ~(uint32_t)VDF_CompleteEnabled;
        *ret_config = *wishes;
        ret_config->features = shape->features & (allowed | wishes->features);
        ret_config->blockSize = shape->block_size;
        ret_config->alignment = alignment > wishes->alignment ? alignment : wishes->alignment;
        ret_config->maxIODepth = VDS_IO_DEPTH;
        ret_config->maxTransferSize = shape->max_transfer_size;
        ret_config->bufferAreaSize = 0;
        return 0;
}

int config_check_final(const struct VDConfig *wishes, const struct VDConfig *config, struct error *err)
{
        const struct config_shape shape = {
                .features = config->features,
                .block_size = config->blockSize,
                .alignment = config->alignment,
                .max_transfer_size = config->maxTransferSize,
        };
        struct VDConfig expected;

        if (config_merge(wishes, &shape, &expected, err) < 0)
                return -1;
        expected.bufferAreaSize = config->bufferAreaSize;
        if (memcmp(&expected, config, sizeof expected) != 0)
                return error_raise(err, ERR_PROTOCOL, "the server's configuration is not what this set allows");
        return 0;
}
