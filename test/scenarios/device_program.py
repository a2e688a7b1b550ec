#!/usr/bin/python3 -IS
# SPDX-License-Identifier: Apache-2.0
"""Device programs on a cgroup of version 2, loaded by bpf(2) as a runtime does it.

    device_program.py attach CGROUP NAME KIND [MAJOR:MINOR]
    device_program.py detach CGROUP        all that are attached to it

KIND: deny (that device, all others allowed; MINOR may be *), only (that device alone), nothing
(all denied), calls-allow and calls-deny (calls a helper, then allows or denies everything).
"""

import ctypes
import os
import struct
import sys

SYS_BPF = 321  # x86-64
LOAD, ATTACH, DETACH, FD_BY_ID, QUERY = 5, 8, 9, 13, 16  # enum bpf_cmd
CGROUP_DEVICE_PROGRAM, CGROUP_DEVICE, ALLOW_MULTI = 15, 6, 2
HELPER_UID = 15  # bpf_get_current_uid_gid

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(SYS_BPF, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return result, buffer.raw


def instruction(code, to=0, source=0, offset=0, value=0):
    return struct.pack("<BBhi", code, source << 4 | to, offset, value)


def leave(value):
    return instruction(0xB4, 0, value=value) + instruction(0x95)


def program(kind, device):
    if kind == "nothing":
        return leave(0)
    if kind.startswith("calls-"):
        return instruction(0x85, value=HELPER_UID) + leave(kind == "calls-allow")
    major, minor = device.split(":")
    matched, otherwise = (0, 1) if kind == "deny" else (1, 0)
    # As runc has it: type to r2, major to r4, minor to r5.
    head = instruction(0x69, 2, 1, 0) + instruction(0x61, 4, 1, 4) + instruction(0x61, 5, 1, 8)
    tests = [(2, 2), (4, int(major))] + ([] if minor == "*" else [(5, int(minor))])
    body = b""
    for left, (register, value) in zip(range(len(tests) - 1, -1, -1), tests):
        body += instruction(0x55, register, offset=left + 2, value=value)
    return head + body + leave(matched) + leave(otherwise)


def attach(cgroup, name, kind, device):
    code = ctypes.create_string_buffer(program(kind, device))
    license_text = ctypes.create_string_buffer(b"Apache-2.0")
    load = struct.pack(
        "<IIQQIIQII16sII", CGROUP_DEVICE_PROGRAM, (len(code) - 1) // 8, ctypes.addressof(code),
        ctypes.addressof(license_text), 0, 0, 0, 0, 0, name.encode(), 0, CGROUP_DEVICE)  # fmt: skip
    loaded, _ = bpf(LOAD, load)
    bpf(ATTACH, struct.pack("<IIII", cgroup, loaded, CGROUP_DEVICE, ALLOW_MULTI))


def detach(cgroup):
    ids = (ctypes.c_uint32 * 64)()
    query = struct.pack("<IIIIQI", cgroup, CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), 64)
    count = struct.unpack_from("<I", bpf(QUERY, query)[1], 24)[0]
    for number in ids[:count]:
        found, _ = bpf(FD_BY_ID, struct.pack("<I", number))
        bpf(DETACH, struct.pack("<IIII", cgroup, found, CGROUP_DEVICE, 0))


def main(words):
    cgroup = os.open(words[1], os.O_RDONLY | os.O_DIRECTORY)
    if words[0] == "attach":
        attach(cgroup, words[2], words[3], words[4] if len(words) > 4 else "")
    else:
        detach(cgroup)


main(sys.argv[1:])
