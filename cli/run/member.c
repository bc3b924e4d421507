#include "cli/run/member.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "cli/run/describe.h"
#include "cli/message.h"
#include "cli/media/outputs.h"
#include "cli/run/set_options.h"
#include "codecs/base/pool.h"
#include "core/base/deadline.h"

enum {
        LAST_WORDS_MS = 1500, /* for the verdict of a server that was aborted */
        BUFFER_ALIGNMENT = 4096,
        WARNING_ZONE_MAX = 16 << 20, /* bytes before the end of a tape where its warning zone begins */
        WARNING_ZONE_PART = 8,       /* or so small a part of it, whichever is less */
};

static const uint32_t wished_features[PERSONALITY_COUNT] = {
        [PERSONALITY_PIPE] = VDF_LikePipe,
        [PERSONALITY_TAPE] = VDF_LikeTape,
        [PERSONALITY_DISK] = VDF_LikeDisk,
};

static int check_direction_of_options(const struct args *args, struct error *err)
{
        static const char *const writing[] = { "zstd", "force", "recipient", "recipients-file", "armor", NULL };
        static const char *const reading[] = { "identity", NULL };
        bool reads = args->inputs.count > 0;

        for (const char *const *name = reads ? writing : reading; *name; name++)
                if (args_was_given(args, *name))
                        return error_raise(err, ERR_USAGE, "--%s goes with -%c FILE", *name, reads ? 'o' : 'i');
        return 0;
}

int member_check_args(const struct args *args, struct error *err)
{
        if (args->outputs.count && args->inputs.count)
                return error_raise(err, ERR_USAGE, "-o is for a backup and -i for a restore; give one of them");
        if (args->raw && args->zstd)
                return error_raise(err, ERR_USAGE, "--raw and --zstd exclude each other");
        if (coding_check_zstd(args, err) < 0 || check_direction_of_options(args, err) < 0)
                return -1;
        return set_options_check(args, err);
}

int member_load_keys(const struct args *args, struct error *err)
{
        return args->inputs.count ? coding_load_reading(args, /* from_stdin= */ false, err)
                                  : coding_load_writing(args, err);
}

int member_open(struct member *member, const struct args *args, const char *verb, struct error *err)
{
        memset(member, 0, sizeof *member);
        member->set_name = args->operands.items[0];
        member->writes = !args->inputs.count;
        ident_uuid(member->primary.set_id);
        describe_time(member->primary.time);
        return serving_open(&member->serving, args, verb, err);
}

static const atomic_bool *cancel_flag(const struct member *member)
{
        return supervisor_cancel_flag(member->serving.supervisor);
}

/* ---- why it failed ---- */

/* Whether the server has said why, in which case *err holds it. */
static bool take_servers_words(struct member *member, struct error *err)
{
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        char text[VDS_TEXT_MAX] = "";

        if (engine_verdict(member->serving.engine, LAST_WORDS_MS, &verdict, text) != NOERROR || !text[0])
                return false;
        server_report_decode(text, &member->report);
        if (member->report.code == ERR_NONE || !member->report.message[0])
                return false;
        error_raise(err, member->report.code == ERR_SIGNAL ? ERR_FAILED : member->report.code, "%s",
                    member->report.message);
        return true;
}

/* Why the set was aborted, or its server failed: a death by its name, then the server's words, then the engine's. */
int member_raise_reason(struct member *member, struct error *err)
{
        struct engine *engine = member->serving.engine;
        enum vds_abort_reason reason = engine_abort_reason(engine);
        struct vds_secondaries secondaries = { 0 };

        if (reason == VDS_ABORT_SECONDARY_DIED && !member->secondary) {
                vds_client_secondaries(engine_vds(engine), &secondaries);
                return error_raise(err, ERR_ABORTED,
                                   "the device set was aborted: process %d, which served a part of its devices, died",
                                   secondaries.last_died_pid);
        }
        if ((reason == VDS_ABORT_NONE || reason == VDS_ABORT_SERVER || reason == VDS_ABORT_SERVER_CLOSED) &&
            take_servers_words(member, err))
                return -1;
        if (reason == VDS_ABORT_CLIENT)
                return error_raise(err, ERR_ABORTED,
                                   "the device set was aborted: another process that serves its devices gave up");
        if (reason == VDS_ABORT_NONE)
                return error_raise(err, ERR_FAILED, "the server ended without having completed the operation");
        return serving_abort_reason(&member->serving, err);
}

/* ---- volumes ---- */

/* All streams that are read are one backup's. */
static int check_source(struct member *member, const struct volume *volume, struct error *err)
{
        const char *source = volume_source(volume);

        if (!source[0] || strcmp(source, member->primary.source) == 0)
                return 0;
        if (member->primary.source[0])
                return error_raise(err, ERR_USAGE, "'%s' belongs to another backup than the others (set %s, not %s)",
                                   volume->path, source, member->primary.source);
        memcpy(member->primary.source, source, strlen(source) + 1);
        return 0;
}

