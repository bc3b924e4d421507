/*
 * fuzz.h - what a fuzz target and its driver know of each other
 *
 * A target defines LLVMFuzzerTestOneInput(), fuzz_make_seeds() and fuzz_repair(). driver.c is a plain main for it; with
 * clang and -fsanitize=fuzzer, compile driver.c with -Dmain=unused_main to get the engine's main and keep the seeds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Builds seeds with the two calls below: bytes are appended to the current seed until it is ended. */
void fuzz_make_seeds(void);
void fuzz_seed_append(const void *bytes, size_t size);
void fuzz_seed_end(void);

/* Puts right the checksums of a mutated input, so that what lies behind them is reached. A target that has none defines
 * it empty. */
void fuzz_repair(uint8_t *data, size_t size);
