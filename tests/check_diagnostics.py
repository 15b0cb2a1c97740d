#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
usage: check_diagnostics.py [--list]

Every message that spawnd-diagnostics(7) quotes is in the sources, with the
exit status that it has there. In the other direction, every warning of the
daemon is in the manual, unless SAYS_IT_ALL has it; errors need not be.

In the sources a message is the format of a call in CALLS; any other string
may be a part of one. In the manual a message or a part is the head of an item
below DIAGNOSTICS, and items without a text share that of the next. What .Dq
quotes has to be in some message. Both are compared with a "%" for what
varies; the letter of an option varies, as messages call an option what it was
typed as.
"""

import glob
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MANUAL = os.path.join(TOP, "man", "spawnd-diagnostics.7")

# Which argument is the format, and which the exit status.
CALLS = {
    "err_set": (2, 1),
    "findings_add": (3, 2),
    "log_warn": (0, None),
    "log_info": (0, None),
}
STATUS = {
    "EX_USAGE": 64, "EX_NOINPUT": 66, "EX_NOUSER": 67, "EX_UNAVAILABLE": 69,
    "EX_OSERR": 71, "EX_CANTCREAT": 73, "EX_IOERR": 74, "EX_NOPERM": 77,
    "EX_CONFIG": 78,
}

# Warnings that name their cause and cure themselves, as the manual would.
SAYS_IT_ALL = {
    # A reason of its own stands before these.
    "% (no control sockets%s)",
    "% (exiting with status %d so that the service manager restarts spawnd)",
    "start: %s",
    # Of a resource.
    "backlog: %d: the system cuts it to %d (raise net.core.somaxconn)",
    "loop: failed: %s",
    "name: %s: in use by %s, this pool is called %s%s",
    "orphans: dead workers left %u more processes than the %d that can be "
    "stopped at once (the rest wait)",
    "worker %d: stopped: not ready within %d s%s",
    # Of a bug.
    "pool: an action was dropped: too many were queued (a bug: please report "
    "it)",
    "pool: event %s came while actions were left (a bug: please report it)",
    "pool: slot %u: event %s cannot happen in state %s and is ignored (a bug: "
    "please report it)",
}

TOKEN = re.compile(r"""
    (?P<skip>\s+|/\*.*?\*/|//[^\n]*|^\s*\#\s*include[^\n]*)
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<char>'(?:\\.|[^'\\\n])*')
  | (?P<name>[A-Za-z_]\w*)
  | (?P<other>.)
""", re.VERBOSE | re.DOTALL | re.MULTILINE)
CONVERSION = re.compile(r"%[-+ #0]*(\*|\d+)?(\.(\*|\d+))?"
                        r"(hh|h|ll|l|z|j)?[diouxXcsp]")


def squeeze(text):
    """Blanks as one, and none around what varies: it may be nothing."""
    text = re.sub(r"(?<![^\s(])-[A-Za-z](?![\w-])", "%", text)
    return re.sub(r"(\s*%)+\s*", "%", re.sub(r"\s+", " ", text)).strip()


def normal(text):
    """What varies as one %."""
    return squeeze(CONVERSION.sub("%", text))


def read_macros():
    """The #define'd strings, which may stand between two literals."""
    macros = {"PRIu64": "llu"}
    for path in glob.glob(os.path.join(TOP, "spawnd/**/*.[ch]"),
                          recursive=True):
        with open(path, encoding="utf-8") as f:
            for m in re.finditer(r'^#define\s+(\w+)\s+"([^"]*)"$', f.read(),
                                 re.MULTILINE):
                macros[m.group(1)] = m.group(2)
    return macros


def tokens(path, macros):
    """(kind, text) with adjacent literals joined."""
    out = []
    with open(path, encoding="utf-8") as f:
        source = f.read()
    for m in TOKEN.finditer(source):
        kind, text = m.lastgroup, m.group()
        if kind == "skip":
            continue
        if kind == "string":
            text = text[1:-1].encode().decode("unicode_escape")
        if kind == "name" and text in macros:
            kind, text = "string", macros[text]
        if kind == "string" and out and out[-1][0] == "string":
            out[-1] = ("string", out[-1][1] + text)
        else:
            out.append((kind, text))
    return out


def call_strings(toks):
    """For each string: the calls it is in, innermost last, and where."""
    stack = []
    for i, (kind, text) in enumerate(toks):
        if text == "(" and kind == "other":
            name = toks[i - 1][1] if toks[i - 1][0] == "name" else ""
            stack.append([name, 0, i])
        elif text == ")" and kind == "other" and stack:
            stack.pop()
        elif text == "," and kind == "other" and stack:
            stack[-1][1] += 1
        elif text == "{" and kind == "other":
            stack.append(["", 0, i])
        elif text == "}" and kind == "other" and stack:
            stack.pop()
        elif kind == "string":
            yield text, [tuple(s) for s in stack]


