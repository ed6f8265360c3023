# ruff: noqa: INP001 - a script for standard input, part of no package
"""Runs a command and tells in which packets of which TCP port a text was to be read meanwhile (needs root).

usage: listen.py INTERFACE TEXT COMMAND...
Prints {port: {"bytes": payload seen from or to it, "readable": whether the text stood in it}}.
"""

import json
import socket
import subprocess
import sys
import threading
from collections import defaultdict

ETHERNET, ANY_PROTOCOL, TCP = 14, 3, 6


def payload(frame: bytes) -> tuple[int, int, bytes] | None:
    """Return the ports and the content of an IPv4 TCP packet, nothing for any other."""
    if frame[12:14] != b"\x08\x00" or frame[ETHERNET + 9] != TCP:
        return None
    packet = frame[ETHERNET : ETHERNET + int.from_bytes(frame[16:18], "big")]
    segment = packet[(packet[0] & 15) * 4 :]
    content = segment[(segment[12] >> 4) * 4 :]
    return int.from_bytes(segment[:2], "big"), int.from_bytes(segment[2:4], "big"), content


def listen(interface: str, streams: dict[tuple[int, int], bytearray], done: threading.Event) -> None:
    """Collect what passes, by source and target port, until told to stop and nothing is left to read.

    The kernel holds back some 200 kB at most and drops what is more, so on a busy machine a part is missing.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ANY_PROTOCOL)) as tap:
        tap.bind((interface, 0))
        tap.settimeout(0.5)
        while True:
            try:
                seen = payload(tap.recv(65536))
            except TimeoutError:
                if done.is_set():
                    return
                continue
            if seen:
                streams[seen[0], seen[1]] += seen[2]


def main() -> int:
    """Listen while the command runs, which must succeed."""
    interface, text, *command = sys.argv[1:]
    streams: dict[tuple[int, int], bytearray] = defaultdict(bytearray)
    done = threading.Event()
    listener = threading.Thread(target=listen, args=(interface, streams, done))
    listener.start()
    try:
        subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - the scenario's own words
    finally:
        done.set()
        listener.join()
    ports = {
        port: {"bytes": sum(map(len, contents)), "readable": any(text.encode() in one for one in contents)}
        for port in {port for pair in streams for port in pair}
        if (contents := [content for pair, content in streams.items() if port in pair])
    }
    json.dump(ports, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
