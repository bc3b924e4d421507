/*
 * set_view.h - what is seen of a live set, as text and as JSON
 *
 * Names and texts in a status come from other processes: they are escaped in text, and names that are no UTF-8 become
 * the member name_hex in JSON. Thread safe: no state.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/text/table.h"
#include "core/vds/vds.h"

enum { SET_VIEW_AGE_SIZE = 32 };

/* A row of `list` for each set. */
void set_view_list_init(struct table *table);
void set_view_list_add(struct table *table, const struct vds_status *status);
json_t *set_view_list_json(const struct vds_status *status);

/* All there is to say about one set. */
void set_view_print_status(const struct vds_status *status, FILE *out);
json_t *set_view_status_json(const struct vds_status *status);

/* A configuration as lines of key and value; sizes in bytes, times in milliseconds. */
void set_view_print_config(const struct VDConfig *config, FILE *out);
json_t *set_view_config_json(const struct VDConfig *config);

/* "7s", "3m12s", "2h05m", "4d03h"; "" for a negative time. Returns `text`. */
const char *set_view_age(int64_t ms, char text[SET_VIEW_AGE_SIZE]);
