#!/bin/sh
# SPDX-License-Identifier: ISC
#
# usage: install.sh install | install-compat | uninstall
#
# For "make install", "make install-compat" and "make uninstall". What they
# install and remove stands here; where it goes, the Makefile says by the
# environment. Modes do not depend on the umask. A directory that had to be made
# is noted in $OUT/directories, and removed again once nothing is in it.

set -eu
umask 022

# programs, files, filled (with values for @NAME@): FROM TO, of which TO alone
# may have blanks.
programs()
{
	cat <<-END
		$OUT/spawnd $SBINDIR/spawnd
		$OUT/spawnctl $BINDIR/spawnctl
	END
	[ "$WITH_STATUS" = no ] ||
	    echo "$OUT/spawnd-status $LIBEXECDIR/spawnd-status"
}

files()
{
	cat <<-END
		scripts/completion/spawnctl.bash $BASHDIR/spawnctl
		scripts/completion/spawnctl.zsh $ZSHDIR/_spawnctl
		man/spawnctl.1 $MANDIR/man1/spawnctl.1
	END
	for manual in man/spawnd*.[78]; do
		case $WITH_STATUS:$manual in
		no:*/spawnd-status.8)	continue ;;
		esac
		echo "$manual $MANDIR/man${manual##*.}/${manual#man/}"
	done
	for file in scripts/web/* scripts/prometheus/*; do
		echo "$file $EXAMPLES/${file##*/}"
	done
}

# The scripts of other systems are examples: which one is wanted, and where,
# the installer does not know.
filled()
{
	cat <<-END
		scripts/readconf.sh $LIBEXECDIR/spawnd/readconf.sh
		scripts/systemd/spawnd@.service $UNITDIR/spawnd@.service
		scripts/systemd/spawnd@.socket $UNITDIR/spawnd@.socket
	END
	for file in systemd/jail.conf systemd/no-ptrace.conf rc.d/openbsd \
	    rc.d/freebsd init.d/spawnd openrc/init.d openrc/conf.d \
	    logrotate/spawnd tmpfiles/spawnd.conf spawn-php.sh \
	    spawnd.conf.example; do
		echo "scripts/$file $EXAMPLES/$(echo "$file" | tr / -)"
	done
	for file in scripts/recipes/*/*; do
		echo "$file $EXAMPLES/${file#scripts/}"
	done
}

filled_programs()
{
	echo "scripts/service.sh $LIBEXECDIR/spawnd/service"
}

# The programs that it stands in for: SECTION of the manual, NAME, DIRECTORY.
names()
{
	cat <<-END
		1 spawn-fcgi $BINDIR
		1 multiwatch $BINDIR
		8 kfcgi $SBINDIR
	END
}

fill()
{
	sed -e "s,@SBINDIR@,$SBINDIR,g" -e "s,@BINDIR@,$BINDIR,g" \
	    -e "s,@LIBEXECDIR@,$LIBEXECDIR,g" \
	    -e "s,@SYSCONFDIR@,$SYSCONFDIR,g" -e "s,@RUNDIR@,$RUNDIR,g" \
	    -e "s,@WEBUSER@,$WEBUSER,g" -e "s,@APPUSER@,$APPUSER,g" "$1"
}

# make_dir DIR: what is there already keeps its mode.
make_dir()
{
	[ ! -d "$1" ] || return 0
	missing=$1
	while [ ! -d "$missing" ]; do
		printf '%s\n' "$missing" >>"$OUT/directories"
		missing=$(dirname "$missing")
	done
	mkdir -p "$1"
}

# put MODE FILL: each FROM TO of the standard input, where MODE is 644, as the
# umask has it, or 755. A program or script that runs keeps the file that it
# has.
put()
{
	while read -r from to; do
		to=$DESTDIR$to
		make_dir "${to%/*}"
		"$2" "$from" >"$to.new"
		[ "$1" = 644 ] || chmod "$1" "$to.new"
		mv -f "$to.new" "$to"
	done
}

# relative DIR FILE: the way from one to the other.
relative()
{
	from=$(cd "$1" && pwd -P)/
	to=$(cd "$(dirname "$2")" && pwd -P)/${2##*/}
	up=
	while [ "${to#"$from"}" = "$to" ]; do
		from=${from%/*/}/
		up=../$up
	done
	printf '%s\n' "$up${to#"$from"}"
}

link_names()
{
	while read -r section name dir; do
		dir=$DESTDIR$dir
		make_dir "$dir"
		ln -sf "$(relative "$dir" "$DESTDIR$SBINDIR/spawnd")" \
		    "$dir/$name"
		echo "man/$name.$section" \
		    "$MANDIR/man$section/$name.$section" | put 644 cat
	done
}

# What is no link to spawnd is another program's, and the manual as well.
unlink_names()
{
	while read -r section name dir; do
		link=$DESTDIR$dir/$name
		[ -L "$link" ] || continue
		# shellcheck disable=SC3013	# dash and the BSDs have it
		if [ "$link" -ef "$DESTDIR$SBINDIR/spawnd" ]; then
			rm -f "$link" \
			    "$DESTDIR$MANDIR/man$section/$name.$section"
		fi
	done
}

# The deepest first: one that is above another sorts before it.
remove_dirs()
{
	[ -f "$OUT/directories" ] || return 0
	LC_ALL=C sort -ru "$OUT/directories" | while read -r dir; do
		case $dir in
		"$DESTDIR"/*)	rmdir "$dir" 2>/dev/null || : ;;
		esac
	done
}

case $1 in
install|install-compat)
	programs | put 755 cat
	filled_programs | put 755 fill
	files | put 644 cat
	filled | put 644 fill
	[ "$1" = install ] || names | link_names ;;
uninstall)
	WITH_STATUS=yes	# whatever was made at that time
	names | unlink_names
	{ programs; filled_programs; files; filled; } | {
		set --
		while read -r from to; do
			set -- "$@" "$DESTDIR$to"
		done
		rm -f "$@"
	}
	remove_dirs ;;
*)
	echo "usage: install.sh install | install-compat | uninstall" >&2
	exit 64 ;;
esac
