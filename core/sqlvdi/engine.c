/* The calls of engine.h: through the table, or what is answered where an implementation knows nothing. */
#include "core/sqlvdi/engine.h"

void engine_free(struct engine *engine)
{
        if (engine)
                engine->table->free(engine);
}

struct vds_client *engine_vds(struct engine *engine)
{
        return engine->table->vds ? engine->table->vds(engine) : NULL;
}

int engine_create(struct engine *engine, const char *name, const struct VDConfig *wishes)
{
        return engine->table->create(engine, name, wishes);
}

int engine_get_configuration(struct engine *engine, int64_t timeout_ms, struct VDConfig *config)
{
        return engine->table->get_configuration(engine, timeout_ms, config);
}

int engine_open_device(struct engine *engine, const char *name, struct engine_device **ret_device)
{
        return engine->table->open_device(engine, name, ret_device);
}

int engine_get_command(struct engine *engine, struct engine_device *device, struct VDC_Command **ret_command)
{
        return engine->table->get_command(engine, device, ret_command);
}

int engine_complete_command(struct engine *engine, struct engine_device *device, struct VDC_Command *command,
                            int completion_code, uint64_t bytes_transferred, int64_t position)
{
        return engine->table->complete_command(engine, device, command, completion_code, bytes_transferred, position);
}

int engine_signal_abort(struct engine *engine)
{
        return engine->table->signal_abort(engine);
}

int engine_device_name(struct engine *engine, uint32_t index, int64_t timeout_ms, char *name)
{
        return engine->table->device_name(engine, index, timeout_ms, name);
}

enum vds_abort_reason engine_abort_reason(struct engine *engine)
{
        return engine->table->abort_reason(engine);
}

const char *engine_abort_text(struct engine *engine)
{
        return engine->table->abort_text(engine);
}

const char *engine_error_text(struct engine *engine)
{
        return engine->table->error_text(engine);
}

int engine_server_info(struct engine *engine, char *text)
{
        if (engine->table->server_info)
                return engine->table->server_info(engine, text);
        text[0] = '\0';
        return NOERROR;
}

int engine_verdict(struct engine *engine, int64_t timeout_ms, enum vds_verdict *ret_verdict, char *text)
{
        if (engine->table->verdict)
                return engine->table->verdict(engine, timeout_ms, ret_verdict, text);
        *ret_verdict = VDS_VERDICT_NONE;
        text[0] = '\0';
        return NOERROR;
}

bool engine_unserved(struct engine *engine, uint32_t *ret_index)
{
        return engine->table->unserved && engine->table->unserved(engine, ret_index);
}

int64_t engine_inside_ms(struct engine *engine)
{
        return engine->table->inside_ms ? engine->table->inside_ms(engine) : 0;
}

int engine_server_pid(struct engine *engine)
{
        return engine->table->server_pid ? engine->table->server_pid(engine) : 0;
}
