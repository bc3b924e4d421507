#include "codecs/base/label.h"

#include <stdio.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

int label_of_input(const char *name, char label[LABEL_MAX], struct error *err)
{
        CLEANUP(freep) char *escaped = text_escape(name, strlen(name));

        if (!escaped)
                return error_no_memory(err);
        if (strcmp(name, "standard input") == 0)
                snprintf(label, LABEL_MAX, "%s", name);
        else
                snprintf(label, LABEL_MAX, "'%s'", escaped);
        return 0;
}

int raise_damaged_at(const char *label, uint64_t position, const char *what, struct error *err)
{
        return error_raise(err, ERR_DAMAGED, "%s is damaged at byte %llu: %s", label, (unsigned long long)position,
                           what);
}

int raise_cut_at(const char *label, uint64_t position, const char *what, struct error *err)
{
        return error_raise(err, ERR_DAMAGED, "%s ends at byte %llu inside %s: it was cut off", label,
                           (unsigned long long)position, what);
}
