#include "cli/signals.h"

#include <string.h>

void signals_that_end(sigset_t *set, bool with_quit)
{
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

        sigemptyset(set);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
                struct sigaction action;
                bool is_ignored = sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler == SIG_IGN;

                if (!is_ignored && (with_quit || numbers[i] != SIGQUIT))
                        sigaddset(set, numbers[i]);
        }
}

int signals_raise(int number, struct error *err)
{
        *err = (struct error)ERROR_INIT;
        error_raise(err, ERR_SIGNAL, "ended by signal %d (%s)", number, strsignal(number));
        err->sys_errno = number;
        return -1;
}
