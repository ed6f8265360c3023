"""Runs on the database node as postgres: watches a topic's rows of the ledger, and can hold the job.

Input: a line {"database", "topic", "interval", "hold"}, then, where it held, a line "release"; the end of the
input ends it. Output: a line [seconds since 1970, partition, next offset] for what it found at the beginning,
the line "watching", and then a line for each change, stamped after it was seen.

To hold is to keep the ledger's rows locked: the job's next batch waits for them, as a task waits for one that
came before it. The lock goes with this process.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import psycopg2

given = json.loads(sys.stdin.readline())
LEDGER = "SELECT partition, next_offset FROM sensors.ledger WHERE topic = %s"
released, ended = threading.Event(), threading.Event()


def listen() -> None:
    """Wait for what standard input says."""
    for line in sys.stdin:
        if json.loads(line) == "release":
            released.set()
    ended.set()


def tell(*what: object) -> None:
    """Print a line at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


holder = psycopg2.connect(dbname=given["database"], options="-c idle_in_transaction_session_timeout=0")
watcher = psycopg2.connect(dbname=given["database"])
watcher.autocommit = True
seen: dict[int, int] = {}
if given["hold"]:
    with holder.cursor() as cursor:
        cursor.execute(f"{LEDGER} ORDER BY partition FOR UPDATE", (given["topic"],))
listener = threading.Thread(target=listen, daemon=True)
listener.start()
with watcher.cursor() as cursor:
    first = True
    while not ended.is_set():
        if given["hold"] and released.is_set():
            holder.rollback()
            given["hold"] = False
        cursor.execute(LEDGER, (given["topic"],))
        rows = cursor.fetchall()
        now = time.time()
        for partition, offset in rows:
            if seen.get(partition) != offset:
                seen[partition] = offset
                tell(now, partition, offset)
        if first:
            tell("watching")
            first = False
        time.sleep(given["interval"])
