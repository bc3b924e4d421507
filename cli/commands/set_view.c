#include "cli/commands/set_view.h"

#include <string.h>

#include "cli/run/member.h"
#include "cli/text/json.h"
#include "codecs/stream/json.h"
#include "core/base/cleanup.h"
#include "core/base/text.h"

enum { KEY_WIDTH = 26, PIDS_SIZE = VDS_DEVICES_MAX * 12 };

static const struct {
        uint32_t bit;
        const char *name;
} set_view_feature_names[] = {
        { VDF_Removable, "Removable" },
        { VDF_Rewind, "Rewind" },
        { VDF_Position, "Position" },
        { VDF_SkipBlocks, "SkipBlocks" },
        { VDF_ReversePosition, "ReversePosition" },
        { VDF_Discard, "Discard" },
        { VDF_FileMarks, "FileMarks" },
        { VDF_RandomAccess, "RandomAccess" },
        { VDF_SnapshotPrepare, "SnapshotPrepare" },
        { VDF_EnumFrozenFiles, "EnumFrozenFiles" },
        { VDF_VSSWriter, "VSSWriter" },
        { VDF_RequestComplete, "RequestComplete" },
        { VDF_WriteMedia, "WriteMedia" },
        { VDF_ReadMedia, "ReadMedia" },
        { VDF_CompleteEnabled, "CompleteEnabled" },
        { VDF_LatchStats, "LatchStats" },
};

/* The fields of a configuration that are numbers, in the order of the published structure. */
static const struct {
        const char *key;
        size_t offset;
} config_fields[] = {
        { "device_count", offsetof(struct VDConfig, deviceCount) },
        { "features", offsetof(struct VDConfig, features) },
        { "prefix_zone_size", offsetof(struct VDConfig, prefixZoneSize) },
        { "alignment", offsetof(struct VDConfig, alignment) },
        { "soft_file_mark_block_size", offsetof(struct VDConfig, softFileMarkBlockSize) },
        { "eom_warning_size", offsetof(struct VDConfig, EOMWarningSize) },
        { "server_timeout_ms", offsetof(struct VDConfig, serverTimeOut) },
        { "block_size", offsetof(struct VDConfig, blockSize) },
        { "max_io_depth", offsetof(struct VDConfig, maxIODepth) },
        { "max_transfer_size", offsetof(struct VDConfig, maxTransferSize) },
        { "buffer_area_size", offsetof(struct VDConfig, bufferAreaSize) },
};