int member_add_volume(struct member *member, uint32_t device, uint32_t device_count, const char *path,
                      struct error *err)
{
        const struct args *args = member->serving.args;
        struct volume *volume = &member->volumes[member->volume_count++];

        *volume = (struct volume){
                .args = args,
                .primary = &member->primary,
                .device = device,
                .device_count = device_count,
                .writes = member->writes,
                .path = path,
                .existing = args->force         ? FILE_EXISTING_REPLACED
                            : device_count == 1 ? FILE_EXISTING_KEPT_FORCE_HELPS
                                                : FILE_EXISTING_KEPT,
        };
        pool_share(args->pool, member->volume_count);
        if (volume_open(volume, cancel_flag(member), err) < 0)
                return serving_failed(&member->serving, err);
        return check_source(member, volume, err);
}

/* ---- the set ---- */

static struct VDConfig wishes_of(const struct member *member, uint32_t device_count)
{
        const struct primary_info *primary = &member->primary;
        uint64_t zone = primary->media_size / WARNING_ZONE_PART;

        return (struct VDConfig){
                .deviceCount = device_count,
                .features = wished_features[primary->personality] | VDF_RequestComplete,
                .alignment = BUFFER_ALIGNMENT,
                .softFileMarkBlockSize = primary->soft_mark_size,
                .EOMWarningSize = (uint32_t)(zone < WARNING_ZONE_MAX ? zone : WARNING_ZONE_MAX),
                .serverTimeOut = (uint32_t)member->serving.args->vdi_timeout_ms,
        };
}

/* What the server says about itself matters where it speaks as ours do, and is no fault where it does not. */
static void learn_about_server(struct member *member)
{
        char text[VDS_TEXT_MAX] = "";

        member->has_server = engine_server_info(member->serving.engine, text) == NOERROR && text[0] &&
                             server_info_decode(text, &member->server, /* err= */ NULL) == 0;
        message_verbose("device set '%s': %u device%s, server process %d%s%s; blocks of %u, transfers up to %u",
                        member->set_name, member->serving.config.deviceCount,
                        member->serving.config.deviceCount == 1 ? "" : "s", engine_server_pid(member->serving.engine),
                        member->has_server ? ", " : "", member->has_server ? member->server.kind : "",
                        member->serving.config.blockSize, member->serving.config.maxTransferSize);
}

static int configure(struct member *member, struct error *err)
{
        int rc = serving_configure(&member->serving, err);

        if (rc > 0)
                member_raise_reason(member, err);
        if (rc != 0)
                return serving_failed(&member->serving, err);
        learn_about_server(member);
        return 0;
}

int member_create(struct member *member, uint32_t device_count, struct error *err)
{
        const struct VDConfig wishes = wishes_of(member, device_count);
        struct vds_options options = set_options(member->serving.args);

        if (primary_info_encode(&member->primary, &member->primary_text, err) < 0)
                return -1;
        options.info = member->primary_text;
        options.abort_when_secondary_dies = true;
        if (serving_create(&member->serving, &options, member->set_name, &wishes, err) < 0)
                return serving_failed(&member->serving, err);
        message_notice("device set '%s' is ready and waits for its server", member->set_name);
        return configure(member, err);
}

int member_join(struct member *member, struct error *err)
{
        const struct vds_options options = set_options(member->serving.args);
        char text[VDS_TEXT_MAX] = "";

        member->secondary = true;
        if (serving_join(&member->serving, &options, member->set_name, err) < 0)
                return serving_failed(&member->serving, err);
        if (vds_client_primary_info(engine_vds(member->serving.engine), text) == NOERROR &&
            primary_info_decode(text, &member->primary, err) < 0)
                return -1;
        return configure(member, err);
}

/* ---- serving ---- */

/* The direction is the statement's, and the server says it with the configuration. */
static int check_direction(const struct member *member, struct error *err)
{
        uint32_t features = member->serving.config.features;

        if (!member->volume_count)
                return 0;
        if (member->writes && !(features & VDF_WriteMedia))
                return error_raise(err, ERR_USAGE,
                                   "the server wants to read, its statement is a RESTORE; give it what to read with "
                                   "-i FILE");
        if (!member->writes && !(features & VDF_ReadMedia))
                return error_raise(err, ERR_USAGE,
                                   "the server wants to write, its statement is a BACKUP; say where to with -o FILE");
        return 0;
}

static int configure_volumes(struct member *member, struct error *err)
{
        const struct backup_parties parties = {
                .set_id = member->primary.set_id,
                .time = member->primary.time,
                .database = member->set_name,
                .origin = "",
                .server = member->has_server ? &member->server : NULL,
                .config = &member->serving.config,
        };
        struct stream_info info;
        int rc = describe_backup(&parties, &info, err);

        for (uint32_t i = 0; rc == 0 && i < member->volume_count; i++) {
                struct volume *volume = &member->volumes[i];

                describe_device(&parties, volume->device, &info);
                rc = volume_configure(volume, &member->serving.config, &info, cancel_flag(member), err);
                if (rc == 0)
                        rc = check_source(member, volume, err);
                atomic_fetch_add(&member->serving.progress.total, info.has_extent ? info.part_length : 0);
        }
        stream_info_deinit(&info);
        return rc;
}

