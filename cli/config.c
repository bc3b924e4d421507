#include "cli/config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/nearest.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

static const char system_path[] = "/etc/vdipipe.conf";
static const char user_path[] = "vdipipe/vdipipe.conf"; /* below the user's folder of configurations */

enum { ENTRIES_MAX = 10000 }; /* each is compared with all before it */

static const char defaults[] = "defaults";
static const char database_key[] = "database";
static const char blanks[] = " \t\r\f\v";

struct config_entry {
        char *section;               /* owned; key and value stand behind it */
        const char *key;             /* NULL: the section's head */
        const char *value;           /* "" there */
        const struct opt_spec *spec; /* NULL there, and of database_key */
        size_t file;                 /* which of the files, counted from 1 */
        int line;
};

struct config {
        const struct command *const *all;
        struct config_entry *entries;
        size_t count;
        size_t file_count;
        char *files;
};

/* One file while it is read. */
struct parse {
        struct config *config;
        const struct opt_spec *const *tables;
        const char *path;
        int line;
        char section[CONFIG_SECTION_MAX + 1]; /* "": none yet */
        struct error *err;
};

struct config *config_new(const struct command *const *all)
{
        struct config *config = calloc(1, sizeof *config);

        if (!config)
                return NULL;
        config->all = all;
        config->files = strdup("none");
        if (config->files)
                return config;
        free(config);
        return NULL;
}

void config_free(struct config *config)
{
        if (!config)
                return;
        for (size_t i = 0; i < config->count; i++)
                free(config->entries[i].section);
        free(config->entries);
        free(config->files);
        free(config);
}

/* The newest entry for the key; a NULL key looks for the section's head. */
static const struct config_entry *config_lookup(const struct config *config, const char *section, const char *key)
{
        for (size_t i = config->count; i-- > 0;)
                if (strcmp(config->entries[i].section, section) == 0 && !config->entries[i].key == !key &&
                    (!key || strcmp(config->entries[i].key, key) == 0))
                        return &config->entries[i];
        return NULL;
}

/* ---- reading ---- */

/* Raises the message behind "FILE:LINE: ". */
#define fault(parse, ...)                                   \
        (error_raise((parse)->err, ERR_USAGE, __VA_ARGS__), \
         error_prefix((parse)->err, "%s:%d: ", (parse)->path, (parse)->line))

/* Adds what stands behind `key` in the section that is being read, or, when `key` is NULL, the head of that section. */
static int config_add(struct parse *parse, const char *key, const char *value, const struct opt_spec *spec)
{
        struct config *config = parse->config;
        struct config_entry entry = { .spec = spec, .file = config->file_count, .line = parse->line };
        const struct config_entry *before = config_lookup(config, parse->section, key);
        struct config_entry *entries;

        if (before && before->file == entry.file)
                return key ? fault(parse, "'%s' stands in line %d already; keep one of them", key, before->line)
                           : fault(parse, "section [%s] begins in line %d already; put both into one", parse->section,
                                   before->line);
        if (config->count == ENTRIES_MAX)
                return fault(parse, "the configuration says more than %d things", ENTRIES_MAX);
        entries = reallocarray(config->entries, config->count + 1, sizeof *entries);
        if (!entries)
                return error_no_memory(parse->err);
        config->entries = entries;
        if (asprintf(&entry.section, "%s%c%s%c%s", parse->section, '\0', key ? key : "", '\0', value) < 0)
                return error_no_memory(parse->err);
        entry.key = key ? entry.section + strlen(parse->section) + 1 : NULL;
        entry.value = entry.section + strlen(parse->section) + 1 + strlen(key ? key : "") + 1;
        entries[config->count++] = entry;
        return 0;
}

/* Without the blanks at both ends, in place. */
static char *trim_blanks(char *text)
{
        size_t size;

        text += strspn(text, blanks);
        size = strlen(text);
        while (size > 0 && strchr(blanks, text[size - 1]))
                text[--size] = '\0';
        return text;
}

