#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
usage: layers.py [--self-test] TREE

Checks what no compiler does: which file of spawnd/ may call what, that the
pool is pure, lengths, the layout of the tree, the license line. --self-test
plants a violation of each rule in a copy and fails unless it is found.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile

FUNCTION_MAX = 60       # lines, from its name to its closing brace
FILE_MAX = 550          # lines of a .c file in spawnd/
HEADER_MAX = 350        # and of a header there
COLUMNS = 80
LICENSE = "SPDX-License-Identifier: ISC"
LAYOUT = {"spawnd", "man", "scripts", "tests", "Makefile", "README", "LICENSE"}
MAY_BE = {"findings"}   # scripts about others' software; no check runs them
# What has to be as the tools of Debian want it, without a line of ours.
BARE = {"scripts/deb/changelog", "scripts/deb/source/format"}
OURS = {"build", "__pycache__", ".git", ".pytest_cache"}        # not looked at

# The pool has no system call: of stdlib.h and sys/wait.h only memory and the
# macros, see "system calls" below.
PURE_HEADERS = {
    "assert.h", "errno.h", "inttypes.h", "limits.h", "signal.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdlib.h", "string.h", "sys/queue.h",
    "sys/tree.h", "sys/types.h", "sys/wait.h", "base/units.h", "pool.h",
    "slot.h", "scale.h", "pool/ledger.h",
    "pool/pool.h", "pool/slot.h", "pool/drain.h", "pool/scale.h",
    "pool/seen.h", "pool/snapshot.h", "pool/times.h", "pool/trace.h"}

# Which folders of spawnd/ a folder may include from and call; main.c is above
# all of the daemon's. A folder has one public header of its own name, and
# these besides; all others are private to it.
WALLS = {
    "base": set(), "pool": set(), "proto": set(),
    "config": {"base"},
    "observe": {"base", "pool"},
    "privilege": {"base", "config", "observe"},
    "run": {"base", "config", "observe", "pool", "privilege"},
    "control": {"base", "client", "config", "observe", "pool", "privilege",
                "proto", "run"},
    "preflight": {"base", "config", "observe", "privilege"},
    "main.c": {"base", "config", "control", "observe", "pool", "preflight",
               "privilege", "run"},
    "client": {"base", "proto"},
    "ctl": {"base", "client", "proto"},
    "page": {"base", "client", "proto"},
}
PUBLIC = {"base/loop.h", "base/network.h", "base/path.h", "base/program.h",
          "base/raw.h", "base/units.h", "client/advice.h", "config/alias.h",
          "config/describe.h",
          "observe/end.h", "observe/holding.h", "observe/listener.h",
          "observe/usage.h", "pool/ledger.h", "pool/scale.h", "pool/seen.h",
          "pool/trace.h", "run/history.h"}
EVERYWHERE = {"base/units.h"}       # all its code is inline

# Files of one folder that call each other in a circle, and why they do.
CIRCLES = [
    ({"pool.c", "slot.c", "table.c", "announce.c", "door.c", "drain.c",
      "freeze.c", "replace.c", "retire.c", "start.c"},
     "a slot's event may change what the pool wants, and the other way round"),
    ({"looker_linux.c", "keepalive_linux.c", "listens_linux.c",
      "usage_linux.c"},
     "who asks the looker has the answer that the looker's process calls"),
]

