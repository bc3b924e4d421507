/*
 * Transactions of a driver: begun and ended as it wants, since drivers that do not commit by themselves cannot do
 * without. Nothing that is done here could be rolled back; whoever answers the requests knows of an open one.
 */
#include "core/tds/internal.h"

enum transaction_request {
        REQUEST_BEGIN = 5,
        REQUEST_COMMIT = 7,
        REQUEST_ROLLBACK = 8,
};

enum {
        CHANGE_BEGIN = 8,
        CHANGE_COMMIT = 9,
        CHANGE_ROLLBACK = 10,
        NUMBER_WORDS = 50000,
        NUMBER_NO_COMMIT = 3902,
        NUMBER_NO_ROLLBACK = 3903,
        BEGIN_ANOTHER = 0x01,
};

static void begin(struct tds_session *session)
{
        session->transaction = ++session->last_transaction;
        tds_send_change_number(session, CHANGE_BEGIN, session->transaction, 0);
}

/* Behind a name comes whether another transaction begins at once. */
static bool begins_another(struct tds_cursor *cursor)
{
        tds_get(cursor, 2 * (size_t)tds_get_u8(cursor));
        return (tds_get_u8(cursor) & BEGIN_ANOTHER) != 0 && !cursor->bad;
}

static void end(struct tds_session *session, uint8_t change, struct tds_cursor *cursor)
{
        tds_send_change_number(session, change, 0, session->transaction);
        session->transaction = 0;
        if (begins_another(cursor))
                begin(session);
}

void tds_transaction_answer(struct tds_session *session)
{
        struct tds_cursor *cursor = &session->rest;
        uint16_t kind = tds_get_u16(cursor);

        if (kind == REQUEST_BEGIN && session->transaction == 0) {
                begin(session);
        } else if (kind == REQUEST_COMMIT && session->transaction != 0) {
                end(session, CHANGE_COMMIT, cursor);
        } else if (kind == REQUEST_ROLLBACK && session->transaction != 0) {
                end(session, CHANGE_ROLLBACK, cursor);
        } else if (kind == REQUEST_COMMIT) {
                tds_refuse(session, NUMBER_NO_COMMIT,
                           "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.");
                return;
        } else if (kind == REQUEST_ROLLBACK) {
                tds_refuse(session, NUMBER_NO_ROLLBACK,
                           "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.");
                return;
        } else {
                tds_refuse(session, NUMBER_WORDS,
                           "Nested and distributed transactions and savepoints are not offered here.");
                return;
        }
        tds_send_done(session, &(struct tds_done){ .error = false });
}
