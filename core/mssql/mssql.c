/*
 * db-lib calls back through two functions of the process; `speaking` says on whose behalf a thread is inside the
 * library, also while a login has no connection yet.
 */
#include "core/mssql/mssql.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/address.h"
#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/base/fd_io.h"
#include "core/base/text.h"
#include "core/mssql/dblib.h"
#include "core/mssql/internal.h"
#include "core/mssql/row.h"

enum {
        HOST_MAX = 200,      /* bytes; FreeTDS cuts longer lines of its configuration */
        ERROR_SEVERITY = 11, /* from here on a message is an error */
        TERMINATED = 3013,   /* says that a statement failed, never why */
        DATABASE_CHANGED = 5701,
        LANGUAGE_CHANGED = 5703,
        FAILED_RESULTS_MAX = 1024, /* of one batch, one after the other */
        CANCEL_GRACE_MS = 5000,    /* after a time-out */
        LOGIN_SLICE_S = 1,         /* between two looks at whether a login is to end */
};

/* What a batch, or a login, has come to. */
enum exchange_phase {
        PHASE_WAITING,
        PHASE_ATTENTION, /* the server was asked to cancel */
        PHASE_GIVEN_UP,  /* it did not, in time */
};

struct exchange {
        struct mssql *connection; /* NULL: a login */
        const struct mssql_events *events;
        const atomic_bool *end; /* of the login; NULL: none */
        struct deadline deadline;
        enum exchange_phase phase;
        struct deadline grace; /* in PHASE_ATTENTION */
        bool cancelled;        /* by mssql_cancel() or `end`, else by the deadline */
        bool timed_out;
        bool unconnected; /* nobody took the connection within a slice */
        bool failed;
        int failure_number; /* of the first message that says what happened */
        enum err_code failure_class;
        char failure[ERROR_MESSAGE_MAX]; /* its words */
        bool refused;                    /* a result ended in an error, with a message or without */
        char library[ERROR_MESSAGE_MAX]; /* what FreeTDS said first; "" */
        char system[128];                /* what the system said then; "" */
};

static _Thread_local struct exchange *speaking;

/* Held while the library's settings of the process are those of one login. */
static pthread_mutex_t login_lock = PTHREAD_MUTEX_INITIALIZER;

const char *mssql_library_version(void)
{
        struct error unloaded = ERROR_INIT;
        const char *version, *number;

        if (mssql_library_check(&unloaded) < 0)
                return NULL;
        version = dblib.dbversion();
        number = strpbrk(version, "0123456789");
        return number ? number : version;
}

/* ---- what the library says ---- */

/* One line, without what ends a sentence. */
static void message_write(const struct server_message *message, char *text, size_t size)
{
        snprintf(text, size, "Msg %d, Level %d, State %d: %s", message->number, message->severity, message->state,
                 message->text);
        for (char *c = text; *c; c++)
                if (*c == '\n' || *c == '\r')
                        *c = ' ';
        for (size_t length = strlen(text); length > 0 && strchr(" .", text[length - 1]); length--)
                text[length - 1] = '\0';
}

static void exchange_keep_failure(struct exchange *exchange, const struct server_message *message)
{
        if (exchange->failed && exchange->failure_number != TERMINATED)
                return;
        exchange->failed = true;
        exchange->failure_number = message->number;
        exchange->failure_class = message->class;
        message_write(message, exchange->failure, sizeof exchange->failure);
}

/* Errors that are of a kind which callers tell apart from the others. */
static enum err_code class_of_number(int number, int severity)
{
        static const struct {
                int number;
                enum err_code class;
        } classes[] = {
                { 927, ERR_BUSY },      /* the database is being restored */
                { 1222, ERR_BUSY },     /* lock request time-out */
                { 3023, ERR_BUSY },     /* another backup of the database runs */
                { 3101, ERR_BUSY },     /* exclusive access could not be obtained */
                { 3102, ERR_BUSY },     /* the database is in use by this session */
                { 17809, ERR_BUSY },    /* too many connections */
                { 3043, ERR_DAMAGED },  /* BACKUP found an error on a page */
                { 3183, ERR_DAMAGED },  /* RESTORE did */
                { 3189, ERR_DAMAGED },  /* damage to the backup set */
                { 3241, ERR_DAMAGED },  /* the media family is incorrectly formed */
                { 3242, ERR_DAMAGED },  /* no backup set */
                { 3254, ERR_DAMAGED },  /* the volume is empty */
                { 1105, ERR_NO_SPACE }, /* the filegroup is full */
                { 3257, ERR_NO_SPACE }, /* no room for the database's files */
                { 9002, ERR_NO_SPACE }, /* the log is full */
                { 701, ERR_MEMORY },    /* of the server */
                { 3229, ERR_TIMEOUT },  /* a device's */
        };

