/* The members of ClientVirtualDevice and ClientVirtualDeviceSet on our engine. */
#include "core/sqlvdi/dropin.h"

/* Bits that only the server sets. Programs give Create what GetConfiguration filled in last time. */
#define SERVER_FEATURES ((uint32_t)(VDF_WriteMedia | VDF_ReadMedia | VDF_CompleteEnabled))

void device_construct_base(struct device_object *self) __asm__("_ZN19ClientVirtualDeviceC2Ev")
        CXX_SECOND_NAME("_ZN19ClientVirtualDeviceC1Ev");
void device_destroy_base(struct device_object *self) __asm__("_ZN19ClientVirtualDeviceD2Ev")
        CXX_SECOND_NAME("_ZN19ClientVirtualDeviceD1Ev");
void set_construct_base(struct set_object *self) __asm__("_ZN22ClientVirtualDeviceSetC2Ev")
        CXX_SECOND_NAME("_ZN22ClientVirtualDeviceSetC1Ev");
void set_destroy_base(struct set_object *self) __asm__("_ZN22ClientVirtualDeviceSetD2Ev")
        CXX_SECOND_NAME("_ZN22ClientVirtualDeviceSetD1Ev");

/* ---- a device ---- */

/* A program may make one itself; it is never open. */
void device_construct(struct device_object *self)
{
        self->device = NULL;
}

void device_destroy(struct device_object *self)
{
        dropin_forget(self);
}

int device_get_command(struct device_object *self, time_t timeout, struct VDC_Command **ret_command)
{
        struct dropin_call call;
        int64_t timeout_ms;

        if (!ret_command)
                return VD_E_INVALID;
        *ret_command = NULL;
        if (!dropin_enter_device(self, &call))
                return VD_E_PROTOCOL;
        timeout_ms = dropin_timeout_ms(timeout, call.set->unit);
        return dropin_leave(&call, vds_client_device_get_command(call.engine, timeout_ms, ret_command));
}

int device_complete_command(struct device_object *self, struct VDC_Command *command, int completion_code,
                            unsigned long bytes_transferred, int64_t position)
{
        struct dropin_call call;

        if (!dropin_enter_device(self, &call))
                return VD_E_PROTOCOL;
        return dropin_leave(&call, vds_client_device_complete_command(call.engine, command, completion_code,
                                                                      bytes_transferred, position));
}

/* ---- the set ---- */

void set_construct(struct set_object *self)
{
        self->set = dropin_set_new();
}

void set_destroy(struct set_object *self)
{
        dropin_set_destroy(self);
}

/* Memory was short in the constructor, which has no way to say so. */
static int no_set(const struct set_object *self)
{
        return self ? VD_E_MEMORY : VD_E_INVALID;
}

int set_create(struct set_object *self, char *name, struct VDConfig *config)
{
        struct dropin_call call;
        struct VDConfig wishes;

        if (!name || !config)
                return VD_E_INVALID;
        if (!dropin_enter_set(self, &call))
                return no_set(self);
        wishes = *config;
        wishes.features &= ~SERVER_FEATURES;
        return dropin_leave(&call, vds_client_create(call.set->client, name, &wishes));
}

int set_get_configuration(struct set_object *self, time_t timeout, struct VDConfig *ret_config)
{
        struct dropin_call call;
        int64_t timeout_ms;

        if (!ret_config)
                return VD_E_INVALID;
        if (!dropin_enter_set(self, &call))
                return no_set(self);
        timeout_ms = dropin_timeout_ms(timeout, call.set->unit);
        return dropin_leave(&call, vds_client_get_configuration(call.set->client, timeout_ms, ret_config));
}

static int dropin_open_device(const struct dropin_call *call, const char *name, struct device_object **ret_object)
{
        struct device_object *object = dropin_object_new();
        struct vds_client_device *engine;
        int result;

        if (!object)
                return VD_E_MEMORY;
        result = vds_client_open_device(call->set->client, name, &engine);
        if (result == NOERROR && !dropin_attach(call, engine, object))
                result = VD_E_PROTOCOL;
        if (result == NOERROR)
                *ret_object = object;
        else
                dropin_object_free(object);
        return result;
}

int set_open_device(struct set_object *self, char *name, struct device_object **ret_object)
{
        struct dropin_call call;

        if (!ret_object)
                return VD_E_INVALID;
        *ret_object = NULL;
        if (!name)
                return VD_E_INVALID;
        if (!dropin_enter_set(self, &call))
                return no_set(self);
        return dropin_leave(&call, dropin_open_device(&call, name, ret_object));
}

int set_close(struct set_object *self)
{
        struct dropin_call call;

        if (!dropin_enter_set(self, &call))
                return no_set(self);
        return dropin_leave(&call, dropin_close(call.set));
}

int set_signal_abort(struct set_object *self)
{
        struct dropin_call call;

        if (!dropin_enter_set(self, &call))
                return no_set(self);
        return dropin_leave(&call, vds_client_signal_abort(call.set->client));
}

int set_open_in_secondary(struct set_object *self, char *set_name)
{
        struct dropin_call call;

        if (!set_name)
                return VD_E_INVALID;
        if (!dropin_enter_set(self, &call))
                return no_set(self);
        return dropin_leave(&call, vds_client_open_in_secondary(call.set->client, set_name));
}

int set_get_buffer_handle(struct set_object *self, uint8_t *buffer, unsigned int *ret_handle)
{
        struct dropin_call call;

        if (!buffer || !ret_handle)
                return VD_E_INVALID;
        if (!dropin_enter_set(self, &call))
                return no_set(self);
        return dropin_leave(&call, vds_client_get_buffer_handle(call.set->client, buffer, ret_handle));
}

int set_map_buffer_handle(struct set_object *self, int handle, uint8_t **ret_buffer)
{
        struct dropin_call call;

        if (!ret_buffer)
                return VD_E_INVALID;
        *ret_buffer = NULL;
        if (!dropin_enter_set(self, &call))
                return no_set(self);
        /* Handles are below 2^31, so the engine knows none that is negative here. */
        return dropin_leave(&call, vds_client_map_buffer_handle(call.set->client, (uint32_t)handle, ret_buffer));
}

/* Published, described nowhere, and called by nobody: the engine notices by itself that a device was closed. */
void set_register_device_closed(struct set_object *self)
{
        (void)self;
}
