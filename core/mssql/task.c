#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/mssql/internal.h"

struct mssql_task {
        struct mssql *connection;
        char *sql;
        struct mssql_events events;
        pthread_t thread;
        int ended_fd;
        atomic_bool ended; /* set after the two below, and before the descriptor is */
        int result;
        struct error error;
};

static void *task_main(void *context)
{
        struct mssql_task *task = context;

        task->result = mssql_execute(task->connection, task->sql, /* timeout_ms= */ -1, &task->events, &task->error);
        atomic_store(&task->ended, true);
        eventfd_write(task->ended_fd, 1);
        return NULL;
}

static void task_release(struct mssql_task *task)
{
        fd_closep(&task->ended_fd);
        free(task->sql);
        free(task);
}

int mssql_task_start(struct mssql *connection, const char *sql, const struct mssql_events *events,
                     struct mssql_task **ret_task, struct error *err)
{
        struct mssql_task *task = calloc(1, sizeof *task);
        int rc;

        if (!task)
                return error_no_memory(err);
        task->connection = connection;
        task->sql = strdup(sql);
        task->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (events)
                task->events = *events;
        if (!task->sql || task->ended_fd < 0) {
                rc = task->sql ? errno : ENOMEM;
                task_release(task);
                return error_raise_errno(err, rc, "the statement cannot be started");
        }
        rc = pthread_create(&task->thread, /* attr= */ NULL, task_main, task);
        if (rc != 0) {
                task_release(task);
                return error_raise_errno(err, rc, "the statement's thread");
        }
        *ret_task = task;
        return 0;
}

int mssql_task_fd(const struct mssql_task *task)
{
        return task->ended_fd;
}

int mssql_task_wait(struct mssql_task *task, int64_t timeout_ms)
{
        struct pollfd fd = { .fd = task->ended_fd, .events = POLLIN };
        struct deadline deadline = deadline_after_ms(timeout_ms);
        int ready;

        do
                ready = poll(&fd, 1, deadline_left_ms(deadline));
        while (ready < 0 && errno == EINTR);
        return ready == 1 ? 0 : 1;
}

int mssql_task_result(const struct mssql_task *task, struct error *err)
{
        if (!atomic_load(&task->ended))
                return error_raise(err, ERR_PROTOCOL, "the statement has not ended");
        if (task->result < 0 && err)
                *err = task->error;
        return task->result;
}

bool mssql_task_free(struct mssql_task *task, int64_t grace_ms)
{
        bool answered;

        if (!task)
                return true;
        if (mssql_task_wait(task, 0) != 0)
                mssql_cancel(task->connection, grace_ms);
        pthread_join(task->thread, /* result= */ NULL);
        answered = mssql_settle(task->connection);
        task_release(task);
        return answered;
}
