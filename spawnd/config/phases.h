/* SPDX-License-Identifier: ISC */
/*
 * What plan.c and the phases of plan_make() share: names, paths and addresses
 * of the command line are resolved here, and no other folder sees how.
 */
#ifndef CONFIG_PHASES_H
#define CONFIG_PHASES_H

#include "base/path.h"
#include "config/config.h"

/* limit.c */
/*
 * Parses the value of --rlimit, NAME=SOFT[:HARD], into *l; opt is how messages
 * spell the option. Returns 0, or -1 with *e set (64).
 */
int	 limit_parse(const char *opt, const char *val, struct limit *l,
	    struct err *e);

/* env.c */
/*
 * Builds the workers' environment from `from` (our own) by the allowlist, the
 * identity and the rules of conf; where two set one name, the later one wins.
 * With ENV_ALLOWED there is always a PATH. Reads each --env-file. Returns a
 * NULL-terminated array that is never freed, or NULL with *e set (78: a file
 * with bad contents, or that others may write; 66 or 77: one that cannot be
 * read; 71).
 */
char	**env_build(const struct conf *c, const struct ident *id,
	    char *const *from, struct err *e);
/* Is the name of len bytes one that is never passed to workers? */
bool	 env_forbidden(const char *name, size_t len);
/* Do the len bytes at name match [A-Za-z_][A-Za-z0-9_]*? */
bool	 env_name_ok(const char *name, size_t len);

/* ident.c */
/*
 * Resolves -u and -g into *id, whose member `change` is then whether there are
 * ids or groups to change. Without -u *id describes the caller. Looks names and
 * numbers up in passwd(5) and group(5), so it must run before the jail is
 * entered. Refuses uid and gid 0, also as one of the user's groups (78).
 * Returns 0, or -1 with *e set (64, 67, 71, 78).
 */
int	 ident_resolve(const struct conf *c, struct ident *id, struct err *e);
/*
 * Resolve a name or number to an id; opt names the option in errors.
 * ident_user() sets *gid to the user's primary group, or to (gid_t)-1 for a
 * number without an entry in passwd(5). Return 0, or -1 with *e set (67).
 */
int	 ident_user(const char *opt, const char *name, uid_t *uid, gid_t *gid,
	    struct err *e);
int	 ident_group(const char *opt, const char *name, gid_t *gid,
	    struct err *e);
/* Is gid the primary or a supplementary group of *id? */
bool	 ident_member(const struct ident *id, gid_t gid);
/* Frees the members, and leaves *id empty. */
void	 ident_free(struct ident *id);
/* Is gid one of our own process's groups? False if that is unknown. */
bool	 ident_caller_has(gid_t gid);

/* rights.c */
/*
 * Checks that we have the rights for all options: as root there has to be a -u
 * (64), and without root no option that needs it (77: the error names all of
 * them; not with -t, which reports them later). Sets needs_root of *p if there
 * are such options. Returns 0, or -1 with *e set (64, 77).
 */
int	 rights_check(struct plan *p, struct err *e);
/*
 * Refuses limits and a priority that only root may set, if that is not who
 * starts the plan. Returns 0, or -1 with *e set (71, 77).
 */
int	 rights_check_limits(struct plan *p, struct err *e);

/* address.c */
/*
 * Parses a literal IPv4 or IPv6 address, and takes a port from 1 to 65535, into
 * *ss. Returns the length of the address there, for bind(2), or 0 if it is
 * neither.
 */
socklen_t address_parse(const char *address, int port,
	    struct sockaddr_storage *ss);
/*
 * Plans the TCP socket that -p and -a ask for. Returns 0, or -1 with *e set
 * (64, 71, 78).
 */
int	 address_plan(struct plan *p, struct err *e);
/*
 * Names the TCP socket whose address is addr of *p: sets socket_name and, where
 * fd is that socket and not -1 (it is yet to be made), both_families. Returns
 * 0, or -1 without memory.
 */
int	 address_name(struct plan *p, int fd);
/* Adds a note to *f if "-a *" means IPv4 alone, for want of IPv6. */
void	 address_check(const struct plan *p, struct findings *f);

/* plan_allow.c */
/*
 * Plans who may connect, by --allow or FCGI_WEB_SERVER_ADDRS: a phase of
 * plan_make(), after those of the socket and the environment. Returns 0, or -1
 * with *e set (64, 71).
 */
int	 plan_allow(struct plan *p, struct err *e);
/*
 * Adds warnings to *f about entries in FCGI_WEB_SERVER_ADDRS that let nobody
 * in, and about a variable that keeps nobody away; and notes about what of
 * --allow or of the variable has no effect. After plan_allow().
 */
void	 plan_allow_check(const struct plan *p, struct findings *f);

/* plan_control.c */
/*
 * Plans where the control sockets will be and who may read there, by --control
 * and --status-group: a phase of plan_make(), after those of the identity, the
 * socket and the files. Returns 0, or -1 with *e set (64, 67, 71, 77, 78).
 */
int	 plan_control(struct plan *p, struct err *e);

/* exposure.c */
/*
 * For a plan with rights that the workers will not have: adds a warning to *f
 * if the workers' user could put another file in the place of a unix socket
 * that other users may connect to. Where the workers stay root it warns
 * instead of a jail, a program or a working directory that another user could
 * replace.
 */
void	 exposure_check_start(const struct plan *p, struct findings *f);

#endif
