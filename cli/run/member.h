/*
 * member.h - a process's part in a device set: the set made or joined, a volume served behind each device, the verdict,
 * the files' names
 *
 * Every command that moves data is a member. `backup` and `restore` bring the server along, a process or a statement of
 * theirs (struct member_server); the server of `create` and `attach` is started by somebody else (foreign.h).
 *
 *   member_open; volumes; member_create or member_join; member_serve; and in any case member_close
 *
 * A function that fails has called member_fail(), so that *err holds the words that win. All from the main thread.
 */
#pragma once

#include "cli/args.h"
#include "cli/media/outputs.h"
#include "cli/media/primary_info.h"
#include "cli/media/volume.h"
#include "cli/run/progress.h"
#include "cli/run/run_as.h"
#include "cli/run/supervise.h"
#include "core/servers/server.h"
#include "core/sqlvdi/engine.h"
#include "core/vds/trace.h"

struct device_transfer;
struct member;

enum { MEMBER_WORDS_MAX = 256 };

/*
 * Who serves the set. The functions return 0, or -1 with *err raised, or with *err empty where the set was aborted or
 * the server failed: member_fail() then finds the words.
 */
struct member_server {
        bool foreign; /* somebody else starts it, and other processes may join the set */

        /* Before the set is made: starts a server of our own, which begins meanwhile, and leaves in member->connection
         * what leads to it. NULL: it comes by itself. */
        int (*prepare)(struct member *member, struct error *err);
        /* The set is made: makes the server open it, or watches the one that does. */
        int (*start)(struct member *member, struct error *err);
        /* It was not opened in time: what is known of the server, "" if nothing is. NULL: nothing is. */
        void (*describe)(struct member *member, char words[MEMBER_WORDS_MAX]);
        /* Configuration has ended: fills member->info, if the server says such things. */
        int (*joined)(struct member *member, struct error *err);
        /* All devices are closed in order: waits for the server's success. */
        int (*await_success)(struct member *member, struct error *err);
        /* Raises the server's own words, if it left any. `reason`: why the set was aborted. */
        bool (*raise_words)(struct member *member, enum vds_abort_reason reason, struct error *err);
        /* Raises how the server ended, if that says more than `reason`. */
        bool (*raise_end)(struct member *member, enum vds_abort_reason reason, struct error *err);
        /* Ends what is left of the server, once the set is left. */
        void (*end)(struct member *member);
};

struct member {
        const struct args *args;
        struct progress progress;
        struct supervisor *supervisor;
        struct worker worker;  /* the main thread */
        struct trace *trace;   /* NULL: none */
        struct run_as *run_as; /* NULL: nobody else */

        const struct member_server *server; /* NULL until it is chosen */
        void *part;                         /* the server's */

        struct primary_info primary;          /* set before the volumes are added */
        const char *set_name;                 /* set before, or by member_name_devices() */
        char *devices[VDS_DEVICES_MAX];       /* names that were chosen here, the first of which is the set's */
        uint32_t device_count;                /* of them */
        int connection;                       /* to a server of our own, until the set has it; 0: none */
        const struct sqlvdi_library *library; /* what carries the set; NULL: our own engine */
        struct engine *engine;                /* NULL: no set */
        char *primary_text;                   /* member->primary as the other processes of the set read it */
        bool secondary;                       /* the set is another process's */
        bool used;                            /* there was a set before */
        bool joined;                          /* the server has ended configuration */
        struct VDConfig config;               /* as negotiated; valid then */

        bool writes; /* which way the data goes; of no meaning without volumes */
        struct volume volumes[VDS_DEVICES_MAX];
        uint32_t volume_count;
        struct device_transfer *transfers; /* of the volumes, while they are served */
        bool keeps_keys;                   /* keys are needed once more when the streams have begun */

        /* What the streams' headers say of the backup. */
        const char *database; /* as people call it */
        const char *origin;   /* path or URI of the database; "" when it is not known */
        const char *type;     /* "full"; NULL: that is what it is taken for */
        const char *label;    /* NULL: what the server says of it */

        bool has_info; /* the server has said what it is */
        struct server_info info;
        struct server_report report; /* its last words; the note is shown after a success */
        char *report_json;           /* for the streams' ends; NULL: nothing */
        bool unconfirmed;            /* the server has said nothing, and the user takes that */
        bool failed;                 /* member_fail() has asked the server */
};

/* Gives the set an identity, and starts the supervisor and the trace. `verb` is for progress. */
int member_open(struct member *member, const struct args *args, const char *verb, struct error *err);

/* Opens the file behind device `device` of `device_count`. `path` is the volume's from here on; NULL: standard output.
 */
int member_add_volume(struct member *member, uint32_t device, uint32_t device_count, char *path, struct error *err);

/* The same for the file that `pattern` and `words` name. */
int member_add_output(struct member *member, uint32_t device, uint32_t device_count, const char *pattern,
                      const struct output_words *words, struct error *err);

/* Takes the first `count` inputs, which outlive member_close(), for the only volumes. */
void member_set_inputs(struct member *member, const struct inputs *inputs, uint32_t count);

/* Names the devices of a set that is this process's and its server's. Again, with other names, for another set. */
int member_name_devices(struct member *member, uint32_t device_count, struct error *err);

/* Makes the set, has the server open it, and waits until configuration has ended, as long as --open-timeout says. Where
 * a library carries it, what this process creates from here on is open to its group: all outputs are open. */
int member_create(struct member *member, uint32_t device_count, struct error *err);

/* Joins another process's set once it is configured, and takes from its primary what member->primary says. */
int member_join(struct member *member, struct error *err);

/* Serves the devices of the volumes, waits for the server's success, and gives the files their names. What the server
 * notes beside its success becomes a warning. */
int member_serve(struct member *member, struct error *err);

/* The server's verdict, if the engine has one, without limit (a check of a restored database may take long), but not
 * past a cancellation. `text` holds VDS_TEXT_MAX bytes. */
enum vds_verdict member_verdict(struct member *member, char *text);

/* "none", "success", "failed", "unconfirmed". Static. */
const char *verdict_name(enum vds_verdict verdict);

/* Takes the words of the server's verdict into member->report. False when it left none, or no failure. */
bool member_hear_report(struct member *member);

/* Raises why the set was aborted, in the engine's words. */
int member_raise_abort(struct member *member, struct error *err);

/* Something failed: settles in *err whose words win; verdict.c has the rules. Idempotent. Returns -1. */
int member_fail(struct member *member, struct error *err);

/* Leaves the set, aborting what is not done; another may be made for the same server. Idempotent. */
void member_leave(struct member *member);

/* Gives up the streams for *err, unless that is empty; leaves the set, ends the server, the supervisor and the keeper.
 * Does nothing to a member that is all zero. */
void member_close(struct member *member, const struct error *err);
