/*
 * Buffers: how many there are, where they begin, what lies in front of them, who may free them (5.4, 5.5, 5.9 to 5.11,
 * 8.3).
 */
#include "tests/conformance/stage.h"

enum { DATA = 1000 }; /* bytes of a pattern */

/* Allocates until there is no more. Buffers are numbered from `first`. Returns how many. */
static uint32_t allocate_all(struct stage *stage, uint32_t first, uint32_t size, uint32_t alignment)
{
        uint32_t count = 0;

        for (;;) {
                struct call_result result = CALL(stage->server, OP_ALLOCATE_BUFFER, .buffer = first + count,
                                                 .size = (int32_t)size, .alignment = alignment);

                if (result.result == VD_E_MEMORY) {
                        EXPECT_NUMBER(result.has_buffer, false);
                        return count;
                }
                EXPECT_NUMBER(result.result, NOERROR);
                EXPECT_NUMBER(result.address % (alignment ? alignment : stage->config.alignment), 0);
                EXPECT_NUMBER(result.address % stage->config.alignment, 0);
                count++;
        }
}

static uint32_t available(struct stage *stage, uint32_t size, uint32_t alignment)
{
        return EXPECT(NOERROR, stage->server, OP_QUERY_AVAILABLE_BUFFERS, .size = (int32_t)size, .alignment = alignment)
                .count;
}

/* ---- alignment and prefix zones ---- */

/* The data zone of every buffer begins at the alignment, at both ends; both zones hold what is put there. */
static void send_all(struct stage *stage, uint32_t count, uint32_t size)
{
        uint32_t prefix = stage->wishes.prefixZoneSize;

        for (uint32_t i = 1; i <= count; i++) {
                EXPECT(NOERROR, stage->server, OP_FILL, .buffer = i, .seed = i, .size = DATA);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = i, .code = VDC_Write, .buffer = i,
                       .size = (int32_t)size);
                EXPECT_NUMBER(
                        EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .slot = i, .timeout_ms = CALL_WAIT_MS).address %
                                stage->config.alignment,
                        0);
                EXPECT(NOERROR, stage->user, OP_FILL, .place = PLACE_COMMAND, .slot = i, .seed = 100 + i,
                       .offset = -(int32_t)prefix, .size = (int32_t)prefix);
        }
        for (uint32_t i = 1; i <= count; i++) {
                EXPECT(1, stage->user, OP_MATCH, .place = PLACE_COMMAND, .slot = i, .seed = i, .size = DATA);
                EXPECT(1, stage->user, OP_MATCH, .place = PLACE_COMMAND, .slot = i, .seed = 100 + i,
                       .offset = -(int32_t)prefix, .size = (int32_t)prefix);
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .slot = i, .bytes = size);
                EXPECT_CALLBACK(stage, i, ERROR_SUCCESS, (int)size);
        }
}

static void every_alignment_and_prefix(void **state)
{
        static const uint32_t prefixes[] = { 0, 1, 512, 5000, 65536 };

        for (uint32_t alignment = 512; alignment <= 65536; alignment *= 2)
                for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
                        struct stage *stage = stage_new(state);

                        stage->wishes.prefixZoneSize = prefixes[i];
                        stage->wishes.alignment = alignment;
                        stage->block_size = 512;
                        stage->buffer_count = 3;
                        stage_up(stage);
                        stage_say("alignment %u, prefix %u", alignment, prefixes[i]);
                        EXPECT_NUMBER(stage->config.alignment, alignment);
                        EXPECT_NUMBER(allocate_all(stage, 1, STAGE_TRANSFER, 0), 3);
                        send_all(stage, 3, STAGE_TRANSFER);
                }
}

/* A stricter alignment may be asked for with each request and each buffer; a looser one is no less than the basic. */
static void an_alignment_of_its_own(void **state)
{
        for (uint32_t alignment = 1; alignment <= 65536; alignment *= 4) {
                struct stage *stage = stage_new(state);

                stage->block_size = 512;
                stage->buffer_count = 0;
                stage_begin_configuration(stage);
                stage_say("alignment %u", alignment);
                EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = 700, .alignment = alignment, .count = 5);
                EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
                stage->config = EXPECT(NOERROR, stage->server, OP_GET_CONFIGURATION).config;
                EXPECT_NUMBER(allocate_all(stage, 1, 700, alignment), 5);
        }
}

