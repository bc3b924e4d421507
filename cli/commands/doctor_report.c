#include "cli/commands/doctor_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

static const char *const level_names[] = {
        [DOCTOR_OK] = "ok",
        [DOCTOR_WARNING] = "warning",
        [DOCTOR_FAULT] = "fault",
};

void doctor_say(struct doctor *doctor, enum doctor_level level, const char *check, const char *format, ...)
{
        CLEANUP(freep) char *shown = NULL;
        char text[2048];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        /* In JSON, too: it makes UTF-8 of whatever a path holds. */
        shown = text_escape(text, strlen(text));
        doctor->counts[level]++;
        if (doctor->checks)
                json_array_append_new(doctor->checks, json_pack("{s:s, s:s, s:s}", "check", check, "level",
                                                                level_names[level], "text", shown ? shown : ""));
        else if (level != DOCTOR_OK || !doctor->args->quiet)
                printf("%-7s  %s: %s\n", level_names[level], check, shown ? shown : "");
}
