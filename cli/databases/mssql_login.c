#include "cli/databases/mssql_login.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/text/secrets.h"
#include "core/base/cleanup.h"

static const struct opt_choice encryptions[] = {
        { "request", MSSQL_ENCRYPT_REQUEST },
        { "off", MSSQL_ENCRYPT_OFF },
        { "require", MSSQL_ENCRYPT_REQUIRE },
        { NULL, 0 },
};

const struct opt_spec options_mssql_login[] = {
        OPTION_STRING(MSSQL, "user", 0, "NAME", user,
                      "log in to SQL Server as NAME, if the URI does not say it (default: Kerberos)"),
        OPTION_STRING(MSSQL, "password-file", 0, "FILE", password_file,
                      "log in with the password in the first line of FILE (default: $VDIPIPE_PASSWORD_FILE)"),
        OPTION_NUMBER(MSSQL, "password-fd", password_fd, 0, 1 << 20, "read the password from descriptor N"),
        OPTION_FLAG(MSSQL, "ask-password", 0, ask_password, "ask for the password at the terminal"),
        OPTION_CHOICE(MSSQL, "encrypt", "MODE", encryption, encryptions,
                      "encryption of the connection to SQL Server: request (as the server wants it, the default), off "
                      "or require"),
        OPTION_STRING(MSSQL, "application-name", 0, "NAME", application_name,
                      "what SQL Server's views show as the session's program (default: vdipipe)"),
        OPTION_SECONDS(MSSQL, "login-timeout", login_timeout_ms, 1, 3600000,
                       "give up when SQL Server has not let us in (default: 15)"),
        { .type = OPT_END },
};

/* What the options say, or else the environment. */
static struct secret_source login_password_source(const struct args *args)
{
        struct secret_source source = { .name = "password",
                                        .question = "Password: ",
                                        .file = args->password_file,
                                        .fd = args->password_fd,
                                        .ask = args->ask_password };

        if (!secret_source_given(&source))
                source.file = getenv("VDIPIPE_PASSWORD_FILE");
        if (source.file && !*source.file)
                source.file = NULL;
        return source;
}

static int login_read_password(const struct secret_source *source, struct mssql_login *login, struct error *err)
{
        char *password = NULL;

        if (secrets_protect_memory(err) < 0 || secret_read_password(source, &password, err) < 0)
                return -1;
        login->password = password;
        return 0;
}

static int login_check(const struct args *args, const struct mssql_uri *uri, const struct secret_source *source,
                       bool from_stdin, struct error *err)
{
        bool by_option = args->password_file || args->password_fd >= 0 || args->ask_password;

        if (secret_source_check(source, err) < 0)
                return -1;
        if (uri->user && args->user)
                return error_raise(err, ERR_USAGE, "--user goes with a URI that names no user; leave one of both out");
        if (by_option && !uri->user && !args->user)
                return error_raise(err, ERR_USAGE, "whose password? Write mssql://USER@%s, or --user USER", uri->host);
        if (!secret_source_given(source) && (uri->user || args->user))
                return error_raise(err, ERR_USAGE,
                                   "a password is needed for '%s': --password-file FILE, --password-fd N, "
                                   "--ask-password, or VDIPIPE_PASSWORD_FILE in the environment",
                                   uri->user ? uri->user : args->user);
        if (from_stdin && args->password_fd == STDIN_FILENO)
                return error_raise(err, ERR_USAGE,
                                   "--password-fd 0 is where the backup comes from; give another descriptor, or "
                                   "-i FILE");
        return mssql_uri_check_local(uri, err);
}

int mssql_login_load(const struct args *args, const struct mssql_uri *uri, bool from_stdin,
                     struct mssql_login *ret_login, struct error *err)
{
        struct secret_source source = login_password_source(args);

        *ret_login = (struct mssql_login){ .host = uri->host,
                                           .port = uri->port,
                                           .user = uri->user ? uri->user : args->user,
                                           .database = "master", /* is always there, and is in nobody's way */
                                           .encryption = (enum mssql_encryption)args->encryption,
                                           .application = args->application_name,
                                           .timeout_ms = args->login_timeout_ms };
        if (login_check(args, uri, &source, from_stdin, err) < 0)
                return -1;
        return ret_login->user ? login_read_password(&source, ret_login, err) : 0;
}
