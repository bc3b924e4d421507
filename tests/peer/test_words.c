/*
 * test_words.c - somebody writes into one word of what two honest processes share, for every word there is
 *
 * A client and a server of two devices run in processes of their own; the test writes into the server's mapping, which
 * is the client's too, so each side meets a peer that has broken the rules. Both have two seconds to end, with a
 * documented result, all callbacks run, and nothing left over. Words with a meaning get more values than a text's or a
 * record's do; VDIPIPE_HOSTILE_ALL=1 gives every value to every word.
 */
#include "tests/peer/honest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/vds/layout.h"

enum { DEVICES = 2 };

static char folder[] = "/tmp/vdipipe-words-XXXXXX";
static struct honest client;
static struct honest server;

static uint32_t word_at(const struct report *opened, uint64_t offset)
{
        uint32_t word = 0;
        struct iovec local = { .iov_base = &word, .iov_len = sizeof word };
        struct iovec remote = { .iov_base = (void *)(uintptr_t)(opened->address + offset), .iov_len = sizeof word };

        assert_int_equal(process_vm_readv(server.pid, &local, 1, &remote, 1, 0), sizeof word);
        return word;
}

static void write_word(const struct report *opened, uint64_t offset, uint32_t word)
{
        struct iovec local = { .iov_base = &word, .iov_len = sizeof word };
        struct iovec remote = { .iov_base = (void *)(uintptr_t)(opened->address + offset), .iov_len = sizeof word };

        assert_int_equal(process_vm_writev(server.pid, &local, 1, &remote, 1, 0), sizeof word);
}

/* What a liar might put in a word's place. */
static uint32_t lie(uint32_t truth, uint32_t number)
{
        const uint32_t lies[] = {
                truth + 1,
                truth - 1,
                UINT32_MAX,
                0,
                1,
                0x80000000u,
                truth + VDS_QUEUE_DEPTH,
                truth + VDS_QUEUE_DEPTH + 1,
                0x7fffffffu,
                2,
        };

        return lies[number % (sizeof lies / sizeof lies[0])];
}

enum { LIES = 10 };

static void expect_sane(const struct report *report, const char *what)
{
        switch (report->result) {
        case NOERROR: /* a server's completion agent */
        case VD_E_CLOSE:
        case VD_E_ABORT:
                return;
        default:
                fail_msg("%s: ended with %s", what, vds_result_name(report->result));
        }
}

/* With `busy` the word is written among the commands, else before them. */
static void tell_lie(uint64_t offset, uint32_t number, bool busy)
{
        struct order order = honest_order_for(HONEST_CLIENT, "words");
        struct report opened;
        struct report ends[2];
        char what[128];

        snprintf(what, sizeof what, "word at %llu, lie %u%s", (unsigned long long)offset, number, busy ? ", busy" : "");
        order.wishes.deviceCount = order.device_count = DEVICES;
        /* What gets lost is missed by this. */
        order.wishes.serverTimeOut = 200;
        honest_order(&client, &order);
        honest_expect(&client, REPORT_CREATED, HONEST_PATIENCE_MS, what);
        order.role = HONEST_SERVER;
        order.wait_for_go = true;
        order.transfers = busy ? 512 : 32;
        honest_order(&server, &order);
        opened = honest_expect(&server, REPORT_OPENED, HONEST_PATIENCE_MS, what);
        honest_expect(&client, REPORT_OPENED, HONEST_PATIENCE_MS, what);
        assert_true(offset + 4 <= opened.size);
        if (busy)
                honest_go(&server);
        write_word(&opened, offset, lie(word_at(&opened, offset), number));
        if (!busy)
                honest_go(&server);
        ends[0] = honest_done(&server, what);
        ends[1] = honest_done(&client, what);
        expect_sane(&ends[0], what);
        expect_sane(&ends[1], what);
        /* Whoever found it out has words for it. */
        if (ends[0].reason == VDS_ABORT_MISBEHAVED && ends[1].reason == VDS_ABORT_MISBEHAVED &&
            offset != offsetof(struct layout, abort_reason))
                assert_true(ends[0].text[0] || ends[1].text[0]);
}

static bool wants_all(void)
{
        return getenv("VDIPIPE_HOSTILE_ALL") != NULL;
}

/* Words of which nobody but the reader of a text or of a record makes anything. */
static bool is_bulk(uint64_t offset)
{
        uint64_t in_device;

        if (offset < sizeof(struct layout))
                return offset >= offsetof(struct layout, verdict_text);
        in_device = (offset - sizeof(struct layout)) % sizeof(struct layout_device);
        return (in_device >= offsetof(struct layout_device, name) &&
                in_device < offsetof(struct layout_device, name) + LAYOUT_NAME_SIZE) ||
               in_device >= offsetof(struct layout_device, commands_ring);
}

static void words_with_a_meaning(void **state)
{
        (void)state;
        for (uint64_t offset = 0; offset < layout_size(DEVICES); offset += 4) {
                if (is_bulk(offset))
                        continue;
                for (uint32_t number = 0; number < LIES; number++)
                        if (wants_all() || (offset / 4 + number) % 7 == 0)
                                tell_lie(offset, number, number % 2);
        }
}

static void words_of_texts_and_records(void **state)
{
        (void)state;
        for (uint64_t offset = 0; offset < layout_size(DEVICES); offset += 4)
                if (is_bulk(offset))
                        for (uint32_t number = 0; number < LIES; number++)
                                if (wants_all() || (offset / 4 * 7 + number) % 80 == 0)
                                        tell_lie(offset, number, number % 2);
}

static int set_up(void **state)
{
        (void)state;
        if (!mkdtemp(folder) || setenv("VDIPIPE_RUNTIME_DIR", folder, 1) < 0)
                return -1;
        honest_start(&client);
        honest_start(&server);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        honest_end(&client);
        honest_end(&server);
        /* Nothing lies in it any more, or this fails. */
        return rmdir(folder);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_with_a_meaning),
                cmocka_unit_test(words_of_texts_and_records),
        };

        if (argc > 1 && strcmp(argv[1], "honest") == 0)
                return honest_main();
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
