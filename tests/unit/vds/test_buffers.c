/* The pool of buffers under long use: nothing leaks, nothing is lost to fragments, and counts are true. */
#include "tests/unit/vds/pair.h"

#include <stdlib.h>

#include "core/vds/config.h"

enum { LIVE = 64, ROUNDS = 1000000 };

struct block {
        uint8_t *buffer;
        uint32_t size;
};

static uint32_t available(struct pair *pair, uint32_t size, uint32_t alignment)
{
        uint32_t count;

        assert_int_equal(vds_server_query_available_buffers(pair->server, size, alignment, &count), NOERROR);
        return count;
}

/* Allocates one more than there should be room for. */
static void expect_exactly(struct pair *pair, uint32_t size, uint32_t alignment, uint32_t count)
{
        struct block *blocks = calloc(count + 1, sizeof *blocks);

        assert_non_null(blocks);
        assert_int_equal(available(pair, size, alignment), count);
        for (uint32_t i = 0; i < count; i++)
                assert_int_equal(vds_server_allocate_buffer(pair->server, &blocks[i].buffer, size, alignment), NOERROR);
        assert_int_equal(available(pair, size, alignment), 0);
        assert_int_equal(vds_server_allocate_buffer(pair->server, &blocks[count].buffer, size, alignment), VD_E_MEMORY);
        assert_null(blocks[count].buffer);
        for (uint32_t i = 0; i < count; i++)
                assert_int_equal(vds_server_free_buffer(pair->server, blocks[i].buffer, size), NOERROR);
        free(blocks);
}

static void free_blocks(struct pair *pair, struct block blocks[LIVE])
{
        for (int i = 0; i < LIVE; i++)
                if (blocks[i].buffer)
                        assert_int_equal(vds_server_free_buffer(pair->server, blocks[i].buffer, blocks[i].size),
                                         NOERROR);
}

/* A mix of sizes and alignments that leaves gaps of all kinds; in the end the pool is what it was. */
static void fragments_are_not_lost(void **state)
{
        struct block blocks[LIVE] = { 0 };
        unsigned seed = 20;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.buffer_count = 40;
        pair.wishes.prefixZoneSize = 700;
        pair_configure(&pair);
        assert_int_equal(vds_server_request_buffers(pair.server, PAIR_TRANSFER, 0, 9), NOERROR);
        for (int round = 0; round < ROUNDS; round++) {
                struct block *block = &blocks[rand_r(&seed) % LIVE];
                uint32_t alignment = (rand_r(&seed) & 1) ? 0 : UINT32_C(1) << (rand_r(&seed) % 17);
                uint32_t count;
                int result;

                if (block->buffer) {
                        assert_int_equal(vds_server_free_buffer(pair.server, block->buffer, block->size), NOERROR);
                        block->buffer = NULL;
                        continue;
                }
                block->size = 1 + (uint32_t)rand_r(&seed) % (2 * PAIR_TRANSFER);
                count = available(&pair, block->size, alignment);
                result = vds_server_allocate_buffer(pair.server, &block->buffer, block->size, alignment);
                assert_int_equal(result, count > 0 ? NOERROR : VD_E_MEMORY);
                if (result != NOERROR)
                        continue;
                assert_int_equal((uintptr_t)block->buffer % (alignment > PAIR_BLOCK ? alignment : PAIR_BLOCK), 0);
                block->buffer[-700] = block->buffer[0] = block->buffer[block->size - 1] = 1;
        }
        free_blocks(&pair, blocks);
        expect_exactly(&pair, PAIR_TRANSFER, 0, 49);
        pair_deinit(&pair);
}

static void counts_are_true_in_a_fragmented_pool(void **state)
{
        static const uint32_t sizes[] = { 1, PAIR_BLOCK, PAIR_TRANSFER - 1, PAIR_TRANSFER, 3 * PAIR_TRANSFER };
        static const uint32_t alignments[] = { 0, 512, 8192, 65536 };
        struct block blocks[LIVE] = { 0 };
        unsigned seed = 7;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.buffer_count = 60;
        pair_configure(&pair);
        /* A later area, so that the pool is not one piece. */
        assert_int_equal(vds_server_request_buffers(pair.server, 3 * PAIR_TRANSFER, 65536, 3), NOERROR);
        for (int i = 0; i < LIVE; i++) {
                blocks[i].size = 1 + (uint32_t)rand_r(&seed) % PAIR_TRANSFER;
                assert_int_equal(vds_server_allocate_buffer(pair.server, &blocks[i].buffer, blocks[i].size, 0),
                                 NOERROR);
        }
        for (int i = 0; i < LIVE; i += 1 + rand_r(&seed) % 3) {
                assert_int_equal(vds_server_free_buffer(pair.server, blocks[i].buffer, blocks[i].size), NOERROR);
                blocks[i].buffer = NULL;
        }
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
                for (size_t a = 0; a < sizeof alignments / sizeof alignments[0]; a++)
                        expect_exactly(&pair, sizes[s], alignments[a], available(&pair, sizes[s], alignments[a]));
        free_blocks(&pair, blocks);
        pair_deinit(&pair);
}

