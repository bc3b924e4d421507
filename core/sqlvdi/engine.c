/* The calls of engine.h: on our own engine, call for call, or by the library. */
#include "core/sqlvdi/engine.h"

#include <stdlib.h>

#include "core/sqlvdi/engine_library.h"

/* A device of our own engine goes under another type. */
static struct vds_client_device *engine_own_device(struct engine_device *device)
{
        return (struct vds_client_device *)device;
}

struct engine *engine_embedded_new(const struct vds_options *options)
{
        struct engine *engine = calloc(1, sizeof *engine);

        if (engine && (engine->client = vds_client_new(options)))
                return engine;
        free(engine);
        return NULL;
}

void engine_free(struct engine *engine)
{
        if (engine && !engine->client) {
                library_free(engine);
        } else if (engine) {
                vds_client_free(engine->client);
                free(engine);
        }
}

struct vds_client *engine_vds(struct engine *engine)
{
        return engine->client;
}

int engine_create(struct engine *engine, const char *name, const struct VDConfig *wishes)
{
        return engine->client ? vds_client_create(engine->client, name, wishes) : library_create(engine, name, wishes);
}

int engine_get_configuration(struct engine *engine, int64_t timeout_ms, struct VDConfig *config)
{
        return engine->client ? vds_client_get_configuration(engine->client, timeout_ms, config)
                              : library_get_configuration(engine, timeout_ms, config);
}

int engine_open_device(struct engine *engine, const char *name, struct engine_device **ret_device)
{
        struct vds_client_device *device = NULL;
        int rc;

        if (!engine->client)
                return library_open_device(engine, name, ret_device);
        rc = vds_client_open_device(engine->client, name, &device);
        *ret_device = (struct engine_device *)device;
        return rc;
}

int engine_get_command(struct engine *engine, struct engine_device *device, struct VDC_Command **ret_command)
{
        return engine->client
                       ? vds_client_device_get_command(engine_own_device(device), /* timeout_ms= */ -1, ret_command)
                       : library_get_command(engine, device, ret_command);
}

int engine_complete_command(struct engine *engine, struct engine_device *device, struct VDC_Command *command,
                            int completion_code, uint64_t bytes_transferred, int64_t position)
{
        return engine->client ? vds_client_device_complete_command(engine_own_device(device), command, completion_code,
                                                                   bytes_transferred, position)
                              : library_complete_command(engine, device, command, completion_code, bytes_transferred,
                                                         position);
}

int engine_signal_abort(struct engine *engine)
{
        return engine->client ? vds_client_signal_abort(engine->client) : library_signal_abort(engine);
}

int engine_device_name(struct engine *engine, uint32_t index, int64_t timeout_ms, char *name)
{
        return engine->client ? vds_client_device_name(engine->client, index, timeout_ms, name)
                              : library_device_name(engine, index, name);
}

enum vds_abort_reason engine_abort_reason(struct engine *engine)
{
        return engine->client ? vds_client_abort_reason(engine->client) : library_abort_reason(engine);
}

const char *engine_abort_text(struct engine *engine)
{
        enum vds_abort_reason reason = engine_abort_reason(engine);

        return !engine->client && reason == VDS_ABORT_SERVER ? "the server or its library aborted the set"
                                                             : vds_abort_text(reason);
}

const char *engine_error_text(struct engine *engine)
{
        return engine->client ? vds_client_error_text(engine->client) : library_error_text(engine);
}

int engine_server_info(struct engine *engine, char *text)
{
        text[0] = '\0';
        return engine->client ? vds_client_server_info(engine->client, text) : NOERROR;
}

int engine_verdict(struct engine *engine, int64_t timeout_ms, enum vds_verdict *ret_verdict, char *text)
{
        *ret_verdict = VDS_VERDICT_NONE;
        text[0] = '\0';
        return engine->client ? vds_client_verdict(engine->client, timeout_ms, ret_verdict, text) : NOERROR;
}

bool engine_unserved(struct engine *engine, uint32_t *ret_index)
{
        return engine->client && vds_client_unserved(engine->client, ret_index);
}

int64_t engine_inside_ms(struct engine *engine)
{
        return engine->client ? 0 : library_inside_ms(engine);
}

int engine_server_pid(struct engine *engine)
{
        return engine->client ? vds_client_server_pid(engine->client) : 0;
}
