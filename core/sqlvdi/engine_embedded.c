/* The table on our own engine: vds.h, call for call. */
#include <stdlib.h>

#include "core/sqlvdi/engine.h"

struct embedded {
        struct engine engine;
        struct vds_client *client;
};

static struct vds_client *client_of(struct engine *engine)
{
        return ((struct embedded *)engine)->client;
}

/* A device of this table is the engine's own, under another type. */
static struct vds_client_device *device_of(struct engine_device *device)
{
        return (struct vds_client_device *)device;
}

static void embedded_free(struct engine *engine)
{
        vds_client_free(client_of(engine));
        free(engine);
}

static int embedded_create(struct engine *engine, const char *name, const struct VDConfig *wishes)
{
        return vds_client_create(client_of(engine), name, wishes);
}

static int embedded_get_configuration(struct engine *engine, int64_t timeout_ms, struct VDConfig *config)
{
        return vds_client_get_configuration(client_of(engine), timeout_ms, config);
}

static int embedded_open_device(struct engine *engine, const char *name, struct engine_device **ret_device)
{
        struct vds_client_device *device = NULL;
        int rc = vds_client_open_device(client_of(engine), name, &device);

        *ret_device = (struct engine_device *)device;
        return rc;
}

static int embedded_get_command(struct engine *engine, struct engine_device *device, struct VDC_Command **ret_command)
{
        (void)engine;
        return vds_client_device_get_command(device_of(device), /* timeout_ms= */ -1, ret_command);
}

static int embedded_complete_command(struct engine *engine, struct engine_device *device, struct VDC_Command *command,
                                     int completion_code, uint64_t bytes_transferred, int64_t position)
{
        (void)engine;
        return vds_client_device_complete_command(device_of(device), command, completion_code, bytes_transferred,
                                                  position);
}

static int embedded_signal_abort(struct engine *engine)
{
        return vds_client_signal_abort(client_of(engine));
}

static int embedded_device_name(struct engine *engine, uint32_t index, int64_t timeout_ms, char *name)
{
        return vds_client_device_name(client_of(engine), index, timeout_ms, name);
}

static enum vds_abort_reason embedded_abort_reason(struct engine *engine)
{
        return vds_client_abort_reason(client_of(engine));
}

static const char *embedded_abort_text(struct engine *engine)
{
        return vds_abort_text(vds_client_abort_reason(client_of(engine)));
}

static const char *embedded_error_text(struct engine *engine)
{
        return vds_client_error_text(client_of(engine));
}

static int embedded_server_info(struct engine *engine, char *text)
{
        return vds_client_server_info(client_of(engine), text);
}

static int embedded_verdict(struct engine *engine, int64_t timeout_ms, enum vds_verdict *ret_verdict, char *text)
{
        return vds_client_verdict(client_of(engine), timeout_ms, ret_verdict, text);
}

static bool embedded_unserved(struct engine *engine, uint32_t *ret_index)
{
        return vds_client_unserved(client_of(engine), ret_index);
}

static int embedded_server_pid(struct engine *engine)
{
        return vds_client_server_pid(client_of(engine));
}

static const struct engine_table embedded_table = {
        .free = embedded_free,
        .create = embedded_create,
        .get_configuration = embedded_get_configuration,
        .open_device = embedded_open_device,
        .get_command = embedded_get_command,
        .complete_command = embedded_complete_command,
        .signal_abort = embedded_signal_abort,
        .device_name = embedded_device_name,
        .abort_reason = embedded_abort_reason,
        .abort_text = embedded_abort_text,
        .error_text = embedded_error_text,
        .vds = client_of,
        .server_info = embedded_server_info,
        .verdict = embedded_verdict,
        .unserved = embedded_unserved,
        .server_pid = embedded_server_pid,
};

struct engine *engine_embedded_new(const struct vds_options *options)
{
        struct embedded *embedded = calloc(1, sizeof *embedded);

        if (!embedded)
                return NULL;
        embedded->engine.table = &embedded_table;
        embedded->client = vds_client_new(options);
        if (embedded->client)
                return &embedded->engine;
        free(embedded);
        return NULL;
}
