/*
 * db-lib calls back through two functions of the process; `speaking` says on whose behalf a thread is inside the
 * library, also while a login has no connection yet.
 */
#include "core/mssql/mssql.h"

#include <ctype.h>
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
enum phase {
        PHASE_WAITING,
        PHASE_ATTENTION, /* the server was asked to cancel */
        PHASE_GIVEN_UP,  /* it did not, in time */
};

struct run {
        struct mssql *connection; /* NULL: a login */
        const struct mssql_events *events;
        const atomic_bool *end; /* of the login; NULL: none */
        struct deadline deadline;
        enum phase phase;
        struct deadline grace; /* in PHASE_ATTENTION */
        bool cancelled;        /* by mssql_cancel() or `end`, else by the deadline */
        bool timed_out;
        bool unconnected;              /* nobody took the connection within a slice */
        struct server_message failure; /* the first that says what happened */
        bool failed;
        bool refused;                    /* a result ended in an error, with a message or without */
        char library[ERROR_MESSAGE_MAX]; /* what FreeTDS said first; "" */
        char system[128];                /* what the system said then; "" */
};

struct mssql {
        DBPROCESS *process;
        int session_id;
        bool is_stand_in;
        bool given_up; /* the last batch did not stop when it was asked to */
        char version[256];
        const atomic_bool *end;
        atomic_bool cancel;
        atomic_llong cancel_grace_ms;
};

static _Thread_local struct run *speaking;

/* Held while the library's settings of the process are those of one login. */
static pthread_mutex_t login_lock = PTHREAD_MUTEX_INITIALIZER;

int mssql_library_check(struct error *err)
{
        return dblib_load(err);
}

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

static void keep_failure(struct run *run, const struct server_message *message)
{
        if (run->failed && run->failure.number != TERMINATED)
                return;
        run->failure = *message;
        run->failed = true;
}

/* Errors that are of a kind which callers tell apart from the others. */
static enum err_code class_of(int number, int severity)
{
        static const struct {
                int number;
                enum err_code class;
        } classes[] = {
                { 927, ERR_BUSY },                             /* the database is being restored */
                { 1222, ERR_BUSY },                            /* lock request time-out */
                { 3023, ERR_BUSY },                            /* another backup of the database runs */
                { 3101, ERR_BUSY },                            /* exclusive access could not be obtained */
                { 3102, ERR_BUSY },                            /* the database is in use by this session */
                { 17809, ERR_BUSY },                           /* too many connections */
                { 3043, ERR_DAMAGED },                         /* BACKUP found an error on a page */
                { 3183, ERR_DAMAGED },                         /* RESTORE did */
                { 3189, ERR_DAMAGED },                         /* damage to the backup set */
                { 3241, ERR_DAMAGED },                         /* the media family is incorrectly formed */
                { 3242, ERR_DAMAGED },                         /* no backup set */
                { 3254, ERR_DAMAGED },                         /* the volume is empty */
                { 1105, ERR_NO_SPACE },                        /* the filegroup is full */
                { 3257, ERR_NO_SPACE },                        /* no room for the database's files */
                { 9002, ERR_NO_SPACE },                        /* the log is full */
                { 701, ERR_MEMORY },    { 3229, ERR_TIMEOUT }, /* a device's */
        };

        if (severity < ERROR_SEVERITY)
                return ERR_NONE;
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
                if (classes[i].number == number)
                        return classes[i].class;
        return ERR_FAILED;
}

static int on_message(DBPROCESS *process, DBINT number, int state, int severity, char *text, char *server,
                      char *procedure, int line)
{
        struct server_message message = { .number = number, .severity = severity, .state = state };
        struct run *run = speaking;

        (void)process;
        (void)server;
        (void)procedure;
        if (!run || number == DATABASE_CHANGED || number == LANGUAGE_CHANGED)
                return 0;
        message.line = line > 0 ? (uint32_t)line : 0;
        message.class = class_of(number, severity);
        snprintf(message.text, sizeof message.text, "%s", text ? text : "");
        if (severity >= ERROR_SEVERITY)
                keep_failure(run, &message);
        if (run->events && run->events->message)
                run->events->message(&message, run->events->context);
        return 0;
}

static bool is_ended(const struct run *run)
{
        return run->end && atomic_load(run->end);
}

