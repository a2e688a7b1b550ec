#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""bare_boot.py PID INITRD: boots what QEMU of that process booted, with the same machine, kernel and
parameters, but INITRD, and nobody at its monitors and its port. Prints the seconds until it has ended."""

import subprocess
import sys
import tempfile
import time


def command(pid, initrd, share):
    with open(f"/proc/{pid}/cmdline") as file:
        words = file.read().split("\0")[:-1]
    done = []
    while words:
        word = words.pop(0)
        value = words[0] if words else ""
        if word == "-mon" or (word == "-chardev" and "id=agent" not in value):
            words.pop(0)
        elif word == "-chardev":
            done += [word, "null,id=agent"]
            words.pop(0)
        elif word == "-initrd":
            done += [word, initrd]
            words.pop(0)
        elif word == "-fsdev":
            done += [word, f"local,id=share,path={share},security_model=none,multidevs=remap"]
            words.pop(0)
        else:
            done.append(word)
    return done


def main(words):
    if len(words) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as share:
        line = command(words[0], words[1], share)
        begun = time.monotonic()
        subprocess.run(line, check=True, timeout=200)
        print(f"{time.monotonic() - begun:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
