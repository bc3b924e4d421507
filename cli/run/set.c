/* member.h's functions for the device set: made or joined, configured, left. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/message.h"
#include "cli/run/member.h"
#include "cli/run/set_options.h"
#include "core/base/deadline.h"

enum {
        BUFFER_ALIGNMENT = 4096,
        WARNING_ZONE_MAX = 16 << 20, /* bytes before the end of a tape where its warning zone begins */
        WARNING_ZONE_PART = 8,       /* or so small a part of it, whichever is less */
        JOIN_RETRY_MS = 100,         /* between two looks for a set that is not there yet, of which nothing tells */
};

static const uint32_t set_features[PERSONALITY_COUNT] = {
        [PERSONALITY_PIPE] = VDF_LikePipe,
        [PERSONALITY_TAPE] = VDF_LikeTape,
        [PERSONALITY_DISK] = VDF_LikeDisk,
};

int member_name_devices(struct member *member, uint32_t device_count, struct error *err)
{
        char set_id[IDENT_UUID_SIZE];

        memcpy(set_id, member->primary.set_id, sizeof set_id);
        /* A set that was there a moment ago may still be known to the server. */
        if (member->used)
                ident_uuid(set_id);
        for (uint32_t i = 0; i < member->device_count; i++)
                free(member->devices[i]);
        for (member->device_count = 0; member->device_count < device_count; member->device_count++) {
                char number[16] = "";

                if (member->device_count)
                        snprintf(number, sizeof number, "-%u", member->device_count + 1);
                if (asprintf(&member->devices[member->device_count], "vdipipe-%s%s", set_id, number) < 0)
                        return error_no_memory(err);
        }
        member->set_name = member->devices[0];
        return 0;
}

static struct VDConfig set_wishes(const struct member *member, uint32_t device_count)
{
        const struct primary_info *primary = &member->primary;
        uint64_t zone = primary->media_size / WARNING_ZONE_PART;

        return (struct VDConfig){
                .deviceCount = device_count,
                .features = set_features[primary->personality] | VDF_RequestComplete,
                .alignment = BUFFER_ALIGNMENT,
                .softFileMarkBlockSize = primary->soft_mark_size,
                .EOMWarningSize = (uint32_t)(zone < WARNING_ZONE_MAX ? zone : WARNING_ZONE_MAX),
                .serverTimeOut = (uint32_t)member->args->vdi_timeout_ms,
        };
}

static int set_new_engine(struct member *member, struct error *err)
{
        struct vds_options options = set_options(member->args);

        if (member->library) {
                /* The server is another user's process, or of its group; nobody else has business there. */
                umask(007);
                member->engine = engine_library_new(member->library);
        } else {
                options.info = member->primary_text;
                options.connection = member->connection;
                options.abort_when_secondary_dies = member->server->foreign && !member->secondary;
                member->engine = engine_embedded_new(&options);
                if (member->engine)
                        member->connection = 0;
        }
        return member->engine ? 0 : error_no_memory(err);
}

static enum err_code set_class_of_refusal(int result)
{
        if (result == VD_E_INVALID)
                return ERR_USAGE;
        return result == VD_E_PROTOCOL ? ERR_BUSY : ERR_FAILED;
}

static int set_make(struct member *member, uint32_t device_count, struct error *err)
{
        const struct VDConfig wishes = set_wishes(member, device_count);
        const struct vds_options options = set_options(member->args);
        char folder[VDS_TEXT_MAX];
        int rc;

        if (member->server->foreign && primary_info_encode(&member->primary, &member->primary_text, err) < 0)
                return -1;
        if (set_new_engine(member, err) < 0)
                return -1;
        /* A library may not come back from this. */
        supervisor_watch_engine(member->supervisor, member->engine);
        rc = engine_create(member->engine, member->set_name, &wishes);
        if (rc != NOERROR)
                return error_raise(err, set_class_of_refusal(rc), "the device set cannot be created: %s (%s)",
                                   engine_error_text(member->engine), vds_result_name(rc));
        if (engine_error_text(member->engine)[0])
                message_verbose("no other command finds this set: %s", engine_error_text(member->engine));
        else if (!member->library && vds_runtime_folder(&options, folder) == NOERROR)
                message_verbose("other commands find this set in '%s'", folder);
        supervisor_watch_engine(member->supervisor, member->engine);
        message_verbose("device set '%s', %u device%s", member->set_name, device_count, device_count == 1 ? "" : "s");
        return 0;
}

