#include "cli/command.h"

#include "codecs/codecs.h"
#include "codecs/base/pool.h"

static const struct opt_choice progress_modes[] = {
        { "auto", PROGRESS_AUTO },
        { "never", PROGRESS_NEVER },
        { "plain", PROGRESS_PLAIN },
        { "json", PROGRESS_JSON },
        { NULL, 0 },
};

const struct opt_spec options_common[] = {
        { .type = OPT_STRING,
          .name = "config",
          .value = "FILE",
          .offset = offsetof(struct args, config_path),
          .help = "read FILE after /etc/vdipipe.conf and ~/.config/vdipipe/vdipipe.conf" },
        { .type = OPT_FLAG,
          .name = "quiet",
          .letter = 'q',
          .offset = offsetof(struct args, quiet),
          .help = "say nothing but errors" },
        { .type = OPT_FLAG,
          .name = "verbose",
          .letter = 'v',
          .offset = offsetof(struct args, verbose),
          .help = "say what is being done" },
        { .type = OPT_FLAG,
          .name = "help",
          .letter = 'h',
          .offset = offsetof(struct args, help),
          .help = "show this help" },
        { .type = OPT_END },
};

const struct opt_spec options_progress[] = {
        { .type = OPT_CHOICE,
          .name = "progress",
          .value = "MODE",
          .offset = offsetof(struct args, progress),
          .choices = progress_modes,
          .help = "auto (a bar on a terminal), never, plain (lines) or json (one object a line)" },
        { .type = OPT_NUMBER,
          .name = "progress-fd",
          .value = "N",
          .offset = offsetof(struct args, progress_fd),
          .min = 0,
          .max = 1 << 20,
          .help = "write progress to descriptor N instead of standard error" },
        { .type = OPT_END },
};

const struct opt_spec options_set[] = {
        { .type = OPT_SIZE,
          .name = "block-size",
          .value = "SIZE",
          .offset = offsetof(struct args, block_size),
          .min = VDS_BLOCK_SIZE_MIN,
          .max = VDS_BLOCK_SIZE_MAX,
          .help = "block size of the devices, a power of two (default: the database's page size)" },
        { .type = OPT_NUMBER,
          .name = "buffer-count",
          .value = "N",
          .offset = offsetof(struct args, buffer_count),
          .min = 1,
          .max = 4096,
          .help = "buffers of the whole set (default: the server's choice)" },
        { .type = OPT_SIZE,
          .name = "max-transfer",
          .value = "SIZE",
          .offset = offsetof(struct args, max_transfer),
          .min = VDS_TRANSFER_UNIT,
          .max = VDS_TRANSFER_MAX,
          .help = "largest transfer, a multiple of 64K (default: 1M)" },
        { .type = OPT_END },
};

const struct opt_spec options_open[] = {
        { .type = OPT_SECONDS,
          .name = "open-timeout",
          .value = "SECONDS",
          .offset = offsetof(struct args, open_timeout_ms),
          .min = 1,
          .max = 86400000,
          .help = "give up when the server has not opened the set (default: 60)" },
        { .type = OPT_END },
};

const struct opt_spec options_server_wait[] = {
        { .type = OPT_SECONDS,
          .name = "vdi-timeout",
          .value = "SECONDS",
          .offset = offsetof(struct args, vdi_timeout_ms),
          .min = 0,
          .max = 604800000,
          .help = "have the server abort after two such intervals of silence (default: none)" },
        { .type = OPT_END },
};

const struct opt_spec options_force[] = {
        { .type = OPT_FLAG,
          .name = "force",
          .letter = 'f',
          .offset = offsetof(struct args, force),
          .help = "replace an existing FILE, once the new backup is complete" },
        { .type = OPT_END },
};

const struct opt_spec options_lock[] = {
        { .type = OPT_SECONDS,
          .name = "max-lock",
          .value = "SECONDS",
          .offset = offsetof(struct args, max_lock_ms),
          .min = 0,
          .max = 86400000,
          .help = "keep writers of a rollback-mode database out no longer; the rest is spooled (default: 5)" },
        { .type = OPT_END },
};