# rule, what to find in the code (comments and literals blanked), where it may
# stand, and a line that breaks the rule
RULES = [
    ("fork and exec",
     r"\b(v?fork|clone3?|posix_spawnp?|exec[lv]p?e?|execvpe|fexecve|execveat|"
     r"raw_exec|daemon|system|popen)\s*\(|"
     r"\bSYS_(v?fork|clone3?|execve(at)?)\b",
     r"(child|daemonize|finisher|preflight|service|worker)\.c|"
     r"(confine|door|looker)_linux\.c|looker_openbsd\.c|"
     r"raw\.h|(raw|spawn)_(linux|posix)\.c",
     "execv(path, argv);"),
    ("exec where only a fork is",
     r"\b(exec[lv]p?e?|execvpe|fexecve|execveat)\s*\(",
     r"(?!daemonize\.c|finisher\.c|preflight\.c|"
     r"(confine|door|looker|spawn)_linux\.c|looker_openbsd\.c|"
     r"spawn_posix\.c).*",
     "execv(path, argv);"),
    ("ids and root directory",
     r"\b(set(e|re|res|fs)?[ug]id|setgroups|initgroups|chroot|pivot_root|"
     r"capng_\w+)\s*\(",
     r"jail\w*\.c", "if (setuid(0) == -1) return;"),
    ("passwd and group",
     r"\b((get|set|end)(pw|gr)(nam|uid|gid|ent)(_r)?|getgrouplist|"
     r"(user|group)_from_[ug]id|[ug]id_from_(user|group))\s*\(",
     r"ident\.c", "getpwnam(name);"),
    ("environ",
     r"\b(__)?environ\b|\b(putenv|clearenv)\s*\(",
     r"environ\.c|sdnotify\.c", "char *const *e = environ;"),
    # log.c asks for TZ, which the C library takes from there too.
    ("getenv", r"\b((secure_)?getenv|setenv|unsetenv)\s*\(",
     r"(environ|sdnotify|log|pools|service)\.c", "x = getenv(name);"),
    ("what the loop waits by", r"\bpoller_\w+\s*\(",
     r"loop\.c|poller(_linux|_posix)?\.[ch]", "poller_remove(w);"),
    # A definition has its name in the first column.
    ("fatal after the start",
     r"[ \t(]fatal\s*\(",
     r"main\.c", "\tfatal(e);"),
    ("conditional compilation",
     r"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)\b",
     r"compat\.h|\w+_(linux|posix|none|freebsd|openbsd|netbsd|bsd)\.c",
     "#ifdef __linux__"),
    ("typedef of a structure",
     r"\btypedef\s+(struct|union|enum)\b", r"(?!)", "typedef struct x y;"),
]

CODE = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|"""
                  r"""'(?:\\.|[^'\\\n])*'""", re.DOTALL)
GUARD = re.compile(r"^#ifndef \w+_H$", re.MULTILINE)


@functools.lru_cache(maxsize=None)
def code(text):
    """The text with comments and literals blanked, lines kept."""
    return CODE.sub(lambda m: "\n" * m.group().count("\n") or "''", text)


@functools.lru_cache(maxsize=None)
def contents(path, _size, _mtime):
    with open(path, encoding="utf-8") as f:
        return f.read()


def read(tree, path):
    full = os.path.join(tree, path)
    st = os.stat(full)
    return contents(full, st.st_size, st.st_mtime_ns)


def files(tree):
    tree = os.path.join(tree, "")
    for top, dirs, names in os.walk(tree):
        dirs[:] = sorted(set(dirs) - OURS)
        for name in sorted(set(names) - OURS):
            yield os.path.join(top, name)[len(tree):]


def sources(tree):
    """(path, name, its code), of all C of spawnd/. No two have one name."""
    for path in files(tree):
        if path.startswith("spawnd/") and path.endswith((".c", ".h")):
            yield path, os.path.basename(path), code(read(tree, path))


@functools.lru_cache(maxsize=None)
def hits(pattern, text):
    """(line, what matches)."""
    return [(text.count("\n", 0, m.start()) + 1, m.group().strip())
            for m in re.finditer(pattern, text, re.MULTILINE)]


def check_layers(tree):
    for path, name, text in sources(tree):
        for rule, pattern, allowed, _ in RULES:
            if re.fullmatch(allowed, name):
                continue
            if rule == "fatal after the start" and name.endswith(".h"):
                continue
            if rule == "conditional compilation" and name.endswith(".h"):
                text = GUARD.sub("", text, count=1)
            for line, what in hits(pattern, text):
                yield rule, f"{path}:{line}: {what}"


