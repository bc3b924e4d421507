/*
 * config.h - the configuration file: options for all commands, and for each database
 *
 * /etc/vdipipe.conf, then ~/.config/vdipipe/vdipipe.conf, then --config: later files override earlier ones key by key.
 * A section is a database, and its key `database` says which; the other keys are the long options. [defaults] is for
 * all. What is wrong in a file is ERR_USAGE and names file, line, key and remedy.
 *
 * Not thread safe while it is read; afterwards it does not change.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cli/args.h"
#include "cli/options.h"
#include "core/base/error.h"

enum {
        CONFIG_FILE_MAX = 1 << 20, /* bytes */
        CONFIG_LINE_MAX = 4096,    /* bytes, without the newline */
        CONFIG_SECTION_MAX = 255,  /* bytes of a section's name */
};

struct config;

struct command;

/* Reads the files that there are; only that of args->config_path must be. `tables` are those of the command that runs:
 * keys that it has not are checked against those of `all`, a list as `commands` is. *ret_config is freed with
 * config_free(). */
int config_load(const struct command *const *all, const struct opt_spec *const *tables, const struct args *args,
                struct config **ret_config, struct error *err);

/* An empty configuration, to be filled by config_read_file() and config_read_text(); NULL when memory is short. */
struct config *config_new(const struct command *const *all);
void config_free(struct config *config);

/* Reads one file: a regular one that belongs to root or the user and that nobody else may write. 1: there is none. */
int config_read_file(struct config *config, const struct opt_spec *const *tables, const char *path, struct error *err);

/* The same for `size` bytes of text that came out of a file of that name. */
int config_read_text(struct config *config, const struct opt_spec *const *tables, const char *path, const char *text,
                     size_t size, struct error *err);

/* Whether there is such a section; [defaults] is none. `config` may be NULL. */
bool config_has(const struct config *config, const char *section);

/* The database of a section, as text for database_parse(). NULL: no such section, or it names none. Belongs to the
 * configuration. `config` may be NULL. */
const char *config_database(const struct config *config, const char *section);

/* One after the other, the options that the section itself gives, from *at = 0 on; NULL behind the last one. `config`
 * and `section` may be NULL. */
const struct opt_spec *config_next_option(const struct config *config, const char *section, size_t *at);

/* One after the other, the sections that name a database; NULL behind the last one. `config` may be NULL. */
const char *config_next_database(const struct config *config, const char *section);

/* Whether the database at `path` (absolute) is one that a section names. `config` may be NULL. */
bool config_names_path(const struct config *config, const char *path);

/* Whether the database of some section begins with `scheme`: "mssql://". `config` may be NULL. */
bool config_names_scheme(const struct config *config, const char *scheme);

/* The files that were read, for messages: "'/etc/vdipipe.conf', 'x'" or "none". Belongs to the configuration. */
const char *config_files(const struct config *config);

/* Gives every option of `tables` that did not stand on the command line the value of the section (NULL: of none), or
 * else of [defaults]. *args must not outlive the configuration. */
int config_apply(const struct config *config, const char *section, const struct opt_spec *const *tables,
                 struct args *args, struct error *err);