def find_status(toks, start, index):
    """The exit statuses in an argument; None if it is not written out."""
    depth, arg, names, every = 0, 0, [], []
    for kind, text in toks[start:]:
        if kind == "other" and text == "(":
            depth += 1
        elif kind == "other" and text == ")":
            depth -= 1
            if depth == 0:
                break
        elif kind == "other" and text == "," and depth == 1:
            arg += 1
        else:
            every.append(text)
            if arg == index:
                names.append(text)
    if "FINDING_WARNING" in every and "FINDING_ERROR" not in every:
        return set()
    found = {STATUS[n] for n in names if n in STATUS}
    if "err_status" in names:
        found.add(STATUS["EX_NOPERM"])
    return found


def read_sources():
    """{message: statuses}, {part: file} and the warnings of the daemon."""
    macros = read_macros()
    messages, parts, warnings = {}, {}, set()
    for path in sorted(glob.glob(os.path.join(TOP, "spawnd/**/*.c"),
                                 recursive=True)):
        base = os.path.basename(path)
        toks = tokens(path, macros)
        for text, calls in call_strings(toks):
            name, arg, start = calls[-1] if calls else ("", 0, 0)
            key = normal(text)
            if not re.search("[A-Za-z]", key):
                continue
            if name in CALLS and arg == CALLS[name][0]:
                index = CALLS[name][1]
                status = set() if index is None else \
                    find_status(toks, start, index)
                messages.setdefault(key, set()).update(status)
                if name == "log_warn":
                    warnings.add(key)
            else:
                parts.setdefault(key, base)
    return messages, parts, warnings


def words(line):
    """The arguments of a macro line: (text, quoted)."""
    for m in re.finditer(r'"((?:[^"\\]|\\.)*)"|(\S+)', line):
        if m.group(1) is not None:
            yield m.group(1), True
        else:
            yield m.group(2), False


def head(line):
    """The text of an .It or .Dq line that has only Ar, No and Ns."""
    out, glue, macro = "", True, ""
    for text, quoted in words(line):
        if not quoted and text in ("Ar", "No", "Ns"):
            if text == "Ns":
                glue = True
            else:
                macro = text
            continue
        text = re.sub(r"\\&|\\(?=-)", "", text).replace(r"\e", "\\")
        if not quoted and re.fullmatch(r"[:,.;)]+", text):
            glue = True
        elif macro == "Ar":
            text = "%"
        out += text if glue or not out else " " + text
        glue = not quoted and text == "("
    return squeeze(out)


def read_manual():
    """{head: statuses}, the quoted texts, and what is wrong in itself."""
    heads, waiting, quotes, errors, lines = {}, [], [], [], set()
    inside = False
    with open(MANUAL, encoding="utf-8") as f:
        for line in f.read().split("\n"):
            if line.startswith(".Sh "):
                inside = line == ".Sh DIAGNOSTICS"
            elif line.startswith(".It ") and inside:
                text = head(line[4:])
                if line in lines:
                    errors.append("%s: twice in the manual" % text)
                lines.add(line)
                heads.setdefault(text, set())
                waiting.append(text)
            elif line and waiting and not line.startswith((".El", ".Bl")):
                m = re.match(r"\[([0-9, ]+)\]", line)
                status = {int(n) for n in m.group(1).split(",")} if m \
                    else set()
                for text in waiting:
                    heads[text] = heads[text] | status
                waiting = []
            if line.startswith(".Dq "):
                quotes.append(re.sub(r"[.,;:]$", "", head(line[4:])))
    return heads, quotes, errors


def check():
    messages, parts, warnings = read_sources()
    heads, quotes, errors = read_manual()
    everything = " | ".join([*messages, *parts])
    if len(messages) < 100:
        errors.append("only %d messages found" % len(messages))
    for text, status in sorted(heads.items()):
        if text not in messages and text not in parts:
            errors.append("%s: not in the sources" % text)
        elif messages.get(text) and messages[text] != status:
            errors.append("%s: status %s in the manual, %s in the sources" %
                          (text, sorted(status), sorted(messages[text])))
    plain = {normal(text) for text in SAYS_IT_ALL}
    for text in sorted(warnings - set(heads) - plain):
        errors.append("%s: a warning that is not in the manual" % text)
    for text in sorted(plain & set(heads) | plain - warnings):
        errors.append("%s: need not be in SAYS_IT_ALL" % text)
    for text in quotes:
        if text not in everything:
            errors.append("%s: quoted, but not in the sources" % text)
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


def main():
    if sys.argv[1:] == ["--list"]:
        messages, parts, _ = read_sources()
        for text, status in messages.items():
            print(sorted(status), text)
        for text, base in parts.items():
            print(base, text)
        return 0
    return check()


if __name__ == "__main__":
    sys.exit(main())
