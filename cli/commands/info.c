/*
 * info.c - what a backup says about itself
 */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/info_sequence.h"
#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/text/json.h"
#include "cli/message.h"
#include "cli/run/reading.h"
#include "core/base/cleanup.h"
#include "core/base/text.h"

static const struct opt_spec info_options[] = {
        OPTION_FLAG(
                MAIN, "chain", 0, chain,
                "print the order in which these backups of a SQL Server restore their database, and what is missing"),
        { .type = OPT_END },
};

/* What was found out about one stream. */
struct findings {
        const struct input *input;
        bool complete;           /* the end was reached: `tail` is known */
        struct stream_tail tail; /* owned */
};

static void findings_put_layers(json_t *object, const struct layer_facts *facts)
{
        const struct {
                const char *stanza;
                size_t count;
        } recipients[] = {
                { "X25519", facts->x25519_recipients },
                { "scrypt", facts->scrypt_recipients },
                { "other", facts->other_recipients },
        };
        json_t *layers = json_array();
        json_t *encrypted_for = json_object();

        for (size_t i = 0; i < facts->layer_count; i++)
                json_array_append_new(layers, json_string(layer_name(facts->layers[i])));
        json_object_set_new(object, "layers", layers);
        for (size_t i = 0; i < sizeof recipients / sizeof recipients[0]; i++)
                if (recipients[i].count)
                        json_add_number(encrypted_for, recipients[i].stanza, recipients[i].count);
        if (json_object_size(encrypted_for))
                json_object_set(object, "encrypted_for", encrypted_for);
        json_decref(encrypted_for);
}

static void findings_put_info(json_t *object, const struct stream_info *info)
{
        json_add_shown(object, "set", info->set_id);
        json_add_shown(object, "time", info->time);
        json_add_shown(object, "host", info->host);
        json_add_shown(object, "machine", info->machine);
        json_add_shown(object, "tool_version", info->tool_version);
        json_add_shown(object, "server", info->server_kind);
        json_add_shown(object, "server_version", info->server_version);
        json_add_shown(object, "database", info->database);
        json_add_shown(object, "origin", info->origin);
        json_add_shown(object, "type", info->type);
        if (info->label)
                json_add_shown(object, "label", info->label);
        if (info->has_owner) {
                json_add_number(object, "uid", info->uid);
                json_add_number(object, "gid", info->gid);
                json_object_set_new(object, "mode", json_sprintf("%04o", info->mode));
        }
        json_add_number(object, "device", (uint64_t)info->device + 1);
        json_add_number(object, "devices", info->device_count);
        if (info->has_extent) {
                json_add_number(object, "database_bytes", info->total_size);
                json_add_number(object, "part_offset", info->part_offset);
                json_add_number(object, "part_bytes", info->part_length);
        }
        json_add_number(object, "block_size", info->block_size);
        json_add_number(object, "max_transfer", info->max_transfer);
}

static json_t *findings_json(const struct findings *findings)
{
        const struct reader *reader = findings->input->reader;
        json_t *object = json_object();

        json_add_shown(object, "file", findings->input->name);
        findings_put_layers(object, &findings->input->facts);
        if (!reader) {
                json_object_set_new(object, "needs_key", json_true());
                return object;
        }
        if (reader->has_info)
                findings_put_info(object, &reader->info);
        json_object_set_new(object, "complete", json_boolean(findings->complete));
        json_object_set_new(object, "confirmed", json_boolean(findings->tail.confirmed));
        if (findings->complete) {
                json_add_number(object, "data_bytes", findings->tail.data_bytes);
                if (findings->tail.stream_bytes)
                        json_add_number(object, "stream_bytes", findings->tail.stream_bytes);
                if (findings->tail.marks)
                        json_add_number(object, "file_marks", findings->tail.marks);
        }
        if (findings->tail.report_json)
                json_object_set_new(object, "report", json_loads(findings->tail.report_json, 0, NULL));
        return object;
}

/* "zstd, vdi stream", allocated; NULL when memory ran out. */
static char *join_strings(const json_t *strings)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                return NULL;
        for (size_t i = 0; i < json_array_size(strings); i++)
                fprintf(out, "%s%s", i ? ", " : "", json_string_value(json_array_get(strings, i)));
        if (fclose(out) == 0)
                return text;
        free(text);
        return NULL;
}

/* The same members for people: "key  value" lines. */
static void findings_print_lines(json_t *object)
{
        const char *key;
        json_t *value;

        json_object_foreach(object, key, value)
        {
                CLEANUP(freep) char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
                CLEANUP(freep) char *list = json_is_array(value) ? join_strings(value) : NULL;
                const char *text = list ? list : json_is_string(value) ? json_string_value(value) : dump;
                CLEANUP(freep) char *safe = text ? text_escape(text, strlen(text)) : NULL;

                printf("%-15s %s\n", key, safe ? safe : "");
        }
}

