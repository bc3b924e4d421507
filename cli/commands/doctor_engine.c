#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands/doctor_checks.h"
#include "cli/run/set_options.h"
#include "core/base/ident.h"
#include "core/vds/vds.h"

enum {
        TRIAL_BLOCK = 4096,
        TRIAL_TRANSFER = 1 << 20,
        TRIAL_BUFFERS = 4,
        TRIAL_WAIT_MS = 10000,
};

static void look_at_folder(struct doctor *doctor, const struct vds_options *options)
{
        char text[VDS_TEXT_MAX];
        struct stat st;

        if (vds_runtime_folder(options, text) != NOERROR)
                doctor_say(doctor, DOCTOR_FAULT, "runtime folder",
                           "%s; have it made for this user, or choose another with VDIPIPE_RUNTIME_DIR", text);
        else if (stat(text, &st) < 0 || access(text, W_OK | X_OK) < 0)
                doctor_say(doctor, DOCTOR_FAULT, "runtime folder",
                           "'%s' is not writable by this user; choose another with VDIPIPE_RUNTIME_DIR", text);
        else if ((st.st_mode & 01002) == 01002)
                doctor_say(doctor, DOCTOR_OK, "runtime folder", "'%s', where all users' sets meet", text);
        else
                doctor_say(doctor, DOCTOR_OK, "runtime folder", "'%s', for sets of this user%s", text,
                           geteuid() == 0 ? "" : "; root makes /run/vdipipe for all users' with its first set");
}

/* A set's way to the point where data would flow, both sides in this process. Returns NOERROR, or what failed. */
static int try_set(struct vds_client *client, struct vds_server *server, const char **ret_step)
{
        const struct VDConfig wishes = { .deviceCount = 1, .alignment = TRIAL_BLOCK };
        struct VDConfig config;
        char name[32 + IDENT_UUID_SIZE] = "vdipipe-doctor-";
        int rc;

        ident_uuid(name + sizeof "vdipipe-doctor-" - 1);
        *ret_step = "made";
        rc = vds_client_create(client, name, &wishes);
        if (rc != NOERROR)
                return rc;
        *ret_step = "joined";
        rc = vds_server_open(server, name);
        if (rc != NOERROR)
                return rc;
        *ret_step = "configured";
        rc = vds_server_begin_configuration(server, VDF_WriteMedia, TRIAL_BLOCK, 0, TRIAL_TRANSFER, 0);
        if (rc == NOERROR)
                rc = vds_server_request_buffers(server, TRIAL_TRANSFER, 0, TRIAL_BUFFERS);
        if (rc == NOERROR)
                rc = vds_server_end_configuration(server);
        return rc == NOERROR ? vds_client_get_configuration(client, TRIAL_WAIT_MS, &config) : rc;
}

static void look_at_sets(struct doctor *doctor, const struct vds_options *options)
{
        struct vds_client *client = vds_client_new(options);
        struct vds_server *server = vds_server_new(options);
        const char *step = "made";
        int rc = client && server ? try_set(client, server, &step) : VD_E_MEMORY;

        if (rc == NOERROR)
                doctor_say(doctor, DOCTOR_OK, "device sets", "one was made, joined and configured");
        else
                doctor_say(doctor, DOCTOR_FAULT, "device sets", "one could not be %s: %s%s%s", step,
                           vds_result_name(rc), client && vds_client_error_text(client)[0] ? ", " : "",
                           client ? vds_client_error_text(client) : "");
        vds_server_free(server);
        vds_client_free(client);
}

void doctor_engine(struct doctor *doctor)
{
        struct vds_options options = set_options(doctor->args);
        struct error err = ERROR_INIT;

        if (set_options_check(doctor->args, &err) < 0) {
                doctor_say(doctor, DOCTOR_FAULT, "group", "%s", err.message);
                options.group = NULL;
        } else if (options.group) {
                doctor_say(doctor, DOCTOR_OK, "group", "members of '%s' may take part in sets", options.group);
        }
        look_at_folder(doctor, &options);
        look_at_sets(doctor, &options);
}
