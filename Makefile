# SPDX-License-Identifier: ISC
#
# For GNU make and bmake alike:
#
#   make [WERROR=1] [SANITIZE=1] [OS=linux|posix|...] [HARDENING=]
#	[WITH_STATUS=yes|no]
#   make install | install-compat | uninstall [DESTDIR=DIR] [PREFIX=DIR] ...
#   make check | sim [TRACE=FILE] | mutate | check-system | soak | fuzz
#   make deb [DEBVERSION=VERSION]
#   make check-deb | check-musl | check-container
#   make check-servers [SUITE=sid]
#   make check-releases [SUITES="trixie sid"]
#   make graph | dot -Tsvg >slot.svg
#   make bench | bench-quick
#   make lint | clean
#
# CPPFLAGS, CFLAGS and LDFLAGS are the caller's: they come last and win. What
# compiles runs without the system's rules (-r): those of bmake search below
# DESTDIR for headers.

CC ?=		cc
PREFIX ?=	/usr/local
SBINDIR ?=	${PREFIX}/sbin
BINDIR ?=	${PREFIX}/bin
LIBEXECDIR ?=	${PREFIX}/libexec
MANDIR ?=	${PREFIX}/share/man
BASHDIR ?=	${PREFIX}/share/bash-completion/completions
ZSHDIR ?=	${PREFIX}/share/zsh/site-functions
SYSCONFDIR ?=	/etc
RUNDIR ?=	/run
UNITDIR ?=	${PREFIX}/lib/systemd/system
EXAMPLES ?=	${PREFIX}/share/examples/spawnd
# Whom the units and the log's rotation name: the web server, the workers.
WEBUSER ?=	www-data
APPUSER ?=	www-data

PKG_CONFIG ?=	pkg-config
# posix: the neutral half, which runs on each of them.
NATIVE !=	case `uname -s` in Linux) echo linux;; \
		OpenBSD) echo openbsd;; FreeBSD) echo freebsd;; \
		NetBSD) echo netbsd;; *) echo posix;; esac
OS =		${NATIVE}

# By folder; what only one system has comes by the name of the system.
BASE =		elf.c environ.c err.c findings.c log.c loop.c network.c \
		pass.c path.c pidlock.c places.c script.c signame.c syslog.c \
		text.c
CONFIG =	address.c compat.c compat_kfcgi.c compat_multiwatch.c \
		compat_spawn_fcgi.c describe.c env.c exposure.c ident.c \
		limit.c option.c options.c plan.c plan_allow.c \
		plan_control.c rights.c
OBSERVE =	guarantees.c
PRIVILEGE =	confine.c daemonize.c finisher.c jail.c listen.c pidfile.c \
		socketfile.c terminal.c
POOL =		announce.c door.c drain.c freeze.c ledger.c names.c pool.c \
		replace.c retire.c sampler.c scale.c slot.c snapshot.c \
		start.c table.c trace.c
RUN =		actor.c autoscale.c child.c draining.c entry.c exec_error.c \
		failures.c history.c lifecycle.c neighbour.c orphans.c \
		output.c reap.c report.c report_trace.c sdnotify.c \
		selfcheck.c signals.c spawner.c suspects.c traced.c \
		traffic.c worker.c
CONTROL =	admission.c budget.c clients.c command.c control.c \
		dialog.c facts.c ledger_records.c predecessor.c rundir.c \
		status.c successor.c takeover.c trace_records.c
PREFLIGHT =	inspect.c library.c prefiles.c preflight.c preprint.c \
		presocket.c
PROTO =		proto.c
# Of the client's, what a spawnd needs that takes over from another.
ASKS =		conn.c find.c reply.c
SRCS =		${BASE} ${CONFIG} ${OBSERVE} ${PRIVILEGE} ${POOL} ${RUN} \
		${CONTROL} ${PREFLIGHT} ${PROTO} ${ASKS}
