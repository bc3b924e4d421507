#include "core/sqlite/sqlite.h"

#include "core/sqlite/target.h"

const struct server_kind sqlite_server = {
        .name = "sqlite",
        .run = {
                [SERVER_BACKUP] = sqlite_backup,
                [SERVER_RESTORE] = sqlite_restore,
                [SERVER_VERIFYONLY] = sqlite_verify,
                [SERVER_HEADERONLY] = sqlite_list,
                [SERVER_FILELISTONLY] = sqlite_list,
                [SERVER_LABELONLY] = sqlite_list,
        },
        .sweep = target_sweep,
};
