"""Runs on the database node as postgres: has the server COPY a file of its own into the hypertable.

Input: {"database", "columns", "file"}; output: {"seconds", "rows"}, from before the COPY to after its commit.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg2

given = json.load(sys.stdin)
connection = psycopg2.connect(dbname=given["database"])
with connection.cursor() as cursor:
    cursor.execute("SELECT 1")
    began = time.monotonic()
    cursor.execute(f"COPY sensors.measurements ({', '.join(given['columns'])}) FROM %s", (given["file"],))
    rows = cursor.rowcount
    connection.commit()
json.dump({"seconds": time.monotonic() - began, "rows": rows}, sys.stdout)
