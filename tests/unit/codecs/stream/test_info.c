#include "tests/unit/codecs/support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct stream_info whole_info(void)
{
        struct stream_info info = test_info();

        info.has_extent = true;
        info.total_size = 1 << 20;
        info.part_offset = info.part_length = 1 << 18;
        return info;
}

static void assert_same(const struct stream_info *a, const struct stream_info *b)
{
        assert_string_equal(a->set_id, b->set_id);
        assert_string_equal(a->time, b->time);
        assert_string_equal(a->host, b->host);
        assert_string_equal(a->machine, b->machine);
        assert_string_equal(a->tool_version, b->tool_version);
        assert_string_equal(a->server_kind, b->server_kind);
        assert_string_equal(a->server_version, b->server_version);
        assert_string_equal(a->database, b->database);
        assert_string_equal(a->origin, b->origin);
        assert_string_equal(a->type, b->type);
        assert_true(!a->label == !b->label);
        if (a->label)
                assert_string_equal(a->label, b->label);
        assert_int_equal(a->has_owner, b->has_owner);
        assert_int_equal(a->uid, b->uid);
        assert_int_equal(a->gid, b->gid);
        assert_int_equal(a->mode, b->mode);
        assert_int_equal(a->device, b->device);
        assert_int_equal(a->device_count, b->device_count);
        assert_int_equal(a->has_extent, b->has_extent);
        assert_int_equal(a->total_size, b->total_size);
        assert_int_equal(a->part_offset, b->part_offset);
        assert_int_equal(a->part_length, b->part_length);
        assert_int_equal(a->features, b->features);
        assert_int_equal(a->block_size, b->block_size);
        assert_int_equal(a->alignment, b->alignment);
        assert_int_equal(a->max_transfer, b->max_transfer);
}

static void check_survives(const struct stream_info *info)
{
        CLEANUP(freep) char *json = NULL;
        struct stream_info back, copy;
        struct error err = ERROR_INIT;

        assert_ok(stream_info_encode(info, &json, &err), &err);
        assert_ok(stream_info_decode(json, strlen(json), "f.vdi", &back, &err), &err);
        assert_same(info, &back);
        assert_ok(stream_info_copy(&copy, &back, &err), &err);
        assert_same(info, &copy);
        stream_info_deinit(&back);
        stream_info_deinit(&copy);
}

static void everything_survives(void **state)
{
        struct stream_info info = whole_info();

        (void)state;
        check_survives(&info);
        info.label = NULL;
        info.has_owner = info.has_extent = false;
        info.uid = info.gid = info.mode = 0;
        info.total_size = info.part_offset = info.part_length = 0;
        info.host[0] = '\0';
        check_survives(&info);
        snprintf(info.host, sizeof info.host, "\xC3");
        check_survives(&info);
}

static void nonsense_is_not_written(void **state)
{
        struct stream_info info = whole_info();
        struct error err = ERROR_INIT;
        char *json;

        (void)state;
        info.device = info.device_count;
        assert_int_equal(stream_info_encode(&info, &json, &err), -1);
        info = whole_info();
        info.set_id[3] = 'x';
        err = (struct error)ERROR_INIT;
        assert_int_equal(stream_info_encode(&info, &json, &err), -1);
        info = whole_info();
        info.part_length = info.total_size;
        err = (struct error)ERROR_INIT;
        assert_int_equal(stream_info_encode(&info, &json, &err), -1);
        info = whole_info();
        info.total_size = (uint64_t)INT64_MAX + 1;
        err = (struct error)ERROR_INIT;
        assert_int_equal(stream_info_encode(&info, &json, &err), -1);
        info = whole_info();
        info.mode = 0100644;
        err = (struct error)ERROR_INIT;
        assert_int_equal(stream_info_encode(&info, &json, &err), -1);
}

#define SET "\"set\":\"" TEST_SET_ID "\""

