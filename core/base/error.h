/*
 * error.h - a failure: its class, and one line that names the object, the fault and the remedy
 *
 * A function that can fail takes `struct error *err` last, returns negative on failure, and raises the error once,
 * where the cause is known; callers pass it up unchanged, or add what they alone know with error_prefix(). `err` may be
 * NULL where the caller needs no words. Expected outcomes are positive results listed in the callee's header, not
 * errors.
 *
 * Not thread safe: an error belongs to one thread at a time.
 */
#pragma once

/* Classes of failure. cli/exit_status.c is the only place that maps them to an exit status. The values travel from the
 * server process to the client in the verdict, so new ones go to the end. */
enum err_code {
        ERR_NONE = 0,
        ERR_FAILED,      /* the operation failed; nothing more specific applies */
        ERR_USAGE,       /* arguments or options; nothing was started */
        ERR_DAMAGED,     /* a stream is damaged, truncated, or does not belong to its set */
        ERR_UNCONFIRMED, /* a stream is complete but for the server's verdict */
        ERR_KEY,         /* wrong or missing key */
        ERR_BUSY,        /* busy or locked by somebody else */
        ERR_TIMEOUT,     /* a deadline passed */
        ERR_CHILD,       /* a command that was started failed */
        ERR_SKIPPED,     /* not done, and everybody concerned knows */
        ERR_SIGNAL,      /* ended by a signal */
        ERR_IO,          /* input or output error */
        ERR_NO_SPACE,    /* ENOSPC or EDQUOT */
        ERR_PIPE,        /* whoever read our output went away */
        ERR_MEMORY,      /* out of memory */
        ERR_PROTOCOL,    /* the peer broke the protocol, or a call came in the wrong state */
        ERR_PEER_DIED,   /* the process at the other end died */
        ERR_ABORTED,     /* the device set was aborted, for a reason reported elsewhere */
        ERR_CODE_COUNT,
};

enum { ERROR_MESSAGE_MAX = 1024 };

struct error {
        enum err_code code;
        int sys_errno;                   /* errno of the failing call, 0 when there was none */
        char message[ERROR_MESSAGE_MAX]; /* one line, no full stop, no newline */
};

#define ERROR_INIT               \
        {                        \
                .code = ERR_NONE \
        }

/* Sets *err, unless it holds an error already: the first cause is the one to report. Returns -1, so that `return
 * error_raise(...)` reads as one step. */
int error_raise(struct error *err, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, but what was there goes: for whoever knows better than what was called. */
int error_replace(struct error *err, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* error_raise() for a failed system call: appends ": " and the text of `sys_errno`, and picks the class from it
 * (ENOSPC and EDQUOT give ERR_NO_SPACE, EPIPE gives ERR_PIPE, ENOMEM gives ERR_MEMORY, anything else ERR_IO). */
int error_raise_errno(struct error *err, int sys_errno, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Memory is short: ERR_MEMORY in the words that everybody uses for it. Returns -1. */
int error_no_memory(struct error *err);

/* Puts words in front of the message: "restore of 'x': " + message. The class stays. Returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies src to dst unless dst already holds an error: the first cause is the one to report. */
void error_keep_first(struct error *dst, const struct error *src);

/* An error that was kept for later, or none: -1 with *dst set to it, whatever that held; or 0. */
int error_hand_over(struct error *dst, const struct error *src);

static inline int error_is_set(const struct error *err)
{
        return err->code != ERR_NONE;
}
