/* Finding each other: who waits in front of a listener, and in which folders it is looked for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/shm/folder.h"
#include "core/shm/rendezvous.h"
#include "tests/support/blocked.h"

enum { QUEUE_MAX = 64, NOBODY = 65534 };

struct door {
        struct rendezvous rendezvous;
        int count;        /* connections to accept */
        pid_t connecting; /* the thread that will wait to be let in */
};

static void *open_late(void *argument)
{
        struct door *door = argument;

        wait_until_in(door->connecting, SYS_connect);
        for (int i = 0; i < door->count; i++) {
                int fd = accept(door->rendezvous.listen_fd, NULL, NULL);

                if (fd >= 0)
                        close(fd);
        }
        return NULL;
}

static enum rendezvous_result reach(const char *folder, int wait_ms, int *ret_fd, struct error *err)
{
        return rendezvous_connect(folder, "name", FOLDER_REACH_OWN, deadline_after_ms(wait_ms), ret_fd, err);
}

static void a_full_queue_is_waited_for(void **state)
{
        char folder[] = "/tmp/vdipipe-test-XXXXXX";
        struct door door = { .rendezvous = RENDEZVOUS_INIT };
        struct error err = ERROR_INIT;
        enum rendezvous_result result;
        int waiting[QUEUE_MAX];
        pthread_t thread;
        int fd;

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_int_equal(reach(folder, 0, &fd, &err), RENDEZVOUS_NONE);
        assert_false(error_is_set(&err));
        assert_int_equal(rendezvous_listen(folder, NULL, "name", &door.rendezvous, &err), RENDEZVOUS_OK);
        while (door.count < QUEUE_MAX && (result = reach(folder, 20, &waiting[door.count], &err)) == RENDEZVOUS_OK)
                door.count++;
        assert_int_equal(result, RENDEZVOUS_BUSY);
        assert_int_equal(err.code, ERR_TIMEOUT);
        door.connecting = gettid();
        assert_int_equal(pthread_create(&thread, NULL, open_late, &door), 0);
        assert_int_equal(reach(folder, 20000, &fd, &err), RENDEZVOUS_OK);
        pthread_join(thread, NULL);
        close(fd);
        while (door.count > 0)
                close(waiting[--door.count]);
        rendezvous_close(&door.rendezvous);
        assert_int_equal(rmdir(folder), 0);
}

static int look_as_another_user(const char *folder)
{
        struct error err = ERROR_INIT;
        int bad = 0;
        int fd;

        /* Nothing is closed to root. */
        if (geteuid() == 0 && seteuid(NOBODY) < 0)
                return 100;
        setenv("XDG_RUNTIME_DIR", folder, 1);
        bad += folder_open(FOLDER_SESSION, NULL, /* create= */ 0, &fd, &err) != FOLDER_ABSENT;
        bad += folder_open(FOLDER_SESSION, NULL, /* create= */ 1, &fd, &err) != FOLDER_ABSENT;
        bad += error_is_set(&err);
        /* One that was named for us is another matter. */
        setenv("VDIPIPE_RUNTIME_DIR", folder, 1);
        bad += folder_open(FOLDER_ENVIRONMENT, NULL, /* create= */ 1, &fd, &err) != FOLDER_FAILED;
        return bad;
}

static void a_session_of_another_user_is_passed_over(void **state)
{
        char folder[] = "/tmp/vdipipe-test-XXXXXX";
        int status;
        pid_t child;

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_int_equal(chmod(folder, 0), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
                _exit(look_as_another_user(folder));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_full_queue_is_waited_for),
                cmocka_unit_test(a_session_of_another_user_is_passed_over),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
