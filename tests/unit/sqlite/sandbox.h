/*
 * sandbox.h - a folder for one test, databases in it, and what SQLite itself sees in them
 *
 * Everything here asserts: a test that cannot set its scene fails.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "core/sqlite/image.h"

/* A fresh folder, whose path is *state; and its removal with all that is in it.
 * For cmocka_unit_test_setup_teardown(). */
int sandbox_setup(void **state);
int sandbox_teardown(void **state);

/* FOLDER/name. Sixteen of them are valid at a time. */
const char *sandbox_path(void **state, const char *name);

sqlite3 *sandbox_open(const char *path);
void sandbox_exec(sqlite3 *db, const char *format, ...) __attribute__((format(printf, 2, 3)));
sqlite3_int64 sandbox_number(sqlite3 *db, const char *sql);

/* Makes a table "t" with `rows` rows of about `bytes` bytes. */
void sandbox_fill(sqlite3 *db, int rows, int bytes);

/* The database as SQLite reads it, allocated. */
uint8_t *sandbox_serialize(sqlite3 *db, size_t *ret_size);

/* Copies a file as it is on disk. */
void sandbox_copy(const char *from, const char *to);
int sandbox_exists(const char *path);

/* Files in the folder whose name contains `text`. */
int sandbox_count(void **state, const char *text);

/* Options that wait for nothing and nobody. */
struct image_options sandbox_options(const char *path);

/* Opens the image and reads it all in pieces of 64 KiB; *ret_size its bytes. */
uint8_t *sandbox_image(const struct image_options *options, size_t *ret_size);

/* Asserts that the image of the database at `path` is what `db`, connected to it, sees. */
void sandbox_assert_image(const char *path, sqlite3 *db);

/* Asserts that the image cannot be opened, and that the message holds `words`. */
void sandbox_assert_refused(const struct image_options *options, enum err_code code, const char *words);

/* Asserts that SQLite finds no fault. */
void sandbox_assert_sound(const char *path);
