/*
 * exec_statement.h - 'exec "STATEMENT"': the server side of a set, in this process
 */
#pragma once

#include "cli/args.h"
#include "cli/options.h"

extern const struct opt_spec options_statement[];

/* Runs the statement that the operand is. Messages go to standard error as sqlcmd shows them, results to standard
 * output. All that is to be said about a failure has been said when err->message is empty. */
int exec_statement(const struct args *args, struct error *err);