        if (severity < ERROR_SEVERITY)
                return ERR_NONE;
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
                if (classes[i].number == number)
                        return classes[i].class;
        return ERR_FAILED;
}

static int library_on_message(DBPROCESS *process, DBINT number, int state, int severity, char *text, char *server,
                              char *procedure, int line)
{
        struct server_message message = { .number = number, .severity = severity, .state = state };
        struct exchange *exchange = speaking;

        (void)process;
        (void)server;
        (void)procedure;
        if (!exchange || number == DATABASE_CHANGED || number == LANGUAGE_CHANGED)
                return 0;
        message.line = line > 0 ? (uint32_t)line : 0;
        message.class = class_of_number(number, severity);
        snprintf(message.text, sizeof message.text, "%s", text ? text : "");
        if (severity >= ERROR_SEVERITY)
                exchange_keep_failure(exchange, &message);
        if (exchange->events && exchange->events->message)
                exchange->events->message(&message, exchange->events->context);
        return 0;
}

static bool exchange_is_ended(const struct exchange *exchange)
{
        return exchange->end && atomic_load(exchange->end);
}

static bool exchange_is_cancelled(const struct exchange *exchange)
{
        return exchange_is_ended(exchange) || (exchange->connection && atomic_load(&exchange->connection->cancel));
}

/* Whether it is time to go a phase further. */
static bool exchange_is_due(struct exchange *exchange)
{
        if (exchange->phase == PHASE_ATTENTION)
                return deadline_passed(exchange->grace);
        return exchange->phase == PHASE_WAITING &&
               (exchange_is_cancelled(exchange) || deadline_passed(exchange->deadline));
}

/* The library asks what to do about a wait that it has broken off. */
static int exchange_next_phase(struct exchange *exchange)
{
        int64_t grace_ms = CANCEL_GRACE_MS;

        if (!exchange_is_due(exchange))
                return INT_CONTINUE;
        if (exchange->phase == PHASE_ATTENTION) {
                exchange->phase = PHASE_GIVEN_UP;
                return INT_CANCEL;
        }
        exchange->phase = PHASE_ATTENTION;
        exchange->cancelled = exchange_is_cancelled(exchange);
        exchange->timed_out = !exchange->cancelled;
        if (atomic_load(&exchange->connection->cancel))
                grace_ms = atomic_load(&exchange->connection->cancel_grace_ms);
        else if (exchange->cancelled)
                grace_ms = 0;
        exchange->grace = deadline_after_ms(grace_ms);
        return INT_TIMEOUT;
}

/* A slice of a login is over without an answer. */
static int login_next_slice(struct exchange *exchange)
{
        exchange->cancelled = exchange_is_ended(exchange);
        exchange->timed_out = !exchange->cancelled && deadline_passed(exchange->deadline);
        return exchange->cancelled || exchange->timed_out ? INT_CANCEL : INT_CONTINUE;
}

static int library_on_error(DBPROCESS *process, int severity, int number, int os_number, char *text, char *os_text)
{
        struct exchange *exchange = speaking;

        (void)process;
        (void)severity;
        if (!exchange || number == SYBESMSG)
                return INT_CANCEL;
        if (number == SYBETIME)
                return exchange->connection ? exchange_next_phase(exchange) : login_next_slice(exchange);
        exchange->unconnected = number == SYBECONN && os_number == ETIMEDOUT;
        if (!*exchange->library) {
                snprintf(exchange->library, sizeof exchange->library, "%s", text ? text : "unknown error");
                snprintf(exchange->system, sizeof exchange->system, "%s", os_number > 0 && os_text ? os_text : "");
        }
        return INT_CANCEL;
}

