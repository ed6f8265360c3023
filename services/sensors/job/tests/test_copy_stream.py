"""The COPY stream is exactly the values that aren't null, also of slices. Needs pyarrow, as on executors."""

from __future__ import annotations

import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is on the nodes; tests/sensors covers this there")

from sensors_job.store.copy_stream import stream  # noqa: E402 - only with pyarrow

LINES = ["a\t1\n", None, "ü\t2\n", None, "c\t3\n"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize(("start", "end"), [(0, 5), (1, 5), (2, 4), (1, 2), (0, 0)])
def test_the_stream_of_a_slice_is_its_lines(kind: object, start: int, end: int) -> None:
    column = pa.array(LINES, kind).slice(start, end - start)
    expected = "".join(line for line in LINES[start:end] if line).encode()
    source, size = stream(column)
    assert (source.read(), size) == (expected, len(expected))


def test_bytes_that_belong_to_no_value_are_refused() -> None:
    plain = pa.array(["abc", "def"])
    _, offsets, data = plain.buffers()
    hidden = pa.StringArray.from_buffers(2, offsets, data, pa.py_buffer(b"\x01"))
    with pytest.raises(ValueError, match="belong to no value"):
        stream(hidden)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a string column, got int64"):
        stream(pa.array([1]))