/* What stands behind the [ of a section's head. */
static int config_begin_section(struct parse *parse, char *text)
{
        char *close = strchr(text, ']');
        const char *name;

        if (!close)
                return fault(parse, "a section's head is [NAME]; its ] is missing");
        if (*trim_blanks(close + 1))
                return fault(parse, "nothing may follow a section's head; begin another line");
        *close = '\0';
        name = trim_blanks(text);
        if (!*name)
                return fault(parse, "the section has no name; give it one, or call it [%s]", defaults);
        if (strlen(name) > CONFIG_SECTION_MAX)
                return fault(parse, "the section's name has %zu bytes; %d are allowed", strlen(name),
                             CONFIG_SECTION_MAX);
        if (*name == '@' || strpbrk(name, "/:"))
                return fault(parse, "a section's name holds no '/' and no ':' and does not begin with '@'");
        memcpy(parse->section, name, strlen(name) + 1);
        return config_add(parse, /* key= */ NULL, /* value= */ "", /* spec= */ NULL);
}

/* Options that make no sense in a file. */
static bool is_for_command_line(const char *key)
{
        return strcmp(key, "config") == 0 || strcmp(key, "help") == 0;
}

/* An option of the command that runs, or else of any other; NULL: none. */
static const struct opt_spec *config_find_option(const struct parse *parse, const char *key)
{
        const struct opt_spec *spec = NULL;

        if (is_for_command_line(key))
                return NULL;
        spec = options_find(parse->tables, key, strlen(key));
        COMMANDS_EACH_SHOWN(parse->config->all)
                spec = spec ? spec : options_find((*command)->options, key, strlen(key));
        return spec;
}

static int raise_unknown_key(struct parse *parse, const char *key)
{
        struct nearest nearest = nearest_to(key, strlen(key));

        nearest_try(&nearest, database_key);
        COMMANDS_EACH_SHOWN(parse->config->all)
                OPTIONS_EACH((*command)->options)
                        if (!is_for_command_line(spec->name))
                                nearest_try(&nearest, spec->name);
        return fault(parse,
                     "unknown key '%s'%s; keys are '%s' and the long options, without the dashes, of 'vdipipe "
                     "COMMAND --help'",
                     key, nearest_hint(&nearest, ""), database_key);
}

static int config_check_database(struct parse *parse, const char *value)
{
        static const char *const beginnings[] = { "/", "sqlite:/", "mssql://" };

        if (strcmp(parse->section, defaults) == 0)
                return fault(parse, "'%s' belongs into a section of its own, not into [%s]", database_key, defaults);
        for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
                if (strncmp(value, beginnings[i], strlen(beginnings[i])) == 0)
                        return 0;
        return fault(parse, "'%s' takes an absolute path such as /srv/app.db, or mssql://USER@HOST/NAME, not '%s'",
                     database_key, value);
}

static int config_check_option(struct parse *parse, const char *key, const char *value,
                               const struct opt_spec **ret_spec)
{
        struct args scratch;
        int rc;

        *ret_spec = config_find_option(parse, key);
        if (!*ret_spec)
                return raise_unknown_key(parse, key);
        args_init(&scratch);
        rc = options_set_from_file(*ret_spec, value, &scratch, parse->err);
        args_deinit(&scratch);
        return rc < 0 ? error_prefix(parse->err, "%s:%d: ", parse->path, parse->line) : 0;
}

static int config_read_pair(struct parse *parse, char *line)
{
        char *separator = strpbrk(line, "=:");
        const struct opt_spec *spec = NULL;
        const char *value;
        const char *key;
        int rc;

        if (!separator)
                return fault(parse, "the line is no 'key = value', no [section] and no comment (# or ;)");
        *separator = '\0';
        key = trim_blanks(line);
        value = trim_blanks(separator + 1);
        if (!parse->section[0])
                return fault(parse, "'%s' stands before the first section; put it below [%s] or [NAME]", key, defaults);
        rc = strcmp(key, database_key) == 0 ? config_check_database(parse, value)
                                            : config_check_option(parse, key, value, &spec);
        return rc < 0 ? rc : config_add(parse, key, value, spec);
}

