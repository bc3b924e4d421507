#include "core/script/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "core/base/cleanup.h"
#include "core/servers/json_text.h"

void script_report_add(struct script_report *report, uint32_t line, uint32_t device, const char *text)
{
        struct script_failure *failure = &report->failures[report->failure_count];

        if (report->failure_count++ >= SCRIPT_FAILURES_MAX)
                return;
        failure->line = line;
        failure->device = device;
        snprintf(failure->text, sizeof failure->text, "%s", text);
}

static uint32_t report_kept(const struct script_report *report)
{
        return report->failure_count < SCRIPT_FAILURES_MAX ? report->failure_count : SCRIPT_FAILURES_MAX;
}

void script_report_print(const struct script_report *report, FILE *to)
{
        for (uint32_t i = 0; i < report_kept(report); i++) {
                const struct script_failure *failure = &report->failures[i];

                fprintf(to, "%s:%" PRIu32 ": ", report->path, failure->line);
                if (failure->device)
                        fprintf(to, "device %" PRIu32 ": ", failure->device);
                fprintf(to, "%s\n", failure->text);
        }
        if (report->failure_count > SCRIPT_FAILURES_MAX)
                fprintf(to, "%s: and %" PRIu32 " more\n", report->path, report->failure_count - SCRIPT_FAILURES_MAX);
}

static json_t *report_failures_json(const struct script_report *report)
{
        json_t *list = json_array();

        for (uint32_t i = 0; i < report_kept(report); i++) {
                const struct script_failure *failure = &report->failures[i];

                json_array_append_new(list, json_pack("{s:I, s:o, s:s}", "line", (json_int_t)failure->line, "device",
                                                      failure->device ? json_integer(failure->device) : json_null(),
                                                      "text", failure->text));
        }
        return list;
}

int script_report_json(const struct script_report *report, FILE *to, struct error *err)
{
        json_t *object = json_pack("{s:o, s:o, s:b, s:b, s:I, s:I, s:I, s:o}", "script", json_text_make(report->path),
                                   "set", json_text_make(report->set_name), "passed", report->failure_count == 0,
                                   "timed_out", report->timed_out, "commands", (json_int_t)report->commands, "checks",
                                   (json_int_t)report->checks, "failure_count", (json_int_t)report->failure_count,
                                   "failures", report_failures_json(report));
        CLEANUP(freep) char *text = json_dumps(object, JSON_COMPACT);

        json_decref(object);
        if (!text)
                return error_no_memory(err);
        if (fprintf(to, "%s\n", text) < 0 || fflush(to) != 0)
                return error_raise_errno(err, errno, "cannot write the report");
        return 0;
}

int script_report_conclude(const struct script_report *report, struct error *err)
{
        if (report->failure_count == 0)
                return 0;
        return error_raise(err, report->timed_out ? ERR_TIMEOUT : ERR_FAILED,
                           "the client of '%s' did not do what '%s' demands: %" PRIu32 " %s", report->set_name,
                           report->path, report->failure_count, report->failure_count == 1 ? "failure" : "failures");
}
