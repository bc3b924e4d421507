/*
 * command.h - a subcommand: its words, its option tables, and the function that runs it
 */
#pragma once

#include "cli/args.h"
#include "cli/options.h"
#include "core/base/error.h"

/* What a command is about; the overview lists them by this, in this order. */
enum command_topic { TOPIC_BACKUPS, TOPIC_SETS, TOPIC_MSSQL, TOPICS };

struct command {
        const char *name;
        enum command_topic topic;
        const char *operands;                  /* as the usage line shows them: "DB [-o FILE]" */
        const char *summary;                   /* one line, for the list of commands */
        const char *text;                      /* a paragraph or two for --help, an empty line between them */
        const char *example;                   /* lines to type, each ending with a newline */
        const struct opt_spec *const *options; /* NULL-terminated list of tables */
        size_t operands_max;
        bool hidden;         /* not for people: left out of help and completions, no configuration file */
        bool reads_config;   /* by itself, since it reports what is wrong in it */
        bool takes_set;      /* the first operand is the name of a live set */
        bool takes_database; /* the first operand is a DB, which may be a section of the configuration */

        /* Returns 0, or -1 with the error raised, to be printed by the caller. */
        int (*run)(const struct args *args, struct error *err);
};

/* A command's list of tables. */
#define OPTION_TABLES(...) ((const struct opt_spec *const[]){ __VA_ARGS__, NULL })

/* Ends with a NULL pointer; in the order in which help lists them. */
extern const struct command *const commands[];

/* For every `command` of such a list that is for people. */
#define COMMANDS_EACH_SHOWN(list)                                                \
        for (const struct command *const *command = (list); *command; command++) \
                if (!(*command)->hidden)

/* NULL when there is none of that name. */
const struct command *command_find(const char *name);

extern const struct command command_backup;
extern const struct command command_restore;
extern const struct command command_create;
extern const struct command command_attach;
extern const struct command command_verify;
extern const struct command command_info;
extern const struct command command_exec;
extern const struct command command_extract;
extern const struct command command_keygen;
extern const struct command command_list;
extern const struct command command_list_databases;
extern const struct command command_status;
extern const struct command command_config;
extern const struct command command_abort;
extern const struct command command_doctor;
extern const struct command command_serve;
extern const struct command command_complete;

/* Tables shared by several commands. */
extern const struct opt_spec options_common[];      /* how much to say */
extern const struct opt_spec options_progress[];    /* of a transfer, and when it stands still */
extern const struct opt_spec options_set[];         /* shape of the device set */
extern const struct opt_spec options_open[];        /* time-out of the other side's coming */
extern const struct opt_spec options_server_wait[]; /* the server's, for the client */
extern const struct opt_spec options_force[];       /* what becomes of an existing output */
extern const struct opt_spec options_lock[];        /* how long a backup may keep writers out */
extern const struct opt_spec options_trace[];       /* what is written about a set's commands */
extern const struct opt_spec options_files[];       /* files behind devices */
extern const struct opt_spec options_threads[];     /* how much the codecs work at a time */
extern const struct opt_spec options_json[];        /* output for programs */
extern const struct opt_spec options_streams[];     /* streams given as files */