static const char *const phase_names[] = {
        [VDS_DEVICE_UNOPENED] = "unopened",
        [VDS_DEVICE_OPEN] = "open",
        [VDS_DEVICE_CLOSED] = "closed",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t config_field(const struct VDConfig *config, size_t i)
{
        return *(const uint32_t *)((const char *)config + config_fields[i].offset);
}

static uint64_t all_bytes(const struct vds_status *status)
{
        uint64_t bytes = 0;

        for (uint32_t i = 0; i < status->device_count; i++)
                bytes += status->devices[i].bytes;
        return bytes;
}

static int64_t oldest_command_ms(const struct vds_status *status)
{
        int64_t ms = -1;

        for (uint32_t i = 0; i < status->device_count; i++)
                if (status->devices[i].oldest_ms > ms)
                        ms = status->devices[i].oldest_ms;
        return ms;
}

const char *set_view_age(int64_t ms, char text[SET_VIEW_AGE_SIZE])
{
        long long s = ms / 1000;

        if (ms < 0)
                text[0] = '\0';
        else if (s < 60)
                snprintf(text, SET_VIEW_AGE_SIZE, "%llds", s);
        else if (s < 3600)
                snprintf(text, SET_VIEW_AGE_SIZE, "%lldm%02llds", s / 60, s % 60);
        else if (s < 86400)
                snprintf(text, SET_VIEW_AGE_SIZE, "%lldh%02lldm", s / 3600, s / 60 % 60);
        else
                snprintf(text, SET_VIEW_AGE_SIZE, "%lldd%02lldh", s / 86400, s / 3600 % 24);
        return text;
}

/* "" for none. */
static const char *pid_text(int pid, char text[16])
{
        text[0] = '\0';
        if (pid)
                snprintf(text, 16, "%d", pid);
        return text;
}

static const char *secondaries_text(const struct vds_status *status, char text[PIDS_SIZE])
{
        size_t used = 0;

        text[0] = '\0';
        for (uint32_t i = 0; i < status->secondary_count; i++)
                used += (size_t)snprintf(text + used, PIDS_SIZE - used, "%s%d", i ? "," : "",
                                         status->secondary_pids[i]);
        return text;
}

/* ---- text ---- */

void set_view_list_init(struct table *table)
{
        static const struct table_column columns[] = {
                { "NAME", false },   { "STATE", false }, { "DEVICES", true },     { "BYTES", true },
                { "PRIMARY", true }, { "SERVER", true }, { "SECONDARIES", true }, { "AGE", true },
        };

        table_init(table, columns, COUNT(columns));
}

void set_view_list_add(struct table *table, const struct vds_status *status)
{
        char age[SET_VIEW_AGE_SIZE];
        char secondaries[PIDS_SIZE];
        char pid[16];

        table_add(table, status->name);
        table_add(table, vds_set_state_name(status->state));
        table_addf(table, "%u", status->config.deviceCount);
        table_addf(table, "%llu", (unsigned long long)all_bytes(status));
        table_add(table, pid_text(status->primary_pid, pid));
        table_add(table, pid_text(status->server_pid, pid));
        table_add(table, secondaries_text(status, secondaries));
        table_add(table, set_view_age(status->age_ms, age));
}

static void print_line(FILE *out, const char *key, const char *value)
{
        CLEANUP(freep) char *safe = text_escape(value, strlen(value));

        if (*value)
                fprintf(out, "%-*s %s\n", KEY_WIDTH, key, safe ? safe : "");
}

/* What people want to know of what our programs say about themselves; --json has all of it. */
struct info_line {
        const char *member;
        const char *key;
};

static const struct info_line primary_lines[] = {
        { "set", "set_id" },
        { "time", "made" },
        { "personality", "personality" },
        { "source", "source_set_id" },
};

static const struct info_line server_lines[] = {
        { "kind", "server_kind" },
        { "version", "server_version" },
        { "origin", "origin" },
        { "backup_name", "backup_name" },
};

/* Other programs' words are shown as they are. */
static void print_words(FILE *out, const char *key, const char *text, const struct info_line *lines, size_t count)
{
        json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, /* error= */ NULL);
        const char *first = json_string_value(json_object_get(root, lines[0].member));

        if (!first)
                print_line(out, key, text);
        for (size_t i = 0; first && i < count; i++) {
                const char *value = json_string_value(json_object_get(root, lines[i].member));

                if (value)
                        print_line(out, lines[i].key, value);
        }
        json_decref(root);
}

static void print_devices(const struct vds_status *status, FILE *out)
{
        static const struct table_column columns[] = {
                { "DEVICE", true },      { "NAME", false }, { "PHASE", false }, { "CLIENT", true },
                { "QUEUED", true },      { "HELD", true },  { "OLDEST", true }, { "COMMANDS", true },
                { "COMPLETIONS", true }, { "BYTES", true },
        };
        struct table table;
        char age[SET_VIEW_AGE_SIZE];
        char pid[16];

        table_init(&table, columns, COUNT(columns));
        for (uint32_t i = 0; i < status->device_count; i++) {
                const struct vds_device_status *device = &status->devices[i];

                table_addf(&table, "%u", i + 1);
                table_add(&table, device->name);
                table_add(&table, phase_names[device->phase]);
                table_add(&table, pid_text(device->client_pid, pid));
                table_addf(&table, "%u", device->queued);
                table_addf(&table, "%u", device->held);
                table_add(&table, set_view_age(device->oldest_ms, age));
                table_addf(&table, "%llu", (unsigned long long)device->commands);
                table_addf(&table, "%llu", (unsigned long long)device->completions);
                table_addf(&table, "%llu", (unsigned long long)device->bytes);
        }
        table_print(&table, out);
        table_deinit(&table);
}

void set_view_print_status(const struct vds_status *status, FILE *out)
{
        char age[SET_VIEW_AGE_SIZE];
        char secondaries[PIDS_SIZE];
        char pid[16];

        print_line(out, "name", status->name);
        print_line(out, "state", vds_set_state_name(status->state));
        if (status->abort_reason != VDS_ABORT_NONE)
                print_line(out, "aborted_because", vds_abort_text(status->abort_reason));
        print_line(out, "verdict", verdict_name(status->verdict));
        print_line(out, "age", set_view_age(status->age_ms, age));
        print_line(out, "primary", pid_text(status->primary_pid, pid));
        print_line(out, "server", pid_text(status->server_pid, pid));
        print_line(out, "secondaries", secondaries_text(status, secondaries));
        print_words(out, "primary_info", status->primary_info, primary_lines, COUNT(primary_lines));
        print_words(out, "server_info", status->server_info, server_lines, COUNT(server_lines));
        print_line(out, "oldest_command", set_view_age(oldest_command_ms(status), age));
        set_view_print_config(&status->config, out);
        if (status->device_count) {
                fputc('\n', out);
                print_devices(status, out);
        }
}

