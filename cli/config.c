#include "cli/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

static const char system_path[] = "/etc/vdipipe.conf";
static const char user_path[] = "vdipipe/vdipipe.conf"; /* below the user's folder of configurations */

enum { ENTRIES_MAX = 10000 }; /* each is compared with all before it */

static const char defaults[] = "defaults";
static const char database_key[] = "database";

/* Options that make no sense in a file. */
static const char *const command_line_only[] = { "config", "help" };

struct config_entry {
        char *section;
        char *key; /* NULL: the section's head */
        char *value;
        size_t file; /* which of the files, counted from 1 */
        int line;
};

struct config {
        const struct command *const *all;
        struct config_entry *entries;
        size_t count;
        size_t file_count;
        char *files;
};

/* One file while it is read. inih asks for its lines one by one, and is told by the handler what they say. */
struct parse {
        struct config *config;
        const struct opt_spec *const *tables;
        const char *path;
        const char *at; /* the rest of the text */
        const char *end;
        int line;
        char section[CONFIG_SECTION_MAX + 1]; /* "": none yet */
        struct error *err;
};

struct config *config_new(const struct command *const *all)
{
        struct config *config = calloc(1, sizeof *config);

        if (config)
                config->files = strdup("none");
        if (config && !config->files) {
                free(config);
                return NULL;
        }
        if (config)
                config->all = all;
        return config;
}

static void entry_deinit(struct config_entry *entry)
{
        free(entry->section);
        free(entry->key);
        free(entry->value);
}

void config_free(struct config *config)
{
        if (!config)
                return;
        for (size_t i = 0; i < config->count; i++)
                entry_deinit(&config->entries[i]);
        free(config->entries);
        free(config->files);
        free(config);
}