static int config_read_line(struct parse *parse, char *line)
{
        line = trim_blanks(line);
        if (!*line || *line == '#' || *line == ';')
                return 0;
        return *line == '[' ? config_begin_section(parse, line + 1) : config_read_pair(parse, line);
}

static int note_file(struct config *config, const char *path, struct error *err)
{
        bool first = config->file_count == 0;
        char *files = NULL;

        if (asprintf(&files, "%s%s'%s'", first ? "" : config->files, first ? "" : ", ", path) < 0)
                return error_no_memory(err);
        free(config->files);
        config->files = files;
        config->file_count++;
        return 0;
}

int config_read_text(struct config *config, const struct opt_spec *const *tables, const char *path, const char *text,
                     size_t size, struct error *err)
{
        static const char bom[] = "\xef\xbb\xbf";
        struct parse parse = { .config = config, .tables = tables, .path = path, .err = err };
        const char *end = text + size;
        char line[CONFIG_LINE_MAX + 1];

        if (note_file(config, path, err) < 0)
                return -1;
        if (size >= sizeof bom - 1 && memcmp(text, bom, sizeof bom - 1) == 0)
                text += sizeof bom - 1;
        while (text < end) {
                const char *newline = memchr(text, '\n', (size_t)(end - text));
                size_t length = (size_t)((newline ? newline : end) - text);

                parse.line++;
                if (length > CONFIG_LINE_MAX)
                        return fault(&parse, "the line has %zu bytes; %d are allowed", length, CONFIG_LINE_MAX);
                if (memchr(text, '\0', length))
                        return fault(&parse, "the line holds a NUL byte; this is no text file");
                memcpy(line, text, length);
                line[length] = '\0';
                if (config_read_line(&parse, line) < 0)
                        return -1;
                text += length + (newline ? 1 : 0);
        }
        return 0;
}

static int check_owner(const char *path, const struct stat *st, struct error *err)
{
        if (!S_ISREG(st->st_mode))
                return error_raise(err, ERR_USAGE, "configuration '%s' is no regular file", path);
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return error_raise(err, ERR_USAGE,
                                   "configuration '%s' belongs to user %u, who could change what is done here; make "
                                   "it yours or root's (chown)",
                                   path, (unsigned)st->st_uid);
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return error_raise(err, ERR_USAGE, "others may write to configuration '%s'; forbid it: chmod go-w",
                                   path);
        return 0;
}

static int raise_unreadable(const char *path, struct error *err)
{
        error_raise_errno(err, errno, "configuration '%s' cannot be read", path);
        err->code = ERR_USAGE;
        return -1;
}

int config_read_file(struct config *config, const struct opt_spec *const *tables, const char *path, struct error *err)
{
        CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        CLEANUP(freep) char *text = NULL;
        struct stat st;
        ssize_t size;

        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? 1 : raise_unreadable(path, err);
        if (fstat(fd, &st) < 0)
                return raise_unreadable(path, err);
        if (check_owner(path, &st, err) < 0)
                return -1;
        text = malloc(CONFIG_FILE_MAX + 1);
        if (!text)
                return error_no_memory(err);
        size = fd_read_full(fd, text, CONFIG_FILE_MAX + 1, /* cancel= */ NULL);
        if (size < 0)
                return raise_unreadable(path, err);
        if (size > CONFIG_FILE_MAX)
                return error_raise(err, ERR_USAGE, "configuration '%s' is larger than %d bytes", path, CONFIG_FILE_MAX);
        return config_read_text(config, tables, path, text, (size_t)size, err);
}

/* ---- which files ---- */

/* *ret_path is allocated; NULL: there is no such folder to look in. */
static int find_user_file(char **ret_path, struct error *err)
{
        const char *folder = getenv("XDG_CONFIG_HOME");
        const char *home = getenv("HOME");
        bool has_folder = folder && folder[0] == '/';

        *ret_path = NULL;
        if (!has_folder && (!home || home[0] != '/')) {
                const struct passwd *user = getpwuid(geteuid());

                home = user ? user->pw_dir : NULL;
                if (!home || home[0] != '/')
                        return 0;
        }
        if (asprintf(ret_path, "%s%s/%s", has_folder ? folder : home, has_folder ? "" : "/.config", user_path) >= 0)
                return 0;
        *ret_path = NULL;
        return error_no_memory(err);
}

