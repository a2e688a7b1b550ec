#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The round trip of query-status by qemu.qmp, QEMU's own Python client: SOCKET COUNT -> JSON."""

import asyncio
import json
import sys
import time

from qemu.qmp import QMPClient


async def main(path, count):
    client = QMPClient("bench")
    await client.connect(path)
    times = []
    cpu = time.process_time()
    for _ in range(count):
        began = time.perf_counter()
        await client.execute("query-status")
        times.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    await client.disconnect()
    times.sort()
    print(json.dumps({"p50_us": times[count // 2] * 1e6, "p99_us": times[count * 99 // 100] * 1e6,
                      "cpu_us": cpu / count * 1e6}))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
