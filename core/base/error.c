#include "core/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static void raise_words(struct error *err, enum err_code code, int sys_errno,
                                                              const char *format, va_list args)
{
        char text[128];
        size_t used;

        err->code = code;
        err->sys_errno = sys_errno;
        vsnprintf(err->message, sizeof err->message, format, args);
        used = strlen(err->message);
        if (sys_errno)
                snprintf(err->message + used, sizeof err->message - used, ": %s",
                         strerror_r(sys_errno, text, sizeof text));
}

int error_raise(struct error *err, enum err_code code, const char *format, ...)
{
        va_list args;

        if (!err || error_is_set(err))
                return -1;
        va_start(args, format);
        raise_words(err, code, 0, format, args);
        va_end(args);
        return -1;
}

int error_replace(struct error *err, enum err_code code, const char *format, ...)
{
        va_list args;

        if (!err)
                return -1;
        va_start(args, format);
        raise_words(err, code, 0, format, args);
        va_end(args);
        return -1;
}

static enum err_code class_of_errno(int sys_errno)
{
        switch (sys_errno) {
        case ENOSPC:
        case EDQUOT:
                return ERR_NO_SPACE;
        case EPIPE:
                return ERR_PIPE;
        case ENOMEM:
        case EMFILE:
        case ENFILE:
                return ERR_MEMORY;
        default:
                return ERR_IO;
        }
}

int error_raise_errno(struct error *err, int sys_errno, const char *format, ...)
{
        va_list args;

        if (!err || error_is_set(err))
                return -1;
        va_start(args, format);
        raise_words(err, class_of_errno(sys_errno), sys_errno, format, args);
        va_end(args);
        return -1;
}

int error_no_memory(struct error *err)
{
        return error_raise(err, ERR_MEMORY, "out of memory");
}

int error_prefix(struct error *err, const char *format, ...)
{
        va_list args;
        char old[ERROR_MESSAGE_MAX];
        size_t used;

        if (!err)
                return -1;
        memcpy(old, err->message, sizeof old);
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, "%s", old);
        return -1;
}

int error_hand_over(struct error *dst, const struct error *src)
{
        if (!error_is_set(src))
                return 0;
        if (dst)
                *dst = *src;
        return -1;
}

void error_keep_first(struct error *dst, const struct error *src)
{
        if (dst && !error_is_set(dst) && error_is_set(src))
                *dst = *src;
}
