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
/* Parses --rlimit's NAME=SOFT[:HARD]. Returns 0, or -1 with *e set (64). */
int	 limit_parse(const char *opt, const char *val, struct limit *l,
	    struct err *e);

/* env.c */
/*
 * Builds the workers' environment from `from` (our own) by the allowlist, the
 * identity and the rules of conf; where two set one name, the later one wins.
 * PATH is always there. Reads each --env-file. Returns a NULL-terminated array
 * that is never freed, or NULL with *e set (78 for bad contents, 66 or 77 for
 * a file that cannot be read, 71 for no memory).
 */
char	**env_build(const struct conf *c, const struct ident *id,
	    char *const *from, struct err *e);
/* Is the name of len bytes one that is never passed to workers? */
bool	 env_forbidden(const char *name, size_t len);
/* Do the len bytes at name match [A-Za-z_][A-Za-z0-9_]*? */
bool	 env_name_ok(const char *name, size_t len);

/* ident.c */
/*
 * Resolves -u and -g into *id; without -u it describes the caller, and so it
 * does, but for the names, where they describe a caller without root's rights.
 * It looks names and numbers up in passwd(5) and group(5), so it must run
 * before the jail is entered. Refuses uid and gid 0. Returns 0, or -1 with *e
 * set (64, 67, 71, 78).
 */
int	 ident_resolve(const struct conf *c, struct ident *id, struct err *e);
/*
 * Resolve a name or number to an id; opt names the option in errors.
 * ident_user() sets *gid to the user's primary group, or to (gid_t)-1 for a
 * number without a passwd entry. Return 0, or -1 with *e set (67).
 */
int	 ident_user(const char *opt, const char *name, uid_t *uid, gid_t *gid,
	    struct err *e);
int	 ident_group(const char *opt, const char *name, gid_t *gid,
	    struct err *e);
/* Is gid the primary or a supplementary group of *id? */
bool	 ident_member(const struct ident *id, gid_t gid);
/* Frees the members; *id is empty then. */
void	 ident_free(struct ident *id);
/* Is gid one of our own groups? */
bool	 ident_caller_has(gid_t gid);

/* rights.c */
/*
 * Checks for options that need root, the error names all of them, and sets
 * needs_root of *p if there are some, and its ident if it had to know that.
 * Returns 0, or -1 with *e set (64, 77).
 */
int	 rights_check(struct plan *p, struct err *e);
/*
 * Refuses limits and a priority that we would not be allowed to set. Returns 0,
 * or -1 with *e set (71, 77).
 */
int	 rights_check_limits(struct plan *p, struct err *e);

/* address.c */
/*
 * Parses a literal IPv4 or IPv6 address, with a port from 1 to 65535, into
 * *ss. Returns the length of what is in *ss, or 0 if it is neither.
 */
socklen_t address_parse(const char *address, int port,
	    struct sockaddr_storage *ss);
/*
 * Plans the TCP socket that -p and -a ask for. Returns 0, or -1 with *e set
 * (64, 71, 78).
 */
int	 address_plan(struct plan *p, struct err *e);
/*
 * Sets both_families and socket_name of *p by its addr, that of the listen
 * socket fd; -1: of one that is to be made. Returns 0, or -1 without memory.
 */
int	 address_name(struct plan *p, int fd);
/* Adds a note to *f if "*" is IPv4 alone. */
void	 address_check(const struct plan *p, struct findings *f);

/* plan_allow.c */
/*
 * Plans who may connect, by --allow or FCGI_WEB_SERVER_ADDRS: a phase of
 * plan_make(), after those of the socket and the environment. Returns 0, or -1
 * with *e set (64, 71).
 */
int	 plan_allow(struct plan *p, struct err *e);
/*
 * Adds warnings to *f of entries in FCGI_WEB_SERVER_ADDRS that are no address,
 * and where the variable keeps nobody away; and notes of what has no effect.
 */
void	 plan_allow_check(const struct plan *p, struct findings *f);

/* plan_control.c */
/*
 * Plans where the control sockets will be and who may use them: a phase of
 * plan_make(), after those of the identity, the socket and the files. Returns
 * 0, or -1 with *e set (64, 67, 71, 77, 78).
 */
int	 plan_control(struct plan *p, struct err *e);

/* exposure.c */
/*
 * Adds a warning to *f if the workers' user can write to the directory of a
 * unix socket that belongs to another user. Where the workers stay root, also
 * if another user could replace the jail, the program or the working
 * directory.
 */
void	 exposure_check_start(const struct plan *p, struct findings *f);

#endif
