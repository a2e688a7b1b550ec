# SPDX-License-Identifier: Apache-2.0
"""Run a script in a sandbox's guest; the protocol is that of l2/agent."""

import binascii
import fcntl
import os
import select
import time

from place import LabError, last_words, open_process


class Port:
    """The host's end of the guest's port, for one request at a time."""

    def __init__(self, where, process, deadline):
        self.where = where
        self.process = process
        self.deadline = deadline
        # QEMU holds both ends of both pipes: opening does not block.
        self.sink = os.open(os.path.join(where, "agent.in"), os.O_WRONLY)
        self.source = os.open(os.path.join(where, "agent.out"), os.O_RDONLY | os.O_NONBLOCK)
        self.received = bytearray()

    def more(self):
        left = max(self.deadline - time.monotonic(), 0)
        ready, _, _ = select.select([self.source, self.process], [], [], left)
        if self.process in ready:
            raise LabError(f"the sandbox's QEMU ended{last_words(self.where)}")
        if not ready:
            raise LabError(f"no answer from the guest in time{last_words(self.where)}")
        self.received += os.read(self.source, 1 << 16)

    def exchange(self, nonce, request):
        os.write(self.sink, request)
        # Whatever comes before our nonce answers a request whose sender was killed.
        mark = f"reply {nonce} ".encode()
        while (at := self.received.find(mark)) < 0 or self.received.find(b"\n", at) < 0:
            self.more()
        head = self.received[at + len(mark) : self.received.index(b"\n", at)]
        body = at + len(mark) + len(head) + 1
        status, out_length, err_length = (int(number) for number in head.split())
        while len(self.received) < body + out_length + err_length:
            self.more()
        out_end = body + out_length
        return status, bytes(self.received[body:out_end]), bytes(self.received[out_end : out_end + err_length])


def talk(where, script, guest_seconds, wait_seconds):
    """(status, stdout, stderr) of `script`; the guest kills it after guest_seconds."""
    process = open_process(where)
    if process is None:
        raise LabError(f"the sandbox's QEMU is not running{last_words(where)}")
    deadline = time.monotonic() + wait_seconds
    nonce = os.urandom(8).hex()
    words = binascii.b2a_base64(script.encode(), newline=False).decode()
    with open(os.path.join(where, "agent.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return Port(where, process, deadline).exchange(nonce, f"{nonce} {guest_seconds} {words}\n".encode())