static int set_find(struct member *member, struct error *err)
{
        struct deadline deadline = deadline_after_ms(member->args->open_timeout_ms);
        int rc;

        if (set_new_engine(member, err) < 0)
                return -1;
        while ((rc = vds_client_open_in_secondary(engine_vds(member->engine), member->set_name)) != NOERROR) {
                if (supervisor_check(member->supervisor, err) < 0)
                        return -1;
                if (rc == VD_E_MEMORY || rc == VD_E_INVALID || deadline_passed(deadline))
                        break;
                /* A signal to end wakes the main thread, too. */
                poll(NULL, 0, JOIN_RETRY_MS);
        }
        if (rc == VD_E_MEMORY || rc == VD_E_INVALID)
                return error_raise(err, rc == VD_E_MEMORY ? ERR_MEMORY : ERR_USAGE, "the set cannot be joined: %s",
                                   vds_result_name(rc));
        if (rc != NOERROR)
                return error_raise(err, ERR_TIMEOUT,
                                   "there was no configured device set of that name to join within %g s "
                                   "(--open-timeout); 'vdipipe create' makes one, and its server configures it",
                                   (double)member->args->open_timeout_ms / 1000);
        supervisor_watch_engine(member->supervisor, member->engine);
        return 0;
}

static int set_configure(struct member *member, struct error *err)
{
        int rc = engine_get_configuration(member->engine, member->args->open_timeout_ms, &member->config);
        char words[MEMBER_WORDS_MAX] = "";

        if (rc == VD_E_ABORT)
                return -1;
        if (rc == VD_E_TIMEOUT && member->server->describe)
                member->server->describe(member, words);
        if (rc == VD_E_TIMEOUT)
                return error_raise(err, ERR_TIMEOUT,
                                   "the server did not open the device set within %g s (--open-timeout)%s%s",
                                   (double)member->args->open_timeout_ms / 1000, words[0] ? "; " : "", words);
        if (rc != NOERROR)
                return error_raise(err, ERR_PROTOCOL, "the device set was not configured: %s", vds_result_name(rc));
        supervisor_server_joined(member->supervisor);
        member->joined = true;
        if (member->server->joined(member, err) < 0)
                return -1;
        message_verbose("buffer area of %u bytes, blocks of %u, transfers up to %u", member->config.bufferAreaSize,
                        member->config.blockSize, member->config.maxTransferSize);
        return 0;
}

int member_create(struct member *member, uint32_t device_count, struct error *err)
{
        member->joined = false;
        member->used = true;
        if ((member->server->prepare && member->server->prepare(member, err) < 0) ||
            set_make(member, device_count, err) < 0 || member->server->start(member, err) < 0 ||
            set_configure(member, err) < 0)
                return member_fail(member, err);
        return 0;
}

int member_join(struct member *member, struct error *err)
{
        char text[VDS_TEXT_MAX] = "";

        member->secondary = true;
        if (set_find(member, err) < 0 ||
            (vds_client_primary_info(engine_vds(member->engine), text) == NOERROR &&
             primary_info_decode(text, &member->primary, err) < 0) ||
            set_configure(member, err) < 0)
                return member_fail(member, err);
        return 0;
}

void member_leave(struct member *member)
{
        if (member->supervisor) {
                supervisor_watch_server(member->supervisor, -1, NULL, NULL);
                supervisor_watch_engine(member->supervisor, NULL);
        }
        engine_free(member->engine);
        member->engine = NULL;
        free(member->transfers);
        member->transfers = NULL;
}
