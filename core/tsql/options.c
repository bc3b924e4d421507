#include "core/tsql/options.h"

#include <strings.h>

#include "core/vds/abi.h"

const struct statement_verb_row statement_verbs[STATEMENT_VERBS] = {
        [STATEMENT_BACKUP_DATABASE] = { "BACKUP", "DATABASE", "BACKUP DATABASE" },
        [STATEMENT_BACKUP_LOG] = { "BACKUP", "LOG", "BACKUP LOG" },
        [STATEMENT_RESTORE_DATABASE] = { "RESTORE", "DATABASE", "RESTORE DATABASE" },
        [STATEMENT_RESTORE_LOG] = { "RESTORE", "LOG", "RESTORE LOG" },
        [STATEMENT_VERIFYONLY] = { "RESTORE", "VERIFYONLY", "VERIFY DATABASE" },
        [STATEMENT_HEADERONLY] = { "RESTORE", "HEADERONLY", "RESTORE HEADERONLY" },
        [STATEMENT_FILELISTONLY] = { "RESTORE", "FILELISTONLY", "RESTORE FILELIST" },
        [STATEMENT_LABELONLY] = { "RESTORE", "LABELONLY", "RESTORE LABELONLY" },
};

/* Sets of statements. */
enum {
        BD = 1 << STATEMENT_BACKUP_DATABASE,
        BL = 1 << STATEMENT_BACKUP_LOG,
        RD = 1 << STATEMENT_RESTORE_DATABASE,
        RL = 1 << STATEMENT_RESTORE_LOG,
        VO = 1 << STATEMENT_VERIFYONLY,
        HO = 1 << STATEMENT_HEADERONLY,
        FO = 1 << STATEMENT_FILELISTONLY,
        LO = 1 << STATEMENT_LABELONLY,
        BACKUPS = BD | BL,
        RESTORES = RD | RL,
        ONLIES = VO | HO | FO | LO,
        ALL = BACKUPS | RESTORES | ONLIES,
};

enum { NAME_BYTES = 128, DESCRIPTION_BYTES = 255 };

#define NO     MESSAGE_UNSUPPORTED
#define ROLL   MESSAGE_STAYS_RECOVERED
#define POINT  MESSAGE_STOPAT
#define NO_MAX INT32_MAX

#define OPTION_ROW(name, value, ...) [OPTION_##name] = { #name, VALUE_##value, __VA_ARGS__ },
const struct statement_option_row statement_options[OPTION_COUNT] = { STATEMENT_OPTIONS(OPTION_ROW) };

enum statement_option statement_find_option(const char *keyword)
{
        for (int i = 0; i < OPTION_COUNT; i++)
                if (strcasecmp(statement_options[i].keyword, keyword) == 0)
                        return (enum statement_option)i;
        return OPTION_COUNT;
}
