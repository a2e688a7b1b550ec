# SPDX-License-Identifier: Apache-2.0
"""The rate of this machine's time stamp counter, which QEMU's TCG passes on as it is."""

import ctypes
import mmap
import time

# rdtsc; shl rdx, 32; or rax, rdx; ret
READ_TSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")


def khz(seconds=0.1):
    """Measured against the monotonic clock; right to 1e-4 also on a busy machine, as the two are
    read together and the closest of several readings counts."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(READ_TSC)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def together():
        best = None
        for _ in range(50):
            before = time.monotonic_ns()
            ticks = read()
            after = time.monotonic_ns()
            if best is None or after - before < best[0]:
                best = (after - before, (before + after) // 2, ticks)
        return best[1:]

    from_ns, from_ticks = together()
    time.sleep(seconds)  # the passing of time is what is measured
    to_ns, to_ticks = together()
    return round((to_ticks - from_ticks) * 1_000_000 / (to_ns - from_ns))
