"""JSON lists are read one item at a time, with the same rows and errors as if the whole text were parsed."""

import gzip
import json
import tracemalloc
from itertools import islice, takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import settings

from headpatterns.data import formats, json_stream
from headpatterns.errors import InputError

MIB = 2**20
DIGITS = "7" * 5000

BLANKS = st.sampled_from(["", "", "", " ", "\n", "\r\n", " \t\n "])
NAMES = st.sampled_from(['"a"', '"b"', '"\\u0061"', '""'])
SCALARS = st.one_of(
    st.sampled_from(["null", "true", "false", "NaN", "Infinity", "-Infinity", "-0", "1e999", "0.5e+10", "-12", DIGITS]),
    st.integers().map(str),
    st.builds(json.dumps, st.text(max_size=30), ensure_ascii=st.booleans()),
    st.sampled_from(['"\\ud83d\\ude00"', '"\\ud83d"', '"\\\\"', '"\\""', '"[{,}]"']),
)


def joined(brackets, parts, blanks):
    """A list or an object of parts, with white space around each."""
    inner = ",".join(f"{blank}{part}{blank}" for part, blank in zip(parts, blanks, strict=False))
    return f"{brackets[0]}{inner}{brackets[1]}"


def several(brackets, parts):
    return st.builds(joined, st.just(brackets), st.lists(parts, max_size=4), st.lists(BLANKS, min_size=4, max_size=4))


def fields(values):
    return several("{}", st.builds(lambda name, blank, value: f"{name}{blank}:{blank}{value}", NAMES, BLANKS, values))


VALUES = st.recursive(SCALARS, lambda inner: several("[]", inner) | fields(inner), max_leaves=8)
DOCUMENTS = st.one_of(several("[]", fields(VALUES)), several("[]", VALUES), VALUES)


@st.composite
def changed(draw):
    """A document, unchanged or with characters removed or inserted."""
    text = draw(BLANKS) + draw(DOCUMENTS) + draw(BLANKS)
    if not draw(st.booleans()):
        return text
    begin = draw(st.integers(0, len(text)))
    end = draw(st.integers(begin, min(len(text), begin + 5)))
    return text[:begin] + draw(st.text('[]{},:"\\ \n-1eNnx', max_size=5)) + text[end:]


def of_the_whole(path, text):
    """Rows with their numbers, and the beginning of the error after them, from parsing the whole text."""
    try:
        parsed = json_stream.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and not text.lstrip().startswith("["):
            return as_read(path.with_suffix(".jsonl"), text)
        return [], f"{path}:{error.lineno} is not valid JSON ({error.msg}): fix the file."
    if not isinstance(parsed, list):
        is_row = isinstance(parsed, dict)
        return [(parsed, None)] if is_row else [], None if is_row else f"{path} is a JSON "
    before = list(takewhile(lambda item: isinstance(item, dict), parsed))
    sentence = None if len(before) == len(parsed) else f"{path}, row {len(before) + 1} is a JSON "
    return [(row, number) for number, row in enumerate(before, start=1)], sentence


def as_read(path, text):
    """Rows with their numbers, and the complete error after them, from the reader."""
    path.write_bytes(text.encode())
    rows = []
    try:
        rows.extend((row.fields, row.number) for row in formats.read(path))
    except InputError as error:
        return rows, str(error).replace(f"{path.name}", "stream.json")
    return rows, None


@settings(400)
@example(text="[1", piece=1)
@example(text='[{"a": -Infinity}, {"a": 12}]', piece=1)
@example(text=f'[{{"a": {DIGITS}}}]', piece=3000)
@example(text='[{"a": "' + "\\ud83d\\ude00" * 40 + '"}]', piece=7)
@example(text="[" + " " * 200 + '{"a": 1}' + " " * 200 + "," + " " * 200 + "]", piece=10)
@example(text="12 3", piece=2)
@given(text=changed(), piece=st.sampled_from([1, 2, 5, 30, MIB]))
def test_rows_and_errors_are_those_of_the_text_as_a_whole(text, piece, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "stream.json"
    wanted, sentence = of_the_whole(path, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "PIECE", piece)
        rows, error = as_read(path, text)
    if error and " is a JSON object of " in error:  # an object with a table
        assert sentence is None and wanted[0][1] is None
    elif sentence and "is not valid JSON" in sentence and text.lstrip().startswith("["):
        # The items before the error are already read, and one of them may not be a row.
        assert error == sentence or error.startswith((f"{path}, row {len(rows) + 1} is a JSON ", f"{path}:"))
    else:
        assert repr(rows) == repr(wanted)
        assert (error or "").startswith(sentence or "") and bool(error) == bool(sentence)


def written(path, rows):
    text = "[" + ",\n".join(json.dumps({"q": f"{n} " + "word " * 50, "a": "é" * 50}) for n in range(rows)) + "]\n"
    path.write_bytes(gzip.compress(text.encode(), 1) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["rows.json", "rows.json.gz"])
def test_a_list_of_any_length_takes_the_same_memory(tmp_path, name):
    """Ten more megabytes would need twice as much memory if the text and its rows were kept."""

    def peak(rows):
        path = written(tmp_path / name, rows)
        tracemalloc.start()
        try:
            assert sum(1 for _ in formats.read(path)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(30_000) - peak(10_000) < MIB


def test_an_error_far_behind_is_told_by_its_line_behind_the_rows_before_it(tmp_path):
    path = written(tmp_path / "rows.json", 9000)
    lines = path.read_text().splitlines(keepends=True)
    lines[7000] = lines[7000].replace('"a"', "a")
    path.write_text("".join(lines))
    rows = formats.read(path)
    assert len(list(islice(rows, 7000))) == 7000
    with pytest.raises(InputError, match=r"rows\.json:7001 is not valid JSON \(Expecting property name"):
        next(rows)


def test_lines_and_lists_of_lists_under_the_name_json(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert [(row.fields, row.place) for row in formats.read(path)] == [({"a": 1}, f"{path}:1"), ({"a": 2}, f"{path}:3")]
    path.write_text('[{"a": 1}]\n[{"a": 2}]\n')
    with pytest.raises(InputError, match=r"rows\.json:1 is a JSON array.*write one object per line"):
        list(formats.read(path))
