/*
 * attach.c - one device of a set that another process made, served from this one
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/media/inputs.h"
#include "cli/run/foreign.h"
#include "cli/media/outputs.h"
#include "cli/run/set_options.h"
#include "codecs/codecs.h"
#include "core/base/cleanup.h"

static int attach_check_args(const struct args *args, struct error *err)
{
        if (args->operands.count != 2)
                return error_raise(err, ERR_USAGE, "which device of which set? vdipipe attach NAME DEVICE -o FILE");
        if (foreign_check_args(args, err) < 0)
                return -1;
        if (args->outputs.count + args->inputs.count > 1)
                return error_raise(err, ERR_USAGE, "one process serves one device here, and takes one file");
        return args->outputs.count || args->inputs.count ? 0 : outputs_check_stdout(args, err);
}

/* 0 when the text is no number. */
static uint32_t attach_number_of(const char *text, uint32_t max)
{
        char *end;
        unsigned long number = strtoul(text, &end, 10);

        return text[0] >= '0' && text[0] <= '9' && !*end && number <= max ? (uint32_t)number : 0;
}

/* A device goes by the name that the statement gives it; a number is a place in the clause,
 * unless it is such a name. */
static int attach_find_device(struct member *member, const char *text, uint32_t *ret_device, struct error *err)
{
        const struct args *args = member->args;
        uint32_t count = member->config.deviceCount;
        uint32_t number = attach_number_of(text, count);

        for (uint32_t i = 0; i < count; i++) {
                char name[VDS_NAME_MAX + 1];
                int rc = engine_device_name(member->engine, i, args->open_timeout_ms, name);

                *ret_device = i;
                if (rc == NOERROR && strcmp(name, text) == 0)
                        return 0;
                if (rc == VD_E_ABORT)
                        return -1;
                if (rc != NOERROR && rc != VD_E_TIMEOUT)
                        return error_raise(err, ERR_PROTOCOL, "device %u: %s", i + 1, vds_result_name(rc));
                if (rc == VD_E_TIMEOUT)
                        break;
        }
        if (!number)
                return error_raise(
                        err, ERR_USAGE,
                        "the set has no device '%s'; give its name in the statement, or a number from 1 to %u", text,
                        count);
        *ret_device = number - 1;
        return 0;
}

static int attach_check_input(const char *path, struct error *err)
{
        CLEANUP(input_deinit) struct input input = { .fd = -1 };

        return input_open(&input, path, err);
}

/* What can be known of the file before the set is: that it can be read, or made. Only a regular file's: others notice
 * who opens them. The file of a name with {device} or {date} in it is looked at when these are known. */
static int attach_check_file(const struct member *member, struct error *err)
{
        const struct args *args = member->args;
        const char *output = args->outputs.count ? args->outputs.items[0] : NULL;
        const char *input = args->inputs.count ? args->inputs.items[0] : NULL;
        struct stat st;
        const char *path = input ? input : output;
        CLEANUP(stage_freep) struct stage *probe = NULL;

        if (!path || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
                return 0;
        if (input)
                return attach_check_input(input, err);
        if (strchr(output, '{') || strncmp(output, "/dev/", 5) == 0 || strncmp(output, "/proc/", 6) == 0)
                return 0;
        return file_sink_new(output, member->primary.set_id, FILE_EXISTING_KEPT, /* cancel= */ NULL, &probe, err);
}

static int attach_serve(struct member *member, struct error *err)
{
        const struct args *args = member->args;
        const char *input = args->inputs.count ? args->inputs.items[0] : NULL;
        char date[32];
        const struct output_words words = { .db = member->set_name, .type = "full", .date = date };
        uint32_t device = 0;
        char *path = NULL;
        int rc;

        if (attach_check_file(member, err) < 0 || member_join(member, err) < 0)
                return -1;
        if (attach_find_device(member, args->operands.items[1], &device, err) < 0)
                return member_fail(member, err);
        outputs_date(member->primary.time, date);
        if (input && !(path = strdup(input)))
                return error_no_memory(err);
        rc = input ? member_add_volume(member, device, member->config.deviceCount, path, err)
                   : member_add_output(member, device, member->config.deviceCount,
                                       args->outputs.count ? args->outputs.items[0] : NULL, &words, err);
        return rc < 0 ? -1 : member_serve(member, err);
}

static int run_attach(const struct args *args, struct error *err)
{
        if (attach_check_args(args, err) < 0)
                return -1;
        if (foreign_run(args, "attach", attach_serve, err) == 0)
                return 0;
        return error_prefix(err, "attach '%s' %s: ", args->operands.items[0], args->operands.items[1]);
}

const struct command command_attach = {
        .name = "attach",
        .topic = TOPIC_SETS,
        .operands = "NAME DEVICE [-o FILE | -i FILE | > FILE]",
        .summary = "serve one device of a set that 'vdipipe create' made",
        .text = "Joins the set NAME as soon as a server has configured it, and serves DEVICE: its name in the "
                "statement, or its number from 1. All processes of a set succeed or fail together: each gives its FILE "
                "its name when the server has said success, and none does when one of them dies or fails.",
        .example = "  vdipipe create demo --devices 2 -o demo.1.vdi &\n"
                   "  vdipipe attach demo 2 -o demo.2.vdi\n",
        .options = OPTION_TABLES(options_files, options_writing, options_reading, options_passphrase, options_threads,
                                 options_group, options_open, options_trace, options_progress, options_common),
        .operands_max = 2,
        .run = run_attach,
};