static void hostile_headers_are_refused(void **state)
{
        static const char *const headers[] = {
                "",
                "[]",
                "{}",
                "{" SET "}",
                "{" SET ",\"device\":0,\"devices\":0}",
                "{" SET ",\"device\":1,\"devices\":1}",
                "{" SET ",\"device\":0,\"devices\":65}",
                "{" SET ",\"device\":-1,\"devices\":1}",
                "{" SET ",\"device\":0.5,\"devices\":1}",
                "{" SET ",\"device\":\"0\",\"devices\":1}",
                "{" SET ",\"device\":0,\"devices\":1,\"devices\":1}",
                "{\"set\":\"" TEST_SET_ID "0\",\"device\":0,\"devices\":1}",
                "{\"set\":\"short\",\"device\":0,\"devices\":1}",
                "{" SET ",\"device\":0,\"devices\":1,\"type\":\"longer than any type is\"}",
                "{" SET ",\"device\":0,\"devices\":1,\"host\":7}",
                "{" SET ",\"device\":0,\"devices\":1,\"host_hex\":\"6\"}",
                "{" SET ",\"device\":0,\"devices\":1,\"host_hex\":\"00\"}",
                "{" SET ",\"device\":0,\"devices\":1,\"host_hex\":\"zz\"}",
                "{" SET ",\"device\":0,\"devices\":1,\"host_hex\":\"61\",\"host\":\"a\"}",
                "{" SET ",\"device\":0,\"devices\":1,\"host\":\"a\\u0000b\"}",
                "{" SET ",\"device\":0,\"devices\":1,\"mode\":7}",
                "{" SET ",\"device\":0,\"devices\":1,\"total_size\":7}",
                "{" SET ",\"device\":0,\"devices\":1,\"total_size\":7,\"part_offset\":8,\"part_length\":0}",
                "{" SET ",\"device\":0,\"devices\":1,\"block_size\":4294967296}",
                "{" SET ",\"device\":0,\"devices\":1,\"block_size\":256}",
                "{" SET ",\"device\":0,\"devices\":1,\"block_size\":1536}",
                "{" SET ",\"device\":0,\"devices\":1,\"block_size\":131072}",
                "{" SET ",\"device\":0,\"devices\":1,\"block_size\":1048576}",
                "{" SET ",\"device\":0,\"devices\":1,\"max_transfer\":32768}",
                "{" SET ",\"device\":0,\"devices\":1,\"max_transfer\":65537}",
                "{" SET ",\"device\":0,\"devices\":1,\"max_transfer\":4259840}",
                "{" SET ",\"device\":0,\"devices\":1,\"mode\":4096,\"uid\":0,\"gid\":0}",
                "{" SET ",\"device\":0,\"devices\":1,\"uid\":0}",
                "{" SET ",\"device\":0,\"devices\":1,\"part_length\":7}",
                "{" SET ",\"device\":0,\"devices\":1,\"total_size\":9223372036854775808,\"part_offset\":0,"
                "\"part_length\":0}",
                "{" SET ",\"device\":0,\"devices\":1,\"total_size\":9223372036854775807,"
                "\"part_offset\":9223372036854775807,\"part_length\":1}",
                "{" SET ",\"device\":0,\"devices\":1} x",
        };

        (void)state;
        for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
                struct error err = ERROR_INIT;
                struct stream_info info;

                if (stream_info_decode(headers[i], strlen(headers[i]), "f.vdi", &info, &err) == 0)
                        fail_msg("accepted: %s", headers[i]);
                assert_int_equal(err.code, ERR_DAMAGED);
                assert_non_null(strstr(err.message, "its header"));
        }
}

static void the_limits_themselves_are_right(void **state)
{
        static const char *const headers[] = {
                "{" SET ",\"device\":0,\"devices\":1,\"block_size\":512,\"max_transfer\":65536}",
                "{" SET ",\"device\":0,\"devices\":1,\"block_size\":65536,\"max_transfer\":4194304}",
                "{" SET ",\"device\":0,\"devices\":1,\"block_size\":0,\"max_transfer\":0}",
                "{" SET ",\"device\":0,\"devices\":1,\"mode\":4095,\"uid\":0,\"gid\":4294967295}",
                "{" SET ",\"device\":0,\"devices\":1,\"total_size\":9223372036854775807,\"part_offset\":0,"
                "\"part_length\":9223372036854775807}",
        };

        (void)state;
        for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
                struct error err = ERROR_INIT;
                struct stream_info info;

                assert_ok(stream_info_decode(headers[i], strlen(headers[i]), "f.vdi", &info, &err), &err);
                stream_info_deinit(&info);
        }
}

static void unknown_members_are_ignored(void **state)
{
        static const char header[] = "{" SET ",\"device\":0,\"devices\":1,\"colour\":[1,2]}";
        struct error err = ERROR_INIT;
        struct stream_info info;

        (void)state;
        assert_ok(stream_info_decode(header, strlen(header), "f.vdi", &info, &err), &err);
        assert_string_equal(info.database, "");
        assert_string_equal(info.origin, "");
        assert_null(info.label);
        stream_info_deinit(&info);
}

static int until_refusal = -1; /* -1: nothing is refused */

static void *refusing_malloc(size_t size)
{
        if (until_refusal < 0)
                return malloc(size);
        return until_refusal-- == 0 ? NULL : malloc(size);
}

/* One allocation is refused, each in turn: what is short is memory then, and the stream is not called damaged. */
static void short_memory_is_no_damage(void **state)
{
        static const char header[] = "{\"origin\":\"/srv/a/path/of/which/the/parser/grows/a/buffer\"," SET
                                     ",\"device\":0,\"devices\":1,\"database\":\"app\"}";
        int refusals = 0;

        (void)state;
        for (bool refused = true; refused; refusals++) {
                struct error err = ERROR_INIT;
                struct stream_info info;
                int decoded;

                until_refusal = refusals;
                decoded = stream_info_decode(header, strlen(header), "f.vdi", &info, &err);
                refused = until_refusal < 0;
                until_refusal = -1;
                if (refused)
                        assert_int_equal(err.code, ERR_MEMORY);
                assert_int_equal(decoded, refused ? -1 : 0);
                stream_info_deinit(&info);
        }
        assert_true(refusals > 10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(everything_survives),         cmocka_unit_test(nonsense_is_not_written),
                cmocka_unit_test(hostile_headers_are_refused), cmocka_unit_test(the_limits_themselves_are_right),
                cmocka_unit_test(unknown_members_are_ignored), cmocka_unit_test(short_memory_is_no_damage),
        };

        json_set_alloc_funcs(refusing_malloc, free);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
