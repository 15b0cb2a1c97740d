# SPDX-License-Identifier: ISC
"""The systemd units, as an installation fills them in."""

import os
import re

_scripts = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "scripts")

DEFAULTS = {
    "SBINDIR": "/usr/sbin", "BINDIR": "/usr/bin", "LIBEXECDIR": "/usr/libexec",
    "SYSCONFDIR": "/etc", "RUNDIR": "/run",
    "WEBUSER": "www-data", "APPUSER": "www-data",
}


def fill(text, **values):
    """Puts the values of an installation for @NAME@."""
    known = {**DEFAULTS, **values}
    return re.sub(r"@([A-Z]+)@", lambda m: known.get(m[1], m[0]), text)


def _copy(name, path, values):
    with open(f"{_scripts}/systemd/{name}") as f:
        text = fill(f.read(), **values)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def install(directory, sbindir="/usr/sbin", **values):
    for name in ("spawnd@.service", "spawnd@.socket"):
        _copy(name, f"{directory}/{name}", {"SBINDIR": sbindir, **values})


def jail(directory, pool, **values):
    """The drop-in for -c and -u, for one pool."""
    _copy("jail.conf", f"{directory}/spawnd@{pool}.service.d/jail.conf",
          values)
