"""Runs on the apps node: writes rows one INSERT each, as a program does that has not thought of more.

Input: {"database" (of psycopg2.connect), "columns", "rows", "each"}; output: the seconds. It reads the rows
from bench.rows first, which is not measured. `each`: commit after every so many rows; 1 means every one.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg2

given = json.load(sys.stdin)
columns = ", ".join(given["columns"])
values = ", ".join(["%s"] * len(given["columns"]))
connection = psycopg2.connect(**given["database"])
with connection.cursor() as cursor:
    cursor.execute(f"SELECT {columns} FROM bench.rows LIMIT %s", (given["rows"],))  # noqa: S608 - our own text
    rows = cursor.fetchall()
    connection.commit()
    if len(rows) < given["rows"]:
        sys.exit(f"bench.rows has {len(rows)} rows, fewer than {given['rows']}")
    statement = f"INSERT INTO sensors.measurements ({columns}) VALUES ({values})"  # noqa: S608 - our own text
    began = time.monotonic()
    for number, row in enumerate(rows, 1):
        cursor.execute(statement, row)
        if number % given["each"] == 0:
            connection.commit()
    connection.commit()
    json.dump(time.monotonic() - began, sys.stdout)