void set_view_print_config(const struct VDConfig *config, FILE *out)
{
        for (size_t i = 0; i < COUNT(config_fields); i++) {
                fprintf(out, "%-*s ", KEY_WIDTH, config_fields[i].key);
                if (config_fields[i].offset != offsetof(struct VDConfig, features)) {
                        fprintf(out, "%u\n", config_field(config, i));
                        continue;
                }
                fprintf(out, "0x%08x", config->features);
                for (size_t bit = 0; bit < COUNT(set_view_feature_names); bit++)
                        if (config->features & set_view_feature_names[bit].bit)
                                fprintf(out, " %s", set_view_feature_names[bit].name);
                fputc('\n', out);
        }
}

/* ---- JSON ---- */

static json_t *pid_json(int pid)
{
        return pid ? json_integer(pid) : json_null();
}

static json_t *age_json(int64_t ms)
{
        return ms < 0 ? json_null() : json_integer((json_int_t)ms);
}

/* What a process says about itself is JSON in our programs, and any text in others'. */
static void put_words(json_t *object, const char *key, const char *text)
{
        json_t *value = json_loads(text, /* flags= */ 0, /* error= */ NULL);

        if (value)
                json_object_set_new(object, key, value);
        else if (*text)
                json_put_bytes(object, key, text);
}

json_t *set_view_list_json(const struct vds_status *status)
{
        json_t *object = json_object();
        json_t *secondaries = json_array();

        for (uint32_t i = 0; i < status->secondary_count; i++)
                json_array_append_new(secondaries, json_integer(status->secondary_pids[i]));
        json_put_bytes(object, "name", status->name);
        json_object_set_new(object, "state", json_string(vds_set_state_name(status->state)));
        json_add_number(object, "device_count", status->config.deviceCount);
        json_add_number(object, "bytes", all_bytes(status));
        json_object_set_new(object, "primary_pid", pid_json(status->primary_pid));
        json_object_set_new(object, "server_pid", pid_json(status->server_pid));
        json_object_set_new(object, "secondary_pids", secondaries);
        json_object_set_new(object, "age_ms", json_integer((json_int_t)status->age_ms));
        return object;
}

static json_t *device_json(const struct vds_device_status *device, uint32_t number)
{
        json_t *object = json_object();

        json_add_number(object, "device", number);
        if (*device->name)
                json_put_bytes(object, "name", device->name);
        json_object_set_new(object, "phase", json_string(phase_names[device->phase]));
        json_object_set_new(object, "client_pid", pid_json(device->client_pid));
        json_add_number(object, "queued", device->queued);
        json_add_number(object, "held", device->held);
        json_object_set_new(object, "oldest_ms", age_json(device->oldest_ms));
        json_add_number(object, "commands", device->commands);
        json_add_number(object, "completions", device->completions);
        json_add_number(object, "bytes", device->bytes);
        return object;
}

json_t *set_view_status_json(const struct vds_status *status)
{
        json_t *object = set_view_list_json(status);
        json_t *devices = json_array();

        for (uint32_t i = 0; i < status->device_count; i++)
                json_array_append_new(devices, device_json(&status->devices[i], i + 1));
        json_object_set_new(object, "devices", devices);
        if (status->abort_reason != VDS_ABORT_NONE)
                json_object_set_new(object, "aborted_because", json_string(vds_abort_text(status->abort_reason)));
        json_object_set_new(object, "verdict", json_string(verdict_name(status->verdict)));
        put_words(object, "primary_info", status->primary_info);
        put_words(object, "server_info", status->server_info);
        json_object_set_new(object, "oldest_ms", age_json(oldest_command_ms(status)));
        json_object_set_new(object, "config", set_view_config_json(&status->config));
        return object;
}

json_t *set_view_config_json(const struct VDConfig *config)
{
        json_t *object = json_object();
        json_t *names = json_array();

        for (size_t i = 0; i < COUNT(config_fields); i++)
                json_add_number(object, config_fields[i].key, config_field(config, i));
        for (size_t bit = 0; bit < COUNT(set_view_feature_names); bit++)
                if (config->features & set_view_feature_names[bit].bit)
                        json_array_append_new(names, json_string(set_view_feature_names[bit].name));
        json_object_set_new(object, "feature_names", names);
        return object;
}
