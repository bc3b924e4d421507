/*
 * dblib.h - FreeTDS's db-lib, opened at first use; for mssql.c and row.c only
 *
 * With it come GnuTLS, Kerberos and more, which would make every start of the program five times as long. The compiler
 * still checks each call against the library's own header.
 */
#pragma once

#include <sybfront.h>
#include <sybdb.h>

/* What is called, by the names that the library exports; its header makes macros of some others. */
#define DBLIB_FUNCTIONS(X) \
        X(dbanydatecrack)  \
        X(dbcancel)        \
        X(dbclose)         \
        X(dbcmd)           \
        X(dbcolname)       \
        X(dbcoltype)       \
        X(dbconvert)       \
        X(dbdata)          \
        X(dbdatlen)        \
        X(dbdead)          \
        X(dberrhandle)     \
        X(dbinit)          \
        X(dblogin)         \
        X(dbloginfree)     \
        X(dbmsghandle)     \
        X(dbnextrow)       \
        X(dbnumcols)       \
        X(dbresults)       \
        X(dbsetifile)      \
        X(dbsetinterrupt)  \
        X(dbsetlbool)      \
        X(dbsetlname)      \
        X(dbsetlogintime)  \
        X(dbsetlversion)   \
        X(dbspid)          \
        X(dbsqlok)         \
        X(dbsqlsend)       \
        X(dbversion)       \
        X(tdsdbopen)

#define DBLIB_MEMBER(name) __typeof__(name) *(name);
struct dblib {
        DBLIB_FUNCTIONS(DBLIB_MEMBER)
};
#undef DBLIB_MEMBER

/* Its functions may be called once mssql_library_check() has said so, which opens the library at its first call, for as
 * long as the process lives. */
extern struct dblib dblib;
