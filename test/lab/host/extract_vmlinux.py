# SPDX-License-Identifier: Apache-2.0
"""Unpack the ELF kernel out of a bzImage: extract_vmlinux.py BZIMAGE ELF.

QEMU enters the ELF through its PVH note, so the guest does not spend three
seconds of emulated time on decompressing itself. Offsets are those of
Documentation/x86/boot.rst: setup_sects 0x1f1, payload_offset 0x248,
payload_length 0x24c.
"""

import lzma
import struct
import sys


def main(source, target):
    with open(source, "rb") as file:
        image = file.read()
    if image[0x202:0x206] != b"HdrS":
        raise SystemExit(f"{source}: no Linux boot header (HdrS) at 0x202")
    real_mode = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[real_mode + offset : real_mode + offset + length]
    if payload[:6] != b"\xfd7zXZ\0":
        raise SystemExit(f"{source}: kernel payload is not xz (starts with {payload[:6].hex()})")
    # The last four bytes of the payload are its unpacked size, not xz data.
    elf = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    if elf[:4] != b"\x7fELF":
        raise SystemExit(f"{source}: unpacked payload is no ELF file")
    with open(target, "wb") as file:
        file.write(elf)


if __name__ == "__main__":
    main(*sys.argv[1:])
