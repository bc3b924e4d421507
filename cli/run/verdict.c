/* member.h's functions for how it went: the server's verdict, and whose words win when something failed. */
#include "cli/run/member.h"

enum {
        VERDICT_SLICE_MS = 500, /* between two looks at the cancel flag while the server finishes */
        LAST_WORDS_MS = 1500,   /* for the verdict of a server that was aborted */
};

const char *verdict_name(enum vds_verdict verdict)
{
        static const char *const names[] = {
                [VDS_VERDICT_NONE] = "none",
                [VDS_VERDICT_SUCCESS] = "success",
                [VDS_VERDICT_FAILED] = "failed",
                [VDS_VERDICT_UNCONFIRMED] = "unconfirmed",
        };

        return names[verdict];
}

enum vds_verdict member_verdict(struct member *member, char *text)
{
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        int rc;

        do
                rc = engine_verdict(member->engine, VERDICT_SLICE_MS, &verdict, text);
        while (rc == VD_E_TIMEOUT && supervisor_check(member->supervisor, /* err= */ NULL) == 0);
        if (rc == VD_E_TIMEOUT)
                rc = engine_verdict(member->engine, LAST_WORDS_MS, &verdict, text);
        if (rc != NOERROR)
                verdict = VDS_VERDICT_FAILED;
        trace_event(member->trace, /* device= */ 0, "verdict", verdict_name(verdict));
        return verdict;
}

bool member_hear_report(struct member *member)
{
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        char text[VDS_TEXT_MAX] = "";

        if (engine_verdict(member->engine, LAST_WORDS_MS, &verdict, text) != NOERROR || !text[0])
                return false;
        server_report_decode(text, &member->report);
        return member->report.code != ERR_NONE && member->report.message[0];
}

int member_raise_abort(struct member *member, struct error *err)
{
        enum vds_abort_reason reason = engine_abort_reason(member->engine);

        return error_raise(err, reason == VDS_ABORT_TIMEOUT ? ERR_TIMEOUT : ERR_ABORTED,
                           "the device set was aborted: %s", engine_abort_text(member->engine));
}

/* Raises the words of what others did, in the order of member_fail()'s rules from 3 on. */
static void member_ask_why(struct member *member, struct error *err)
{
        enum vds_abort_reason reason = engine_abort_reason(member->engine);
        struct vds_secondaries secondaries = { 0 };

        if (reason == VDS_ABORT_SECONDARY_DIED && !member->secondary) {
                vds_client_secondaries(engine_vds(member->engine), &secondaries);
                error_raise(err, ERR_ABORTED,
                            "the device set was aborted: process %d, which served a part of its devices, died",
                            secondaries.last_died_pid);
        } else if (!member->server->raise_words(member, reason, err) &&
                   !member->server->raise_end(member, reason, err)) {
                member_raise_abort(member, err);
        }
}

/*
 * Whose words win. Of what there is, the first; the others are its consequences:
 *
 *   1. why this process gave up: a signal, a stall, a server that fell silent, the end of the keeper
 *   2. our own failure, of a medium or of the protocol: it stands in *err
 *   3. the process that served a part of the devices and died
 *   4. the server's words: its verdict, or what its statement came to
 *   5. how the server's process or its statement ended
 *   6. the engine's reason for the abort
 *
 * That the server ended badly, or others aborted the set, makes the supervisor interrupt this process, too, but is no
 * reason of the first kind: such an end is behind the words, and whoever was interrupted (ERR_ABORTED) has none.
 */
int member_fail(struct member *member, struct error *err)
{
        struct error reason = ERROR_INIT;
        bool interrupted;

        if (!member->supervisor)
                return -1;
        supervisor_check(member->supervisor, &reason);
        interrupted = reason.code == ERR_PEER_DIED || reason.code == ERR_ABORTED;
        if (!interrupted && error_hand_over(err, &reason) < 0)
                return -1;
        if (error_is_set(err) && (member->failed || !interrupted || err->code != ERR_ABORTED))
                return -1;
        if (member->engine && member->server) {
                *err = (struct error)ERROR_INIT;
                member_ask_why(member, err);
                member->failed = true;
        }
        return -1;
}
