/*
 * dropin.h - the members of Microsoft's two classes, as C sees them, and what stands behind their objects
 *
 * A program that was compiled against Microsoft's Linux headers calls these by the C++ names given here. Its objects
 * are one pointer each, which belongs to us: a set's leads to a struct dropin_set, a device's to a struct
 * dropin_device, or is NULL when there is none (any more).
 *
 * Every member may be called from any thread. Nothing is thrown, printed or left in the caller's signal mask. Arguments
 * that may not be NULL give VD_E_INVALID.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#include "core/sqlvdi/dropin_time.h"
#include "core/vds/vds.h"

/* The mangled names below say `long` where the header of the interface says time_t and int64_t. */
_Static_assert(sizeof(long) == 8 && sizeof(time_t) == 8 && sizeof(void *) == 8, "the published ABI is LP64's");

struct dropin_set;

/* ClientVirtualDevice, as the program sees it: 8 bytes. */
struct device_object {
        struct dropin_device *device;
};

/* ClientVirtualDeviceSet. */
struct set_object {
        struct dropin_set *set;
};

/* Gives a member its C++ name. Constructors and destructors have two: for a whole object, and for the base of one. */
#define CXX_NAME(name)      __asm__(name) __attribute__((visibility("default")))
#define CXX_SECOND_NAME(of) __attribute__((alias(of), visibility("default")))

void device_construct(struct device_object *self) CXX_NAME("_ZN19ClientVirtualDeviceC1Ev");
void device_destroy(struct device_object *self) CXX_NAME("_ZN19ClientVirtualDeviceD1Ev");
int device_get_command(struct device_object *self, time_t timeout, struct VDC_Command **ret_command)
        CXX_NAME("_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command");
int device_complete_command(struct device_object *self, struct VDC_Command *command, int completion_code,
                            unsigned long bytes_transferred, int64_t position)
        CXX_NAME("_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml");

void set_construct(struct set_object *self) CXX_NAME("_ZN22ClientVirtualDeviceSetC1Ev");
void set_destroy(struct set_object *self) CXX_NAME("_ZN22ClientVirtualDeviceSetD1Ev");
int set_create(struct set_object *self, char *name, struct VDConfig *config)
        CXX_NAME("_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig");
int set_get_configuration(struct set_object *self, time_t timeout, struct VDConfig *ret_config)
        CXX_NAME("_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig");
int set_open_device(struct set_object *self, char *name, struct device_object **ret_object)
        CXX_NAME("_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice");
int set_close(struct set_object *self) CXX_NAME("_ZN22ClientVirtualDeviceSet5CloseEv");
int set_signal_abort(struct set_object *self) CXX_NAME("_ZN22ClientVirtualDeviceSet11SignalAbortEv");
int set_open_in_secondary(struct set_object *self, char *set_name)
        CXX_NAME("_ZN22ClientVirtualDeviceSet15OpenInSecondaryEPc");
int set_get_buffer_handle(struct set_object *self, uint8_t *buffer, unsigned int *ret_handle)
        CXX_NAME("_ZN22ClientVirtualDeviceSet15GetBufferHandleEPhPj");
int set_map_buffer_handle(struct set_object *self, int handle, uint8_t **ret_buffer)
        CXX_NAME("_ZN22ClientVirtualDeviceSet15MapBufferHandleEiPPh");
void set_register_device_closed(struct set_object *self)
        CXX_NAME("_ZN22ClientVirtualDeviceSet20RegisterDeviceClosedEv");

/* ---- what stands behind the objects: dropin_objects.c ---- */

/* A device from its OpenDevice to Close. */
struct dropin_device {
        struct vds_client_device *engine;
        struct dropin_set *set;
        struct device_object *object; /* NULL: the program deleted it */
};

struct dropin_set {
        struct vds_client *client;
        enum dropin_unit unit;
        unsigned generation;      /* of forks, when it was made */
        unsigned closings;        /* calls of Close so far: what was opened before the last one is gone */
        unsigned calls;           /* in progress */
        unsigned device_calls[2]; /* those of them that devices are in, opened after an even or an odd number of
                                   * closings */
        uint32_t device_count;
        struct dropin_device devices[VDS_DEVICES_MAX];
};

/* A call in progress: until dropin_leave() what it needs cannot be destroyed. */
struct dropin_call {
        struct dropin_set *set;
        struct vds_client_device *engine; /* NULL in calls of the set */
        unsigned closings;                /* when it began */
};

/* Makes and destroys what a set object points to. NULL: out of memory. Destroying closes the set and waits for calls
 * that are in progress on it or on its devices. */
struct dropin_set *dropin_set_new(void);
void dropin_set_destroy(struct set_object *object);

/* Enter a call. Returns false when the object stands for nothing. */
bool dropin_enter_set(const struct set_object *object, struct dropin_call *ret_call);
bool dropin_enter_device(const struct device_object *object, struct dropin_call *ret_call);

/* Leaves it. Returns `result`. */
int dropin_leave(const struct dropin_call *call, int result);

/* Makes an object for a device that is about to be opened: the program may delete it. NULL: out of memory. */
struct device_object *dropin_object_new(void);
void dropin_object_free(struct device_object *object);

/* Gives the device that `call` opened to the object. False: the set was closed meanwhile. */
bool dropin_attach(const struct dropin_call *call, struct vds_client_device *engine, struct device_object *object);

/* Closes the set; the result is vds_client_close()'s. Its device objects lose their devices first, and calls that they
 * were in have ended when this returns. */
int dropin_close(struct dropin_set *set);

/* The program destroys this device object, and frees it afterwards. */
void dropin_forget(struct device_object *object);
