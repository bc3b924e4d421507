/*
 * engine.h - the client's side of a device set, whoever carries it: our own engine, or a libsqlvdi.so opened at run
 * time
 *
 * Our own engine is called through vds.h, a library by its published C++ members (library.h). The client's loop is
 * written against both:
 *
 *   engine_embedded_new() or engine_library_new(), engine_create, engine_get_configuration, engine_open_device for each
 *   device; per device a loop of engine_get_command and engine_complete_command until VD_E_CLOSE; engine_free.
 *
 * Results are NOERROR or a VD_E_ code; time-outs are milliseconds on CLOCK_MONOTONIC, negative waits without limit.
 * Every function but engine_free() may be called from any thread at any time; a device is one thread's at a time.
 *
 * What lies beyond the published interface a library cannot know. Each such function says what it answers then; the
 * result of the statement decides in its place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/vds/vds.h"

struct engine;
struct engine_device;
struct sqlvdi_library;

/* A client of our own engine, without a set. `options` is copied as vds_client_new() does. NULL: memory is short. */
struct engine *engine_embedded_new(const struct vds_options *options);

/* The same by an opened library, which outlives the engine. NULL: memory is short. */
struct engine *engine_library_new(const struct sqlvdi_library *library);

/* Closes the set, aborting it if it is not done, and frees. NULL is allowed. No other call may be in progress. A
 * library that does not come back from that within three seconds is left to itself. */
void engine_free(struct engine *engine);

/* The client behind engine_embedded_new(), for what only our own engine has: secondary clients, observers. NULL for a
 * library. It belongs to the engine. */
struct vds_client *engine_vds(struct engine *engine);

/* ---- the published interface ---- */

/* Makes the set. engine_error_text() has the words of a refusal. */
int engine_create(struct engine *engine, const char *name, const struct VDConfig *wishes);

/* Waits for the server to end configuration; VD_E_TIMEOUT may be retried. A library whose unit of time is the second
 * answers up to a second late. */
int engine_get_configuration(struct engine *engine, int64_t timeout_ms, struct VDConfig *config);

/* Opens a device by its name: the set's for the first, those of the statement for the others. *ret_device belongs to
 * the engine. */
int engine_open_device(struct engine *engine, const char *name, struct engine_device **ret_device);

/* Waits for the next command without limit: until there is one, VD_E_CLOSE, or VD_E_ABORT. */
int engine_get_command(struct engine *engine, struct engine_device *device, struct VDC_Command **ret_command);

int engine_complete_command(struct engine *engine, struct engine_device *device, struct VDC_Command *command,
                            int completion_code, uint64_t bytes_transferred, int64_t position);

/* Frees every waiter, here and at the server. Idempotent. */
int engine_signal_abort(struct engine *engine);

/* ---- beyond it ---- */

/* The name of device `index`, from 0. `name` holds VDS_NAME_MAX + 1 bytes. A library knows the first, which is the
 * set's name, and answers VD_E_INVALID for the others: who wrote the statement chose them. */
int engine_device_name(struct engine *engine, uint32_t index, int64_t timeout_ms, char *name);

/* What the server says about itself; `text` holds VDS_TEXT_MAX bytes. A library: NOERROR and "". */
int engine_server_info(struct engine *engine, char *text);

/* The server's verdict and its words; `text` holds VDS_TEXT_MAX bytes. A library: NOERROR, VDS_VERDICT_NONE and "", at
 * once. */
int engine_verdict(struct engine *engine, int64_t timeout_ms, enum vds_verdict *ret_verdict, char *text);

/* VDS_ABORT_NONE while the set is not aborted, as far as is known here. A library tells of an abort in the result of a
 * call only, and not whose it was: VDS_ABORT_CLIENT after engine_signal_abort(), VDS_ABORT_SERVER when a call said so
 * unasked. */
enum vds_abort_reason engine_abort_reason(struct engine *engine);

/* One clause for that: "the server process died". Static. */
const char *engine_abort_text(struct engine *engine);

/* Whether there is a device that the server has opened and no client has, and the first such one, from 0. A library:
 * false. */
bool engine_unserved(struct engine *engine, uint32_t *ret_index);

/* The server's process, 0 before it came. A library: 0. */
int engine_server_pid(struct engine *engine);

/* Words for the last failure of engine_create(); "" when none. Valid until the next call on the engine. */
const char *engine_error_text(struct engine *engine);

/* For how many milliseconds the longest call in progress has been inside a library. What takes much longer than the
 * waits of engine_get_command(), a second each, will hardly come back. Our own engine: 0, at once. */
int64_t engine_inside_ms(struct engine *engine);

/* The first member of a library's; our own engine has no more. */
struct engine {
        struct vds_client *client; /* NULL: a library carries the set */
};
