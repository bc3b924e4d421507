#include "cli/run/foreign.h"

#include "cli/media/coding.h"
#include "cli/message.h"
#include "cli/run/set_options.h"

/* ---- the commands' beginning and end ---- */

static int foreign_check_direction(const struct args *args, struct error *err)
{
        static const char *const writing[] = { "zstd", "force", "recipient", "recipients-file", "armor", NULL };
        static const char *const reading[] = { "identity", NULL };
        bool reads = args->inputs.count > 0;

        for (const char *const *name = reads ? writing : reading; *name; name++)
                if (args_was_given(args, *name))
                        return error_raise(err, ERR_USAGE, "--%s goes with -%c FILE", *name, reads ? 'o' : 'i');
        return 0;
}

int foreign_check_args(const struct args *args, struct error *err)
{
        if (args->outputs.count && args->inputs.count)
                return error_raise(err, ERR_USAGE, "-o is for a backup and -i for a restore; give one of them");
        if (args->raw && args->zstd)
                return error_raise(err, ERR_USAGE, "--raw and --zstd exclude each other");
        if (coding_check_zstd(args, err) < 0 || foreign_check_direction(args, err) < 0)
                return -1;
        return set_options_check(args, err);
}

static int foreign_open(struct member *member, const struct args *args, const char *verb, struct error *err)
{
        if ((args->inputs.count ? coding_load_reading(args, /* from_stdin= */ false, err)
                                : coding_load_writing(args, err)) < 0 ||
            member_open(member, args, verb, err) < 0)
                return -1;
        member->server = &foreign_server;
        member->set_name = args->operands.items[0];
        member->database = member->set_name;
        member->origin = "";
        return 0;
}

static void foreign_summarise(const struct member *member)
{
        char size[32];
        double seconds = progress_done(&member->progress, size);

        if (member->unconfirmed)
                message_warning("'%s': the server did not say that it succeeded; the streams are complete and lack its "
                                "verdict",
                                member->set_name);
        if (member->volume_count)
                message_summary("'%s': %s in %.1f s %s %s%s%s", member->set_name, size, seconds,
                                member->writes ? "to" : "from", volume_name(&member->volumes[0]),
                                member->volume_count > 1 ? " and its siblings" : "", member->args->coding->summary);
}

int foreign_run(const struct args *args, const char *verb, int (*work)(struct member *member, struct error *err),
                struct error *err)
{
        struct member member = { .args = NULL };
        int rc = foreign_open(&member, args, verb, err);

        if (rc == 0)
                rc = work(&member, err);
        if (rc == 0)
                foreign_summarise(&member);
        member_close(&member, err);
        return rc;
}

/* ---- the server ---- */

static int foreign_start(struct member *member, struct error *err)
{
        (void)err;
        message_notice("device set '%s' is ready and waits for its server", member->set_name);
        return 0;
}

/* What the server says about itself matters where it speaks as ours do, and is no fault where it does not. */
static int foreign_joined(struct member *member, struct error *err)
{
        char text[VDS_TEXT_MAX] = "";

        (void)err;
        member->has_info = engine_server_info(member->engine, text) == NOERROR && text[0] &&
                           server_info_decode(text, &member->info, /* err= */ NULL) == 0;
        message_verbose("device set '%s': %u device%s, server process %d%s%s", member->set_name,
                        member->config.deviceCount, member->config.deviceCount == 1 ? "" : "s",
                        engine_server_pid(member->engine), member->has_info ? ", " : "",
                        member->has_info ? member->info.kind : "");
        return 0;
}

/* A process that died behind its last command, when no abort could tell, has not given its file its name. A restore
 * needs it no more. */
static int foreign_check_secondaries(struct member *member, struct error *err)
{
        struct vds_secondaries secondaries = { 0 };

        if (member->secondary || !(member->config.features & VDF_WriteMedia))
                return 0;
        vds_client_secondaries(engine_vds(member->engine), &secondaries);
        if (!secondaries.died)
                return 0;
        return error_raise(
                err, ERR_FAILED,
                "the server counts this backup as taken, but process %d, which served a part of its devices, died",
                secondaries.last_died_pid);
}

static int foreign_await_success(struct member *member, struct error *err)
{
        char text[VDS_TEXT_MAX] = "";
        enum vds_verdict verdict = member_verdict(member, text);

        member->unconfirmed = verdict == VDS_VERDICT_UNCONFIRMED;
        if (member->unconfirmed && !member->args->accept_unconfirmed)
                return error_raise(err, ERR_FAILED,
                                   "the server closed the set in order but did not say that it succeeded; where it "
                                   "never says so, --accept-unconfirmed takes that for success");
        if (verdict != VDS_VERDICT_FAILED && foreign_check_secondaries(member, err) < 0)
                return -1;
        if (verdict == VDS_VERDICT_SUCCESS)
                server_report_decode(text, &member->report);
        return verdict == VDS_VERDICT_SUCCESS || member->unconfirmed ? 0 : -1;
}

/* Where others than the server aborted the set, what it says is a consequence. The signal that ended it was not ours.
 */
static bool foreign_raise_words(struct member *member, enum vds_abort_reason reason, struct error *err)
{
        enum err_code code;

        if ((reason != VDS_ABORT_NONE && reason != VDS_ABORT_SERVER && reason != VDS_ABORT_SERVER_CLOSED) ||
            !member_hear_report(member))
                return false;
        code = member->report.code == ERR_SIGNAL ? ERR_FAILED : member->report.code;
        error_raise(err, code, "%s", member->report.message);
        return true;
}

static bool foreign_raise_end(struct member *member, enum vds_abort_reason reason, struct error *err)
{
        (void)member;
        if (reason == VDS_ABORT_CLIENT)
                error_raise(err, ERR_ABORTED,
                            "the device set was aborted: another process that serves its devices gave up");
        else if (reason == VDS_ABORT_NONE)
                error_raise(err, ERR_FAILED, "the server ended without having completed the operation");
        return error_is_set(err);
}

const struct member_server foreign_server = {
        .foreign = true,
        .start = foreign_start,
        .joined = foreign_joined,
        .await_success = foreign_await_success,
        .raise_words = foreign_raise_words,
        .raise_end = foreign_raise_end,
};