static int transfer(struct member *member, struct error *err)
{
        struct served devices[VDS_DEVICES_MAX];
        int rc;

        for (uint32_t i = 0; i < member->volume_count; i++)
                devices[i] = (struct served){ .device = member->volumes[i].device,
                                              .media = member->volumes[i].media,
                                              .what = volume_name(&member->volumes[i]) };
        rc = serving_transfer(&member->serving, devices, member->volume_count,
                              member->writes ? "writing to" : "reading", err);
        return rc > 0 ? member_raise_reason(member, err) : rc;
}

/* A process that died behind its last command, when no abort could tell, has not given its file its name. A restore
 * needs it no more. */
static bool lost_secondary(struct member *member, struct error *err)
{
        struct vds_secondaries secondaries = { 0 };

        if (member->secondary || !(member->serving.config.features & VDF_WriteMedia))
                return false;
        vds_client_secondaries(engine_vds(member->serving.engine), &secondaries);
        if (!secondaries.died)
                return false;
        error_raise(err, ERR_FAILED,
                    "the server counts this backup as taken, but process %d, which served a part of its devices, died",
                    secondaries.last_died_pid);
        return true;
}

static int learn_verdict(struct member *member, struct error *err)
{
        char text[VDS_TEXT_MAX] = "";
        enum vds_verdict verdict = serving_verdict(&member->serving, text);

        if (verdict == VDS_VERDICT_UNCONFIRMED && !member->serving.args->accept_unconfirmed)
                return error_raise(err, ERR_FAILED,
                                   "the server closed the set in order but did not say that it succeeded; where it "
                                   "never says so, --accept-unconfirmed takes that for success");
        if (verdict != VDS_VERDICT_FAILED && lost_secondary(member, err))
                return -1;
        member->unconfirmed = verdict == VDS_VERDICT_UNCONFIRMED;
        if (verdict != VDS_VERDICT_SUCCESS && !member->unconfirmed)
                return member_raise_reason(member, err);
        if (!member->unconfirmed)
                server_report_decode(text, &member->report);
        return 0;
}

/* The verdict enters the streams, and the files get their names. */
static int finish(struct member *member, struct error *err)
{
        int rc = 0;

        if (!member->writes)
                return 0;
        worker_begin(&member->serving.worker);
        for (uint32_t i = 0; rc == 0 && i < member->volume_count; i++)
                rc = member->unconfirmed ? volume_complete(&member->volumes[i], err)
                                         : volume_finish(&member->volumes[i], err);
        if (rc == 0)
                rc = supervisor_check(member->serving.supervisor, err);
        if (rc == 0)
                rc = volumes_publish(member->volumes, member->volume_count, err);
        worker_end(&member->serving.worker);
        if (rc == 0)
                return 0;
        serving_failed(&member->serving, err);
        return error_prefix(err, "the server counts this backup as taken, but it is not complete: ");
}

static void summarise(const struct member *member)
{
        double seconds = (double)(monotonic_ns() - member->serving.progress.started_ns) / 1e9;
        char size[32];

        if (member->report.note[0])
                message_warning("%s", member->report.note);
        if (member->unconfirmed)
                message_warning("'%s': the server did not say that it succeeded; the streams are complete and lack its "
                                "verdict",
                                member->set_name);
        progress_format_bytes(atomic_load(&member->serving.progress.done), size);
        if (member->volume_count)
                message_summary("'%s': %s in %.1f s %s %s%s%s", member->set_name, size, seconds,
                                member->writes ? "to" : "from", volume_name(&member->volumes[0]),
                                member->volume_count > 1 ? " and its siblings" : "",
                                member->serving.args->coding->summary);
}

int member_serve(struct member *member, struct error *err)
{
        int rc;

        if (check_direction(member, err) < 0)
                return -1;
        rc = configure_volumes(member, err);
        coding_forget(member->serving.args);
        if (rc < 0 || transfer(member, err) < 0 || learn_verdict(member, err) < 0)
                return serving_failed(&member->serving, err);
        if (finish(member, err) < 0)
                return -1;
        summarise(member);
        return 0;
}

void member_close(struct member *member, const struct error *err)
{
        for (uint32_t i = 0; error_is_set(err) && i < member->volume_count; i++)
                volume_abort(&member->volumes[i], err->message);
        serving_leave(&member->serving);
        serving_close(&member->serving);
        for (uint32_t i = 0; i < member->volume_count; i++)
                volume_deinit(&member->volumes[i]);
        member->volume_count = 0;
        free(member->primary_text);
        member->primary_text = NULL;
}