/* ---- how many ---- */

/* What was asked for can be had, and QueryAvailableBuffers says how much of anything there is. */
static void as_many_as_are_said_to_be_available(void **state)
{
        static const uint32_t sizes[] = { 1, 512, 700, 4096, 65536, 200000 };
        static const uint32_t alignments[] = { 0, 512, 8192, 65536 };

        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
                for (size_t j = 0; j < sizeof alignments / sizeof alignments[0]; j++) {
                        struct stage *stage = stage_new(state);
                        uint32_t count;

                        stage->wishes.prefixZoneSize = 100;
                        stage->block_size = 512;
                        stage->buffer_count = 2;
                        stage_configure(stage);
                        EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = 30000, .count = 1);
                        stage_say("buffers of %u at %u", sizes[i], alignments[j]);
                        count = available(stage, sizes[i], alignments[j]);
                        EXPECT_NUMBER(allocate_all(stage, 1, sizes[i], alignments[j]), count);
                        EXPECT_NUMBER(available(stage, sizes[i], alignments[j]), 0);
                }
}

static void every_request_can_be_met_at_once(void **state)
{
        static const struct {
                uint32_t size;
                uint32_t alignment;
                uint32_t count;
        } requests[] = { { 513, 0, 7 }, { 65536, 0, 3 }, { 1, 16384, 2 }, { 4096, 65536, 5 }, { 70000, 8192, 4 } };
        struct stage *stage = stage_new(state);
        uint32_t buffer = 1;

        stage->wishes.prefixZoneSize = 777;
        stage->block_size = 512;
        stage->buffer_count = 0;
        stage_begin_configuration(stage);
        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
                EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = (int32_t)requests[i].size,
                       .alignment = requests[i].alignment, .count = requests[i].count);
        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        for (uint32_t round = 0; round < 7; round++)
                for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
                        if (round < requests[i].count)
                                EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = buffer++,
                                       .size = (int32_t)requests[i].size, .alignment = requests[i].alignment);
}

/* VD_E_MEMORY is an answer, not an end: the set goes on, and more can be requested. */
static void the_set_survives_an_empty_pool(void **state)
{
        struct stage *stage = stage_new(state);

        stage->buffer_count = 2;
        stage_up(stage);
        EXPECT_NUMBER(allocate_all(stage, 1, STAGE_TRANSFER, 0), 2);
        for (uint32_t i = 3; i < 12; i++) {
                EXPECT(VD_E_MEMORY, stage->server, OP_ALLOCATE_BUFFER, .buffer = i, .size = 1);
                EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = STAGE_TRANSFER, .count = 1);
                EXPECT_NUMBER(available(stage, STAGE_TRANSFER, 0), 1);
                EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = i, .size = STAGE_TRANSFER);
        }
        /* Those of later areas reach the client as well. */
        send_all(stage, 11, STAGE_TRANSFER);
}

static uint32_t next_random(uint32_t *seed)
{
        *seed = *seed * 1664525 + 1013904223;
        return *seed >> 8;
}

/* Whatever is allocated and freed in whatever order, in the end all is there again. */
static void nothing_is_lost_to_fragments(void **state)
{
        enum { LIVE = 200, ROUNDS = 20000 };
        struct stage *stage = stage_new(state);
        uint32_t sizes[LIVE + 1] = { 0 };
        uint32_t seed = 1;
        uint32_t before;

        stage->wishes.prefixZoneSize = 33;
        stage->block_size = 512;
        stage->buffer_count = 30;
        stage_configure(stage);
        before = available(stage, STAGE_TRANSFER, 0);
        for (int i = 0; i < ROUNDS; i++) {
                uint32_t buffer = 1 + next_random(&seed) % LIVE;
                uint32_t size = 1 + next_random(&seed) % 30000;

                if (sizes[buffer])
                        EXPECT(NOERROR, stage->server, OP_FREE_BUFFER, .buffer = buffer,
                               .size = (int32_t)sizes[buffer]);
                sizes[buffer] = CALL(stage->server, OP_ALLOCATE_BUFFER, .buffer = buffer, .size = (int32_t)size,
                                     .alignment = 512u << next_random(&seed) % 8)
                                                        .result == NOERROR
                                        ? size
                                        : 0;
        }
        for (uint32_t buffer = 1; buffer <= LIVE; buffer++)
                if (sizes[buffer])
                        EXPECT(NOERROR, stage->server, OP_FREE_BUFFER, .buffer = buffer,
                               .size = (int32_t)sizes[buffer]);
        EXPECT_NUMBER(available(stage, STAGE_TRANSFER, 0), before);
        EXPECT_NUMBER(before, 30);
}

