/*
 * The configuration: which wishes and shapes are allowed (3.1, 3.2), which mixes of feature bits are (1.5), how the two
 * sides' words become one (5.3), and which names a set and its devices may have (2.6).
 */
#include "tests/conformance/stage.h"

#include <stdio.h>

enum { PREFIX_MAX = 1048576 };

/* ---- fields ---- */

/* clang-format off */
static const struct {
        const char *what;
        int result;
        struct VDConfig wishes;
} wishes[] = {
        { "no device", VD_E_NOTSUPPORTED, { .deviceCount = 0 } },
        { "one device", NOERROR, { .deviceCount = 1 } },
        { "64 devices", NOERROR, { .deviceCount = 64 } },
        { "65 devices", VD_E_NOTSUPPORTED, { .deviceCount = 65 } },
        { "all devices", VD_E_NOTSUPPORTED, { .deviceCount = UINT32_MAX } },
        { "a prefix of one byte", NOERROR, { .deviceCount = 1, .prefixZoneSize = 1 } },
        { "the longest prefix", NOERROR, { .deviceCount = 1, .prefixZoneSize = PREFIX_MAX } },
        { "a longer prefix", VD_E_NOTSUPPORTED, { .deviceCount = 1, .prefixZoneSize = PREFIX_MAX + 1 } },
        { "an endless prefix", VD_E_NOTSUPPORTED, { .deviceCount = 1, .prefixZoneSize = UINT32_MAX } },
        { "alignment 1", NOERROR, { .deviceCount = 1, .alignment = 1 } },
        { "alignment 512", NOERROR, { .deviceCount = 1, .alignment = 512 } },
        { "alignment 65536", NOERROR, { .deviceCount = 1, .alignment = 65536 } },
        { "alignment 131072", VD_E_NOTSUPPORTED, { .deviceCount = 1, .alignment = 131072 } },
        { "alignment 2^31", VD_E_NOTSUPPORTED, { .deviceCount = 1, .alignment = 0x80000000u } },
        { "alignment 3", VD_E_NOTSUPPORTED, { .deviceCount = 1, .alignment = 3 } },
        { "alignment 65535", VD_E_NOTSUPPORTED, { .deviceCount = 1, .alignment = 65535 } },
        { "hard marks", NOERROR, { .deviceCount = 1, .features = VDF_LikeTape } },
        { "soft marks of 512", NOERROR, { .deviceCount = 1, .features = VDF_LikeTape, .softFileMarkBlockSize = 512 } },
        { "soft marks of 65536", NOERROR, { .deviceCount = 1, .features = VDF_LikeTape, .softFileMarkBlockSize = 65536 } },
        { "soft marks of 256", VD_E_NOTSUPPORTED, { .deviceCount = 1, .features = VDF_LikeTape, .softFileMarkBlockSize = 256 } },
        { "soft marks of 513", VD_E_NOTSUPPORTED, { .deviceCount = 1, .features = VDF_LikeTape, .softFileMarkBlockSize = 513 } },
        { "soft marks of 131072", VD_E_NOTSUPPORTED, { .deviceCount = 1, .features = VDF_LikeTape, .softFileMarkBlockSize = 131072 } },
        { "marks where none are", NOERROR, { .deviceCount = 1, .softFileMarkBlockSize = 513 } },
        { "a large warning zone", NOERROR, { .deviceCount = 1, .EOMWarningSize = UINT32_MAX } },
        { "a long time-out", NOERROR, { .deviceCount = 1, .serverTimeOut = UINT32_MAX } },
        { "the server's fields", NOERROR, { .deviceCount = 1, .blockSize = 1, .maxIODepth = 2, .maxTransferSize = 3, .bufferAreaSize = 4 } },
};
/* clang-format on */

static void every_field_of_the_wishes(void **state)
{
        for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
                struct stage *stage = stage_new(state);

                stage_say("%s", wishes[i].what);
                EXPECT(wishes[i].result, stage->client, OP_CREATE, .config = wishes[i].wishes);
                EXPECT(wishes[i].result == NOERROR ? NOERROR : VD_E_INVALID, stage->server, OP_OPEN);
        }
}

