/*
 * info_sequence.h - backups of SQL Servers as files, put in the order in which they restore their databases
 *
 * Files are gathered by backup set, whose devices must all be there, and sets by database. Not thread safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "codecs/stream/info.h"
#include "core/base/error.h"

struct backup_sequence;

/* NULL when memory is short. */
struct backup_sequence *backup_sequence_new(void);
void backup_sequence_free(struct backup_sequence *sequence);

/* Adds a stream, by the name of its file. `report_json` is what its server reported; ERR_FAILED when that is no record
 * of a SQL Server's backup. `info` is the stream's header, NULL: it has none. */
int backup_sequence_add(struct backup_sequence *sequence, const char *file, const struct stream_info *info,
                        const char *report_json, struct error *err);

/* Writes what restores each database, and what does not: tables, or one JSON object a line. ERR_FAILED when a database
 * has no full backup, a backup waits for one that is missing, or lacks a device. */
int backup_sequence_print(const struct backup_sequence *sequence, bool json, FILE *out, struct error *err);
