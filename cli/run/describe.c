#include "cli/run/describe.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The kind of a server of which nothing is known but that it speaks the interface. */
static const char foreign_kind[] = "vdi";

void describe_time(char text[32])
{
        time_t now = time(NULL);
        struct tm utc;

        gmtime_r(&now, &utc);
        strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void describe_copy(char *dst, size_t size, const char *src)
{
        snprintf(dst, size, "%s", src);
}

/* What the user named, or else what the server says of its database and of the backup. */
static int describe_names(const struct member *member, struct stream_info *info)
{
        const struct server_info *server = member->has_info ? &member->info : NULL;
        const char *database = member->database;
        const char *origin = member->origin;
        const char *label = member->label ? member->label : server ? server->backup_name : NULL;

        if (!*origin && server && server->origin[0] == '/') {
                origin = server->origin;
                database = strrchr(origin, '/') + 1;
        }
        info->database = strdup(database);
        info->origin = strdup(origin);
        if (label && *label) {
                info->label = strdup(label);
                if (!info->label)
                        return -1;
        }
        return info->database && info->origin ? 0 : -1;
}

int describe_backup(const struct member *member, struct stream_info *ret_info, struct error *err)
{
        const struct server_info *server = member->has_info ? &member->info : NULL;
        struct stream_info *info = ret_info;

        memset(info, 0, sizeof *info);
        describe_copy(info->set_id, sizeof info->set_id, member->primary.set_id);
        describe_copy(info->time, sizeof info->time, member->primary.time);
        ident_host(info->host);
        ident_machine(info->machine);
        describe_copy(info->tool_version, sizeof info->tool_version, VDIPIPE_VERSION);
        describe_copy(info->server_kind, sizeof info->server_kind, server ? server->kind : foreign_kind);
        describe_copy(info->server_version, sizeof info->server_version, server ? server->version : "");
        describe_copy(info->type, sizeof info->type, member->type ? member->type : "full");
        if (describe_names(member, info) < 0)
                return error_no_memory(err);
        if (server)
                info->total_size = server->size;
        /* A SQL Server's database is no file. */
        if (server && strcmp(server->kind, "mssql") != 0) {
                info->has_owner = true;
                info->uid = server->uid;
                info->gid = server->gid;
                info->mode = server->mode;
        }
        info->device_count = member->config.deviceCount;
        info->features = member->config.features;
        info->block_size = member->config.blockSize;
        info->alignment = member->config.alignment;
        info->max_transfer = member->config.maxTransferSize;
        return 0;
}

void describe_device(const struct member *member, uint32_t device, struct stream_info *info)
{
        const struct server_info *server = member->has_info ? &member->info : NULL;

        info->device = device;
        info->has_extent = server && server->part_count == member->config.deviceCount;
        if (!info->has_extent)
                return;
        info->part_offset = server->parts[device].offset;
        info->part_length = server->parts[device].length;
}
