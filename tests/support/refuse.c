/*
 * refuse.c - for LD_PRELOAD: one allocation fails, the one that VDIPIPE_REFUSE counts to
 *
 * The C library's own functions do the rest; what it allocates for itself does not come here.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

void *libc_malloc(size_t size) __asm__("__libc_malloc");
void *libc_calloc(size_t count, size_t size) __asm__("__libc_calloc");
void *libc_realloc(void *memory, size_t size) __asm__("__libc_realloc");

static atomic_long left = -1; /* below 0: nothing is refused any more */

static __attribute__((constructor)) void load(void)
{
        const char *count = getenv("VDIPIPE_REFUSE");

        if (count)
                left = atol(count);
}

static int is_refused(void)
{
        if (left < 0 || atomic_fetch_sub(&left, 1) != 0)
                return 0;
        errno = ENOMEM;
        return 1;
}

void *malloc(size_t size)
{
        return is_refused() ? NULL : libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
        return is_refused() ? NULL : libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
        return is_refused() ? NULL : libc_realloc(memory, size);
}
