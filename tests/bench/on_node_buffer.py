"""Runs on the apps node: how long the buffer takes for a group of readings, FULL and NORMAL in turns.

Input: one line {"rounds", "groups": {size: groups a round}}.
Output: {size: {"FULL": [seconds a group, a round each], "NORMAL": […]}}.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from millrace_common.buffer import Buffer, BufferSettings

GO = threading.Event()
given = json.loads(sys.stdin.readline())
found: dict[str, dict[str, list[float]]] = {
    size: {level: [] for level in ("FULL", "NORMAL")} for size in given["groups"]
}
# On the disk that the buffer is on; /tmp may be memory.
with TemporaryDirectory(dir="/var/tmp") as folder:
    for number in range(given["rounds"]):
        for size, groups in given["groups"].items():
            for level in found[size]:
                path = Path(folder) / f"{number}-{size}-{level}"
                messages = [(b"temperature-%d" % i, b"x" * 120) for i in range(int(size))]
                with Buffer(BufferSettings(str(path), synchronous=level)) as buffer:  # type: ignore[arg-type] # one of two
                    buffer.put("warm", messages, GO)
                    begin = time.monotonic()
                    for _ in range(groups):
                        buffer.put("bench", messages, GO)
                    found[size][level].append((time.monotonic() - begin) / groups)
sys.stdout.write(json.dumps(found) + "\n")