static int read_files(struct config *config, const struct opt_spec *const *tables, const struct args *args,
                      struct error *err)
{
        CLEANUP(freep) char *user_file = NULL;
        /* A system's file that is kept from this user is not for this user. */
        bool is_kept = access(system_path, R_OK) < 0 && errno == EACCES;
        int rc;

        if (find_user_file(&user_file, err) < 0 ||
            (!is_kept && config_read_file(config, tables, system_path, err) < 0) ||
            (user_file && config_read_file(config, tables, user_file, err) < 0))
                return -1;
        if (!args->config_path)
                return 0;
        rc = config_read_file(config, tables, args->config_path, err);
        return rc == 1 ? error_raise(err, ERR_USAGE, "--config '%s': there is no such file", args->config_path) : rc;
}

int config_load(const struct command *const *all, const struct opt_spec *const *tables, const struct args *args,
                struct config **ret_config, struct error *err)
{
        struct config *config = config_new(all);

        if (!config)
                return error_no_memory(err);
        if (read_files(config, tables, args, err) < 0) {
                config_free(config);
                return -1;
        }
        *ret_config = config;
        return 0;
}

/* ---- asking ---- */

bool config_has(const struct config *config, const char *section)
{
        return config && strcmp(section, defaults) != 0 && config_lookup(config, section, /* key= */ NULL);
}

const char *config_database(const struct config *config, const char *section)
{
        const struct config_entry *entry = config ? config_lookup(config, section, database_key) : NULL;

        return entry ? entry->value : NULL;
}

const struct opt_spec *config_next_option(const struct config *config, const char *section, size_t *at)
{
        while (config && section && *at < config->count) {
                const struct config_entry *entry = &config->entries[(*at)++];

                if (entry->spec && strcmp(entry->section, section) == 0)
                        return entry->spec;
        }
        return NULL;
}

/* A later file may name another database for a section: its place is where it was named first. */
static bool names_database_first(const struct config *config, size_t index)
{
        const struct config_entry *entry = &config->entries[index];

        if (!entry->key || strcmp(entry->key, database_key) != 0)
                return false;
        for (size_t i = 0; i < index; i++)
                if (config->entries[i].key && strcmp(config->entries[i].key, database_key) == 0 &&
                    strcmp(config->entries[i].section, entry->section) == 0)
                        return false;
        return true;
}

const char *config_next_database(const struct config *config, const char *section)
{
        bool behind = !section;

        for (size_t i = 0; config && i < config->count; i++) {
                if (!names_database_first(config, i))
                        continue;
                if (behind)
                        return config->entries[i].section;
                behind = strcmp(config->entries[i].section, section) == 0;
        }
        return NULL;
}

bool config_names_path(const struct config *config, const char *path)
{
        static const char prefix[] = "sqlite:";

        for (const char *section = NULL; (section = config_next_database(config, section));) {
                const char *named = config_database(config, section);

                if (strncmp(named, prefix, sizeof prefix - 1) == 0)
                        named += sizeof prefix - 1;
                if (strcmp(named, path) == 0)
                        return true;
        }
        return false;
}

bool config_names_scheme(const struct config *config, const char *scheme)
{
        for (const char *section = NULL; (section = config_next_database(config, section));)
                if (strncmp(config_database(config, section), scheme, strlen(scheme)) == 0)
                        return true;
        return false;
}

const char *config_files(const struct config *config)
{
        return config->files;
}

int config_apply(const struct config *config, const char *section, const struct opt_spec *const *tables,
                 struct args *args, struct error *err)
{
        OPTIONS_EACH(tables) {
                const struct config_entry *entry = section ? config_lookup(config, section, spec->name) : NULL;

                if (!entry)
                        entry = config_lookup(config, defaults, spec->name);
                if (entry && !args_was_given(args, spec->name) &&
                    options_set_from_file(spec, entry->value, args, err) < 0)
                        return -1;
        }
        return 0;
}
