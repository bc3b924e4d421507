#include "core/base/fault.h"

#ifdef VDIPIPE_FAULTS

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAULTS_MAX = 8, FAULT_TEXT_MAX = 64 };

struct fault {
        char name[FAULT_TEXT_MAX];
        char action[FAULT_TEXT_MAX];
        char role[FAULT_TEXT_MAX];
        unsigned at;
        unsigned reached;
};

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault faults[FAULTS_MAX];
static size_t fault_count;
static int parsed;
static const char *own_role = "client";

static void fault_parse_one(char *item, struct fault *fault)
{
        char *role = strchr(item, '#');
        char *at;
        char *action;

        if (role)
                *role++ = '\0';
        at = strchr(item, '@');
        if (at)
                *at++ = '\0';
        action = strchr(item, '=');
        if (action)
                *action++ = '\0';
        snprintf(fault->name, sizeof fault->name, "%s", item);
        snprintf(fault->action, sizeof fault->action, "%s", action ? action : "fail");
        snprintf(fault->role, sizeof fault->role, "%s", role ? role : "");
        fault->at = at ? (unsigned)strtoul(at, NULL, 10) : 1;
}

static void fault_parse(void)
{
        const char *text = getenv("VDIPIPE_FAULT");
        char copy[1024];
        char *save = NULL;

        parsed = 1;
        if (!text)
                return;
        snprintf(copy, sizeof copy, "%s", text);
        for (char *item = strtok_r(copy, ",", &save); item && fault_count < FAULTS_MAX;
             item = strtok_r(NULL, ",", &save))
                fault_parse_one(item, &faults[fault_count++]);
}

static void fault_announce(const char *name)
{
        const char *fd_text = getenv("VDIPIPE_FAULT_FD");
        char line[FAULT_TEXT_MAX + 1];
        int length = snprintf(line, sizeof line, "%s\n", name);

        if (fd_text && write((int)strtol(fd_text, NULL, 10), line, (size_t)length) < 0)
                abort();
}

static int fault_act(const struct fault *fault)
{
        if (strcmp(fault->action, "kill") == 0)
                kill(getpid(), SIGKILL);
        if (strcmp(fault->action, "stop") == 0) {
                fault_announce(fault->name);
                kill(getpid(), SIGSTOP);
                return 0;
        }
        if (strncmp(fault->action, "fail:", 5) == 0)
                return (int)strtol(fault->action + 5, NULL, 10);
        return EIO;
}

int fault_point(const char *name)
{
        int hit = -1;

        pthread_mutex_lock(&fault_lock);
        if (!parsed)
                fault_parse();
        for (size_t i = 0; i < fault_count && hit < 0; i++) {
                if (faults[i].role[0] && strcmp(faults[i].role, own_role) != 0)
                        continue;
                if (strcmp(faults[i].action, "name") == 0)
                        fault_announce(name);
                else if (strcmp(faults[i].name, name) == 0 && ++faults[i].reached == faults[i].at)
                        hit = (int)i;
        }
        pthread_mutex_unlock(&fault_lock);
        return hit < 0 ? 0 : fault_act(&faults[hit]);
}

void fault_role(const char *role)
{
        own_role = role;
}

#else

/* An empty translation unit is not C. */
typedef int fault_points_are_off;

#endif