/* clang-format off */
static const struct {
        const char *what;
        int result;
        uint32_t block_size;
        uint32_t alignment;
        uint32_t transfer_size;
} shapes[] = {
        { "all that is smallest", NOERROR, 512, 0, 65536 },
        { "all that is largest", NOERROR, 65536, 65536, 4194304 },
        { "no block", VD_E_INVALID, 0, 0, 65536 },
        { "blocks of 256", VD_E_INVALID, 256, 0, 65536 },
        { "blocks of 513", VD_E_INVALID, 513, 0, 65536 },
        { "blocks of 768", VD_E_INVALID, 768, 0, 65536 },
        { "blocks of 131072", VD_E_INVALID, 131072, 0, 131072 },
        { "alignment as the block", NOERROR, 4096, 4096, 65536 },
        { "alignment below the block", VD_E_INVALID, 4096, 2048, 65536 },
        { "alignment 5000", VD_E_INVALID, 4096, 5000, 65536 },
        { "alignment 131072", VD_E_INVALID, 4096, 131072, 65536 },
        { "no transfer", VD_E_INVALID, 512, 0, 0 },
        { "a transfer of 65535", VD_E_INVALID, 512, 0, 65535 },
        { "a transfer of 65536 and a block", VD_E_INVALID, 512, 0, 66048 },
        { "a transfer of 196608", NOERROR, 512, 0, 196608 },
        { "a transfer of 4 MiB and 64 KiB", VD_E_INVALID, 512, 0, 4259840 },
};
/* clang-format on */

static void every_field_of_the_shape(void **state)
{
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
                struct stage *stage = stage_new(state);

                stage_say("%s", shapes[i].what);
                stage_join(stage);
                EXPECT(shapes[i].result, stage->server, OP_BEGIN_CONFIGURATION, .block_size = shapes[i].block_size,
                       .alignment = shapes[i].alignment, .size = (int32_t)shapes[i].transfer_size);
                EXPECT_NUMBER(CALL(stage->server, OP_STATE).state,
                              shapes[i].result == NOERROR ? STATE_CONFIGURABLE : STATE_CONNECTED);
        }
}

/* ---- feature bits ---- */

static const uint32_t all_bits[] = {
        VDF_Removable,       VDF_Rewind,          VDF_Position,        VDF_SkipBlocks,
        VDF_ReversePosition, VDF_Discard,         VDF_FileMarks,       VDF_RandomAccess,
        VDF_SnapshotPrepare, VDF_EnumFrozenFiles, VDF_VSSWriter,       VDF_RequestComplete,
        VDF_WriteMedia,      VDF_ReadMedia,       VDF_CompleteEnabled, VDF_LatchStats,
};
enum { ALL_BITS = sizeof all_bits / sizeof all_bits[0] };

/* The rows of 1.5, and the two bits that any client may add. */
static bool is_supported_mix(uint32_t features)
{
        uint32_t rest = features & ~(VDF_RequestComplete | VDF_SnapshotPrepare);
        static const uint32_t mixes[] = {
                VDF_LikePipe,
                VDF_LikePipe | VDF_Removable,
                VDF_LikePipe | VDF_Discard,
                VDF_LikePipe | VDF_Removable | VDF_Discard,
                VDF_LikeTape,
                VDF_LikeTape | VDF_Discard,
                VDF_LikeDisk,
                VDF_LikeDisk | VDF_Removable,
                VDF_LikeDisk | VDF_Discard,
                VDF_LikeDisk | VDF_Removable | VDF_Discard,
        };

        for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++)
                if (rest == mixes[i])
                        return true;
        return false;
}

static void every_mix_of_feature_bits(void **state)
{
        struct stage *stage = stage_new(state);
        int accepted = 0;

        for (uint32_t mix = 0; mix < 1u << ALL_BITS; mix++) {
                struct VDConfig config = { .deviceCount = 1 };
                int expected;

                for (uint32_t i = 0; i < ALL_BITS; i++)
                        config.features |= mix >> i & 1 ? all_bits[i] : 0;
                expected = is_supported_mix(config.features) ? NOERROR : VD_E_NOTSUPPORTED;
                stage_say("features 0x%x", config.features);
                EXPECT(expected, stage->client, OP_CREATE, .config = config);
                if (expected != NOERROR)
                        continue;
                accepted++;
                EXPECT(NOERROR, stage->client, OP_CLOSE);
        }
        EXPECT_NUMBER(accepted, 40);
}

static void bits_without_meaning_are_refused(void **state)
{
        struct stage *stage = stage_new(state);
        uint32_t known = 0;

        for (uint32_t i = 0; i < ALL_BITS; i++)
                known |= all_bits[i];
        for (uint32_t bit = 1; bit; bit <<= 1) {
                stage_say("features 0x%x", bit);
                if (!(known & bit))
                        EXPECT(VD_E_NOTSUPPORTED, stage->client, OP_CREATE,
                               .config = { .deviceCount = 1, .features = bit });
        }
}

