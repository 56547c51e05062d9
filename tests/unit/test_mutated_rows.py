"""Rows that are wrong in any way: an adapter turns each into an instruction, skips it, or says what is wrong."""

import math
from dataclasses import fields
from pathlib import Path

import pytest
from broken_files import rows
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated, settings
from raw_rows import SCHEMAS

from headpatterns.data import formats, samples
from headpatterns.data.adapters import ADAPTERS, resolve_options
from headpatterns.data.records import Instruction, Row, RowError, Skipped
from headpatterns.errors import InputError

TEXTS = ("", " ", "\t\n", "a\r\nb", "\u200b", "\ud800", "x\ud83dy", "\x00", "\ufeff", "é" * 20000, "{instruction}",
         "####", "<<1+1=2>>", r"\boxed{", r"\boxed", "def solution(:", "<user>", "A", "-1", "1e999", "²", "Ⅳ", "٣",
         "(" * 3000, "\\" * 3000)  # fmt: skip
"""Texts that break readers: blank, from another system, half a character, huge, or half of a notation."""

VALUES = st.one_of(
    st.none(),
    st.sampled_from([math.nan, math.inf, -math.inf, True, False, 0, -1, 10**400, 0.5, b"bytes", [], {}, [[]], [None]]),
    st.sampled_from(TEXTS),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.integers()), max_size=3),
    st.dictionaries(st.sampled_from(["text", "label", "value", "content", "from", "role", "stem", "choices", "type"]),
                    st.one_of(st.none(), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=3)), max_size=3),
)  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
@settings(60)
@given(data=st.data())
def test_a_row_that_is_wrong_anywhere_is_told_as_one(schema, data):
    adapter, row, options, file = SCHEMAS[schema]
    changed, _ = mutated(data, row, VALUES)
    try:
        outcome = ADAPTERS[adapter].convert(Row(changed, Path(file), 1, f"{file}:1"), resolve_options(adapter, options))
    except RowError as error:
        assert str(error) and "\n" not in str(error)
        return
    if isinstance(outcome, Skipped):
        assert outcome.why
        return
    assert isinstance(outcome, Instruction)
    for field in fields(outcome):
        found = getattr(outcome, field.name)
        assert isinstance(found, str) or (isinstance(found, tuple) and all(isinstance(one, str) for one in found))
    assert outcome.prompt.strip() and outcome.response.strip()


@settings(150)
@given(data=st.data())
def test_a_row_for_patterns_that_is_wrong_is_told_by_its_place(data):
    changed, _ = mutated(data, {"id": "a", "prompt": "What?", "response": "This."}, VALUES)
    try:
        row = samples.checked("rows.jsonl:7", 7, changed)
    except InputError as error:
        assert str(error).startswith("rows.jsonl:7 ") and "\n" not in str(error)
        return
    assert all(isinstance(one, str) for one in row.values()) and row["response"].strip()


FORMS = ("jsonl", "json", "csv", "tsv", "parquet", "arrow", "jsonl.gz", "csv.bz2", "json.xz")


@pytest.mark.parametrize("form", FORMS)
@settings(60)
@given(data=st.data())
def test_a_file_with_other_bytes_is_told_by_its_name(form, data, tmp_path_factory):
    """Some bytes are removed or replaced. The reader gives rows where it can, and one sentence where it cannot."""
    path = tmp_path_factory.getbasetemp() / f"changed.{form}"
    rows(path.parent, path.name, count=4)
    content = path.read_bytes()
    begin = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(begin, min(len(content), begin + 40)))
    path.write_bytes(content[:begin] + data.draw(st.binary(max_size=20)) + content[end:])
    try:
        assert all(isinstance(row.fields, dict) for row in formats.read(path))
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)


def test_every_adapter_is_tried():
    assert {schema.adapter for schema in SCHEMAS.values()} == set(ADAPTERS)
