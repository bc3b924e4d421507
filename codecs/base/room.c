#include "codecs/base/room.h"

#include <stdlib.h>
#include <string.h>

int room_grow(void *array, size_t *room, size_t wanted, size_t size, struct error *err)
{
        size_t more = *room + *room / 2;
        void *at;

        if (wanted <= *room)
                return 0;
        if (more < wanted)
                more = wanted;
        memcpy(&at, array, sizeof at);
        at = reallocarray(at, more, size);
        if (!at)
                return error_no_memory(err);
        memcpy(array, &at, sizeof at);
        *room = more;
        return 0;
}

int room_renew(void *array, size_t *room, size_t wanted, struct error *err)
{
        void *at;

        if (wanted <= *room)
                return 0;
        memcpy(&at, array, sizeof at);
        free(at);
        at = malloc(wanted);
        memcpy(array, &at, sizeof at);
        *room = at ? wanted : 0;
        return at ? 0 : error_no_memory(err);
}
