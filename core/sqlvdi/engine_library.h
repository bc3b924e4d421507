/*
 * engine_library.h - the calls of engine.h by a library opened at run time, for engine.c; what they do is said there
 */
#pragma once

#include "core/sqlvdi/engine.h"

void library_free(struct engine *engine);
int library_create(struct engine *engine, const char *name, const struct VDConfig *wishes);
int library_get_configuration(struct engine *engine, int64_t timeout_ms, struct VDConfig *config);
int library_open_device(struct engine *engine, const char *name, struct engine_device **ret_device);
int library_get_command(struct engine *engine, struct engine_device *device, struct VDC_Command **ret_command);
int library_complete_command(struct engine *engine, struct engine_device *device, struct VDC_Command *command,
                             int completion_code, uint64_t bytes_transferred, int64_t position);
int library_signal_abort(struct engine *engine);
int library_device_name(struct engine *engine, uint32_t index, char *name);
enum vds_abort_reason library_abort_reason(struct engine *engine);
const char *library_error_text(struct engine *engine);
int64_t library_inside_ms(struct engine *engine);
