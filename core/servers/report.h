/*
 * report.h - what a server writes of itself and of its work; server.h has the readers
 *
 * Both texts are JSON of at most VDS_TEXT_MAX bytes with the NUL.
 */
#ifndef VDIPIPE_CORE_SERVERS_REPORT_H
#define VDIPIPE_CORE_SERVERS_REPORT_H

#include "core/base/error.h"
#include "core/servers/server.h"

/* Writes a verdict's text. Messages are made printable, and cut if there is no room for them. */
void server_report_encode(const struct server_report *report, char text[VDS_TEXT_MAX]);

int server_info_encode(const struct server_info *info, char text[VDS_TEXT_MAX], struct error *err);

#endif