# How a system call is made or skipped depends on the registers.
ARCH !=		case `${CC} -dumpmachine` in x86_64-*) echo x86_64;; \
		aarch64-*) echo aarch64;; *) echo none;; esac
# A sanitizer's memory cannot be shared with a child: there it is a fork.
SPAWN_ =	linux
SPAWN_1 =	posix
SRCS_linux =	activity_linux.c allow_linux.c confine_linux.c diag_linux.c \
		door_ask_linux.c door_linux.c end_linux.c filter_linux.c \
		foreign_linux.c forks_linux.c holder_linux.c jail_linux.c \
		jail_none.c keepalive_linux.c kin_linux.c leftover_linux.c \
		listener_linux.c listens_linux.c load_linux.c look_linux.c \
		looker_linux.c netlink_linux.c observe_linux.c \
		parse_linux.c path_linux.c peer_linux.c poller_linux.c \
		proc_linux.c queue_linux.c \
		raw_linux.c raw_${ARCH}_linux.c refusal_linux.c refuse_linux.c \
		requests_linux.c self_linux.c served_linux.c \
		sightings_linux.c \
		skip_${ARCH}_linux.c slow_linux.c \
		spawn_${SPAWN_${SANITIZE}}.c task_linux.c toll_linux.c \
		usage_linux.c view_linux.c
POSIX =		allow_none.c confine_none.c door_none.c end_none.c \
		jail_posix.c listener_none.c path_posix.c poller_posix.c \
		raw_posix.c refuse_none.c self_posix.c spawn_posix.c \
		unseen_posix.c usage_none.c
SRCS_posix =	${POSIX} jail_none.c observe_none.c
SRCS_openbsd =	${POSIX} jail_openbsd.c observe_bsd.c queue_bsd.c \
		holding_openbsd.c looker_openbsd.c
SRCS_freebsd =	${POSIX} jail_none.c observe_bsd.c queue_bsd.c \
		holding_freebsd.c looker_none.c
SRCS_netbsd =	${POSIX} jail_none.c observe_bsd.c queue_bsd.c \
		holding_none.c looker_none.c
FOREIGN_linux =	posix
FOREIGN_posix =	linux
FOREIGN_openbsd = linux
FOREIGN_freebsd = linux
FOREIGN_netbsd = linux

# The client, which shares nothing with the daemon but its language.
CLIENT =	advice.c explain.c explain_limits.c explain_load.c \
		explain_text.c explain_workers.c meaning.c pools.c timeline.c \
		writer_fpm.c writer_json.c writer_openmetrics.c \
		writer_table.c writer_trace.c
CTL =		advise.c agent.c agent_line.c agent_server.c choose.c \
		diagnose.c service.c top.c top_draw.c
CTL_SRCS =	${CLIENT} ${CTL}

# spawnd-status, but for responder.c. It needs libfcgi, and is made where that
# is there; WITH_STATUS=yes, as a package says it, fails where it is not.
PAGE =		answer.c chart.c events.c gather.c html.c page.c request.c \
		row.c style.c workers.c
FCGI !=		${PKG_CONFIG} --exists fcgi && echo yes || echo no
WITH_STATUS ?=	${FCGI}
STATUS_yes =	spawnd-status
FCGI_CFLAGS !=	${PKG_CONFIG} --cflags fcgi 2>/dev/null || :
FCGI_LIBS !=	${PKG_CONFIG} --libs fcgi 2>/dev/null || echo -lfcgi

# What libbsd has, the BSDs have in their libc.
LIBBSD !=	case `uname -s` in *BSD|DragonFly) ;; \
		*) echo libbsd-overlay;; esac
PKGS_linux =	${LIBBSD} libcap-ng
PKGS_posix =	${LIBBSD}
PKG_CFLAGS !=	test -z "${PKGS_${OS}}" || \
		${PKG_CONFIG} --cflags ${PKGS_${OS}}
PKG_LIBS !=	test -z "${PKGS_${OS}}" || ${PKG_CONFIG} --libs ${PKGS_${OS}}
CTL_LIBS !=	${PKG_CONFIG} --libs ${LIBBSD} jansson