def check_pure(tree):
    for path, name, text in sources(tree):
        if folder(path) != "pool" or not name.endswith(".c"):
            continue
        for m in re.finditer(r'#\s*include\s*[<"]([^>"]+)[>"]',
                             read(tree, path)):
            if m.group(1) not in PURE_HEADERS:
                yield "headers of the pool", f"{path}: {m.group(1)}"
        for m in re.finditer(r"\b(wait\w*|kill\w*|sig\w+|raise|random|getpid|"
                             r"arc4random\w*|abort|exit)\s*\(", text):
            yield "system calls", f"{path}: {m.group()}"


def folder(path):
    """The folder of a file within spawnd/, or the name of one above them."""
    return path.split("/")[1]


def is_public(header):
    top, name = header.split("/")
    return name == top + ".h" or header in PUBLIC


def check_includes(tree):
    for path, _, _ in sources(tree):
        for m in re.finditer(r'#\s*include\s*"([^"]+)"', read(tree, path)):
            header, own = m.group(1), folder(path)
            if "/" not in header:
                yield "headers by folder", f"{path}: {header}"
                continue
            other = header.split("/")[0]
            if other == own or header in EVERYWHERE:
                continue
            if other not in WALLS.get(own, set()):
                yield "walls", f"{path}: includes {header}"
            elif not is_public(header):
                yield "private headers", f"{path}: {header}"


def declared(tree):
    """{public function: the file that has it}."""
    names = set()
    for path, _, text in sources(tree):
        if path.endswith(".h"):
            names |= set(re.findall(r"\b([a-z]\w+)\([^;{]*\)\s*"
                                    r"(?:__attribute__[^;]*)?;", text))
            for m in re.finditer(r"^(?:slot_handler|setter|looker_answer)\s"
                                 r"([^;]*);", text, re.MULTILINE):
                names |= set(re.findall(r"\w+", m.group(1)))
    found = {}
    for path, _, text in sources(tree):
        for m in re.finditer(r"^(\w+)\([^;{]*\)\n\{", text, re.MULTILINE):
            if m.group(1) in names:
                found.setdefault(m.group(1), path)
    return found


def calls(tree):
    """(file, file that it calls, function)."""
    where = declared(tree)
    for path, _, text in sources(tree):
        if path.endswith(".c"):
            # Another system's file has functions of the same names.
            own = set(re.findall(r"^(\w+)\([^;{]*\)\n\{", text,
                                 re.MULTILINE))
            for name in sorted(set(re.findall(
                    r"(?<!struct )\b[a-z]\w+\b", text)) - own):
                if where.get(name, path) != path:
                    yield path, where[name], name


def circles(arrows):
    """The sets of files that reach each other."""
    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for other in arrows.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen
    reached = {path: reach(path) for path in arrows}
    for path in sorted(arrows):
        ring = {o for o in reached[path] if path in reached.get(o, ())}
        if ring and min(ring | {path}) == path:
            yield ring


def check_calls(tree):
    arrows = {}
    for path, other, name in calls(tree):
        own, to = folder(path), folder(other)
        arrows.setdefault(path, set()).add(other)
        if own != to and to not in WALLS.get(own, set()):
            yield "walls", f"{path}: calls {name} of {other}"
    known = [names for names, _ in CIRCLES]
    for ring in circles(arrows):
        names = {os.path.basename(path) for path in ring}
        if not any(names <= k for k in known):
            yield "circles", f"{' '.join(sorted(ring))}"


def check_names(tree):
    """A static function's name says where it is: no other file has it."""
    found = {}
    for path, _, text in sources(tree):
        for m in re.finditer(r"^static[^;={]*?\n(\w+)\([^;{]*\)\n\{", text,
                             re.MULTILINE):
            found.setdefault(m.group(1), set()).add(path)
    for name, paths in sorted(found.items()):
        if len(paths) > 1:
            yield "names", f"{name}: {' '.join(sorted(paths))}"


