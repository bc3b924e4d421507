/*
 * report.h - what a server writes of itself and of its work; server.h has the readers
 *
 * Both texts are JSON of at most VDS_TEXT_MAX bytes with the NUL.
 */
#pragma once

#include <jansson.h>

#include "core/base/error.h"
#include "core/servers/server.h"

/* Writes a verdict's text. Messages are made printable, and cut if there is no room for them. */
void server_report_encode(const struct server_report *report, char text[VDS_TEXT_MAX]);

/* The parts of devices as JSON; NULL when memory is short. False: there is one that is no range of 63 bits. */
json_t *server_parts_encode(const struct server_part *parts, uint32_t count);
bool server_parts_decode(const json_t *value, struct server_part *parts);

int server_info_encode(const struct server_info *info, char text[VDS_TEXT_MAX], struct error *err);