static uint32_t negotiate(void **state, uint32_t asked, uint32_t answered)
{
        struct stage *stage = stage_new(state);
        uint32_t features;

        stage_say("asked for 0x%x, answered 0x%x", asked, answered);
        EXPECT(NOERROR, stage->client, OP_CREATE, .config = { .deviceCount = 1, .features = asked });
        EXPECT(NOERROR, stage->server, OP_OPEN);
        EXPECT_NUMBER(EXPECT(NOERROR, stage->server, OP_GET_CONFIGURATION).config.features, asked);
        EXPECT(NOERROR, stage->server, OP_BEGIN_CONFIGURATION, .features = answered, .block_size = 512,
               .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        features = EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS).config.features;
        EXPECT_NUMBER(EXPECT(NOERROR, stage->server, OP_GET_CONFIGURATION).config.features, features);
        return features;
}

/* The answer is what both want; the server's own bits need no wish, but CompleteEnabled needs RequestComplete. */
static void features_are_negotiated(void **state)
{
        static const uint32_t asked[] = { VDF_LikePipe, VDF_LikeTape, VDF_LikeDisk | VDF_Removable,
                                          VDF_Removable | VDF_RequestComplete, VDF_Discard | VDF_SnapshotPrepare };

        for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
                uint32_t both = asked[i] | VDF_WriteMedia | VDF_ReadMedia;

                for (uint32_t j = 0; j < ALL_BITS; j++) {
                        uint32_t bit = all_bits[j];
                        bool granted = bit & both || (bit == VDF_CompleteEnabled && asked[i] & VDF_RequestComplete);

                        EXPECT_NUMBER(negotiate(state, asked[i], bit), granted ? bit : 0);
                }
                EXPECT_NUMBER(negotiate(state, asked[i], asked[i]), asked[i]);
                EXPECT_NUMBER(negotiate(state, asked[i], UINT32_MAX),
                              both | (asked[i] & VDF_RequestComplete ? VDF_CompleteEnabled : 0));
        }
}

/* ---- the merged configuration ---- */

static void both_sides_see_one_configuration(void **state)
{
        static const struct VDConfig asked = {
                .deviceCount = 7,
                .features = VDF_LikeTape | VDF_RequestComplete,
                .prefixZoneSize = 100,
                .alignment = 8192,
                .softFileMarkBlockSize = 1024,
                .EOMWarningSize = 5000,
                .serverTimeOut = 60000,
                /* The server's; whatever the client puts here comes to nothing. */
                .blockSize = 1,
                .maxIODepth = 2,
                .maxTransferSize = 3,
                .bufferAreaSize = 4,
        };
        struct VDConfig expected = asked;
        struct stage *stage = stage_new(state);
        struct VDConfig got;

        stage->wishes = asked;
        stage->features = VDF_CompleteEnabled;
        stage->transfer_size = 131072;
        stage->buffer_count = 3;
        stage_configure(stage);
        expected.features |= VDF_CompleteEnabled | VDF_WriteMedia;
        expected.blockSize = STAGE_BLOCK;
        expected.maxIODepth = 4;
        expected.maxTransferSize = 131072;
        expected.bufferAreaSize = stage->config.bufferAreaSize;
        assert_memory_equal(&stage->config, &expected, sizeof expected);
        assert_in_range(stage->config.bufferAreaSize, 3 * (131072 + 100), 3 * (131072 + 3 * 8192));
        got = EXPECT(NOERROR, stage->server, OP_GET_CONFIGURATION).config;
        assert_memory_equal(&got, &expected, sizeof expected);
        got = EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION).config;
        assert_memory_equal(&got, &expected, sizeof expected);
}

/* The larger of the two wishes; the server's 0 means the block size. */
static void alignments_are_merged(void **state)
{
        for (uint32_t client = 0; client <= 65536; client = client ? 4 * client : 1)
                for (uint32_t server = 0; server <= 65536; server = server ? 4 * server : 1024) {
                        struct stage *stage = stage_new(state);
                        uint32_t least = server ? server : 512;

                        stage_say("the client's alignment %u, the server's %u", client, server);
                        stage->wishes.alignment = client;
                        stage->block_size = 512;
                        stage->alignment = server;
                        stage_configure(stage);
                        EXPECT_NUMBER(stage->config.alignment, client > least ? client : least);
                }
}

/* ---- names ---- */

