# SPDX-License-Identifier: Apache-2.0
"""A bare QMP client for the lab's own checks: one command at a time, events kept.

Independent of the software under test on purpose.
"""

import json
import socket


class QmpError(Exception):
    """QEMU answered with an error, or closed the connection."""


class Qmp:
    def __init__(self, path, timeout=60.0):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.events = []
        self.greeting = self._read()["QMP"]
        self.command("qmp_capabilities")

    def close(self):
        self.lines.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        line = self.lines.readline()
        if not line:
            raise QmpError("QEMU closed the connection")
        return json.loads(line)

    def command(self, name, **arguments):
        """The command's `return`; events that come first are kept."""
        request = {"execute": name, "arguments": arguments}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self._read()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpError(f"{name}: {message['error']['class']}: {message['error']['desc']}")
            else:
                return message["return"]

    def wait_event(self, name, **data):
        """The first event of that name whose data holds `data`, kept or to come."""
        while True:
            for event in self.events:
                held = event.get("data", {})
                if event["event"] == name and all(held.get(k) == v for k, v in data.items()):
                    self.events.remove(event)
                    return event
            self.events.append(self._read())