# What is not the ordinary build has a directory of its own below build/,
# so that the objects of two variants never mix.
OTHER =		${OS:${NATIVE}=}
SUB__1 =	/sanitize
SUB_posix_ =	/posix
SUB_posix_1 =	/posix-sanitize
UP__1 =		/..
UP_posix_ =	/..
UP_posix_1 =	/..
OUT =		build${SUB_${OTHER}_${SANITIZE}}
UP =		../..${UP_${OTHER}_${SANITIZE}}

# No two files have one name, so their objects need no folders.
IN =		${UP}/spawnd
IN_DAEMON =	${IN}/base:${IN}/config:${IN}/privilege:${IN}/pool:${IN}/observe
IN_REST =	${IN}/run:${IN}/control:${IN}/preflight:${IN}/proto
IN_CLIENTS =	${IN}/client:${IN}/ctl:${IN}/page
FOLDERS =	${IN}:${IN_DAEMON}:${IN_REST}:${IN_CLIENTS}

WARNINGS =	-Wall -Wextra -Wpedantic -Wshadow -Wconversion
WERROR_1 =	-Werror

# OpenBSD's clang does not know it.
CLASH_linux =	-fstack-clash-protection
CLASH_posix =	${CLASH_linux}
CLASH_freebsd =	${CLASH_linux}
CLASH_netbsd =	${CLASH_linux}

# The linker's part of the hardening comes and goes with -fPIE.
HARDENING ?=	-fPIE -fstack-protector-strong ${CLASH_${OS}} \
		-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
MODE_ =		${HARDENING}
# -O1 compiles in half the time, and its traces name more functions.
MODE_1 =	-O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
		-fno-omit-frame-pointer -U_FORTIFY_SOURCE -Dvfork=fork
LINK_ =		${HARDENING:-fPIE=-pie -Wl,-z,relro -Wl,-z,now}
LINK_1 =	${MODE_1}

# The map of prefixes keeps the directory of a build out of its result.
COMPILE =	${CC} -std=c11 -D_GNU_SOURCE -D_OPENBSD_SOURCE -O2 -g \
		-ffile-prefix-map="$$PWD"=. ${WARNINGS} ${WERROR_${WERROR}}
DEPEND =	-MMD -MP -MF ${@}.d -MT ${@}
MODE =		${MODE_${SANITIZE}}
# Unit tests are compiled more often than they run.
QUICK =		-O0 -U_FORTIFY_SOURCE
LINK =		${LINK_${SANITIZE}} ${CFLAGS} ${LDFLAGS}

# In parentheses: bmake -j runs the lines of a target in one shell.
all:
	@mkdir -p ${OUT}/obj
	@(cd ${OUT}/obj && ${MAKE} -f ${UP}/Makefile -r TOP=${UP} \
	    VPATH=${FOLDERS}:${UP}/tests spawnd.prog spawnctl.prog \
	    ${STATUS_${WITH_STATUS}:=.prog})
	@for prog in spawnd spawnctl ${STATUS_${WITH_STATUS}}; do \
	    cmp -s ${OUT}/obj/$$prog.prog ${OUT}/$$prog || \
	    ln -f ${OUT}/obj/$$prog.prog ${OUT}/$$prog || exit; done

units: all
	@(cd ${OUT}/obj && ${MAKE} -f ${UP}/Makefile -r TOP=${UP} \
	    VPATH=${FOLDERS}:${UP}/tests/unit:${UP}/tests/sim sub-units)

sims: all
	@(cd ${OUT}/obj && ${MAKE} -f ${UP}/Makefile -r TOP=${UP} \
	    VPATH=${FOLDERS}:${UP}/tests/unit:${UP}/tests/sim sub-sims)

