/* SPDX-License-Identifier: ISC */
/*
 * System calls of a child that runs in its parent's memory until its exec.
 * There errno is the parent's, which may be about to read it. So these do not
 * touch errno: each returns what the call returns, or a negative errno.
 */
#ifndef BASE_RAW_H
#define BASE_RAW_H

#include <sys/types.h>
#include <sys/resource.h>

#include <stdbool.h>

/*
 * raw_linux.c, raw_posix.c: the same names on every system; each is the call of
 * its name, but for what stands here
 */
int	 raw_setpgid(pid_t pid, pid_t group);
pid_t	 raw_getppid(void);
int	 raw_ioctl(int fd, unsigned long request, void *arg);
/*
 * Sets our own limit (setrlimit(2)) if `set` is not NULL, or reads it if `get`
 * is not NULL; one of the two is.
 */
int	 raw_limit(int resource, const struct rlimit *set, struct rlimit *get);
/* Sets our nice value to that one, as setpriority(2) does. */
int	 raw_nice(int nice);
void	 raw_umask(mode_t mask);
/* fd and to must differ. */
int	 raw_dup2(int fd, int to);
int	 raw_chdir(const char *path);
/*
 * The descriptors below `end` become the caller's own, which had them in common
 * with others until now, and it has no more than these.
 */
int	 raw_own_files(int end);
/* A duplicate of fd, the lowest number from there on. */
int	 raw_dup_from(int fd, int from);
/*
 * Gives all signals their default action, and unblocks them. In its parent,
 * raw_note_signals() has noted before which have another one: from then on no
 * more of them may get one.
 */
void	 raw_note_signals(void);
void	 raw_reset_signals(void);
/* As execve(2); returns only a negative errno. */
int	 raw_exec(const char *path, char *const *argv, char *const *envp);
/* As _exit(2). */
void	 raw_exit(int status) __attribute__((noreturn));

/* raw_x86_64_linux.c, raw_aarch64_linux.c, raw_none_linux.c, raw_posix.c */
/*
 * Do these calls leave errno alone here? Where they do not, they are libc's,
 * and a child may run in its parent's memory only while the parent waits.
 */
bool	 raw_keeps_errno(void);
/*
 * Makes the system call of that number (syscall(2)) with four arguments.
 * Returns its result, or a negative errno. Only on Linux.
 */
long	 raw_call(long number, long a, long b, long c, long d);

#endif
