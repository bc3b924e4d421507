/*
 * completion_code.h - what the server is told of a failure of ours: a full disk, a reader that went away
 */
#pragma once

#include "core/base/error.h"

/* The completion code that stands for an error of ours. */
long completion_code_of_error(const struct error *err);