static bool is_cancelled(const struct run *run)
{
        return is_ended(run) || (run->connection && atomic_load(&run->connection->cancel));
}

/* Whether it is time to go a phase further. */
static bool is_due(struct run *run)
{
        if (run->phase == PHASE_ATTENTION)
                return deadline_passed(run->grace);
        return run->phase == PHASE_WAITING && (is_cancelled(run) || deadline_passed(run->deadline));
}

/* The library asks what to do about a wait that it has broken off. */
static int next_phase(struct run *run)
{
        int64_t grace_ms = CANCEL_GRACE_MS;

        if (!is_due(run))
                return INT_CONTINUE;
        if (run->phase == PHASE_ATTENTION) {
                run->phase = PHASE_GIVEN_UP;
                return INT_CANCEL;
        }
        run->phase = PHASE_ATTENTION;
        run->cancelled = is_cancelled(run);
        run->timed_out = !run->cancelled;
        if (atomic_load(&run->connection->cancel))
                grace_ms = atomic_load(&run->connection->cancel_grace_ms);
        else if (run->cancelled)
                grace_ms = 0;
        run->grace = deadline_after_ms(grace_ms);
        return INT_TIMEOUT;
}

/* A slice of a login is over without an answer. */
static int next_slice(struct run *run)
{
        run->cancelled = is_ended(run);
        run->timed_out = !run->cancelled && deadline_passed(run->deadline);
        return run->cancelled || run->timed_out ? INT_CANCEL : INT_CONTINUE;
}

static int on_error(DBPROCESS *process, int severity, int number, int os_number, char *text, char *os_text)
{
        struct run *run = speaking;

        (void)process;
        (void)severity;
        if (!run || number == SYBESMSG)
                return INT_CANCEL;
        if (number == SYBETIME)
                return run->connection ? next_phase(run) : next_slice(run);
        run->unconnected = number == SYBECONN && os_number == ETIMEDOUT;
        if (!*run->library) {
                snprintf(run->library, sizeof run->library, "%s", text ? text : "unknown error");
                snprintf(run->system, sizeof run->system, "%s", os_number > 0 && os_text ? os_text : "");
        }
        return INT_CANCEL;
}

/* The library looks here once a second while it waits. */
static int check_interrupt(void *process)
{
        (void)process;
        return speaking && is_due(speaking);
}

static int handle_interrupt(void *process)
{
        (void)process;
        return INT_CANCEL;
}

static void write_message(const struct server_message *message, char *text, size_t size)
{
        snprintf(text, size, "Msg %d, Level %d, State %d: %s", message->number, message->severity, message->state,
                 message->text);
        for (char *c = text; *c; c++)
                if (*c == '\n' || *c == '\r')
                        *c = ' ';
        for (size_t length = strlen(text); length > 0 && strchr(" .", text[length - 1]); length--)
                text[length - 1] = '\0';
}

/* ---- login ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_ready;

/* Variables by which FreeTDS would write passwords to a file, or go to another server than the one named. */
static void start_library(void)
{
        static const char *const variables[] = { "TDSDUMP", "TDSDUMPCONFIG", "TDSHOST", "TDSPORT", "TDSVER" };

        for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
                if (getenv(variables[i]))
                        unsetenv(variables[i]);
        if (dblib.dbinit() == FAIL)
                return;
        dblib.dberrhandle(on_error);
        dblib.dbmsghandle(on_message);
        library_ready = true;
}

/* A configuration that says everything and is looked at first, so that no other is. */
static int make_configuration(const struct mssql_login *login, int *ret_fd, struct error *err)
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

static LOGINREC *make_login(const struct mssql_login *login, struct error *err)
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

static int raise_login_failure(const struct mssql_login *login, const struct run *run, struct error *err)
{
        char words[ERROR_MESSAGE_MAX];

        if (run->failed) {
                write_message(&run->failure, words, sizeof words);
                return error_raise(err, run->failure.class, "the server at %s, port %u refuses the login: %s",
                                   login->host, login->port, words);
        }
        if (run->cancelled)
                return error_raise(err, ERR_ABORTED, "the login to %s, port %u was cancelled", login->host,
                                   login->port);
        if (run->timed_out)
                return error_raise(err, ERR_TIMEOUT, "the server at %s, port %u did not answer within %.3g s",
                                   login->host, login->port, (double)login->timeout_ms / 1000);
        return error_raise(err, ERR_FAILED, "no connection to %s, port %u: %s%s", login->host, login->port,
                           *run->system    ? run->system
                           : *run->library ? run->library
                                           : "FreeTDS does not say why",
                           !*run->system && login->encryption == MSSQL_ENCRYPT_REQUIRE
                                   ? "; encryption is required, and the server may have none"
                                   : "");
}

