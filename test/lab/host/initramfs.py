# SPDX-License-Identifier: Apache-2.0
"""Write a cpio archive (newc) to append to an initramfs.

The kernel unpacks archives that follow one another, each starting on four bytes
(Documentation/driver-api/early-userspace/buffer-format.rst).
"""


def _entry(name, mode, data):
    encoded = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % value for value in fields) + encoded
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def archive(folders, files):
    """The archive of `folders` (names) and `files` ({name: (mode, bytes)})."""
    entries = [_entry(name, 0o040755, b"") for name in folders]
    entries += [_entry(name, 0o100000 | mode, data) for name, (mode, data) in files.items()]
    return b"".join(entries) + _entry("TRAILER!!!", 0, b"")
