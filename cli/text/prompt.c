#include "cli/text/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "cli/signals.h"
#include "codecs/age/age.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

enum { ANSWER_MAX = AGE_PASSPHRASE_MAX + 2 /* a newline, or one that is too long */ };

static const int prompt_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
enum { PROMPT_SIGNALS = sizeof prompt_signals / sizeof prompt_signals[0] };

static volatile sig_atomic_t prompt_caught;

static void prompt_catch(int signal_number)
{
        prompt_caught = signal_number;
}

/* A terminal whose echo is off; what to put back when done. */
struct quiet_terminal {
        int fd;
        struct termios before;
        struct sigaction actions[PROMPT_SIGNALS];
        struct sigaction stop_action;
        sigset_t mask;
};

/* To be undone by terminal_restore(), also when it fails. `before` is known. */
static int terminal_quieten(struct quiet_terminal *terminal, struct error *err)
{
        struct sigaction action = { .sa_handler = prompt_catch };
        struct sigaction ignore = { .sa_handler = SIG_IGN };
        struct termios quiet;
        sigset_t blocked;

        prompt_caught = 0;
        sigemptyset(&blocked);
        for (size_t i = 0; i < PROMPT_SIGNALS; i++)
                sigaddset(&blocked, prompt_signals[i]);
        sigprocmask(SIG_BLOCK, &blocked, &terminal->mask);
        for (size_t i = 0; i < PROMPT_SIGNALS; i++)
                sigaction(prompt_signals[i], &action, &terminal->actions[i]);
        /* A shell that got its terminal back without an echo would be no kindness. */
        sigaction(SIGTSTP, &ignore, &terminal->stop_action);
        quiet = terminal->before;
        quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
        quiet.c_lflag |= ICANON | ISIG;
        if (tcsetattr(terminal->fd, TCSAFLUSH, &quiet) == 0)
                return 0;
        return error_raise_errno(err, errno, "the terminal's echo cannot be switched off");
}

static void terminal_restore(struct quiet_terminal *terminal)
{
        tcsetattr(terminal->fd, TCSAFLUSH, &terminal->before);
        for (size_t i = 0; i < PROMPT_SIGNALS; i++)
                sigaction(prompt_signals[i], &terminal->actions[i], NULL);
        sigaction(SIGTSTP, &terminal->stop_action, NULL);
        sigprocmask(SIG_SETMASK, &terminal->mask, NULL);
        if (prompt_caught)
                raise(prompt_caught);
}

/* One line without its newline, into ANSWER_MAX bytes. A signal can end nothing but the wait. */
static int prompt_ask(const struct quiet_terminal *terminal, const char *question, const char *what, char *answer,
                      struct error *err)
{
        struct pollfd fd = { .fd = terminal->fd, .events = POLLIN };
        ssize_t n;
        int fault;

        fd_write_full(terminal->fd, question, strlen(question), /* cancel= */ NULL);
        /* A terminal that belongs to others has something to read, and does not give it. */
        do {
                n = ppoll(&fd, 1, /* timeout= */ NULL, &terminal->mask);
                if (n == 1)
                        n = read(terminal->fd, answer, ANSWER_MAX);
        } while (!prompt_caught && n < 0 && errno == EINTR);
        fault = n < 0 ? errno : 0;
        fd_write_full(terminal->fd, "\n", 1, /* cancel= */ NULL);
        if (prompt_caught)
                return signals_raise(prompt_caught, err);
        if (fault)
                return error_raise_errno(err, fault, "the terminal gives no %s", what);
        if (n == 0 || answer[n - 1] != '\n')
                return error_raise(err, ERR_USAGE, n ? "the %s is too long" : "no %s was typed", what);
        answer[n - 1] = '\0';
        return 0;
}

static int prompt_ask_all(const struct quiet_terminal *terminal, const struct secret_source *source, bool twice,
                          char (*answers)[ANSWER_MAX], struct error *err)
{
        if (prompt_ask(terminal, source->question, source->name, answers[0], err) < 0)
                return -1;
        if (!answers[0][0])
                return error_raise(err, ERR_USAGE, "the %s is empty", source->name);
        if (twice && prompt_ask(terminal, "Once more: ", source->name, answers[1], err) < 0)
                return -1;
        if (twice && strcmp(answers[0], answers[1]) != 0)
                return error_raise(err, ERR_USAGE, "the two %ss differ", source->name);
        return 0;
}

static int prompt_to_pipe(const char *answer, int *ret_fd, struct error *err)
{
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_raise_errno(err, errno, "a pipe for what was typed");
        *ret_fd = ends[0];
        if (fd_write_full(ends[1], answer, strlen(answer), /* cancel= */ NULL) < 0 ||
            fd_write_full(ends[1], "\n", 1, /* cancel= */ NULL) < 0)
                error_raise_errno(err, errno, "a pipe for what was typed");
        close(ends[1]);
        return error_is_set(err) ? -1 : 0;
}

int prompt_secret(const struct secret_source *source, bool twice, int *ret_fd, struct error *err)
{
        CLEANUP(fd_closep) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        struct quiet_terminal terminal = { .fd = tty };
        char answers[2][ANSWER_MAX] = { "", "" };
        bool quiet;
        int rc;

        if (tty < 0)
                return error_raise(err, ERR_USAGE, "there is no terminal to ask for the %s at; give --%s-file FILE",
                                   source->name, source->name);
        /* Where locking is not allowed, it is wiped all the same. */
        (void)mlock(answers, sizeof answers);
        rc = tcgetattr(tty, &terminal.before) < 0 ? error_raise_errno(err, errno, "the terminal") : 0;
        quiet = rc == 0;
        if (rc == 0)
                rc = terminal_quieten(&terminal, err);
        if (rc == 0)
                rc = prompt_ask_all(&terminal, source, twice, answers, err);
        if (rc == 0)
                rc = prompt_to_pipe(answers[0], ret_fd, err);
        explicit_bzero(answers, sizeof answers);
        munlock(answers, sizeof answers);
        if (quiet)
                terminal_restore(&terminal);
        return rc;
}
