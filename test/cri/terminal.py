#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""terminal.py WORD ROWS COLUMNS CMD...: runs CMD on a terminal of 24 rows and 80 columns of its own, prints
what comes from it, and gives it that other size once WORD has come. Its exit status is CMD's."""

import fcntl
import os
import pty
import struct
import sys
import termios


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main(words):
    if len(words) < 4:
        sys.exit(__doc__)
    awaited, size, command = words[0].encode(), [int(word) for word in words[1:3]], words[3:]
    child, terminal = pty.fork()
    if child == 0:
        resize(0, 24, 80)
        os.execvp(command[0], command)
    came = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # EIO: its last process has closed it
            break
        if not part:
            break
        os.write(1, part)
        if awaited not in came and awaited in came + part:
            resize(terminal, *size)
        came += part
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
