#include "core/standin/session.h"

#include <stdarg.h>
#include <stdio.h>

void standin_log(struct standin_session *session, const char *format, ...)
{
        const struct standin_options *options = session->standin->options;
        char line[ERROR_MESSAGE_MAX];
        va_list arguments;
        int used;

        if (!options->log)
                return;
        used = snprintf(line, sizeof line, "session %d: ", session->activity.session_id);
        va_start(arguments, format);
        vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
        va_end(arguments);
        options->log(line, options->context);
}

void standin_send(struct standin_session *session, uint32_t line, const struct server_message *message)
{
        struct server_message sent = *message;

        if (session->standin->options->plans[STANDIN_NO_CONFIRMATION].wanted &&
            (message->number == 3014 || message->number == 3262))
                return;
        sent.line = message->line + line - 1;
        tds_send_message(session->tds, &sent);
}

int standin_tell_words(struct standin_session *session, uint32_t line, enum server_message_id id,
                       const char *const *words)
{
        struct server_message message;

        server_message_fill(&message, id, words);
        standin_send(session, line, &message);
        return -1;
}

/* ---- the end ---- */

void standin_interrupt(struct standin_session *session, enum standin_end end)
{
        pthread_mutex_lock(&session->lock);
        if (session->end < end)
                session->end = end;
        if (session->abort_run && (end == STANDIN_END_CLOSED || !session->is_deaf))
                session->abort_run(session->run);
        pthread_cond_broadcast(&session->changed);
        pthread_mutex_unlock(&session->lock);
}

void standin_wait_end(struct standin_session *session, enum standin_end end)
{
        pthread_mutex_lock(&session->lock);
        while (session->end < end)
                pthread_cond_wait(&session->changed, &session->lock);
        pthread_mutex_unlock(&session->lock);
}

enum standin_end standin_session_end(struct standin_session *session)
{
        return atomic_load(&session->end);
}

void standin_forget_cancellation(struct standin_session *session)
{
        pthread_mutex_lock(&session->lock);
        if (session->end == STANDIN_END_CANCELLED)
                session->end = STANDIN_END_NONE;
        session->is_deaf = false;
        pthread_mutex_unlock(&session->lock);
}
