/*
 * args.h - every option's value, in one struct
 *
 * Filled from the option tables (options.h) on top of args_init()'s defaults, and passed to the command, so that a
 * command can be run twice in one process. Strings point into argv or the configuration.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/servers/server.h"

enum progress_mode {
        PROGRESS_AUTO, /* a bar where stderr is a terminal, else nothing */
        PROGRESS_NEVER,
        PROGRESS_PLAIN, /* a line now and then */
        PROGRESS_JSON,  /* a JSON object per line */
};

struct string_list {
        const char **items;
        size_t count;
};

struct coding;
struct config;
struct opt_spec;

struct args {
        /* what is not an option */
        struct string_list operands;

        const struct opt_spec **given; /* the options that stood on the command line */
        size_t given_count;
        const char *config_path;      /* --config */
        const struct config *config;  /* what the configuration files say; NULL in hidden commands */
        const char *database_section; /* the section that the operand DB names; NULL: none */

        struct coding *coding; /* what the codecs need, once a command has loaded it (coding.h) */

        const char *group; /* whose members may take part in a set; NULL: nobody else's */

        const char *sqlvdi; /* path of SQL Server's library; NULL: the usual one */
        const char *run_as; /* who root becomes; NULL: nobody else */

        const char *output;
        struct string_list outputs; /* of commands that take several */
        struct string_list inputs;
        bool raw;
        bool force;
        bool json;
        bool null_separated;
        bool chain; /* of info */
        bool dry_run;

        int64_t devices;
        int64_t personality;    /* enum personality */
        int64_t media_size;     /* bytes; 0: no limit */
        int64_t soft_mark_size; /* bytes; 0: hard marks */
        bool append;
        int64_t block_size;   /* bytes; 0: the server's choice */
        int64_t buffer_count; /* 0: the server's choice */
        int64_t max_transfer; /* bytes */

        int64_t open_timeout_ms;
        int64_t stall_timeout_ms;
        int64_t vdi_timeout_ms; /* 0: none */

        int64_t max_lock_ms;
        int64_t max_wal; /* bytes; 0: warn at 1 GiB */
        const char *spool_dir;
        bool immutable;

        bool zstd;
        int64_t zstd_level;
        bool zstd_long;
        int64_t threads;   /* 0: as many as there are processors */
        struct pool *pool; /* what the codecs of this command work with */

        struct string_list recipients; /* public keys */
        struct string_list recipients_files;
        struct string_list identities; /* files of secret keys */
        const char *passphrase_file;
        int64_t passphrase_fd; /* -1: none */
        bool ask_passphrase;
        bool armor;
        int64_t layer; /* enum layer_kind, to be taken off alone; -1: all */

        const char *user; /* of a SQL Server */
        const char *password_file;
        int64_t password_fd; /* -1: none */
        bool ask_password;
        int64_t encryption;           /* enum mssql_encryption */
        const char *application_name; /* NULL: our own */
        int64_t login_timeout_ms;
        int64_t server_timeout_ms; /* without a sign of life; 0: none */

        /* what to say in a statement for SQL Server */
        int64_t type; /* enum mssql_backup_type; -1: not said */
        bool copy_only;
        bool no_copy_only;
        struct string_list files; /* logical names */
        struct string_list filegroups;
        const char *label;
        const char *description;
        bool checksum;
        bool no_checksum;
        const char *sql; /* instead of all of these */
        bool accept_pipe_risk;
        bool recovery;
        bool norecovery;
        const char *standby;
        struct string_list moves; /* LOGICAL=PATH */
        const char *move_to;
        const char *stop_at;
        bool no_preverify;
        bool verify_only;
        bool header_only;
        bool filelist_only;
        bool label_only;

        int64_t replace;  /* enum server_replace */
        int64_t check;    /* enum server_check */
        int64_t as_owner; /* root's server takes the rights of the database's owner */
        bool accept_unconfirmed;
        int64_t memory_limit; /* bytes; 0: the codec's default */

        const char *listen; /* of serve: address and port */
        bool allow_remote;
        struct string_list databases; /* NAME=PATH */
        struct string_list faults;
        const char *data_dir;       /* NULL: none */
        const char *restore_script; /* NULL: that of every statement */
        const char *server_name;
        int64_t connections_max;

        const char *trace;   /* NULL: none */
        const char *script;  /* of exec and serve; NULL: none */
        int64_t set_wait_ms; /* of exec and serve: for the set to be created */

        int64_t progress; /* enum progress_mode */
        int64_t progress_fd;
        bool quiet;
        bool verbose;
        bool help;
};

void args_init(struct args *args);
void args_deinit(struct args *args);

/* Whether the option of that name stood on the command line: a configuration file's word for all commands is no mistake
 * in the one that has no use for it. */
bool args_was_given(const struct args *args, const char *name);

/* The absolute path of the folder that --OPTION names, allocated. ERR_USAGE when it is none. */
int args_find_folder(const char *option, const char *path, char **ret_path, struct error *err);
