/*
 * sqlvdi.h - the Virtual Device Interface of SQL Server on Linux: the two C++ classes of libsqlvdi.so
 *
 * A program compiled with this header runs against vdipipe's libsqlvdi.so and against Microsoft's alike: the classes
 * have the same members under the same names, and one pointer of the library's in each object. Structures, commands and
 * codes are in abi.h, which this includes.
 *
 * Every function returns NOERROR or a VD_E_ code. Time-outs: negative waits without limit, 0 polls. The interface's
 * sources do not agree about the unit of the others, so a program for both libraries polls, waits without limit, or
 * passes what will do in either unit. Here 1 to 999 are seconds and larger ones milliseconds, unless the environment's
 * VDIPIPE_TIMEOUT_UNIT says s or ms.
 */
#ifndef VDIPIPE_CORE_SQLVDI_SQLVDI_H
#define VDIPIPE_CORE_SQLVDI_SQLVDI_H

#ifndef __cplusplus
#error "sqlvdi.h declares C++ classes; the interface of vdipipe for C is vds.h"
#endif

#include <stdint.h>
#include <time.h>

#include "abi.h" /* where it is installed: beside this file */

/* One device of a set. OpenDevice makes it. It does nothing any more once its set is closed; deleting it, before or
 * after that, is allowed and not needed. One thread at a time. */
class ClientVirtualDevice
{
      public:
        /* A device that was not made by OpenDevice answers VD_E_PROTOCOL. */
        ClientVirtualDevice();
        ~ClientVirtualDevice();

        /* Waits for the server's next command, which is read-only. VD_E_CLOSE: the server is done with this device;
         * VD_E_TIMEOUT; VD_E_ABORT; VD_E_PROTOCOL. */
        int GetCommand(time_t timeOut, VDC_Command **ppCmd);

        /* Gives a command, and with it its buffer, back. completionCode: ERROR_SUCCESS or why not; bytesTransferred: of
         * Read and Write, else 0; position: what GetPosition asked for, else 0. VD_E_INVALID: no such command, or more
         * bytes than it asked for. */
        int CompleteCommand(VDC_Command *pCmd, int completionCode, unsigned long bytesTransferred, int64_t position);

        ClientVirtualDevice(const ClientVirtualDevice &) = delete;
        ClientVirtualDevice &operator=(const ClientVirtualDevice &) = delete;

      private:
        void *cvd;
};

/* A device set. Any thread may call. An object serves one operation after the other, each from Create, or
 * OpenInSecondary, to Close. */
class ClientVirtualDeviceSet
{
      public:
        ClientVirtualDeviceSet();

        /* Closes the set if it is open, aborting what is under way. */
        ~ClientVirtualDeviceSet();

        /* Makes the set `name`, before the BACKUP or RESTORE statement that names it is sent. Zero-filled but for
         * deviceCount, *cfg asks for pipe-like devices. VD_E_NOTSUPPORTED: a field is out of range; VD_E_PROTOCOL: this
         * object has a set, or the name is taken. */
        int Create(char *name, VDConfig *cfg);

        /* Waits for the server to come and to say how it will be, and fills *cfg. VD_E_TIMEOUT may be retried: look
         * meanwhile whether the statement has failed. */
        int GetConfiguration(time_t timeout, VDConfig *cfg);

        /* Opens the device `name`: the set's name for the first, those in the statement for the others. VD_E_OPEN: all
         * are open. */
        int OpenDevice(char *name, ClientVirtualDevice **ppVirtualDevice);

        /* Ends the operation. VD_E_OPEN: devices were open, and the operation was aborted;
         * it is closed all the same. */
        int Close();

        /* Ends it badly, at both ends; everybody who waits is woken with VD_E_ABORT. Close has to follow. */
        int SignalAbort();

        /* Joins the set that another process created and the server has configured. */
        int OpenInSecondary(char *setName);

        /* A number by which other processes of the set find the buffer of a command that this one holds; and the
         * buffer behind such a number, until the command is completed. */
        int GetBufferHandle(uint8_t *pBuffer, unsigned int *pBufferHandle);
        int MapBufferHandle(int dwBuffer, uint8_t **ppBuffer);

        /* Part of the interface, and described nowhere. vdipipe's does nothing. */
        void RegisterDeviceClosed();

        ClientVirtualDeviceSet(const ClientVirtualDeviceSet &) = delete;
        ClientVirtualDeviceSet &operator=(const ClientVirtualDeviceSet &) = delete;

      private:
        void *cvds;
};

static_assert(sizeof(ClientVirtualDevice) == 8, "ClientVirtualDevice is 8 bytes in the published interface");
static_assert(sizeof(ClientVirtualDeviceSet) == 8, "ClientVirtualDeviceSet is 8 bytes in the published interface");

#endif
