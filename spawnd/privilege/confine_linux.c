/* SPDX-License-Identifier: ISC */
/*
 * How workers are confined on Linux: by Landlock and seccomp, without a right
 * and without a path, so after the jail. Both need no_new_privs, and nothing
 * takes them back.
 */
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/raw.h"
#include "observe/end.h"
#include "observe/observe.h"
#include "privilege/confine.h"
#include "privilege/privilege.h"

/* The headers may be older than the kernel. These have one number anywhere. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset	444
#define SYS_landlock_restrict_self	446
#endif
#ifndef SYS_clone3
#define SYS_clone3			435
#endif
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW	(1UL << 2)
#endif
#define ASK_VERSION			1U
#define SCOPE_SIGNAL			(1U << 1)
#define SCOPE_VERSION			6	/* of Landlock; Linux 6.12 */

#define IOPRIO_PROCESS			1U	/* no header has it */

struct ruleset {
	uint64_t	 fs, net, scoped;
};

#if defined(__x86_64__) && defined(__LP64__)
#define NATIVE		AUDIT_ARCH_X86_64
#define OTHER_NUMBERS	0x40000000U	/* of x32, from here on */
/* Programs of 32 bits have other numbers, and the same arguments. */
#define I386(call)	I386_##call
#define I386_clone		120
#define I386_clone3		435
#define I386_ioprio_set		289
#define I386_migrate_pages	294
#define I386_move_pages		317
#define I386_prlimit64		340
#define I386_ptrace		26
#define I386_sched_setaffinity	241
#define I386_sched_setattr	351
#define I386_sched_setparam	154
#define I386_sched_setscheduler	156
#define I386_setpriority	97
#define I386_unshare		310
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE		AUDIT_ARCH_AARCH64
#define OTHER_NUMBERS	UINT32_MAX
#else
#define NATIVE		0U
#define OTHER_NUMBERS	UINT32_MAX
#endif
#define SKIPPED		UINT32_MAX	/* a tracer took the call away */

#define LOAD(member)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
			    offsetof(struct seccomp_data, member))
#define LOW(arg)	LOAD(args[arg])
#define HIGH(arg)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
			    offsetof(struct seccomp_data, args[arg]) + 4)
/* If the word is (at least, has bits of) k, skip `yes` rules, else `no`. */
#define IS(k, yes, no)	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (yes), (no))
#define FROM(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (k), (yes), (no))
#define HAS(k, yes, no)	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (k), (yes), (no))
#define GO(n)		BPF_STMT(BPF_JMP | BPF_JA, (n))
#define ALLOW		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE(error)	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

/* Calls that take the number of a process: only 0, the caller itself. */
#define OWN(call)	\
	IS(call, 0, 4), LOW(0), IS(0, 1, 0), REFUSE(EPERM), ALLOW
/* The same of a kind of number; of a group or user there is no other. */
#define OWN_OF(call, kind)	\
	IS(call, 0, 6), LOW(0), IS(kind, 0, 2), LOW(1), IS(0, 1, 0),	\
	REFUSE(EPERM), ALLOW
/* A namespace of users would give them much more of the kernel to attack. */
#define NO_USERS(call)	\
	IS(call, 0, 4), LOW(0), HAS(CLONE_NEWUSER, 0, 1), REFUSE(EPERM), ALLOW
/* Only with the key may one attach to a process. */
#define KEYED(call, key)	\
	IS(call, 0, 10), LOW(0), IS(PTRACE_ATTACH, 6, 0),		\
	IS(PTRACE_SEIZE, 0, 6), LOW(DOOR_KEY_ARGUMENT),			\
	IS((uint32_t)(key), 0, 3), HIGH(DOOR_KEY_ARGUMENT),		\
	IS((uint32_t)((uint64_t)(key) >> 32), 0, 1), ALLOW,		\
	REFUSE(EPERM), ALLOW
#define KEYED_RULES	11
/* All that is refused, with the call's number loaded. nr(call) gives it. */
#define RULES(nr, scoped, key)	\
	OWN(nr(prlimit64)), OWN(nr(sched_setaffinity)),			\
	OWN(nr(sched_setscheduler)), OWN(nr(sched_setparam)),		\
	OWN(nr(sched_setattr)), OWN(nr(migrate_pages)),			\
	OWN(nr(move_pages)), OWN_OF(nr(setpriority), PRIO_PROCESS),	\
	OWN_OF(nr(ioprio_set), IOPRIO_PROCESS), NO_USERS(nr(clone)),	\
	NO_USERS(nr(unshare)), IS(nr(clone3), 0, 1), REFUSE(ENOSYS),	\
	GO((scoped) ? KEYED_RULES : 0), KEYED(nr(ptrace), key), ALLOW
