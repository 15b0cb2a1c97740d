#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
usage: format.py FILE...

Compares C files with what clang-format makes of them, and prints where they
differ. clang-format cannot leave KNF's tab-aligned members and tables alone,
nor agree on where a long line continues. So blanks within a line count as
one, and what stands in parentheses or in an initialiser is compared as one
line: indentation, braces, spaces around everything and one statement a line
are held.
"""

import difflib
import re
import subprocess
import sys

QUIET = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|"""
                   r"""'(?:\\.|[^'\\])*'""", re.DOTALL)
MORE = re.compile(r"(?:[=?+\-*/|&,<>]|\breturn|\bcase .*[^:])$")

# Names in C that clang-format would take for C++.
CXX = re.compile(r"\b(catch|class|delete|new|this|throw|try)\b")


def code(text):
    """The text without comments and contents of literals, same lines."""
    def blank(match):
        s = match.group()
        if s[0] in "\"'":
            return s[0] + s[0]
        return "\n" * s.count("\n")
    return QUIET.sub(blank, text)


def logical(text):
    """The lines, each with all that continues it."""
    lines = []
    depth = 0           # of parentheses
    table = 0           # of braces, within an initialiser
    goes_on = False
    for line, bare in zip(text.split("\n"), code(text).split("\n")):
        bare = bare.strip()
        indent = re.match(r"[ \t]*", line).group().expandtabs(8)
        words = " ".join(line.rstrip("\\").split())
        if not bare:
            indent = ""         # a comment may stand where it reads best
        if goes_on or bare.startswith(('"', "__attribute__")):
            lines[-1] += " " + words
        else:
            lines.append(indent + words)
        for i, c in enumerate(bare):
            if c in "(":
                depth += 1
            elif c in ")":
                depth -= 1
            elif c == "{" and (table or depth or
                               re.search(r"[=\])]\s*$", bare[:i]) and
                               "=" in bare[:i]):
                table += 1
            elif c == "}" and table:
                table -= 1
        if bare.startswith("#") and not bare.endswith("\\"):
            depth = table = goes_on = 0
        elif bare:
            goes_on = (depth > 0 or table or bare.endswith("\\") or
                       MORE.search(bare) or
                       (bare.endswith(":") and "?" in code(lines[-1])))
    # A bracket's padding at a line's end is not a matter of style.
    return [re.sub(r"([({]) | (?=[)}])", r"\1", s.rstrip(" "))
            .replace(",}", "}").replace("-> ", "->")
            for s in lines]


def differences(path):
    with open(path, encoding="utf-8") as f:
        text = CXX.sub(r"\1_", f.read())
    wanted = subprocess.run(["clang-format", "--style=file",
                             "--assume-filename=" + path], input=text,
                            check=True, stdout=subprocess.PIPE,
                            encoding="utf-8").stdout
    return list(difflib.unified_diff(logical(text), logical(wanted), path,
                                     "clang-format", n=0, lineterm=""))


def main():
    status = 0
    for path in sys.argv[1:]:
        diff = differences(path)
        if diff:
            print("\n".join(diff))
            status = 1
    sys.exit(status)


main()
