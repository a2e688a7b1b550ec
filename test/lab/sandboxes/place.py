# SPDX-License-Identifier: Apache-2.0
"""Where a sandbox's files are, whether its QEMU runs, and its end.

These modules import little: inside L1 every import costs a tenth of a second.
"""

import os
import select
import signal


class LabError(Exception):
    """The lab's own failure; the text says what and where."""


class UsageError(Exception):
    """Wrong words on the command line."""


def root():
    return os.environ.get("LAB_SANDBOX_DIR", "/run/lab/sandboxes")


def folder(name):
    if not name[:1].isalnum() or not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise UsageError(f"{name!r} is no sandbox id: letters, digits and _.- only")
    return os.path.join(root(), name)


def existing(name):
    where = folder(name)
    if not os.path.isdir(where):
        raise LabError(f"no sandbox {name} ({where} is not there)")
    return where


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read().replace("\r", "").replace("\0", "")
    except FileNotFoundError:
        return ""


def last_words(where):
    """What a sandbox said so far, for an error message."""
    words = ""
    for name in ("qemu.log", "console.log"):
        lines = read(os.path.join(where, name)).splitlines()[-15:]
        words += f"\n{where}/{name}, its end:\n" + "".join(f"    {line}\n" for line in lines)
    return words


def open_process(where):
    """A pidfd of the sandbox's QEMU, or None when it is gone."""
    try:
        pid = int(read(os.path.join(where, "pid")) or 0)
        if pid == 0:
            return None
        descriptor = os.pidfd_open(pid)
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read()
    except (ProcessLookupError, FileNotFoundError):
        return None
    # The number may have passed on to another process; a zombie has no words.
    if os.fsencode(where + "/console.log") not in words:
        os.close(descriptor)
        return None
    return descriptor


def end(where):
    """Kill the sandbox's QEMU, wait until it is gone, remove its folder."""
    process = open_process(where)
    if process is not None:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [])
        os.close(process)
    for name in os.listdir(where):
        os.unlink(os.path.join(where, name))
    os.rmdir(where)