const struct opt_spec options_stall[] = {
        { .type = OPT_SECONDS,
          .name = "stall-timeout",
          .value = "SECONDS",
          .offset = offsetof(struct args, stall_timeout_ms),
          .min = 1,
          .max = 604800000,
          .help = "give up when input or output stands still for so long (default: 600)" },
        { .type = OPT_END },
};

const struct opt_spec options_trace[] = {
        { .type = OPT_STRING,
          .name = "trace",
          .value = "FILE",
          .offset = offsetof(struct args, trace),
          .help = "write one JSON line for each command and completion of the devices to FILE" },
        { .type = OPT_END },
};

const struct opt_spec options_files[] = {
        { .type = OPT_STRINGS,
          .name = "output",
          .letter = 'o',
          .value = "FILE",
          .offset = offsetof(struct args, outputs),
          .help = "write what the server backs up to FILE, which appears when that has succeeded; {db} (the set's "
                  "name) {date} {device} are replaced" },
        { .type = OPT_STRINGS,
          .name = "input",
          .letter = 'i',
          .value = "FILE",
          .offset = offsetof(struct args, inputs),
          .help = "give the server what FILE holds" },
        { .type = OPT_END },
};

const struct opt_spec options_bare[] = {
        { .type = OPT_FLAG,
          .name = "raw",
          .offset = offsetof(struct args, raw),
          .help = "write the bare data, without any protection against truncation; with -i, give the server FILE's "
                  "bytes as they are" },
        { .type = OPT_END },
};

const struct opt_spec options_writing[] = {
        { .type = OPT_NUMBER,
          .name = "zstd",
          .letter = 'z',
          .value = "LEVEL",
          .offset = offsetof(struct args, zstd_level),
          .min = ZSTD_LEVEL_MIN,
          .max = ZSTD_LEVEL_MAX,
          .optional = true,
          .has_given = true,
          .given_offset = offsetof(struct args, zstd),
          .fallback = ZSTD_LEVEL_DEFAULT,
          .help = "compress, at LEVEL from -7 to 22 (default: 3)" },
        { .type = OPT_FLAG,
          .name = "zstd-long",
          .offset = offsetof(struct args, zstd_long),
          .help = "with --zstd: find repetitions over 32 MiB instead of 4; takes more memory" },
        { .type = OPT_END },
};

const struct opt_spec options_threads[] = {
        { .type = OPT_NUMBER,
          .name = "threads",
          .value = "N",
          .offset = offsetof(struct args, threads),
          .min = 1,
          .max = POOL_THREADS_MAX,
          .help = "compress and decompress with N threads (default: one for each processor)" },
        { .type = OPT_END },
};

const struct opt_spec options_json[] = {
        { .type = OPT_FLAG, .name = "json", .offset = offsetof(struct args, json), .help = "print JSON" },
        { .type = OPT_END },
};

const struct opt_spec options_streams[] = {
        { .type = OPT_STRINGS,
          .name = "input",
          .letter = 'i',
          .value = "FILE",
          .offset = offsetof(struct args, inputs),
          .help = "the same as FILE" },
        { .type = OPT_END },
};

const struct opt_spec options_reading[] = {
        { .type = OPT_FLAG,
          .name = "accept-unconfirmed",
          .offset = offsetof(struct args, accept_unconfirmed),
          .help = "do without the verdict: take data that is complete though no server said that its backup "
                  "succeeded" },
        { .type = OPT_SIZE,
          .name = "memory-limit",
          .value = "SIZE",
          .offset = offsetof(struct args, memory_limit),
          .min = 1 << 20,
          .max = (int64_t)1 << 32,
          .help = "largest window of a foreign zstd frame (default: 8M), and what trying a passphrase may take "
                  "(default: 256M)" },
        { .type = OPT_END },
};
