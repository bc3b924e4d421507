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