static void use_name(struct stage *stage, const char *name, const char *device)
{
        struct call_request request = { .op = OP_CREATE, .config = stage->wishes };
        static const enum op steps[] = { OP_OPEN, OP_BEGIN_CONFIGURATION, OP_END_CONFIGURATION, OP_OPEN_DEVICE };

        memcpy(request.name, name, strlen(name) + 1);
        stage_expect(__LINE__, stage->client, NOERROR, &request);
        request.block_size = 512;
        request.size = STAGE_TRANSFER;
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                request.op = steps[i];
                stage_expect(__LINE__, stage->server, NOERROR, &request);
        }
        request.device = 1;
        memcpy(request.name, device, strlen(device) + 1);
        stage_expect(__LINE__, stage->server, NOERROR, &request);
        EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS);
        if (stage->user != stage->client) {
                struct call_request join = { .op = OP_OPEN_IN_SECONDARY };

                memcpy(join.name, name, strlen(name) + 1);
                stage_expect(__LINE__, stage->user, NOERROR, &join);
        }
        stage_expect(__LINE__, stage->user, NOERROR, &request);
        request.device = 0;
        memcpy(request.name, name, strlen(name) + 1);
        stage_expect(__LINE__, stage->user, NOERROR, &request);
        stage_start_agent(stage);
        stage_pass(stage, 1, 0, VDC_Flush);
}

static void names_are_bytes(void **state)
{
        static const char *const names[] = {
                "a",        ".",    "..",      "/",      "../../x",        "a/b",   " ",  "a b", "a\nb", "\x01", "\xff",
                "\xc3\x28", "%s%n", "$(true)", "{0A1B}", "Global\xc3\xbc", "a'b\"", "-x", "*",
        };

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                struct stage *stage = stage_new(state);
                char device[VDS_NAME_MAX + 1];

                stage_say("the name '%s'", names[i]);
                snprintf(device, sizeof device, "%s-", names[i]);
                use_name(stage, names[i], device);
        }
}

static void names_have_a_length(void **state)
{
        struct stage *stage = stage_new(state);
        struct call_request request = { .op = OP_CREATE, .config = stage->wishes };
        char name[VDS_NAME_MAX + 2];
        char device[VDS_NAME_MAX + 2];

        memset(request.name, 'n', VDS_NAME_MAX + 1);
        stage_expect(__LINE__, stage->client, VD_E_INVALID, &request);
        request.op = OP_OPEN;
        stage_expect(__LINE__, stage->server, VD_E_INVALID, &request);
        memset(name, 'n', sizeof name);
        memset(device, 'd', sizeof device);
        name[VDS_NAME_MAX] = device[VDS_NAME_MAX] = '\0';
        use_name(stage, name, device);
        /* Every byte that a name may have, in one. */
        stage = stage_new(state);
        for (int i = 0; i < 254; i++)
                name[i] = (char)(i + 1 < '\\' ? i + 1 : i + 2);
        name[254] = '\0';
        use_name(stage, name, "d");
}

static void names_have_no_backslash(void **state)
{
        static const char *const names[] = { "\\", "a\\", "\\a", "a\\b", "Global\\x" };
        struct stage *stage = stage_new(state);
        struct call_request request = { .op = OP_CREATE, .config = stage->wishes };

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                memcpy(request.name, names[i], strlen(names[i]) + 1);
                request.op = OP_CREATE;
                stage_expect(__LINE__, stage->client, VD_E_INVALID, &request);
                request.op = OP_OPEN;
                stage_expect(__LINE__, stage->server, VD_E_INVALID, &request);
        }
}

static void a_live_name_is_taken(void **state)
{
        struct stage *stage = stage_new(state);

        stage_create(stage);
        EXPECT(VD_E_PROTOCOL, stage->other, OP_CREATE, .config = stage->wishes);
        /* Case counts. */
        EXPECT(NOERROR, stage->other, OP_CREATE, .name = "Set", .config = stage->wishes);
        EXPECT(NOERROR, stage->other, OP_CLOSE);
        EXPECT(NOERROR, stage->server, OP_OPEN);
        EXPECT(NOERROR, stage->server, OP_CLOSE);
        EXPECT(VD_E_PROTOCOL, stage->other, OP_CREATE, .config = stage->wishes);
        EXPECT(NOERROR, stage->client, OP_CLOSE);
        EXPECT(NOERROR, stage->other, OP_CREATE, .config = stage->wishes);
        EXPECT(VD_E_PROTOCOL, stage->client, OP_CREATE, .config = stage->wishes);
}

static const struct CMUnitTest tests[] = {
        IN_EVERY_MODE(every_field_of_the_wishes),  IN_EVERY_MODE(every_field_of_the_shape),
        IN_ONE_PROCESS(every_mix_of_feature_bits), IN_ONE_PROCESS(bits_without_meaning_are_refused),
        IN_EVERY_MODE(features_are_negotiated),    IN_EVERY_MODE(both_sides_see_one_configuration),
        IN_EVERY_MODE(alignments_are_merged),      IN_EVERY_MODE(names_are_bytes),
        IN_EVERY_MODE(names_have_a_length),        IN_EVERY_MODE(names_have_no_backslash),
        IN_EVERY_MODE(a_live_name_is_taken),
};

STAGE_MAIN(tests)
