#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A shell script in front of a FastCGI program starts it in the background, to
# wait for it and to do something at its end. A background command has /dev/null
# as its standard input, as POSIX has it, unless one is given; so the script
# gives it the listener by name: "program <&0 &".
#
# Guess: an explicit redirection wins, in each shell, and descriptor 0 is the
# listener.
# Seen: in bash it does. In dash, BusyBox's sh, mksh, ksh93 and posh the program
# has /dev/null: these put it on descriptor 0 first, and "<&0" then copies it to
# itself. "program | logger &" and "{ program; } <&0 &" are the same: the
# listener in bash, /dev/null in the others. In zsh it is the listener in any
# case, also without "<&0". A copy made before is good everywhere:
# "exec 3<&0; program <&3 3<&- &".
#
# A script that was written under bash, and is run by the sh of Debian or
# Alpine, starts a FastCGI program without a listener: libfcgi and php-cgi take
# that for CGI, serve one empty request to the log, and exit with 0. The pool
# comes to an end without an error.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='bash=5.2.37-2+b10
    busybox=1:1.37.0-6+b9
    dash=0.5.12-12
    ksh93u+m=1.0.10-2
    libfcgi-perl=0.82+ds-3+b2
    mksh=59c-41+b2
    php8.4-cgi=8.4.27-1~deb13u1
    posh=0.14.1
    python3=3.13.5-1
    zsh=5.9-8+b25'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2086	# one word a package
mmdebstrap --quiet --variant=extract \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="$(printf '%s,' $packages)" \
    trixie "$tmp/root" "${MIRROR:-http://deb.debian.org/debian}"

cd "$tmp/root"
mkdir -p proc tmp run
chmod 1777 tmp
printf '%s\n' root:x:0:0::/:/bin/sh www-data:x:33:33::/:/bin/sh \
    nobody:x:65534:65534::/:/bin/sh >etc/passwd
printf '%s\n' root:x:0: www-data:x:33: nogroup:x:65534: >etc/group

cat >try.py <<'EOF'
import os
import socket
import subprocess
import sys

FAILED = []
LIMIT = 10
SHELLS = {"bash": ["/usr/bin/bash"], "dash": ["/usr/bin/dash"],
          "busybox": ["/usr/bin/busybox", "sh"],
          "ksh93": ["/usr/bin/ksh93"], "mksh": ["/usr/bin/mksh"],
          "posh": ["/usr/bin/posh"], "zsh": ["/usr/bin/zsh"]}
FORMS = {"%s & wait $!": "no input given",
         "%s <&0 & wait $!": "<&0",
         "{ %s; } <&0 & wait $!": "{ } <&0",
         "%s | /usr/bin/busybox cat & wait $!": "a pipeline",
         "exec 3<&0; %s <&3 3<&- & wait $!": "a copy made before"}


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def run(shell, form, program):
    return subprocess.run(SHELLS[shell] + ["-c", form % program],
                          stdin=LISTENER, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT)


def has(shell, form):
    """What descriptor 0 of the program is."""
    seen = run(shell, form, "/usr/bin/busybox readlink /proc/self/fd/0").stdout
    return "the listener" if seen.startswith("socket:") else seen.strip()


def expected(shell, name):
    if name == "a copy made before" or shell == "zsh" or \
            shell == "bash" and name != "no input given":
        return "the listener"
    return "/dev/null"


if not os.path.exists("/dev/null"):
    os.mknod("/dev/null", 0o020666, os.makedev(1, 3))
LISTENER = socket.socket(socket.AF_UNIX)
LISTENER.bind("/tmp/app")
LISTENER.listen(16)
for form, name in FORMS.items():
    for shell in SHELLS:
        check("%s, %s" % (shell, name), expected(shell, name),
              has(shell, form))

with open("/tmp/x.pl", "w") as f:
    f.write("use FCGI; my $r = FCGI::Request(); my $n = 0; while "
            "($r->Accept() >= 0) { $n++ } print \"requests: $n\\n\"")
for program, says in (("/usr/bin/php-cgi8.4 -n", "Content-type: text/html"),
                      ("/usr/bin/perl /tmp/x.pl", "requests: 1")):
    done = run("dash", "%s <&0 & wait $!", program)
    check("dash, %s: status and text" % program.split("/")[-1].split()[0],
          (0, True), (done.returncode, says in done.stdout))
    print(done.stdout)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
