# SPDX-License-Identifier: ISC
"""
What is in the images of containers, as directories.

    entry(word)         the words of an instruction of Containerfile.static
    static(place)       what that file puts into its image, built of the objects
                        that are there; returns where
    dynamic(root, ...)  programs and their libraries
"""

import glob
import os
import re
import shutil
import subprocess

import harness as h

FILE = f"{h._top}/scripts/container/Containerfile.static"


def _text():
    with open(FILE, encoding="ascii") as f:
        return f.read().replace("\\\n", "")


def entry(word):
    [found] = re.findall(rf"^{word} \[(.*)\]$", _text(), re.MULTILINE)
    return [x.strip('"') for x in re.split(", *", found)]


def static(place):
    src, root = f"{place}/src", f"{place}/root"
    objects = os.path.dirname(h.SPAWND) + "/obj"
    os.makedirs(f"{src}/build/obj")
    for name in ("Makefile", "spawnd", "tests"):
        os.symlink(f"{h._top}/{name}", f"{src}/{name}")
    for path in glob.glob(f"{objects}/*.o") + glob.glob(f"{objects}/*.o.d"):
        shutil.copy2(path, f"{src}/build/obj")
    # Its commands, for the sources in /src.
    commands = re.findall(r"^RUN (.*)$", _text(), re.MULTILINE)[-1]
    done = subprocess.run(["sh", "-ec", commands.replace("/src", src)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done
    for name in ("build/spawnd", "build/spawnctl", "app"):
        h.install(f"{src}/{name}", f"{root}/{os.path.basename(name)}")
    return root


def dynamic(root, *programs):
    for program in programs:
        said = subprocess.run(["ldd", program], capture_output=True, text=True,
                              check=True).stdout
        for path in [program, *re.findall(r"(/\S+) \(0x", said)]:
            h.install(os.path.realpath(path), root + path)