#define RULES_COUNT	(7 * 5 + 2 * 7 + 2 * 5 + 3 + KEYED_RULES + 1)
#define OWN_NUMBER(call)	SYS_##call

_Static_assert(sizeof((struct sock_filter[]){ RULES(OWN_NUMBER, 0, 0) }) ==
    RULES_COUNT * sizeof(struct sock_filter), "RULES_COUNT is their number");
_Static_assert(RULES_COUNT + 1 <= UINT8_MAX, "a jump has 8 bits");

/* What try_half() tries, and what it returns besides an errno. */
enum half { SCOPE, FILTER };
#define KILLED	(-1)
#define UNTRIED	(-2)

static int ruleset = -1;	/* of each worker's domain; -1: none */

static int
version(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
}

int
confine_open_scope(void)
{
	const struct ruleset r = { .scoped = SCOPE_SIGNAL };

	/* It is close-on-exec. */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
	return ruleset == -1 ? -1 : 0;
}

int
confine_child(void)
{
	return ruleset == -1 ? 0 :
	    (int)raw_call(SYS_landlock_restrict_self, ruleset, 0, 0, 0);
}

/* Without the flag kernels before 5.16 would slow all these processes down. */
static int
install(struct sock_fprog *prog)
{
	int r = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_SPEC_ALLOW, prog);

	if (r == -1 && errno == EINVAL)
		r = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
		    prog);
	return r;
}

/*
 * It looks at the low half of an argument where the kernel takes no more. What
 * clone3(2) is given it cannot see: the C library goes on with clone(2).
 */
int
confine_filter(bool scoped)
{
	uint64_t key = door_key();
	struct sock_filter rules[] = {
		LOAD(arch),
#ifdef I386
		IS(AUDIT_ARCH_I386, 0, RULES_COUNT + 1), LOAD(nr),
		RULES(I386, scoped, key),
#endif
		IS(NATIVE, 1, 0), REFUSE(EPERM),
		LOAD(nr), FROM(OTHER_NUMBERS, 0, 2), IS(SKIPPED, 1, 0),
		REFUSE(ENOSYS),
		RULES(OWN_NUMBER, scoped, key),
	};
	struct sock_fprog prog = { sizeof(rules) / sizeof(rules[0]), rules };

	if (NATIVE == 0) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (install(&prog) == -1)
		return -1;
	/* It is there if this fails, which we may do otherwise. */
	if (prlimit(getpid(), RLIMIT_CORE, NULL, NULL) == 0) {
		errno = EIO;
		return -1;
	}
	return 0;
}

static int
try_scope(pid_t parent)
{
	int n = version();

	if (n == -1)
		return errno;
	if (n < SCOPE_VERSION)
		return ERANGE;
	if (confine_open_scope() == -1)
		return errno;
	if ((n = confine_child()) < 0)
		return -n;
	return kill(parent, 0) == -1 && errno == EPERM ? 0 : EIO;
}

/* The child. What it has found out is its status: an errno, or 0. */
static void __attribute__((noreturn))
run_trial(enum half half, pid_t parent)
{
	int r = 0;

	if (half == SCOPE)
		r = try_scope(parent);
	else if (confine_filter(true) == -1)
		r = errno;
	_exit(r < 0 || r > UINT8_MAX ? UINT8_MAX : r);
}

/*
 * Each half has a child of its own: a filter that kills the one for its call
 * says nothing of the other. Returns an errno, 0, KILLED or UNTRIED.
 */
static int
try_half(enum half half)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (pid == 0)
		run_trial(half, parent);
	if ((status = end_trial(pid, "confine")) == STATUS_UNKNOWN)
		return UNTRIED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED;
}

/* Why a half does not hold, by what try_half() has returned. */
static const char *
reason(int error, const char *forbidden, const char *missing)
{
	switch (error) {
	case 0:
		return NULL;
	case KILLED:
	case EPERM:
	case EACCES:
		return forbidden;
	case UNTRIED:
		return "it could not be tried";
	case ENOSYS:
	case EOPNOTSUPP:
	case ERANGE:
		return missing;
	case EIO:
		return "the kernel took it, and it has no effect";
	default:
		return strerror(error);
	}
}

void
confine_try(struct confinement *c)
{
	int scope = try_half(SCOPE), filter = try_half(FILTER);

	c->no_scope = reason(scope, "a system call filter forbids Landlock",
	    scope == ERANGE ? "Landlock is older than that of Linux 6.12" :
	    "the kernel has no Landlock (Linux 6.12 has all of it)");
	c->no_filter = reason(filter, "a system call filter forbids seccomp(2)",
	    NATIVE == 0 ? "not on this architecture" :
	    "the kernel has no system call filters");
}
