/*
 * sample_client backup|restore database|log DB USER PASSWORD FILE - makes the calls of Microsoft's sample program for
 * Linux, with its arguments and in its order: a set named by a fresh UUID; sqlcmd, found on PATH, in a process of its
 * own; and one device, served from or to FILE. Like the sample it deletes nothing, and looks at a command that it has
 * completed. Unlike it, it says by its exit status how things went.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/stat.h>

#include <vdipipe/sqlvdi.h>

namespace
{

const time_t configuration_timeout = 10000;
const time_t command_timeout = 90;

ClientVirtualDeviceSet *set; /* here, for leak checkers: it is never deleted */

struct arguments {
        bool backup;
        bool log;
        std::string database;
        std::string user;
        std::string password;
        const char *file;
};

bool parse(int count, char **words, arguments *ret_arguments)
{
        if (count != 7)
                return false;
        *ret_arguments = {
                strcmp(words[1], "backup") == 0, strcmp(words[2], "log") == 0, words[3], words[4], words[5], words[6]
        };
        return (ret_arguments->backup || strcmp(words[1], "restore") == 0) &&
               (ret_arguments->log || strcmp(words[2], "database") == 0);
}

bool make_name(char *name, size_t size)
{
        FILE *source = fopen("/proc/sys/kernel/random/uuid", "re");
        bool made = source && fgets(name, (int)size, source);

        if (source)
                fclose(source);
        name[strcspn(name, "\n")] = '\0';
        return made;
}

FILE *start_statement(const arguments &given, const char *name)
{
        std::string command = "sqlcmd -U " + given.user + " -P " + given.password + " -S . -Q \"";

        command += std::string(given.backup ? "BACKUP " : "RESTORE ") + (given.log ? "LOG " : "DATABASE ");
        command += given.database + (given.backup ? " TO" : " FROM") + " VIRTUAL_DEVICE='" + name + "' WITH ";
        command += std::string(given.backup ? "FORMAT" : "REPLACE") + ", MAXTRANSFERSIZE=1048576 \"";
        fflush(stdout);
        return popen(command.c_str(), "r");
}

int execute(FILE *file, const VDC_Command *command, size_t *ret_bytes)
{
        size_t size = (size_t)command->size;

        *ret_bytes = 0;
        switch (command->commandCode) {
        case VDC_Read:
                *ret_bytes = fread(command->buffer, 1, size, file);
                return *ret_bytes == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
        case VDC_Write:
                *ret_bytes = fwrite(command->buffer, 1, size, file);
                return *ret_bytes == size ? ERROR_SUCCESS : ERROR_DISK_FULL;
        case VDC_Flush:
                fflush(file);
                return ERROR_SUCCESS;
        case VDC_ClearError:
                return ERROR_SUCCESS;
        default:
                return ERROR_NOT_SUPPORTED;
        }
}

int transfer(ClientVirtualDevice *device, const arguments &given)
{
        FILE *file = fopen(given.file, given.backup ? "wb" : "rb");
        VDC_Command *command = nullptr;
        size_t bytes;
        int result;

        if (!file) {
                printf("cannot open %s\n", given.file);
                return VD_E_ABORT;
        }
        while ((result = device->GetCommand(command_timeout, &command)) == 0) {
                int code = execute(file, command, &bytes);

                result = device->CompleteCommand(command, code, bytes, 0);
                printf("command %d: code %d, %zu bytes\n", command->commandCode, code, bytes);
                if (result != 0)
                        break;
        }
        fclose(file);
        return result;
}

int serve(char *name, const arguments &given)
{
        ClientVirtualDevice *device = nullptr;
        VDConfig config;
        int result = set->GetConfiguration(configuration_timeout, &config);

        if (result != 0)
                return result;
        printf("features 0x%x\n", config.features);
        result = set->OpenDevice(name, &device);
        return result == 0 ? transfer(device, given) : result;
}

/* What sqlcmd printed, and how it ended. */
int finish_statement(FILE *statement)
{
        char line[1024];

        while (fgets(line, sizeof line, statement))
                printf("sqlcmd: %s", line);
        return pclose(statement);
}

} // namespace

int main(int argc, char **argv)
{
        arguments given;
        char name[50] = "";
        VDConfig config;
        FILE *statement;
        int result;

        if (!parse(argc, argv, &given) || !make_name(name, sizeof name)) {
                fprintf(stderr, "usage: sample_client backup|restore database|log DB USER PASSWORD FILE\n");
                return 2;
        }
        umask(0);
        set = new ClientVirtualDeviceSet();
        memset(&config, 0, sizeof config);
        config.deviceCount = 1;
        result = set->Create(name, &config);
        if (result != 0) {
                printf("Create: x%X\n", (unsigned)result);
                return 1;
        }
        statement = start_statement(given, name);
        if (!statement)
                return 1;
        result = serve(name, given);
        set->Close();
        printf("transfer: x%X\n", (unsigned)result);
        return finish_statement(statement) == 0 && result == VD_E_CLOSE ? 0 : 1;
}
