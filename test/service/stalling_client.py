#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of kata-vfiod whose messages never end: many streams of one connection, each with a message that is
sent but for its last byte. HTTP/2 by hand, as no library of gRPC does this.
Usage: stalling_client.py SOCKET STREAMS BYTES
Prints how many bytes were taken of it, and of how many streams the server said that they are over, once nothing
moves for a second or the server has closed the connection."""
import select
import socket
import struct
import sys

DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
ACK, END_HEADERS = 1, 4
SETTINGS_INITIAL_WINDOW_SIZE = 4
FRAME = 16384


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header(name, value):  # HPACK: literal, not indexed
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


path, streams, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connection = socket.socket(socket.AF_UNIX)
connection.connect(path)
headers = b"".join(
    header(*each)
    for each in (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/kata_vfio.v1.Devices/List"),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    )
)
initial = room = 65535
window = {}
rest = {}
out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
for stream in range(1, 2 * streams, 2):
    out += frame(HEADERS, END_HEADERS, stream, headers)
    window[stream] = initial
    rest[stream] = 5 + size - 1
whole = 5 + size - 1
connection.setblocking(False)
taken = over = 0
received = b""
while True:
    for stream in list(rest):
        if len(out) > 1 << 20:
            break
        n = min(room, window[stream], rest[stream], FRAME)
        if n <= 0:
            continue
        payload = bytes(n)
        if rest[stream] == whole:
            payload = struct.pack(">BI", 0, size) + payload[5:]
        out += frame(DATA, 0, stream, payload)
        room -= n
        window[stream] -= n
        rest[stream] -= n
        taken += n
    readable, writable, _ = select.select([connection], [connection] if out else [], [], 1)
    if not readable and not writable:
        break
    try:
        if writable:
            out = out[connection.send(out) :]
        if readable:
            got = connection.recv(1 << 20)
            if not got:
                break
            received += got
    except BlockingIOError:
        continue
    except OSError:
        break
    while len(received) >= 9:
        length = int.from_bytes(received[:3], "big")
        if len(received) < 9 + length:
            break
        kind, flags = received[3], received[4]
        stream = int.from_bytes(received[5:9], "big") & 0x7FFFFFFF
        payload = received[9 : 9 + length]
        received = received[9 + length :]
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == SETTINGS_INITIAL_WINDOW_SIZE:
                    window = {each: w + value - initial for each, w in window.items()}
                    initial = value
            out += frame(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            out += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            if stream == 0:
                room += struct.unpack(">I", payload)[0]
            elif stream in window:
                window[stream] += struct.unpack(">I", payload)[0]
        elif kind in (RST_STREAM, HEADERS) and rest.pop(stream, None) is not None:
            over += 1
print(taken, over)
