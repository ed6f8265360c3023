"""The configuration filters: merging layers and rendering them without changing a value."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.model.settings import merge, to_properties

values = st.none() | st.booleans() | st.integers() | st.text()
layers = st.dictionaries(st.text(), values)
# PostgreSQL has no NUL in a text, and no surrogate is a character of its own.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(layers, layers, layers)
def test_later_layers_win_and_null_removes(
    one: dict[str, object], two: dict[str, object], three: dict[str, object]
) -> None:
    merged = merge(one, two, three)
    assert list(merged) == sorted(merged)
    for key in one.keys() | two.keys() | three.keys():
        last = next(layer[key] for layer in (three, two, one) if key in layer)
        assert merged.get(key) == last
        assert (key in merged) == (last is not None)
    assert merge(merge(one, two), three) == merged


def test_a_layer_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a mapping, not list"):
        merge({}, ["a"])  # type: ignore[arg-type]


def test_each_style() -> None:
    settings = {"b": True, "a": 1, "c": ["x", "y"], "d": "it's C:\\x", "e": 0.5}
    assert to_properties(settings) == "a=1\nb=true\nc=x,y\nd=it's C:\\\\x\ne=0.5\n"
    assert to_properties(settings, "spark") == to_properties(settings, "java")
    expected = "a = 1\nb = true\nc = 'x,y'\nd = 'it''s C:\\\\x'\ne = 0.5\n"
    assert to_properties(settings, "postgresql") == expected
    line = "  <property><name>a</name><value>1 &amp; 2</value></property>\n"
    assert to_properties({"a": "1 & 2"}, "hadoop") == line


@pytest.mark.parametrize(
    ("settings", "style", "told"),
    [
        ({"a": {"b": 1}}, "java", "the value of 'a' must be text"),
        ({"a": None}, "java", "the value of 'a' must be text"),
        ({"a": 1}, "ini", "unknown style 'ini'; known: hadoop, java, postgresql, spark"),
        ({"": 1}, "java", "a key must not be empty"),
        ({"a b": 1}, "postgresql", "'a b' is not the name of a PostgreSQL setting"),
        ({"a\n": 1}, "postgresql", "is not the name of a PostgreSQL setting"),
        ({"": 1}, "hadoop", "'' is not the name of a Hadoop setting"),
        ({" a": 1}, "hadoop", "' a' is not the name of a Hadoop setting"),
        ({"a": "\x00"}, "hadoop", "'a' or its value has a character that XML has no form for"),
        ({"a": "\r"}, "hadoop", "'a' or its value has a character that XML has no form for"),
    ],
)
def test_what_has_no_form_in_the_file_is_refused(settings: dict[str, object], style: str, told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        to_properties(settings, style)


def read_java(line: str) -> tuple[str, str]:
    """Read one line as java.util.Properties does (its rules, written down independently)."""
    line = line.lstrip(" \t\f")
    assert line[:1] not in {"#", "!", ""}
    parts = [""]
    index = 0
    while index < len(line):
        character = line[index]
        if character == "\\":
            index += 1
            character = line[index]
            if character == "u":
                character = chr(int(line[index + 1 : index + 5], 16))
                index += 4
            else:
                character = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}.get(character, character)
        elif len(parts) == 1 and character in "=: \t\f":
            parts.append("")
            while line[index + 1 : index + 2] in {" ", "\t", "\f"}:
                index += 1
            index += 1
            continue
        parts[-1] += character
        index += 1
    key, value = parts
    units = [text.encode("utf-16-be", "surrogatepass").decode("utf-16-be") for text in (key, value)]
    return units[0], units[1]


@given(texts.filter(bool), texts)
@example("a", "  two blanks first")
@example("#! a:b=c", "\\")
def test_java_reads_back_what_was_given(key: str, value: str) -> None:
    (line,) = to_properties({key: value}).split("\n")[:-1]
    assert line.isascii()
    assert read_java(line) == (key, value)


@given(texts)
def test_postgresql_reads_back_what_was_given(value: str) -> None:
    rendered = to_properties({"a": value}, "postgresql")
    assert rendered.count("\n") == 1
    quoted = rendered.removeprefix("a = '").removesuffix("'\n")
    back, index = "", 0
    while index < len(quoted):
        character = quoted[index]
        if character in "\\'":
            index += 1
            following = quoted[index]
            assert character == "\\" or following == "'"
            character = (
                {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b"}.get(following, following)
                if character == "\\"
                else "'"
            )
        back += character
        index += 1
    assert back == value


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"])))
@example('<a> & ]]> "b"')
def test_xml_reads_back_what_was_given(value: str) -> None:
    element = ET.fromstring(to_properties({"a": value}, "hadoop"))  # noqa: S314 - our own text
    assert (element.findtext("name"), element.findtext("value")) == ("a", value)