static bool same(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

/* The newest entry for the key; a NULL key looks for the section's head. */
static const struct config_entry *lookup(const struct config *config, const char *section, const char *key)
{
        for (size_t i = config->count; i-- > 0;)
                if (strcmp(config->entries[i].section, section) == 0 && same(config->entries[i].key, key))
                        return &config->entries[i];
        return NULL;
}

static int out_of_memory(struct error *err)
{
        return error_no_memory(err);
}

/* ---- reading ---- */

/* Raises the message behind "FILE:LINE: ". */
#define fault(parse, ...)                                   \
        (error_raise((parse)->err, ERR_USAGE, __VA_ARGS__), \
         error_prefix((parse)->err, "%s:%d: ", (parse)->path, (parse)->line))

static int add(struct parse *parse, const char *key, const char *value)
{
        struct config *config = parse->config;
        struct config_entry entry = { .file = config->file_count, .line = parse->line };
        const struct config_entry *before = lookup(config, parse->section, key);
        struct config_entry *entries;

        if (before && before->file == entry.file)
                return key ? fault(parse, "'%s' stands in line %d already; keep one of them", key, before->line)
                           : fault(parse, "section [%s] begins in line %d already; put both into one", parse->section,
                                   before->line);
        if (config->count == ENTRIES_MAX)
                return fault(parse, "the configuration says more than %d things", ENTRIES_MAX);
        entries = realloc(config->entries, (config->count + 1) * sizeof *entries);
        if (!entries)
                return out_of_memory(parse->err);
        config->entries = entries;
        entry.section = strdup(parse->section);
        entry.key = key ? strdup(key) : NULL;
        entry.value = value ? strdup(value) : NULL;
        if (!entry.section || (key && !entry.key) || (value && !entry.value)) {
                entry_deinit(&entry);
                return out_of_memory(parse->err);
        }
        entries[config->count++] = entry;
        return 0;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* Notes the section whose head stands in the line: inih would cut a long name, and not tell an empty section. */
static int begin_section(struct parse *parse, const char *line, size_t size)
{
        const char *close = memchr(line, ']', size);
        const char *begin = line + 1;
        const char *end = close;
        size_t length;

        if (!close)
                return fault(parse, "a section's head is [NAME]; its ] is missing");
        for (const char *p = close + 1; p < line + size; p++)
                if (!is_blank(*p))
                        return fault(parse, "nothing may follow a section's head; begin another line");
        while (begin < end && is_blank(*begin))
                begin++;
        while (begin < end && is_blank(end[-1]))
                end--;
        length = (size_t)(end - begin);
        if (length == 0)
                return fault(parse, "the section has no name; give it one, or call it [%s]", defaults);
        if (length > CONFIG_SECTION_MAX)
                return fault(parse, "the section's name has %zu bytes; %d are allowed", length, CONFIG_SECTION_MAX);
        if (*begin == '@' || memchr(begin, '/', length) || memchr(begin, ':', length))
                return fault(parse, "a section's name holds no '/' and no ':' and does not begin with '@'");
        memcpy(parse->section, begin, length);
        parse->section[length] = '\0';
        return add(parse, /* key= */ NULL, /* value= */ NULL);
}

/* inih's fgets: the next line, or NULL at the end or after an error. */
static char *next_line(char *buffer, int buffer_size, void *context)
{
        struct parse *parse = context;
        const char *line = parse->at;
        const char *newline;
        size_t size;

        if (line == parse->end || error_is_set(parse->err))
                return NULL;
        parse->line++;
        newline = memchr(line, '\n', (size_t)(parse->end - line));
        size = (size_t)((newline ? newline : parse->end) - line);
        parse->at = newline ? newline + 1 : parse->end;
        if (size > CONFIG_LINE_MAX || size + 2 > (size_t)buffer_size) {
                fault(parse, "the line has %zu bytes; %d are allowed", size, CONFIG_LINE_MAX);
                return NULL;
        }
        if (memchr(line, '\0', size)) {
                fault(parse, "the line holds a NUL byte; this is no text file");
                return NULL;
        }
        while (size > 0 && is_blank(*line)) {
                line++;
                size--;
        }
        if (size > 0 && *line == '[' && begin_section(parse, line, size) < 0)
                return NULL;
        memcpy(buffer, line, size);
        memcpy(buffer + size, "\n", 2);
        return buffer;
}

static const struct opt_spec *find_option(const struct parse *parse, const char *key)
{
        const struct opt_spec *spec;

        for (size_t i = 0; i < sizeof command_line_only / sizeof command_line_only[0]; i++)
                if (strcmp(command_line_only[i], key) == 0)
                        return NULL;
        spec = options_find(parse->tables, key);
        for (const struct command *const *command = parse->config->all; !spec && *command; command++)
                if (!(*command)->hidden)
                        spec = options_find((*command)->options, key);
        return spec;
}

static int check_database(struct parse *parse, const char *value)
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

static int check_option(struct parse *parse, const char *key, const char *value)
{
        const struct opt_spec *spec = find_option(parse, key);
        struct args scratch;
        int rc;

        if (!spec)
                return fault(parse,
                             "unknown key '%s'; keys are '%s' and the long options, without the dashes, of 'vdipipe "
                             "COMMAND --help'",
                             key, database_key);
        args_init(&scratch);
        rc = options_set_from_file(spec, value, &scratch, parse->err);
        args_deinit(&scratch);
        if (rc < 0)
                error_prefix(parse->err, "%s:%d: ", parse->path, parse->line);
        return rc;
}

/* inih's handler; it takes 0 for a failure. */
static int take_pair(void *context, const char *section, const char *key, const char *value)
{
        struct parse *parse = context;
        int rc;

        (void)section;
        if (!parse->section[0])
                rc = fault(parse, "'%s' stands before the first section; put it below [%s] or [NAME]", key, defaults);
        else if (strcmp(key, database_key) == 0)
                rc = check_database(parse, value);
        else
                rc = check_option(parse, key, value);
        if (rc == 0)
                rc = add(parse, key, value);
        return rc == 0;
}

static int note_file(struct config *config, const char *path, struct error *err)
{
        char *files = NULL;

        if (config->file_count == 0 ? asprintf(&files, "'%s'", path) < 0
                                    : asprintf(&files, "%s, '%s'", config->files, path) < 0)
                return out_of_memory(err);
        free(config->files);
        config->files = files;
        config->file_count++;
        return 0;
}

int config_read_text(struct config *config, const struct opt_spec *const *tables, const char *path, const char *text,
                     size_t size, struct error *err)
{
        static const char bom[] = "\xef\xbb\xbf";
        struct parse parse = { .config = config, .tables = tables, .path = path, .at = text, .end = text + size };
        int bad_line;

        parse.err = err;
        if (note_file(config, path, err) < 0)
                return -1;
        if (size >= sizeof bom - 1 && memcmp(text, bom, sizeof bom - 1) == 0)
                parse.at += sizeof bom - 1;
        /* inih cuts longer lines in two without a word, and takes an indented key for more of the value above. Comments
         * have lines of their own: a value may hold anything. */
        ini_use_stack = false;
        ini_max_line = CONFIG_LINE_MAX + 3;
        ini_initial_alloc = CONFIG_LINE_MAX + 3;
        ini_allow_multiline = false;
        ini_allow_inline_comments = false;
        ini_stop_on_first_error = true;
        bad_line = ini_parse_stream(next_line, &parse, take_pair, &parse);
        if (error_is_set(err))
                return -1;
        if (bad_line < 0)
                return out_of_memory(err);
        return bad_line ? fault(&parse, "the line is no 'key = value', no [section] and no comment (# or ;)") : 0;
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

static int unreadable(const char *path, struct error *err)
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
                return errno == ENOENT || errno == ENOTDIR ? 1 : unreadable(path, err);
        if (fstat(fd, &st) < 0)
                return unreadable(path, err);
        if (check_owner(path, &st, err) < 0)
                return -1;
        text = malloc(CONFIG_FILE_MAX + 1);
        if (!text)
                return out_of_memory(err);
        size = fd_read_full(fd, text, CONFIG_FILE_MAX + 1, /* cancel= */ NULL);
        if (size < 0)
                return unreadable(path, err);
        if (size > CONFIG_FILE_MAX)
                return error_raise(err, ERR_USAGE, "configuration '%s' is larger than %d bytes", path, CONFIG_FILE_MAX);
        return config_read_text(config, tables, path, text, (size_t)size, err);
}

/* ---- which files ---- */

/* NULL with *err clear: there is no such folder to look in. */
static char *find_user_path(struct error *err)
{
        const char *folder = getenv("XDG_CONFIG_HOME");
        const char *home = getenv("HOME");
        const struct passwd *user;
        char *path = NULL;
        int rc;

        if (folder && folder[0] == '/') {
                rc = asprintf(&path, "%s/%s", folder, user_path);
        } else {
                if (!home || home[0] != '/') {
                        user = getpwuid(geteuid());
                        home = user ? user->pw_dir : NULL;
                }
                if (!home || home[0] != '/')
                        return NULL;
                rc = asprintf(&path, "%s/.config/%s", home, user_path);
        }
        if (rc >= 0)
                return path;
        out_of_memory(err);
        return NULL;
}

/* A system's file that is kept from this user is not for this user. */
static int read_system_file(struct config *config, const struct opt_spec *const *tables, struct error *err)
{
        if (access(system_path, R_OK) < 0 && errno == EACCES)
                return 0;
        return config_read_file(config, tables, system_path, err);
}

static int read_files(struct config *config, const struct opt_spec *const *tables, const struct args *args,
                      struct error *err)
{
        CLEANUP(freep) char *user_file = find_user_path(err);
        int rc;

        if (error_is_set(err) || read_system_file(config, tables, err) < 0)
                return -1;
        if (user_file && config_read_file(config, tables, user_file, err) < 0)
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
                return out_of_memory(err);
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
        return config && strcmp(section, defaults) != 0 && lookup(config, section, /* key= */ NULL);
}

const char *config_database(const struct config *config, const char *section)
{
        const struct config_entry *entry = config ? lookup(config, section, database_key) : NULL;

        return entry ? entry->value : NULL;
}

bool config_says(const struct config *config, const char *section, const char *option)
{
        return config && section && lookup(config, section, option);
}

static const char *database_section(const struct config_entry *entry)
{
        return entry->key && strcmp(entry->key, database_key) == 0 ? entry->section : NULL;
}

/* A later file may name another database for a section: its place is where it was named first. */
static bool is_named_before(const struct config *config, size_t index)
{
        const char *section = database_section(&config->entries[index]);

        for (size_t i = 0; i < index; i++)
                if (database_section(&config->entries[i]) && strcmp(config->entries[i].section, section) == 0)
                        return true;
        return false;
}

const char *config_next_database(const struct config *config, const char *section)
{
        bool behind = !section;

        for (size_t i = 0; config && i < config->count; i++) {
                const char *named = database_section(&config->entries[i]);

                if (!named || is_named_before(config, i))
                        continue;
                if (behind)
                        return named;
                behind = strcmp(named, section) == 0;
        }
        return NULL;
}

bool config_names_path(const struct config *config, const char *path)
{
        static const char prefix[] = "sqlite:";

        for (size_t i = 0; config && i < config->count; i++) {
                const char *named = config_database(config, config->entries[i].section);

                if (named && strncmp(named, prefix, sizeof prefix - 1) == 0)
                        named += sizeof prefix - 1;
                if (named && strcmp(named, path) == 0)
                        return true;
        }
        return false;
}

bool config_names_scheme(const struct config *config, const char *scheme)
{
        for (size_t i = 0; config && i < config->count; i++) {
                const char *named = config_database(config, config->entries[i].section);

                if (named && strncmp(named, scheme, strlen(scheme)) == 0)
                        return true;
        }
        return false;
}

const char *config_files(const struct config *config)
{
        return config->files;
}

int config_apply(const struct config *config, const char *section, const struct opt_spec *const *tables,
                 struct args *args, struct error *err)
{
        for (; *tables; tables++) {
                for (const struct opt_spec *spec = *tables; spec->type != OPT_END; spec++) {
                        const struct config_entry *entry = section ? lookup(config, section, spec->name) : NULL;

                        if (!entry)
                                entry = lookup(config, defaults, spec->name);
                        if (entry && !args_was_given(args, spec->name) &&
                            options_set_from_file(spec, entry->value, args, err) < 0)
                                return -1;
                }
        }
        return 0;
}