def check_predicates(tree):
    """What asks changes nothing that it was handed."""
    for path, _, text in sources(tree):
        for m in re.finditer(r"^((?:\w+_)?(?:is|has|may)_\w+)\(([^)]*)\)"
                             r"\n\{", text, re.MULTILINE):
            if any("*" in p and "const" not in p
                   for p in m.group(2).split(",")):
                yield "predicates", f"{path}: {m.group(1)}"


def functions(tree, paths):
    """(path, name, first line, last line) of every function."""
    out = subprocess.run(["ctags", "-x", "--_xformat=%F\t%N\t%n\t%e",
                          "--kinds-C=f", "--languages=C", "--langmap=C:+.h"] +
                         paths, cwd=tree, check=True, stdout=subprocess.PIPE,
                         encoding="utf-8").stdout
    for line in out.splitlines():
        path, name, first, last = line.split("\t")
        yield path, name, int(first), int(last)


def check_shape(tree):
    paths = [p for p in files(tree) if p.endswith((".c", ".h"))]
    for path in paths:
        n = read(tree, path).count("\n")
        most = FILE_MAX if path.endswith(".c") else HEADER_MAX
        if n > most and path.startswith("spawnd/"):
            yield "length of a file", f"{path}: {n} lines"
    for path, name, first, last in functions(tree, paths):
        if last - first + 1 > FUNCTION_MAX:
            yield ("length of a function",
                   f"{path}:{first}: {name}: {last - first + 1} lines")
        body = code(read(tree, path)).split("\n")[first - 1:last]
        labels = {}
        for i, line in enumerate(body):
            m = re.match(r" ?(\w+):$", line)
            if m and m.group(1) != "default":
                labels[m.group(1)] = i
        if len(labels) > 1:
            yield "goto", f"{path}:{first}: {name}: more than one label"
        for i, line in enumerate(body):
            m = re.search(r"\bgoto\s+(\w+)", line)
            if m and labels.get(m.group(1), i) < i:
                yield "goto", f"{path}:{first + i}: {name}: backward"


@functools.lru_cache(maxsize=None)
def lines_wrong(text, is_c):
    """(rule, line)."""
    found = []
    for i, line in enumerate(text.split("\n"), 1):
        if len(line.expandtabs(8)) > COLUMNS:
            found.append(("columns", i))
        if line != line.rstrip():
            found.append(("blanks at the end", i))
        if is_c and re.match(r"\t* {8}", line):
            found.append(("tabs", i))
    return found


def check_text(tree):
    for path in files(tree):
        if not path.endswith((".c", ".h", ".sh", ".py", "Makefile", "README")):
            continue
        for rule, i in lines_wrong(read(tree, path),
                                   path.endswith((".c", ".h"))):
            yield rule, f"{path}:{i}"


def check_tree(tree):
    for name in sorted(os.listdir(tree)):
        if not name.startswith(".") and name not in LAYOUT | MAY_BE | OURS:
            yield "layout", f"{name}: not a part of the tree"
    for name in sorted(LAYOUT - set(os.listdir(tree))):
        yield "layout", f"{name}: missing"
    for path in files(tree):
        if path.startswith("tests/fuzz/corpus/"):
            continue        # bytes, not text
        # What a program has to print, word for word, takes no such line.
        head = "\n".join(read(tree, path).split("\n")[:5])
        if not path.endswith(".argv") and path not in BARE and \
                LICENSE not in head:
            yield "license", path


PARTS = (check_layers, check_pure, check_includes, check_calls, check_names,
         check_predicates, check_shape, check_text, check_tree)


def check(tree):
    for part in PARTS:
        yield from part(tree)