/* The library looks here once a second while it waits. */
static int library_check_interrupt(void *process)
{
        (void)process;
        return speaking && exchange_is_due(speaking);
}

static int library_handle_interrupt(void *process)
{
        (void)process;
        return INT_CANCEL;
}

/* ---- login ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_ready;

/* Variables by which FreeTDS would write passwords to a file, or go to another server than the one named. */
static void library_start(void)
{
        static const char *const variables[] = { "TDSDUMP", "TDSDUMPCONFIG", "TDSHOST", "TDSPORT", "TDSVER" };

        for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
                if (getenv(variables[i]))
                        unsetenv(variables[i]);
        if (dblib.dbinit() == FAIL)
                return;
        dblib.dberrhandle(library_on_error);
        dblib.dbmsghandle(library_on_message);
        library_ready = true;
}

/* A configuration that says everything and is looked at first, so that no other is. */
static int login_configure(const struct mssql_login *login, int *ret_fd, struct error *err)
{
        static const char *const levels[] = {
                [MSSQL_ENCRYPT_REQUEST] = "request", [MSSQL_ENCRYPT_OFF] = "off", [MSSQL_ENCRYPT_REQUIRE] = "require"
        };
        CLEANUP(fd_closep) int fd = memfd_create("freetds.conf", MFD_CLOEXEC);
        char text[2 * HOST_MAX + 256];

        if (fd < 0)
                return error_raise_errno(err, errno, "FreeTDS's configuration");
        if (strlen(login->host) > HOST_MAX || strpbrk(login->host, " \t\r\n;#=[]\"'"))
                return error_raise(err, ERR_USAGE, "host '%s' cannot be the name of a host", login->host);
        snprintf(text, sizeof text,
                 "[%s]\nhost = %s\nport = %u\ntds version = 7.4\nencryption = %s\nclient charset = UTF-8\n",
                 login->host, address_spell_host(login->host), login->port, levels[login->encryption]);
        if (fd_write_full(fd, text, strlen(text), /* cancel= */ NULL) < 0)
                return error_raise_errno(err, errno, "FreeTDS's configuration");
        *ret_fd = take_fd(&fd);
        return 0;
}

static LOGINREC *login_make_record(const struct mssql_login *login, struct error *err)
{
        LOGINREC *record = dblib.dblogin();
        bool sound = record != NULL;

        sound = sound && dblib.dbsetlversion(record, DBVERSION_74) == SUCCEED &&
                dblib.dbsetlname(record, "UTF-8", DBSETCHARSET) == SUCCEED &&
                dblib.dbsetlbool(record, 1, DBSETUTF16) == SUCCEED &&
                dblib.dbsetlname(record, login->application ? login->application : "vdipipe", DBSETAPP) == SUCCEED;
        sound = sound && (!login->database || dblib.dbsetlname(record, login->database, DBSETDBNAME) == SUCCEED);
        if (login->password)
                sound = sound && dblib.dbsetlname(record, login->user ? login->user : "", DBSETUSER) == SUCCEED &&
                        dblib.dbsetlname(record, login->password, DBSETPWD) == SUCCEED;
        if (sound)
                return record;
        if (record)
                dblib.dbloginfree(record);
        error_raise(err, ERR_USAGE, "the login is refused by FreeTDS: user, password or application name is too long");
        return NULL;
}

static int login_raise_failure(const struct mssql_login *login, const struct exchange *exchange, struct error *err)
{
        if (exchange->failed)
                return error_raise(err, exchange->failure_class, "the server at %s, port %u refuses the login: %s",
                                   login->host, login->port, exchange->failure);
        if (exchange->cancelled)
                return error_raise(err, ERR_ABORTED, "the login to %s, port %u was cancelled", login->host,
                                   login->port);
        if (exchange->timed_out)
                return error_raise(err, ERR_TIMEOUT, "the server at %s, port %u did not answer within %.3g s",
                                   login->host, login->port, (double)login->timeout_ms / 1000);
        return error_raise(err, ERR_FAILED, "no connection to %s, port %u: %s%s", login->host, login->port,
                           *exchange->system    ? exchange->system
                           : *exchange->library ? exchange->library
                                                : "FreeTDS does not say why",
                           !*exchange->system && login->encryption == MSSQL_ENCRYPT_REQUIRE
                                   ? "; encryption is required, and the server may have none"
                                   : "");
}