static void findings_print(const struct args *args, const struct findings *findings)
{
        json_t *object = findings_json(findings);
        CLEANUP(freep) char *text = NULL;

        if (args->json) {
                text = json_dumps(object, JSON_COMPACT);
                puts(text ? text : "{}");
        } else {
                findings_print_lines(object);
                putchar('\n');
        }
        json_decref(object);
}

static int findings_add_to_sequence(struct backup_sequence *sequence, const struct findings *findings,
                                    struct error *err)
{
        const struct reader *reader = findings->input->reader;

        if (!reader)
                return error_raise(err, ERR_KEY, "'%s' is encrypted, so its place in a chain is not known",
                                   findings->input->name);
        return backup_sequence_add(sequence, findings->input->name, reader->has_info ? &reader->info : NULL,
                                   findings->tail.report_json, err);
}

/* A bare vdi stream in a file is looked at from both ends. Returns 1 when that told everything. */
static int findings_look_at_ends(const struct input *input, struct findings *findings, struct error *err)
{
        CLEANUP(stream_info_deinit) struct stream_info info = { 0 };
        int rc = vdistream_probe(input->fd, input->name, &info, &findings->tail, err);

        findings->complete = rc == 1 || (rc < 0 && err->code == ERR_UNCONFIRMED);
        if (!findings->complete)
                stream_tail_deinit(&findings->tail);
        findings->tail.confirmed = rc == 1 && findings->tail.confirmed;
        return rc;
}

static int findings_read_through(struct reading *reading, struct input *input, struct findings *findings,
                                 struct error *err)
{
        const struct stream_tail *tail;
        uint64_t bytes;

        if (reading_pump(reading, input, /* sink= */ NULL, &bytes, err) < 0)
                return -1;
        tail = reader_tail(input->reader);
        if (tail)
                findings->tail = *tail;
        findings->tail.report_json = tail && tail->report_json ? strdup(tail->report_json) : NULL;
        findings->tail.data_bytes = bytes;
        findings->complete = true;
        return 0;
}

/* An encrypted layer that nobody gave a key for ends the view, and is no failure. */
static bool lacks_key(const struct input *input, const struct args *args, struct error *err)
{
        if (err->code != ERR_KEY || input->facts.layer_count == 0 || args->coding->identities)
                return false;
        *err = (struct error)ERROR_INIT;
        return true;
}

static int info_one(struct reading *reading, const struct args *args, const char *path, struct error *err)
{
        struct input input;
        struct findings findings = { .input = &input };
        struct error fault = ERROR_INIT;
        int rc = input_open(&input, path, err);
        int ends = 0;

        input.only_shown = true;
        /* Before the header is read, for a file is looked at from its start. */
        if (rc == 0)
                ends = findings_look_at_ends(&input, &findings, &fault);
        if (rc == 0)
                rc = input_start(&input, args, supervisor_cancel_flag(reading->supervisor), err);
        if (rc == 0 || lacks_key(&input, args, err)) {
                if (rc < 0)
                        rc = 0;
                else if (ends == 0)
                        rc = findings_read_through(reading, &input, &findings, err);
                else if (ends < 0 && !(fault.code == ERR_UNCONFIRMED && args->accept_unconfirmed))
                        rc = error_hand_over(err, &fault);
                if (!reading->context)
                        findings_print(args, &findings);
                else if (rc == 0)
                        rc = findings_add_to_sequence(reading->context, &findings, err);
        }
        stream_tail_deinit(&findings.tail);
        input_deinit(&input);
        return rc;
}

static int run_sequence(const struct args *args, struct error *err)
{
        struct backup_sequence *sequence = backup_sequence_new();
        struct error gap = ERROR_INIT;
        int rc;

        if (!sequence)
                return error_no_memory(err);
        rc = reading_run(args, "info", info_one, sequence, err);
        if (err->code != ERR_SIGNAL && backup_sequence_print(sequence, args->json, stdout, &gap) < 0) {
                if (rc < 0)
                        message_error("%s", gap.message);
                error_keep_first(err, &gap);
                rc = -1;
        }
        backup_sequence_free(sequence);
        return rc;
}

static int run_info(const struct args *args, struct error *err)
{
        return args->chain ? run_sequence(args, err) : reading_run(args, "info", info_one, /* context= */ NULL, err);
}

const struct command command_info = {
        .name = "info",
        .operands = "[--chain] [--json] [FILE...]",
        .summary = "show what a backup says about itself",
        .text = "Shows layers, origin, devices, sizes, and whether the backup is complete and confirmed. A file is "
                "looked at from both ends; other input is read through. The content is not checked: that is what "
                "verify does. Without a key only the layers down to an encrypted one are shown, and for whom that is. "
                "With --json each FILE is one line. --chain takes backups of SQL Servers and shows, for each database, "
                "what restores it in which order; it fails when something is missing.",
        .example = "  vdipipe info app.vdi\n"
                   "  vdipipe info --json /backup/*.vdi | jq -r .time\n"
                   "  vdipipe info --chain /backup/pubs*.vdi\n",
        .options = OPTION_TABLES(info_options, options_json, options_streams, options_reading, options_passphrase,
                                 options_progress, options_common),
        .operands_max = 1 << 20,
        .run = run_info,
};
