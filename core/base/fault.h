/*
 * fault.h - named fault points, so that tests can fail, pause or kill a process at a chosen line
 *
 * In builds without VDIPIPE_FAULTS every fault_point() is the constant 0. With it, the environment variable
 * VDIPIPE_FAULT holds a comma-separated list of NAME=ACTION[@N][#ROLE]: at the N-th time (default 1) the point NAME is
 * reached, do ACTION:
 *   fail[:ERRNO]   the point returns the errno (default EIO), and the caller treats it as the failure of its call
 *   kill           SIGKILL to this process
 *   stop           SIGSTOP to this process, after writing "NAME\n" to the descriptor VDIPIPE_FAULT_FD, if it is set;
 *                  a test waits for that line, does what it wants, and sends SIGCONT or SIGKILL
 *   name           whatever NAME is: writes the name of every point that is reached and "\n" to VDIPIPE_FAULT_FD
 * ROLE limits the fault to the process whose fault_role() was set to it: "client" or "server".
 */
#pragma once

#ifdef VDIPIPE_FAULTS
int fault_point(const char *name);
void fault_role(const char *role);
#else
static inline int fault_point(const char *name)
{
        (void)name;
        return 0;
}
static inline void fault_role(const char *role)
{
        (void)role;
}
#endif