/* The library has one time for connecting and for each answer. It is a slice here; an answer may take several, and a
 * connection that nobody took is tried again. */
static DBPROCESS *open_in_slices(const struct mssql_login *login, LOGINREC *record, struct run *run)
{
        DBPROCESS *process = NULL;

        run->cancelled = is_ended(run);
        if (run->cancelled)
                return NULL;
        do {
                run->unconnected = false;
                *run->library = *run->system = '\0';
                process = dblib.dbopen(record, login->host);
        } while (!process && run->unconnected && next_slice(run) == INT_CONTINUE);
        return process;
}

static int connect_locked(const struct mssql_login *login, LOGINREC *record, struct run *run, DBPROCESS **ret_process,
                          struct error *err)
{
        CLEANUP(fd_closep) int configuration = -1;
        char path[64];

        if (make_configuration(login, &configuration, err) < 0)
                return -1;
        snprintf(path, sizeof path, "/proc/self/fd/%d", configuration);
        if (access(path, R_OK) < 0)
                return error_raise_errno(err, errno, "FreeTDS's configuration in %s", path);
        dblib.dbsetifile(path);
        dblib.dbsetlogintime(LOGIN_SLICE_S);
        speaking = run;
        *ret_process = open_in_slices(login, record, run);
        speaking = NULL;
        return *ret_process ? 0 : raise_login_failure(login, run, err);
}

static int connect_server(const struct mssql_login *login, const struct mssql_events *events, DBPROCESS **ret_process,
                          struct error *err)
{
        struct run run = { .events = events, .end = login->end, .deadline = deadline_after_ms(login->timeout_ms) };
        struct run *outer = speaking;
        LOGINREC *record = make_login(login, err);
        sigset_t all, before;
        int rc;

        if (!record)
                return -1;
        pthread_mutex_lock(&login_lock);
        /* After a signal the library begins its slice anew, so whoever is interrupted often would wait for ever. */
        sigfillset(&all);
        if (login->end)
                pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = connect_locked(login, record, &run, ret_process, err);
        if (login->end)
                pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_mutex_unlock(&login_lock);
        speaking = outer;
        dblib.dbloginfree(record);
        return rc;
}

static void keep_version(const char *const *names, const struct mssql_value *values, size_t count, void *context)
{
        struct mssql *connection = context;

        (void)names;
        if (count == 0)
                return;
        snprintf(connection->version, sizeof connection->version, "%.*s", (int)strcspn(values[0].text, "\r\n"),
                 values[0].text);
        connection->is_stand_in = strcasestr(values[0].text, "vdipipe") != NULL;
}

int mssql_open(const struct mssql_login *login, const struct mssql_events *events, struct mssql **ret_connection,
               struct error *err)
{
        struct mssql *connection;
        struct mssql_events version_events = { .row = keep_version };

        if (mssql_library_check(err) < 0)
                return -1;
        pthread_once(&library_once, start_library);
        if (!library_ready)
                return error_raise(err, ERR_MEMORY, "FreeTDS cannot be started");
        connection = calloc(1, sizeof *connection);
        if (!connection)
                return error_no_memory(err);
        version_events.context = connection;
        if (connect_server(login, events, &connection->process, err) < 0) {
                free(connection);
                return -1;
        }
        dblib.dbsetinterrupt(connection->process, check_interrupt, handle_interrupt);
        connection->end = login->end;
        connection->session_id = dblib.dbspid(connection->process);
        if (mssql_execute(connection, "SELECT @@VERSION", login->timeout_ms, &version_events, err) < 0) {
                mssql_close(connection);
                return -1;
        }
        *ret_connection = connection;
        return 0;
}

void mssql_close(struct mssql *connection)
{
        struct run run = { .connection = connection, .deadline = DEADLINE_NEVER };
        struct run *outer = speaking;

        if (!connection)
                return;
        speaking = &run;
        dblib.dbclose(connection->process);
        speaking = outer;
        free(connection);
}

