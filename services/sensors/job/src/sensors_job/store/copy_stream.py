"""Arrow buffers as COPY streams: no row is looked at in Python.

Spark has built each row's COPY line as a string; in a string column the lines stand one after another in one
buffer, and a null takes no bytes there, so that buffer is the stream.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

READ_BYTES = 1 << 20


def stream(column: Any) -> tuple[Any, int]:  # noqa: ANN401 - no types
    """Return the text of `column` (a string or large_string array, or a slice) as a file, and its size.

    ValueError when the buffer holds other bytes than the values that aren't null.
    """
    if column.type not in (pa.string(), pa.large_string()):
        message = f"expected a string column, got {column.type}"
        raise ValueError(message)
    if len(column) == 0 or column.null_count == len(column):
        return pa.BufferReader(b""), 0
    _, offsets, data = column.buffers()
    view = memoryview(offsets)
    positions = view.cast("i") if column.type == pa.string() else view.cast("q")
    start, end = positions[column.offset], positions[column.offset + len(column)]
    if pc.sum(pc.binary_length(column)).as_py() != end - start:
        message = "the buffer of a string column holds bytes that belong to no value"
        raise ValueError(message)
    return pa.BufferReader(data.slice(start, end - start)), end - start


def copy_in(cursor: Any, target: str, column: Any) -> bool:  # noqa: ANN401 - no types
    """COPY the lines of `column` into `target`, a table; False if there were none."""
    source, size = stream(column)
    if size == 0:
        return False
    cursor.copy_expert(f"COPY {target} FROM STDIN", source, size=READ_BYTES)
    return True