/* The widest prefix zone, the strictest alignment: the zones are there, in both mappings, and nobody else's. */
static void the_widest_wishes_are_granted(void **state)
{
        enum { COUNT = 3 };
        struct VDC_Command *commands[COUNT];
        struct sent sent[COUNT];
        uint8_t *buffers[COUNT];
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.wishes.prefixZoneSize = CONFIG_PREFIX_MAX;
        pair.wishes.alignment = VDS_ALIGNMENT_MAX;
        pair.buffer_count = COUNT;
        pair_open_devices(&pair);
        pair_start_agent(&pair);
        for (int i = 0; i < COUNT; i++) {
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffers[i], PAIR_TRANSFER, 0), NOERROR);
                assert_int_equal((uintptr_t)buffers[i] % VDS_ALIGNMENT_MAX, 0);
                memset(buffers[i], 'd' + i, PAIR_TRANSFER);
                sent_init(&sent[i], VDC_Write, buffers[i], PAIR_TRANSFER);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent[i].command), NOERROR);
                commands[i] = pair_get(pair.client_devices[0], VDC_Write);
                assert_int_equal((uintptr_t)commands[i]->buffer % VDS_ALIGNMENT_MAX, 0);
                memset(commands[i]->buffer - CONFIG_PREFIX_MAX, 'p' + i, CONFIG_PREFIX_MAX);
        }
        for (int i = 0; i < COUNT; i++) {
                assert_int_equal(commands[i]->buffer[-CONFIG_PREFIX_MAX], 'p' + i);
                assert_int_equal(commands[i]->buffer[-1], 'p' + i);
                assert_int_equal(commands[i]->buffer[0], 'd' + i);
                assert_int_equal(commands[i]->buffer[PAIR_TRANSFER - 1], 'd' + i);
                assert_int_equal(
                        vds_client_device_complete_command(pair.client_devices[0], commands[i], 0, PAIR_TRANSFER, 0),
                        NOERROR);
                sent_wait(&sent[i]);
                assert_int_equal(vds_server_free_buffer(pair.server, buffers[i], PAIR_TRANSFER), NOERROR);
        }
        expect_exactly(&pair, PAIR_TRANSFER, 0, COUNT);
        pair_deinit(&pair);
}

/* A shortage is an answer, not an end: what fits goes on. */
static void a_shortage_leaves_the_set_usable(void **state)
{
        struct VDC_Command *command;
        struct sent sent;
        uint8_t *buffer;
        uint8_t *huge;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(vds_server_request_buffers(pair.server, INT32_MAX, 0, UINT32_MAX), VD_E_MEMORY);
        for (int i = 0; i < 20; i++) {
                assert_int_equal(vds_server_allocate_buffer(pair.server, &huge, VDS_TRANSFER_MAX, 0), VD_E_MEMORY);
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
                sent_init(&sent, VDC_Write, buffer, PAIR_TRANSFER);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
                command = pair_get(pair.client_devices[0], VDC_Write);
                assert_int_equal(
                        vds_client_device_complete_command(pair.client_devices[0], command, 0, PAIR_TRANSFER, 0),
                        NOERROR);
                sent_wait(&sent);
                assert_int_equal(vds_server_free_buffer(pair.server, buffer, PAIR_TRANSFER), NOERROR);
        }
        /* And it can grow. */
        assert_int_equal(vds_server_request_buffers(pair.server, VDS_TRANSFER_MAX, 0, 1), NOERROR);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &huge, VDS_TRANSFER_MAX, 0), NOERROR);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        pair_join_agent(&pair);
        pair_deinit(&pair);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fragments_are_not_lost),
                cmocka_unit_test(counts_are_true_in_a_fragmented_pool),
                cmocka_unit_test(the_widest_wishes_are_granted),
                cmocka_unit_test(a_shortage_leaves_the_set_usable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