/* The library has one time for connecting and for each answer. It is a slice here; an answer may take several, and a
 * connection that nobody took is tried again. */
static DBPROCESS *login_open_in_slices(const struct mssql_login *login, LOGINREC *record, struct exchange *exchange)
{
        DBPROCESS *process = NULL;

        exchange->cancelled = exchange_is_ended(exchange);
        if (exchange->cancelled)
                return NULL;
        do {
                exchange->unconnected = false;
                *exchange->library = *exchange->system = '\0';
                process = dblib.dbopen(record, login->host);
        } while (!process && exchange->unconnected && login_next_slice(exchange) == INT_CONTINUE);
        return process;
}

static int login_connect_locked(const struct mssql_login *login, LOGINREC *record, struct exchange *exchange,
                                DBPROCESS **ret_process, struct error *err)
{
        CLEANUP(fd_closep) int configuration = -1;
        char path[64];

        if (login_configure(login, &configuration, err) < 0)
                return -1;
        snprintf(path, sizeof path, "/proc/self/fd/%d", configuration);
        if (access(path, R_OK) < 0)
                return error_raise_errno(err, errno, "FreeTDS's configuration in %s", path);
        dblib.dbsetifile(path);
        dblib.dbsetlogintime(LOGIN_SLICE_S);
        speaking = exchange;
        *ret_process = login_open_in_slices(login, record, exchange);
        speaking = NULL;
        return *ret_process ? 0 : login_raise_failure(login, exchange, err);
}

static int login_connect(const struct mssql_login *login, const struct mssql_events *events, DBPROCESS **ret_process,
                         struct error *err)
{
        struct exchange exchange = { .events = events,
                                     .end = login->end,
                                     .deadline = deadline_after_ms(login->timeout_ms) };
        struct exchange *outer = speaking;
        LOGINREC *record = login_make_record(login, err);
        sigset_t all, before;
        int rc;

        if (!record)
                return -1;
        pthread_mutex_lock(&login_lock);
        /* After a signal the library begins its slice anew, so whoever is interrupted often would wait for ever. */
        sigfillset(&all);
        if (login->end)
                pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = login_connect_locked(login, record, &exchange, ret_process, err);
        if (login->end)
                pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_mutex_unlock(&login_lock);
        speaking = outer;
        dblib.dbloginfree(record);
        return rc;
}

static void version_read(const struct mssql_row *row, void *context)
{
        struct mssql *connection = context;
        const char *text = row->count > 0 && row->texts[0] ? row->texts[0] : "";

        snprintf(connection->version, sizeof connection->version, "%.*s", (int)strcspn(text, "\r\n"), text);
        connection->is_stand_in = strcasestr(text, "vdipipe") != NULL;
}

int mssql_open(const struct mssql_login *login, const struct mssql_events *events, struct mssql **ret_connection,
               struct error *err)
{
        struct mssql *connection;
        struct mssql_events version_events = { .row = version_read };
        DBPROCESS *process = NULL;

        if (mssql_library_check(err) < 0)
                return -1;
        pthread_once(&library_once, library_start);
        if (!library_ready)
                return error_raise(err, ERR_MEMORY, "FreeTDS cannot be started");
        connection = calloc(1, sizeof *connection);
        if (!connection)
                return error_no_memory(err);
        version_events.context = connection;
        if (login_connect(login, events, &process, err) < 0) {
                free(connection);
                return -1;
        }
        connection->process = process;
        dblib.dbsetinterrupt(process, library_check_interrupt, library_handle_interrupt);
        connection->end = login->end;
        connection->session_id = dblib.dbspid(process);
        if (mssql_execute(connection, "SELECT @@VERSION", login->timeout_ms, &version_events, err) < 0) {
                mssql_close(connection);
                return -1;
        }
        *ret_connection = connection;
        return 0;
}

