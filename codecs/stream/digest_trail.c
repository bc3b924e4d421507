#include "codecs/stream/digest_trail.h"

#include <errno.h>
#include <stdlib.h>

#include "codecs/base/room.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

enum { PLACES_MIN = 64, PIECE = 256 << 10, SPACING_MIN = 64 << 10 };
#define SPACING_MAX ((uint64_t)1 << 30)

void digest_trail_deinit(struct digest_trail *trail)
{
        for (size_t i = 0; i < trail->count; i++)
                hasher_free(trail->places[i].hasher);
        free(trail->places);
        *trail = (struct digest_trail){ 0 };
}

/* Every other place goes. */
static void trail_thin(struct digest_trail *trail)
{
        size_t kept = 0;

        for (size_t i = 0; i < trail->count; i++) {
                if (i % 2 == 0)
                        hasher_free(trail->places[i].hasher);
                else
                        trail->places[kept++] = trail->places[i];
        }
        trail->count = kept;
        trail->spacing *= 2;
}

int digest_trail_note(struct digest_trail *trail, const struct hasher *hasher, uint64_t at, struct error *err)
{
        uint64_t last = trail->count > 0 ? trail->places[trail->count - 1].at : 0;
        struct hasher *copy;

        if (trail->spacing == 0)
                trail->spacing = SPACING_MIN;
        if (at - last < trail->spacing)
                return 0;
        if (trail->count >= PLACES_MIN && trail->count == trail->room && trail->spacing < SPACING_MAX)
                trail_thin(trail);
        if (room_grow(&trail->places, &trail->room, trail->count < PLACES_MIN ? PLACES_MIN : trail->count + 1,
                      sizeof *trail->places, err) < 0)
                return -1;
        copy = hasher_copy(hasher);
        if (!copy)
                return error_no_memory(err);
        trail->places[trail->count++] = (struct digest_place){ .at = at, .hasher = copy };
        return 0;
}

int digest_trail_go_back(struct digest_trail *trail, struct hasher *hasher, const struct vdistream_cut *cut,
                         struct error *err)
{
        CLEANUP(freep) uint8_t *bytes = malloc(PIECE);
        uint64_t at = 0;

        if (!bytes)
                return error_no_memory(err);
        while (trail->count > 0 && trail->places[trail->count - 1].at > cut->offset)
                hasher_free(trail->places[--trail->count].hasher);
        if (trail->count > 0)
                at = trail->places[trail->count - 1].at;
        hasher_go_back(hasher, trail->count > 0 ? trail->places[trail->count - 1].hasher : NULL);
        while (at < cut->offset) {
                size_t size = cut->offset - at < PIECE ? (size_t)(cut->offset - at) : PIECE;
                ssize_t n;

                if (cut->cancel && atomic_load(cut->cancel))
                        return error_raise(err, ERR_ABORTED, "reading %s was interrupted", cut->label);
                n = fd_pread_full(cut->fd, bytes, size, (off_t)at);
                if (n < 0)
                        return error_raise_errno(err, errno, "cannot read %s", cut->label);
                if ((size_t)n < size)
                        return error_raise(err, ERR_FAILED, "somebody else has cut %s", cut->label);
                hasher_stream(hasher, bytes, size);
                at += size;
        }
        return 0;
}
