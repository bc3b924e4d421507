#include "codecs/stream/digest_trail.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

enum { PLACES_ROOM = 64, PIECE = 256 << 10, SPACING_MIN = 64 << 10 };
#define SPACING_MAX ((uint64_t)1 << 30)

void digest_trail_deinit(struct digest_trail *trail)
{
        for (size_t i = 0; i < trail->count; i++)
                free(trail->places[i].snapshot);
        free(trail->places);
        *trail = (struct digest_trail){ 0 };
}

static void thin(struct digest_trail *trail)
{
        size_t kept = 0;

        for (size_t i = 0; i < trail->count; i++) {
                if (i % 2 == 0)
                        free(trail->places[i].snapshot);
                else
                        trail->places[kept++] = trail->places[i];
        }
        trail->count = kept;
        trail->spacing *= 2;
}

static int make_room(struct digest_trail *trail, struct error *err)
{
        struct digest_place *places;
        size_t room = trail->room + trail->room / 2 + PLACES_ROOM;

        if (trail->count < trail->room)
                return 0;
        if (trail->room > 0 && trail->spacing < SPACING_MAX) {
                thin(trail);
                return 0;
        }
        places = realloc(trail->places, room * sizeof *places);
        if (!places)
                return error_no_memory(err);
        trail->places = places;
        trail->room = room;
        return 0;
}

int digest_trail_note(struct digest_trail *trail, const struct hasher *hasher, uint64_t at, struct error *err)
{
        uint64_t last = trail->count > 0 ? trail->places[trail->count - 1].at : 0;
        struct hash_snapshot *snapshot;

        if (trail->spacing == 0)
                trail->spacing = SPACING_MIN;
        if (at - last < trail->spacing)
                return 0;
        if (make_room(trail, err) < 0)
                return -1;
        snapshot = hasher_snapshot(hasher);
        if (!snapshot)
                return error_no_memory(err);
        trail->places[trail->count++] = (struct digest_place){ .at = at, .snapshot = snapshot };
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
                free(trail->places[--trail->count].snapshot);
        if (trail->count > 0)
                at = trail->places[trail->count - 1].at;
        hasher_go_back(hasher, trail->count > 0 ? trail->places[trail->count - 1].snapshot : NULL);
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