void mssql_close(struct mssql *connection)
{
        struct exchange exchange = { .connection = connection, .deadline = DEADLINE_NEVER };
        struct exchange *outer = speaking;

        if (!connection)
                return;
        speaking = &exchange;
        dblib.dbclose(connection->process);
        speaking = outer;
        free(connection);
}

/* ---- batches ---- */

static int exchange_drain(struct exchange *exchange, struct error *err)
{
        DBPROCESS *process = exchange->connection->process;
        unsigned failed = 0;
        RETCODE rc;

        while ((rc = dblib.dbresults(process)) != NO_MORE_RESULTS && !dblib.dbdead(process)) {
                exchange->refused = exchange->refused || rc == FAIL;
                if (rc == FAIL && ++failed == FAILED_RESULTS_MAX)
                        break;
                if (rc != SUCCEED)
                        continue;
                failed = 0;
                if (exchange->events && exchange->events->row) {
                        if (mssql_rows(process, exchange->events, err) < 0)
                                return -1;
                } else {
                        while (dblib.dbnextrow(process) == REG_ROW)
                                ;
                }
        }
        return 0;
}

static int exchange_raise_broken(const struct exchange *exchange, struct error *err)
{
        if (exchange->failed)
                return error_raise(err, ERR_PEER_DIED, "the server broke the connection: %s", exchange->failure);
        return error_raise(err, ERR_PEER_DIED, "the connection to the server broke while it worked%s%s",
                           *exchange->library ? ": " : "", exchange->library);
}

/* What the batch came to, the reasons of this side first. */
static int exchange_conclude(const struct exchange *exchange, int64_t timeout_ms, struct error *err)
{
        const char *ending =
                exchange->phase == PHASE_GIVEN_UP ? ", and the server did not stop when it was asked to" : "";
        if (exchange->cancelled)
                return error_raise(err, ERR_ABORTED, "the statement was cancelled%s", ending);
        if (exchange->timed_out)
                return error_raise(err, ERR_TIMEOUT, "the server did not answer within %.3g s%s",
                                   (double)timeout_ms / 1000, ending);
        if (dblib.dbdead(exchange->connection->process))
                return exchange_raise_broken(exchange, err);
        if (exchange->failed)
                return error_raise(err, exchange->failure_class, "%s", exchange->failure);
        if (*exchange->library)
                return error_raise(err, ERR_FAILED, "FreeTDS: %s", exchange->library);
        if (exchange->refused)
                return error_raise(err, ERR_FAILED,
                                   "the server ended the statement with an error, and did not say which");
        return 0;
}

int mssql_execute(struct mssql *connection, const char *sql, int64_t timeout_ms, const struct mssql_events *events,
                  struct error *err)
{
        struct exchange exchange = { .connection = connection,
                                     .events = events,
                                     .end = timeout_ms < 0 ? NULL : connection->end,
                                     .deadline = deadline_after_ms(timeout_ms) };
        struct exchange *outer = speaking;
        DBPROCESS *process = connection->process;
        int rc = 0;

        if (dblib.dbdead(process))
                return error_raise(err, ERR_PEER_DIED, "the connection to the server is broken");
        if (!text_is_utf8(sql, strlen(sql)))
                return error_raise(err, ERR_USAGE, "the statement is not UTF-8");
        speaking = &exchange;
        exchange.cancelled = exchange_is_cancelled(&exchange);
        if (!exchange.cancelled && dblib.dbcmd(process, sql) == SUCCEED && dblib.dbsqlsend(process) == SUCCEED) {
                exchange.refused = dblib.dbsqlok(process) == FAIL;
                rc = exchange_drain(&exchange, err);
        }
        if (rc == 0)
                rc = exchange_conclude(&exchange, timeout_ms, err);
        if (rc < 0 && !dblib.dbdead(process))
                dblib.dbcancel(process);
        if (exchange.cancelled)
                atomic_store(&connection->cancel, false);
        connection->given_up = exchange.phase == PHASE_GIVEN_UP;
        speaking = outer;
        return rc;
}