apps:
	@mkdir -p build/apps/obj
	@(cd build/apps/obj && ${MAKE} -f ../../../Makefile -r TOP=../../.. \
	    VPATH=../../../tests/apps:../../../tests/bench sub-apps)
	@for app in build/apps/obj/*.app; do \
	    to=build/apps/`basename $$app .app`; \
	    cmp -s $$app $$to || ln -f $$app $$to || exit; done
	@! command -v go >/dev/null || env CGO_ENABLED=0 GO111MODULE=off \
	    GOCACHE="$$PWD/build/apps/obj/go" go build -trimpath \
	    -ldflags=-s -o build/apps/load-go tests/apps/load.go

# A seed that fails is run again with SIM="-k CASE -s SEED -v". TRACE=FILE
# replays what "spawnctl trace" has printed.
sim: sims
	@trace="${TRACE}"; if [ -n "$$trace" ]; then \
	    exec ./${OUT}/obj/pool_sim.sim -t "$$trace"; fi; \
	    for p in ${OUT}/obj/*.sim; do ./$$p ${SIM} || exit; done

# What a slot of the pool goes through, for dot(1), as the simulation meets it.
graph:
	@${MAKE} units >&2
	@${OUT}/obj/pool_sim.sim --graph

# Does the simulation find bugs that are planted in the pool?
mutate:
	@CC="${CC}" sh tests/sim/mutate.sh build/mutate

check: units
	@sh tests/check.sh ${OUT}

# All of them, or TESTS="test_pool.py -k stop"; --short knows neither systemd
# nor OpenRC.
TESTS ?=	-j 4
check-system: all apps sims
	@case "${TESTS}" in \
	*--short*) ;; \
	*) sh tests/system/root.sh build/systemd-root && \
	    sh tests/system/openrc.sh build/openrc-root ;; esac
	@SPAWND="$$PWD/${OUT}/spawnd" APPS="$$PWD/build/apps" \
	    sh tests/system/run.sh ${TESTS}

# By hand: the web servers, PHP and Perl of another release of Debian, or what
# SERVERS names, such as SERVERS="test_web.py -k nginx".
SUITE ?=	sid
check-servers: all apps
	@SPAWND="$$PWD/${OUT}/spawnd" APPS="$$PWD/build/apps" \
	    sh tests/system/servers.sh ${SUITE} build/root-${SUITE} \
	    ${SERVERS}

# The build and the core of the tests in roots of the releases of Debian: five
# to ten minutes.
SUITES ?=	trixie sid
check-releases:
	@sh scripts/releases.sh ${SUITES}

# With musl: see scripts/musl.sh.
check-musl:
	@sh scripts/musl.sh

# The images of scripts/container, built and run: see the script.
check-container: all apps
	@SPAWND="$$PWD/${OUT}/spawnd" APPS="$$PWD/build/apps" \
	    sh scripts/container-check.sh

# Before a release, after check.sh --all: lint, all system tests with
# sanitizers, check-deb and check-container, then the page in a browser
# (chromium), a host behind each web server that is silent, and test_soak.py,
# with so many reloads of each program and as much of the rest. With these the
# reloads take about an hour; every program in every way, some hours: for these
# alone SOAK="-k nothing_is_lost". What became of each is kept in ${OUT}/matrix.
ROUNDS ?=	1000
soak: all apps
	@test -n "${SOAK}" || { sh scripts/lint.sh && \
	    ${MAKE} -s check-system SANITIZE=1 && \
	    ${MAKE} -s check-deb && ${MAKE} -s check-container; }
	@SPAWND="$$PWD/${OUT}/spawnd" APPS="$$PWD/build/apps" \
	    sh tests/system/run.sh --soak ${ROUNDS} test_soak.py \
	    test_status.py test_recipes.py ${SOAK}

# In turn, for more than an hour; bench-quick shows that it runs.
bench: all apps
	@SPAWND="$$PWD/${OUT}/spawnd" SPAWNCTL="$$PWD/${OUT}/spawnctl" \
	    APPS="$$PWD/build/apps" /usr/bin/python3 tests/bench/bench.py \
	    --out build/bench ${BENCH}

bench-quick: all apps
	@SPAWND="$$PWD/${OUT}/spawnd" SPAWNCTL="$$PWD/${OUT}/spawnctl" \
	    APPS="$$PWD/build/apps" /usr/bin/python3 tests/bench/bench.py \
	    --quick --out build/bench-quick

lint:
	@sh scripts/lint.sh

fuzz:
	@sh tests/fuzz/run.sh build/fuzz

PLACES =	OUT="${OUT}" DESTDIR="${DESTDIR}" SBINDIR="${SBINDIR}" \
		BINDIR="${BINDIR}" LIBEXECDIR="${LIBEXECDIR}" \
		MANDIR="${MANDIR}" BASHDIR="${BASHDIR}" ZSHDIR="${ZSHDIR}" \
		SYSCONFDIR="${SYSCONFDIR}" RUNDIR="${RUNDIR}" \
		UNITDIR="${UNITDIR}" EXAMPLES="${EXAMPLES}" \
		WEBUSER="${WEBUSER}" APPUSER="${APPUSER}" \
		WITH_STATUS="${WITH_STATUS}"

# install-compat: also by the names of the programs it stands in for. Whoever
# has those installed in the same place loses them by this.
install install-compat: all
	${PLACES} sh scripts/install.sh ${@}

# With the variables of the installation. It removes no directory that was
# there before, and keeps what others have put into its own.
uninstall:
	${PLACES} sh scripts/install.sh uninstall

# The packages of Debian or Ubuntu, in build/deb. DEBVERSION=0.1+site1 is for a
# build of one's own, DEB_BUILD_OPTIONS=nocheck goes without the tests.
deb:
	@sh scripts/deb.sh build/deb ${DEBVERSION}

# What becomes of a system in which they are installed, upgraded and purged.
check-deb: all apps
	@SPAWND="$$PWD/${OUT}/spawnd" APPS="$$PWD/build/apps" \
	    sh scripts/deb-check.sh

clean:
	rm -rf build

.PHONY: all apps bench bench-quick check check-container check-deb \
	check-musl check-releases check-servers check-system clean deb fuzz \
	graph install install-compat lint mutate sim sims soak sub-apps \
	sub-sims sub-units uninstall units

# From here on: what make does when it runs in a directory of objects. Unit
# tests link with everything but main(). Applications are built once and
# plainly: they run in jails, where a sanitizer's library is not.
TOP =		.
OBJS =		${SRCS:.c=.o} ${SRCS_${OS}:.c=.o}
CTL_OBJS =	${CTL_SRCS:.c=.o}
PAGE_OBJS =	${PAGE:.c=.o}
MAIN_1 =	sanitize.o
MAIN =		main.o ${MAIN_${SANITIZE}}
UNITS !=	${PKG_CONFIG} --exists cmocka && test -d ${TOP}/tests/unit && \
		ls ${TOP}/tests/unit | sed -n -e '/_${FOREIGN_${OS}}\.c$$/d' \
		-e 's/^\(test_.*\)\.c$$/\1.unit/p'; :
SIMS !=		test -d ${TOP}/tests/sim && \
		ls ${TOP}/tests/sim | sed -n 's/^\(.*\)\.c$$/\1.sim/p'; :
APPS !=		test -d ${TOP}/tests/apps && \
		ls ${TOP}/tests/apps ${TOP}/tests/bench | \
		sed -n 's/^\(.*\)\.c$$/\1.app/p'; :
LIBS_day.app =	-pthread -lm
LIBS_hostile.app = -pthread
LIBS_lib.app =	-pthread
LIBS_load.app =	-pthread
LIBS_post.app =	-pthread
LIBS_probe.app = -pthread
LIBS_threaded.app = -pthread
LIBS_bare.app = -static
LIBS_reach.app = -static
LIBS_static.app = -static
LIBS_test_entry.unit = -Wl,--wrap=actor_stops,--wrap=listener_deaf \
		-Wl,--wrap=socketfile_look
LIBS_test_foreign_linux.unit = -Wl,--wrap=proc_socket_at \
		-Wl,--wrap=proc_tree -Wl,--wrap=syscall
LIBS_test_pidlock.unit = -Wl,--wrap=ftruncate
LIBS_test_signals.unit = -Wl,--wrap=actor_stops,--wrap=observe_shutdown \
		-Wl,--wrap=neighbour_before,--wrap=daemonize_starting \
		-Wl,--wrap=lifecycle_restart
LIBS_test_spawn_linux.unit = -Wl,--wrap=raw_own_files -Wl,--wrap=getpgid
LIBS_test_worker.unit = -Wl,--wrap=raw_limit -Wl,--wrap=getrlimit \
		-Wl,--wrap=setrlimit
LIBS_advice_sim.sim = advice.o
LIBS_balancer_sim.sim = agent_line.o
LIBS_pool_sim.sim = -Wl,--wrap=table_event

.SUFFIXES:
.SUFFIXES: .c .o .unit .sim .app

.c.o:
	${COMPILE} ${MODE} ${DEPEND} -I${TOP}/spawnd ${PKG_CFLAGS} \
	    ${CPPFLAGS} ${CFLAGS} -c -o ${@} $<

.c.unit:
	${COMPILE} ${MODE} ${DEPEND} -I${TOP}/spawnd ${PKG_CFLAGS} ${CPPFLAGS} \
	    ${LINK_${SANITIZE}} ${QUICK} ${CFLAGS} ${LDFLAGS} ${LIBS_${@}} \
	    -o ${@} $< ${OBJS} ${CTL_OBJS} ${PAGE_OBJS} -lcmocka \
	    ${PKG_LIBS} ${CTL_LIBS}

.c.sim:
	${COMPILE} ${MODE} ${DEPEND} -I${TOP}/spawnd ${PKG_CFLAGS} ${CPPFLAGS} \
	    ${LINK} ${LIBS_${@}} -o ${@} $< ${OBJS} ${PKG_LIBS} -lm

.c.app:
	${COMPILE} ${DEPEND} ${CPPFLAGS} ${CFLAGS} ${LDFLAGS} -Wl,--as-needed \
	    -o ${@} $< -lfcgi ${LIBS_${@}}

spawnd.prog: ${MAIN} ${OBJS}
	${CC} ${LINK} -o ${@} ${MAIN} ${OBJS} ${PKG_LIBS}

CTL_ALL =	spawnctl.o err.o network.o pass.o path.o places.o text.o \
		proto.o \
		${ASKS:.c=.o} ${CTL_OBJS} ${MAIN_${SANITIZE}}
spawnctl.prog: ${CTL_ALL}
	${CC} ${LINK} -o ${@} ${CTL_ALL} ${CTL_LIBS}

STATUS_ALL =	responder.o signame.o ${PAGE_OBJS} err.o pass.o path.o \
		places.o text.o proto.o ${ASKS:.c=.o} ${CLIENT:.c=.o} \
		${MAIN_${SANITIZE}}
responder.o:
	${COMPILE} ${MODE} ${DEPEND} -I${TOP}/spawnd ${PKG_CFLAGS} \
	    ${FCGI_CFLAGS} ${CPPFLAGS} ${CFLAGS} -c -o ${@} \
	    ${TOP}/spawnd/page/responder.c
spawnd-status.prog: ${STATUS_ALL}
	${CC} ${LINK} -o ${@} ${STATUS_ALL} ${CTL_LIBS} ${FCGI_LIBS}

sub-units: ${UNITS} ${SIMS}

sub-sims: ${SIMS}

sub-apps: ${APPS}

MADE =		${MAIN} ${OBJS} spawnctl.o ${CTL_OBJS} responder.o \
		${PAGE_OBJS} ${UNITS} ${SIMS} ${APPS}
${MADE}: ${TOP}/Makefile
${UNITS} ${SIMS}: ${OBJS} ${CTL_OBJS} ${PAGE_OBJS}

-include ${MADE:=.d}