int mssql_session_id(const struct mssql *connection)
{
        return connection->session_id;
}

const char *mssql_server_version(const struct mssql *connection)
{
        return connection->version;
}

bool mssql_is_stand_in(const struct mssql *connection)
{
        return connection->is_stand_in;
}

/* ---- batches ---- */

static int drain_results(struct run *run, struct error *err)
{
        DBPROCESS *process = run->connection->process;
        unsigned failed = 0;
        RETCODE rc;

        while ((rc = dblib.dbresults(process)) != NO_MORE_RESULTS && !dblib.dbdead(process)) {
                run->refused = run->refused || rc == FAIL;
                if (rc == FAIL && ++failed == FAILED_RESULTS_MAX)
                        break;
                if (rc != SUCCEED)
                        continue;
                failed = 0;
                if (run->events && run->events->row) {
                        if (mssql_rows(process, run->events, err) < 0)
                                return -1;
                } else {
                        while (dblib.dbnextrow(process) == REG_ROW)
                                ;
                }
        }
        return 0;
}

static int raise_broken(const struct run *run, struct error *err)
{
        char words[ERROR_MESSAGE_MAX];

        if (run->failed) {
                write_message(&run->failure, words, sizeof words);
                return error_raise(err, ERR_PEER_DIED, "the server broke the connection: %s", words);
        }
        return error_raise(err, ERR_PEER_DIED, "the connection to the server broke while it worked%s%s",
                           *run->library ? ": " : "", run->library);
}

/* What the batch came to, the reasons of this side first. */
static int conclude(const struct run *run, int64_t timeout_ms, struct error *err)
{
        const char *ending = run->phase == PHASE_GIVEN_UP ? ", and the server did not stop when it was asked to" : "";
        char words[ERROR_MESSAGE_MAX];

        if (run->cancelled)
                return error_raise(err, ERR_ABORTED, "the statement was cancelled%s", ending);
        if (run->timed_out)
                return error_raise(err, ERR_TIMEOUT, "the server did not answer within %.3g s%s",
                                   (double)timeout_ms / 1000, ending);
        if (dblib.dbdead(run->connection->process))
                return raise_broken(run, err);
        if (run->failed) {
                write_message(&run->failure, words, sizeof words);
                return error_raise(err, run->failure.class, "%s", words);
        }
        if (*run->library)
                return error_raise(err, ERR_FAILED, "FreeTDS: %s", run->library);
        if (run->refused)
                return error_raise(err, ERR_FAILED,
                                   "the server ended the statement with an error, and did not say which");
        return 0;
}

int mssql_execute(struct mssql *connection, const char *sql, int64_t timeout_ms, const struct mssql_events *events,
                  struct error *err)
{
        struct run run = { .connection = connection,
                           .events = events,
                           .end = timeout_ms < 0 ? NULL : connection->end,
                           .deadline = deadline_after_ms(timeout_ms) };
        struct run *outer = speaking;
        DBPROCESS *process = connection->process;
        int rc = 0;

        if (dblib.dbdead(process))
                return error_raise(err, ERR_PEER_DIED, "the connection to the server is broken");
        if (!text_is_utf8(sql, strlen(sql)))
                return error_raise(err, ERR_USAGE, "the statement is not UTF-8");
        speaking = &run;
        run.cancelled = is_cancelled(&run);
        if (!run.cancelled && dblib.dbcmd(process, sql) == SUCCEED && dblib.dbsqlsend(process) == SUCCEED) {
                run.refused = dblib.dbsqlok(process) == FAIL;
                rc = drain_results(&run, err);
        }
        if (rc == 0)
                rc = conclude(&run, timeout_ms, err);
        if (rc < 0 && !dblib.dbdead(process))
                dblib.dbcancel(process);
        if (run.cancelled)
                atomic_store(&connection->cancel, false);
        connection->given_up = run.phase == PHASE_GIVEN_UP;
        speaking = outer;
        return rc;
}

void mssql_cancel(struct mssql *connection, int64_t grace_ms)
{
        atomic_store(&connection->cancel_grace_ms, grace_ms);
        atomic_store(&connection->cancel, true);
}

bool mssql_settle(struct mssql *connection)
{
        atomic_store(&connection->cancel, false);
        return !connection->given_up;
}