def plants():
    """(rule, path, text to append) that break each rule."""
    for rule, _, _, line in RULES:
        path = "err.c"
        if rule == "exec where only a fork is":
            yield rule, "looker_linux.c", line + "\n"
            path = "daemonize.c"
        yield rule, path, line + "\n"
    yield "fork and exec", "loop.c", "\tpid = fork();\n"
    yield "conditional compilation", "pool.h", "#if 0\n#endif\n"
    yield "walls", "err.c", '#include "config/config.h"\n'
    yield ("walls", "slot.c",
           "int\nf(void)\n{\n\treturn lifecycle_run();\n}\n")
    yield "walls", "page.c", '#include "ctl/ctl.h"\n'
    yield "walls", "timeline.c", '#include "page/page.h"\n'
    yield "private headers", "actor.c", '#include "observe/linux.h"\n'
    yield "headers by folder", "err.c", '#include "base.h"\n'
    yield "circles", "path.c", "void\nf(void)\n{\n\tlog_lost(0);\n}\n"
    yield "names", "err.c", "static void\nprint_lines(void)\n{\n}\n"
    yield ("predicates", "err.c",
           "static bool\nis_x(int *p)\n{\n\treturn *p;\n}\n")
    yield ("predicates", "err.c",
           "static bool\nx_is_y(int *p)\n{\n\treturn *p;\n}\n")
    yield "headers of the pool", "pool.c", "#include <unistd.h>\n"
    yield "system calls", "pool.c", "\tkill(pid, 9);\n"
    yield ("length of a function", "err.c",
           "static void\nf(void)\n{\n" + "\tg();\n" * FUNCTION_MAX + "}\n")
    yield "length of a file", "err.c", "\n" * FILE_MAX
    yield "length of a file", "pool.h", "\n" * HEADER_MAX
    yield ("goto", "err.c",
           "static void\nf(void)\n{\nagain:\n\tgoto again;\n}\n")
    yield ("goto", "err.c", "static void\nf(void)\n{\n\tgoto a;\na:\n"
           "\tgoto b;\nb:\n\treturn;\n}\n")
    yield "columns", "err.c", "/* " + "x" * COLUMNS + " */\n"
    yield "blanks at the end", "err.c", "int x; \n"
    yield "tabs", "err.c", "        int x;\n"
    yield "layout", "misc.txt", LICENSE + "\n"
    yield "license", "tests/planted.c", "int x;\n"


def is_found(copy, rule, path, known):
    """check() is lazy: it goes no further than to the part that has it."""
    return any(r == rule and path in what and (r, what) not in known
               for r, what in check(copy))


def self_test(tree):
    status = 0
    with tempfile.TemporaryDirectory() as tmp:
        copy = os.path.join(tmp, "tree")
        shutil.copytree(tree, copy, ignore=shutil.ignore_patterns(*OURS))
        known = set(check(copy))
        where = {os.path.basename(p): p for p in files(copy)
                 if p.startswith("spawnd/")}
        for rule, path, text in plants():
            path = where.get(path, path)
            full = os.path.join(copy, path)
            old = read(copy, path) if os.path.exists(full) else None
            with open(full, "a", encoding="utf-8") as f:
                f.write(text)
            if not is_found(copy, rule, path, known):
                print(f"{rule}: not found when planted in {path}")
                status = 1
            if old is None:
                os.unlink(full)
            else:
                with open(full, "w", encoding="utf-8") as f:
                    f.write(old)
        os.unlink(os.path.join(copy, "LICENSE"))
        if not is_found(copy, "layout", "LICENSE: missing", known):
            print("layout: not found when LICENSE is missing")
            status = 1
    return status


def main():
    if sys.argv[1] == "--self-test":
        sys.exit(self_test(sys.argv[2]))
    found = list(check(sys.argv[1]))
    for rule, what in found:
        print(f"{what}: {rule}")
    sys.exit(1 if found else 0)


main()
