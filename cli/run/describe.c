#include "cli/run/describe.h"

#include <stdio.h>
#include <stdlib.h>
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

static void copy_text(char *dst, size_t size, const char *src)
{
        snprintf(dst, size, "%s", src);
}

/* What the user named, or else what the server says of its database and of the backup. */
static int copy_names(const struct backup_parties *parties, struct stream_info *info)
{
        const struct server_info *server = parties->server;
        const char *database = parties->database;
        const char *origin = parties->origin;
        const char *label = parties->label ? parties->label : server ? server->backup_name : NULL;

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

int describe_backup(const struct backup_parties *parties, struct stream_info *ret_info, struct error *err)
{
        const struct server_info *server = parties->server;
        struct stream_info *info = ret_info;

        memset(info, 0, sizeof *info);
        copy_text(info->set_id, sizeof info->set_id, parties->set_id);
        copy_text(info->time, sizeof info->time, parties->time);
        ident_host(info->host);
        ident_machine(info->machine);
        copy_text(info->tool_version, sizeof info->tool_version, VDIPIPE_VERSION);
        copy_text(info->server_kind, sizeof info->server_kind, server ? server->kind : foreign_kind);
        copy_text(info->server_version, sizeof info->server_version, server ? server->version : "");
        copy_text(info->type, sizeof info->type, parties->type ? parties->type : "full");
        if (copy_names(parties, info) < 0)
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
        info->device_count = parties->config->deviceCount;
        info->features = parties->config->features;
        info->block_size = parties->config->blockSize;
        info->alignment = parties->config->alignment;
        info->max_transfer = parties->config->maxTransferSize;
        return 0;
}

void describe_device(const struct backup_parties *parties, uint32_t device, struct stream_info *info)
{
        const struct server_info *server = parties->server;

        info->device = device;
        info->has_extent = server && server->part_count == parties->config->deviceCount;
        if (!info->has_extent)
                return;
        info->part_offset = server->parts[device].offset;
        info->part_length = server->parts[device].length;
}