/* ---- return codes ---- */

static void allocate_buffer(void **state)
{
        static const uint32_t alignments[] = { 3, 1000, 65535, 131072, 0x80000000u };
        struct stage *stage = stage_new(state);

        stage_configure(stage);
        EXPECT_NUMBER(EXPECT(VD_E_INVALID, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = 0).has_buffer,
                      false);
        EXPECT(VD_E_INVALID, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = -1);
        for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++)
                EXPECT(VD_E_INVALID, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_BLOCK,
                       .alignment = alignments[i]);
        EXPECT(VD_E_MEMORY, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = INT32_MAX);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_BLOCK);
}

static void free_buffer(void **state)
{
        struct stage *stage = stage_new(state);
        uint32_t before;

        stage_configure(stage);
        before = available(stage, STAGE_TRANSFER, 0);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 2, .size = STAGE_BLOCK);
        EXPECT(VD_E_INVALID, stage->server, OP_FREE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER - 1);
        EXPECT(VD_E_INVALID, stage->server, OP_FREE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER + 1);
        EXPECT(VD_E_INVALID, stage->server, OP_FREE_BUFFER, .buffer = 1, .size = 0);
        EXPECT(VD_E_INVALID, stage->server, OP_FREE_BUFFER, .buffer = 1, .offset = 1, .size = STAGE_TRANSFER);
        EXPECT(VD_E_INVALID, stage->server, OP_FREE_BUFFER, .buffer = 1, .offset = STAGE_BLOCK,
               .size = STAGE_TRANSFER - STAGE_BLOCK);
        EXPECT(VD_E_INVALID, stage->server, OP_FREE_BUFFER, .odd = ODD_FOREIGN, .size = STAGE_BLOCK);
        EXPECT(VD_E_INVALID, stage->server, OP_FREE_BUFFER, .odd = ODD_NULL, .size = STAGE_BLOCK);
        EXPECT_NUMBER(available(stage, STAGE_TRANSFER, 0), before - 2);
        EXPECT(NOERROR, stage->server, OP_FREE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        EXPECT(VD_E_INVALID, stage->server, OP_FREE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_FREE_BUFFER, .buffer = 2, .size = STAGE_BLOCK);
        EXPECT_NUMBER(available(stage, STAGE_TRANSFER, 0), before);
}

/* 1 for every byte of the data zone, and for nothing else. */
static void is_shared_buffer(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.prefixZoneSize = 1;
        stage_configure(stage);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        EXPECT(1, stage->server, OP_IS_SHARED_BUFFER, .buffer = 1);
        EXPECT(1, stage->server, OP_IS_SHARED_BUFFER, .buffer = 1, .offset = STAGE_TRANSFER - 1);
        EXPECT(0, stage->server, OP_IS_SHARED_BUFFER, .buffer = 1, .offset = -1);
        EXPECT(0, stage->server, OP_IS_SHARED_BUFFER, .buffer = 1, .offset = STAGE_TRANSFER);
        EXPECT(0, stage->server, OP_IS_SHARED_BUFFER, .odd = ODD_FOREIGN);
        EXPECT(0, stage->server, OP_IS_SHARED_BUFFER, .odd = ODD_NULL);
        EXPECT(NOERROR, stage->server, OP_FREE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        EXPECT(0, stage->server, OP_IS_SHARED_BUFFER, .buffer = 1);
}

static const struct CMUnitTest tests[] = {
        IN_EVERY_MODE(every_alignment_and_prefix),
        IN_EVERY_MODE(an_alignment_of_its_own),
        IN_EVERY_MODE(as_many_as_are_said_to_be_available),
        IN_EVERY_MODE(every_request_can_be_met_at_once),
        IN_EVERY_MODE(the_set_survives_an_empty_pool),
        IN_ONE_PROCESS(nothing_is_lost_to_fragments),
        IN_EVERY_MODE(allocate_buffer),
        IN_EVERY_MODE(free_buffer),
        IN_EVERY_MODE(is_shared_buffer),
};

STAGE_MAIN(tests)
