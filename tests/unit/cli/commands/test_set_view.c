#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/commands/set_view.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Two devices, one of them not open yet; a name that is no UTF-8 and one with an escape sequence. */
static void fill(struct vds_status *status)
{
        memset(status, 0, sizeof *status);
        strcpy(status->name, "de\xffmo");
        status->state = VDS_SET_ACTIVE;
        status->abort_reason = VDS_ABORT_OBSERVER;
        status->verdict = VDS_VERDICT_UNCONFIRMED;
        status->config = (struct VDConfig){
                .deviceCount = 2,
                .features = VDF_RequestComplete | VDF_WriteMedia,
                .prefixZoneSize = 512,
                .alignment = 4096,
                .softFileMarkBlockSize = 1,
                .EOMWarningSize = 2,
                .serverTimeOut = 3000,
                .blockSize = 512,
                .maxIODepth = 4,
                .maxTransferSize = 1048576,
                .bufferAreaSize = 4194304,
        };
        status->age_ms = 192000;
        status->primary_pid = 10;
        status->server_pid = 11;
        status->secondary_count = 2;
        status->secondary_pids[0] = 12;
        status->secondary_pids[1] = 13;
        strcpy(status->primary_info, "{\"program\":\"vdipipe\"}");
        strcpy(status->server_info, "SQL\nServer");
        status->device_count = 2;
        status->devices[0] = (struct vds_device_status){
                .phase = VDS_DEVICE_OPEN,
                .client_pid = 12,
                .commands = 7,
                .completions = 5,
                .bytes = 5000000000,
                .queued = 3,
                .held = 2,
                .oldest_ms = 1500,
        };
        strcpy(status->devices[0].name, "\033[2J");
        status->devices[1] = (struct vds_device_status){ .oldest_ms = -1, .bytes = 1 };
}

static char *printed(void (*print)(const struct vds_status *, FILE *), const struct vds_status *status)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        print(status, out);
        assert_int_equal(fclose(out), 0);
        return text;
}

static void print_list(const struct vds_status *status, FILE *out)
{
        struct table table;

        set_view_list_init(&table);
        if (status)
                set_view_list_add(&table, status);
        assert_false(table.failed);
        table_print(&table, out);
        table_deinit(&table);
}

static void print_config(const struct vds_status *status, FILE *out)
{
        set_view_print_config(&status->config, out);
}

static void ages(void **state)
{
        static const struct {
                int64_t ms;
                const char *text;
        } cases[] = {
                { -1, "" },
                { 0, "0s" },
                { 59999, "59s" },
                { 60000, "1m00s" },
                { 3599999, "59m59s" },
                { 3600000, "1h00m" },
                { 86399999, "23h59m" },
                { 360000000, "4d04h" },
                { INT64_MAX, "106751991167d07h" },
        };
        char text[SET_VIEW_AGE_SIZE];

        (void)state;
        for (size_t i = 0; i < COUNT(cases); i++) {
                set_view_age(cases[i].ms, text);
                assert_string_equal(text, cases[i].text);
        }
}

static void a_list(void **state)
{
        struct vds_status status;
        char *text = printed(print_list, NULL);

        (void)state;
        assert_string_equal(text, "NAME  STATE  DEVICES  BYTES  PRIMARY  SERVER  SECONDARIES  AGE\n");
        free(text);
        fill(&status);
        text = printed(print_list, &status);
        assert_string_equal(text, "NAME      STATE   DEVICES       BYTES  PRIMARY  SERVER  SECONDARIES    AGE\n"
                                  "de\\xFFmo  active        2  5000000001       10      11        12,13  3m12s\n");
        free(text);
        status.server_pid = 0;
        status.secondary_count = 0;
        strcpy(status.name, "d\xc3\xa4mo");
        text = printed(print_list, &status);
        assert_string_equal(text, "NAME  STATE   DEVICES       BYTES  PRIMARY  SERVER  SECONDARIES    AGE\n"
                                  "d\xc3\xa4mo  active        2  5000000001       10       -            -  3m12s\n");
        free(text);
}

static void a_status(void **state)
{
        struct vds_status status;
        char *text;

        (void)state;
        fill(&status);
        text = printed(set_view_print_status, &status);
        assert_string_equal(
                text, "name                       de\\xFFmo\n"
                      "state                      active\n"
                      "aborted_because            it was aborted from outside\n"
                      "verdict                    unconfirmed\n"
                      "age                        3m12s\n"
                      "primary                    10\n"
                      "server                     11\n"
                      "secondaries                12,13\n"
                      "primary_info               {\"program\":\"vdipipe\"}\n"
                      "server_info                SQL\\x0AServer\n"
                      "oldest_command             1s\n"
                      "device_count               2\n"
                      "features                   0x00012000 RequestComplete WriteMedia\n"
                      "prefix_zone_size           512\n"
                      "alignment                  4096\n"
                      "soft_file_mark_block_size  1\n"
                      "eom_warning_size           2\n"
                      "server_timeout_ms          3000\n"
                      "block_size                 512\n"
                      "max_io_depth               4\n"
                      "max_transfer_size          1048576\n"
                      "buffer_area_size           4194304\n"
                      "\n"
                      "DEVICE  NAME     PHASE     CLIENT  QUEUED  HELD  OLDEST  COMMANDS  COMPLETIONS       BYTES\n"
                      "     1  \\x1B[2J  open          12       3     2      1s         7            5  5000000000\n"
                      "     2  -        unopened       -       0     0       -         0            0           1\n");
        free(text);
}

