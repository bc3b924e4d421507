#include "cli/command.h"

#include "codecs/base/pool.h"

static const struct opt_choice progress_modes[] = {
        { "auto", PROGRESS_AUTO },
        { "never", PROGRESS_NEVER },
        { "plain", PROGRESS_PLAIN },
        { "json", PROGRESS_JSON },
        { NULL, 0 },
};

const struct opt_spec options_common[] = {
        OPTION_STRING(MESSAGES, "config", 0, "FILE", config_path,
                      "read FILE after /etc/vdipipe.conf and ~/.config/vdipipe/vdipipe.conf"),
        OPTION_FLAG(MESSAGES, "quiet", 'q', quiet, "say nothing but errors"),
        OPTION_FLAG(MESSAGES, "verbose", 'v', verbose, "say what is being done"),
        OPTION_FLAG(MESSAGES, "help", 'h', help, "show this help"),
        { .type = OPT_END },
};

const struct opt_spec options_progress[] = {
        OPTION_CHOICE(MESSAGES, "progress", "MODE", progress, progress_modes,
                      "auto (a bar on a terminal), never, plain (lines) or json (one object a line)"),
        OPTION_NUMBER(MESSAGES, "progress-fd", progress_fd, 0, 1 << 20,
                      "write progress to descriptor N instead of standard error"),
        OPTION_SECONDS(TIMEOUTS, "stall-timeout", stall_timeout_ms, 1, 604800000,
                       "give up when input or output stands still for so long (default: 600)"),
        { .type = OPT_END },
};

const struct opt_spec options_set[] = {
        OPTION_SIZE(DEVICES, "block-size", block_size, VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX,
                    "block size of the devices, a power of two (default: the database's page size)"),
        OPTION_NUMBER(DEVICES, "buffer-count", buffer_count, 1, 4096,
                      "buffers of the whole set (default: the server's choice)"),
        OPTION_SIZE(DEVICES, "max-transfer", max_transfer, VDS_TRANSFER_UNIT, VDS_TRANSFER_MAX,
                    "largest transfer, a multiple of 64K (default: 1M)"),
        { .type = OPT_END },
};

const struct opt_spec options_open[] = {
        OPTION_SECONDS(TIMEOUTS, "open-timeout", open_timeout_ms, 1, 86400000,
                       "give up when the server has not opened the set (default: 60)"),
        { .type = OPT_END },
};

const struct opt_spec options_server_wait[] = {
        OPTION_SECONDS(TIMEOUTS, "vdi-timeout", vdi_timeout_ms, 0, 604800000,
                       "have the server abort after two such intervals of silence (default: none)"),
        { .type = OPT_END },
};

const struct opt_spec options_force[] = {
        OPTION_FLAG(FILES, "force", 'f', force, "replace an existing FILE, once the new backup is complete"),
        { .type = OPT_END },
};

const struct opt_spec options_lock[] = {
        OPTION_SECONDS(SQLITE, "max-lock", max_lock_ms, 0, 86400000,
                       "keep writers of a rollback-mode database out no longer; the rest is spooled (default: 5)"),
        { .type = OPT_END },
};

const struct opt_spec options_trace[] = {
        OPTION_STRING(DEVICES, "trace", 0, "FILE", trace,
                      "write one JSON line for each command and completion of the devices to FILE"),
        { .type = OPT_END },
};

const struct opt_spec options_files[] = {
        OPTION_STRINGS(FILES, "output", 'o', "FILE", outputs,
                       "write what the server backs up to FILE, which appears when that has succeeded; {db} (the set's "
                       "name) {date} {device} are replaced"),
        OPTION_STRINGS(FILES, "input", 'i', "FILE", inputs, "give the server what FILE holds"),
        OPTION_FLAG(FILES, "raw", 0, raw,
                    "write the bare data, without any protection against truncation; with -i, give the server FILE's "
                    "bytes as they are"),
        { .type = OPT_END },
};

const struct opt_spec options_threads[] = {
        OPTION_NUMBER(CODING, "threads", threads, 1, POOL_THREADS_MAX,
                      "compress and decompress with N threads (default: one for each processor)"),
        { .type = OPT_END },
};

const struct opt_spec options_json[] = {
        OPTION_FLAG(MAIN, "json", 0, json, "print JSON"),
        { .type = OPT_END },
};

const struct opt_spec options_streams[] = {
        OPTION_STRINGS(FILES, "input", 'i', "FILE", inputs, "the same as FILE"),
        { .type = OPT_END },
};
