/*
 * exec_signals.h - signals to a process that is the server of a set
 *
 * From start to stop, SIGINT, SIGTERM and SIGHUP (those that were not ignored) abort the run instead of ending the
 * process. Start before any other thread, stop when none is left.
 */
#pragma once

#include "core/base/error.h"

struct exec_signals;

int exec_signals_start(struct exec_signals **ret_signals, struct error *err);

/* How a run is aborted from now on; NULL: there is none any more, and nobody is calling the last one. A signal that has
 * come already aborts at once. */
void exec_signals_set_abort(struct exec_signals *signals, void (*abort_run)(void *run), void *run);

/* Makes *err the signal, if one has come. */
void exec_signals_check(struct exec_signals *signals, struct error *err);

void exec_signals_stop(struct exec_signals *signals);
