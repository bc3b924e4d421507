/*
 * Transactions of a driver: begun and ended as it wants, since drivers that do not commit by themselves cannot do
 * without. Nothing that is done here could be rolled back; whoever answers the requests knows of an open one.
 */
#include "core/tds/request.h"
#include "core/tds/token.h"

enum { REQUEST_BEGIN = 5, REQUEST_COMMIT = 7, REQUEST_ROLLBACK = 8 };
enum { CHANGE_BEGIN = 8, CHANGE_COMMIT = 9, CHANGE_ROLLBACK = 10 };
enum { NUMBER_NO_COMMIT = 3902, NUMBER_NO_ROLLBACK = 3903 };
enum { BEGIN_ANOTHER = 0x01 };

static void transaction_begin(struct tds_session *session)
{
        session->transaction = ++session->last_transaction;
        tds_send_change_number(session, CHANGE_BEGIN, session->transaction, 0);
}

/* Behind a name comes whether another transaction begins at once. */
static bool transaction_begins_another(struct tds_cursor *cursor)
{
        tds_get(cursor, 2 * (size_t)tds_get_u8(cursor));
        return (tds_get_u8(cursor) & BEGIN_ANOTHER) != 0 && !cursor->bad;
}

static int transaction_end(struct tds_session *session, bool commit, struct tds_cursor *cursor)
{
        if (session->transaction == 0)
                return tds_refuse(session, commit ? NUMBER_NO_COMMIT : NUMBER_NO_ROLLBACK,
                                  "The %s TRANSACTION request has no corresponding BEGIN TRANSACTION.",
                                  commit ? "COMMIT" : "ROLLBACK");
        tds_send_change_number(session, commit ? CHANGE_COMMIT : CHANGE_ROLLBACK, 0, session->transaction);
        session->transaction = 0;
        if (transaction_begins_another(cursor))
                transaction_begin(session);
        return tds_answer_done(session);
}

int tds_transaction_answer(struct tds_session *session)
{
        struct tds_cursor cursor = session->rest;
        uint16_t request = tds_get_u16(&cursor);

        session->rest.left = 0;
        if (request == REQUEST_COMMIT || request == REQUEST_ROLLBACK)
                return transaction_end(session, request == REQUEST_COMMIT, &cursor);
        if (request != REQUEST_BEGIN || session->transaction != 0)
                return tds_refuse(session, TDS_NUMBER_WORDS,
                                  "Nested and distributed transactions and savepoints are not offered here.");
        transaction_begin(session);
        return tds_answer_done(session);
}
