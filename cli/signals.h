/*
 * signals.h - the signals that end this program, once it has cleaned up
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "core/base/error.h"

/* Fills *set with SIGINT, SIGTERM and SIGHUP, and SIGQUIT where that is no way to get a core file. What the caller told
 * us to ignore (nohup) stays ignored, and is not among them. */
void signals_that_end(sigset_t *set, bool with_quit);

/* Makes *err "ended by signal N", whatever it was before: all else is the signal's consequence. Returns -1. */
int signals_raise(int number, struct error *err);