static void what_our_programs_say_has_lines_of_its_own(void **state)
{
        struct vds_status status;
        char *text;

        (void)state;
        fill(&status);
        strcpy(status.primary_info,
               "{\"set\":\"1-2\",\"time\":\"now\",\"source\":\"\",\"personality\":\"tape\",\"media_size\":7}");
        strcpy(status.server_info, "{\"kind\":\"sqlite\",\"version\":3,\"origin\":\"/a\\u001bb.db\",\"size\":512}");
        text = printed(set_view_print_status, &status);
        assert_non_null(strstr(text, "\nset_id                     1-2\n"
                                     "made                       now\n"
                                     "personality                tape\n"
                                     "server_kind                sqlite\n"
                                     "origin                     /a\\x1Bb.db\n"
                                     "oldest_command "));
        assert_null(strstr(text, "_info"));
        free(text);
}

static void a_configuration_for_people_is_part_of_the_status(void **state)
{
        struct vds_status status;
        char *config;
        char *text;

        (void)state;
        fill(&status);
        config = printed(print_config, &status);
        text = printed(set_view_print_status, &status);
        assert_non_null(strstr(text, config));
        assert_true(strncmp(config, "device_count ", 13) == 0);
        free(config);
        free(text);
}

/* The strings, all that is there and nothing else. */
static void assert_json(json_t *object, const char *expected)
{
        char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);

        assert_non_null(text);
        assert_string_equal(text, expected);
        free(text);
        json_decref(object);
}

static void json_of_a_list(void **state)
{
        struct vds_status status;

        (void)state;
        fill(&status);
        assert_json(set_view_list_json(&status),
                    "{\"age_ms\":192000,\"bytes\":5000000001,\"device_count\":2,\"name_hex\":\"6465ff6d6f\","
                    "\"primary_pid\":10,\"secondary_pids\":[12,13],\"server_pid\":11,\"state\":\"active\"}");
        status.server_pid = 0;
        status.secondary_count = 0;
        strcpy(status.name, "demo");
        assert_json(set_view_list_json(&status),
                    "{\"age_ms\":192000,\"bytes\":5000000001,\"device_count\":2,\"name\":\"demo\","
                    "\"primary_pid\":10,\"secondary_pids\":[],\"server_pid\":null,\"state\":\"active\"}");
}

static void json_of_a_status(void **state)
{
        struct vds_status status;
        json_t *object;
        json_t *device;

        (void)state;
        fill(&status);
        object = set_view_status_json(&status);
        assert_string_equal(json_string_value(json_object_get(object, "verdict")), "unconfirmed");
        assert_string_equal(json_string_value(json_object_get(object, "aborted_because")),
                            "it was aborted from outside");
        assert_true(json_is_object(json_object_get(object, "primary_info")));
        assert_string_equal(json_string_value(json_object_get(object, "server_info")), "SQL\nServer");
        assert_int_equal(json_integer_value(json_object_get(object, "oldest_ms")), 1500);
        assert_int_equal(json_array_size(json_object_get(object, "devices")), 2);
        device = json_array_get(json_object_get(object, "devices"), 1);
        assert_null(json_object_get(device, "name"));
        assert_true(json_is_null(json_object_get(device, "oldest_ms")));
        assert_true(json_is_null(json_object_get(device, "client_pid")));
        assert_int_equal(json_integer_value(json_object_get(device, "device")), 2);
        json_decref(object);
        assert_json(set_view_config_json(&status.config),
                    "{\"alignment\":4096,\"block_size\":512,\"buffer_area_size\":4194304,\"device_count\":2,"
                    "\"eom_warning_size\":2,\"feature_names\":[\"RequestComplete\",\"WriteMedia\"],\"features\":73728,"
                    "\"max_io_depth\":4,\"max_transfer_size\":1048576,\"prefix_zone_size\":512,"
                    "\"server_timeout_ms\":3000,\"soft_file_mark_block_size\":1}");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ages),
                cmocka_unit_test(a_list),
                cmocka_unit_test(a_status),
                cmocka_unit_test(a_configuration_for_people_is_part_of_the_status),
                cmocka_unit_test(what_our_programs_say_has_lines_of_its_own),
                cmocka_unit_test(json_of_a_list),
                cmocka_unit_test(json_of_a_status),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
