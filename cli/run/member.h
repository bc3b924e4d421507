/*
 * member.h - a process's part in a device set that somebody else's server opens: what create and attach have in common
 *
 * member_open; a set by member_create() or member_join(); member_serve; and in any case member_close. From the main
 * thread.
 */
#ifndef VDIPIPE_CLI_RUN_MEMBER_H
#define VDIPIPE_CLI_RUN_MEMBER_H

#include "cli/media/primary_info.h"
#include "cli/run/serving.h"
#include "cli/media/volume.h"
#include "core/servers/server.h"

struct member {
        struct serving serving;
        const char *set_name;
        bool secondary;
        struct primary_info primary;
        char *primary_text; /* as the other processes of the set read it */

        bool writes; /* which way the data goes; of no meaning without volumes */
        struct volume volumes[VDS_DEVICES_MAX];
        uint32_t volume_count;

        bool has_server; /* the server speaks as ours do */
        struct server_info server;
        struct server_report report;
        bool unconfirmed; /* the server has said nothing, and the user takes that */
};

/* What the two commands ask of the options alike: what goes with what, and whether standard output may be written to
 * where no file is given. */
int member_check_args(const struct args *args, struct error *err);

/* The keys to write or to read with. */
int member_load_keys(const struct args *args, struct error *err);

int member_open(struct member *member, const struct args *args, const char *verb, struct error *err);

/* Makes the set and waits for its server to configure it. The volumes are open, and member->primary says how the set is
 * made. */
int member_create(struct member *member, uint32_t device_count, struct error *err);

/* Joins the set, and takes from its primary what member->primary says. */
int member_join(struct member *member, struct error *err);

/* Opens the file behind device `device`; `path` as for a volume. */
int member_add_volume(struct member *member, uint32_t device, uint32_t device_count, const char *path,
                      struct error *err);

/* Serves the devices of the volumes, waits for the verdict, and gives the files their names. */
int member_serve(struct member *member, struct error *err);

/* Raises why the set is aborted. Returns -1. */
int member_raise_reason(struct member *member, struct error *err);

/* *err is the failure so far, for the streams that are given up; ERR_NONE when there was none. */
void member_close(struct member *member, const struct error *err);

#endif
