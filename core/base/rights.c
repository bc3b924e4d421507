#include "core/base/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"

enum { LINKS_MAX = 40, NOBODYS_GROUP = 65534 };

/* A walk along a path: `rest` is what is still to go, from `fd`. */
struct walk {
        int fd;
        char rest[PATH_MAX];
        int links;
};

/* Puts a link's text in front of the rest. */
static int walk_follow(struct walk *walk, int link_fd)
{
        char text[PATH_MAX];
        char next[PATH_MAX];
        ssize_t n = readlinkat(link_fd, "", text, sizeof text - 1);
        int length;

        if (n < 0)
                return -1;
        text[n] = '\0';
        length = snprintf(next, sizeof next, "%s/%s", text, walk->rest);
        if (length >= (int)sizeof next || ++walk->links > LINKS_MAX) {
                errno = ELOOP;
                return -1;
        }
        memcpy(walk->rest, next, (size_t)length + 1);
        if (text[0] != '/')
                return 0;
        fd_closep(&walk->fd);
        walk->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        return walk->fd < 0 ? -1 : 0;
}

/* One step. Returns 1 with *st of what was stepped on, 0 at the end, -1 with errno set. */
static int walk_step(struct walk *walk, struct stat *st)
{
        CLEANUP(fd_closep) int fd = -1;
        char name[NAME_MAX + 1];
        const char *begin = walk->rest + strspn(walk->rest, "/");
        size_t length = strcspn(begin, "/");

        if (length == 0)
                return 0;
        if (length > NAME_MAX) {
                errno = ENAMETOOLONG;
                return -1;
        }
        memcpy(name, begin, length);
        name[length] = '\0';
        memmove(walk->rest, begin + length, strlen(begin + length) + 1);
        fd = openat(walk->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        /* Only the last may be missing: who exchanges what is on the way is not to make us see nothing there. */
        if (fd < 0)
                return errno == ENOENT && !walk->rest[strspn(walk->rest, "/")] ? 0 : -1;
        if (fstat(fd, st) < 0 || (S_ISLNK(st->st_mode) && walk_follow(walk, fd) < 0))
                return -1;
        if (!S_ISLNK(st->st_mode)) {
                fd_closep(&walk->fd);
                walk->fd = take_fd(&fd);
        }
        return 1;
}

int rights_find_owner(const char *path, uid_t *ret_uid)
{
        CLEANUP(freep) char *here = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
        struct walk walk = { .fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
        struct stat st = { .st_uid = 0 };
        int rc = here && walk.fd >= 0 ? 1 : -1;

        if (rc > 0 && snprintf(walk.rest, sizeof walk.rest, "%s/%s", here, path) >= (int)sizeof walk.rest) {
                errno = ENAMETOOLONG;
                rc = -1;
        }
        while (rc > 0 && st.st_uid == 0)
                rc = walk_step(&walk, &st);
        fd_closep(&walk.fd);
        *ret_uid = rc > 0 ? st.st_uid : 0;
        return rc < 0 ? -1 : 0;
}

/* Without an account the group is the one of the same number, if that is nobody else's: a file's own may be anybody's.
 */
static int rights_find_groups(uid_t uid, gid_t *ret_gid)
{
        const struct passwd *user;

        errno = 0;
        user = getpwuid(uid);
        if (user) {
                *ret_gid = user->pw_gid;
                return initgroups(user->pw_name, user->pw_gid);
        }
        if (errno && errno != ENOENT && errno != ESRCH)
                return -1;
        *ret_gid = getgrgid(uid) ? NOBODYS_GROUP : uid;
        return setgroups(0, NULL);
}

int rights_become(uid_t uid, struct error *err)
{
        gid_t gid = NOBODYS_GROUP;

        if (rights_find_groups(uid, &gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return error_raise_errno(err, errno, "becoming user %lu", (unsigned long)uid);
        if (geteuid() != uid || getegid() != gid || (uid != 0 && setuid(0) == 0))
                return error_raise(err, ERR_FAILED, "root's rights could not be given up");
        return 0;
}
