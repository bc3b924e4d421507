#include "core/tsql/messages.h"

#include <stdio.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"
#include "core/vds/abi.h"

#define MESSAGE_ROW(id, ...) [id] = { __VA_ARGS__ },
static const struct message_row {
        int number;
        int severity;
        int state;
        enum err_code class;
        const char *text;
} message_rows[MESSAGE_COUNT] = { SERVER_MESSAGES(MESSAGE_ROW) };
#undef MESSAGE_ROW

static size_t count_words(const char *const *words)
{
        size_t count = 0;

        while (words[count])
                count++;
        return count;
}

void server_message_fill(struct server_message *message, enum server_message_id id, const char *const *words)
{
        const struct message_row *row = &message_rows[id];
        size_t count = count_words(words);
        size_t used = 0;

        *message = (struct server_message){
                .number = row->number, .severity = row->severity, .state = row->state, .class = row->class, .line = 1
        };
        for (const char *c = row->text; *c && used + 1 < sizeof message->text; c++) {
                size_t word = c[0] == '%' && c[1] >= '1' && c[1] <= '9' ? (size_t)(c[1] - '0') : 0;

                if (word == 0) {
                        message->text[used++] = *c;
                        continue;
                }
                used += (size_t)snprintf(message->text + used, sizeof message->text - used, "%s",
                                         word <= count ? words[word - 1] : "");
                if (used >= sizeof message->text)
                        used = sizeof message->text - 1;
                c++;
        }
        message->text[used] = '\0';
}

const char *server_message_os_error(int32_t number)
{
        static const struct {
                int32_t number;
                const char *text;
        } errors[] = {
                { VD_E_INVALID, "0x80770006(The device set does not exist: its client has to create it first.)" },
                { ERROR_HANDLE_EOF, "38(Reached the end of the file.)" },
                { ERROR_HANDLE_DISK_FULL, "39(The disk is full.)" },
                { ERROR_NOT_SUPPORTED, "50(The request is not supported.)" },
                { ERROR_DISK_FULL, "112(There is not enough space on the disk.)" },
                { ERROR_OPERATION_ABORTED, "995(The I/O operation has been aborted because of either a thread exit or "
                                           "an application request.)" },
                { ERROR_END_OF_MEDIA, "1100(The physical end of the tape has been reached.)" },
                { ERROR_IO_DEVICE, "1117(The request could not be performed because of an I/O device error.)" },
                { ERROR_EOM_OVERFLOW, "1129(The physical end of the tape has been reached.)" },
        };

        for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
                if (errors[i].number == number)
                        return errors[i].text;
        return "31(A device attached to the system is not functioning.)";
}

/* What a class of failure is called in a backup and in a restore, and the number that the message may have a place for.
 */
static const struct class_row {
        enum err_code class;
        enum server_message_id backup;
        enum server_message_id restore;
        int32_t os_error;
} class_rows[] = {
        { ERR_NO_SPACE, MESSAGE_WRITE, MESSAGE_NO_ROOM, ERROR_DISK_FULL },
        { ERR_IO, MESSAGE_WRITE, MESSAGE_READ, ERROR_IO_DEVICE },
        { ERR_DAMAGED, MESSAGE_PAGE_ERROR, MESSAGE_DAMAGED_SET, 0 },
        { ERR_BUSY, MESSAGE_BUSY, MESSAGE_BUSY, 0 },
        { ERR_TIMEOUT, MESSAGE_TIMEOUT, MESSAGE_TIMEOUT, 0 },
        { ERR_ABORTED, MESSAGE_ABORTED, MESSAGE_ABORTED, ERROR_OPERATION_ABORTED },
        { ERR_PEER_DIED, MESSAGE_ABORTED, MESSAGE_ABORTED, ERROR_OPERATION_ABORTED },
        { ERR_MEMORY, MESSAGE_MEMORY, MESSAGE_MEMORY, 0 },
};

bool server_message_of_class(struct server_message *message, enum err_code code, bool backup, const char *device)
{
        for (size_t i = 0; i < sizeof class_rows / sizeof class_rows[0]; i++) {
                const struct class_row *row = &class_rows[i];

                if (row->class != code)
                        continue;
                server_message_make(message, backup ? row->backup : row->restore, device,
                                    row->os_error ? server_message_os_error(row->os_error) : "");
                return true;
        }
        return false;
}

char *server_message_render(const struct server_message *message)
{
        CLEANUP(freep) char *safe = text_escape(message->text, strlen(message->text));
        char *line = NULL;

        if (!safe)
                return NULL;
        if (!server_message_is_error(message))
                return take_ptr(&safe);
        if (asprintf(&line, "Msg %d, Level %d, State %d, Line %u\n%s", message->number, message->severity,
                     message->state, message->line, safe) < 0)
                return NULL;
        return line;
}
