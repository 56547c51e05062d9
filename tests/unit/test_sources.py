import gzip
import json
import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from headpatterns.data.sources import companion_labels, expand, read_rows, stem
from headpatterns.errors import InputError

ROWS = [{"question": 'eins\n"zwei", 三', "n": "1"}, {"question": "drei", "n": "2"}]


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def jsonl(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def in_every_format(folder: Path) -> dict[str, Path]:
    files = {
        "jsonl": write(folder / "a.jsonl", jsonl(ROWS)),
        "list": write(folder / "b.json", json.dumps(ROWS)),
        "lines called json": write(folder / "c.json", jsonl(ROWS)),
        "csv": write(folder / "d.csv", 'question,n\r\n"eins\n""zwei"", 三",1\r\ndrei,2\r\n'),
        "tsv": write(folder / "e.tsv", 'question\tn\n"eins\n""zwei"", 三"\t1\ndrei\t2\n'),
        "gz": folder / "f.jsonl.gz",
        "parquet": folder / "g.parquet",
    }
    files["gz"].write_bytes(gzip.compress(jsonl(ROWS).encode()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), files["parquet"])
    return files


@pytest.mark.parametrize("form", ["jsonl", "list", "lines called json", "csv", "tsv", "gz", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, form):
    rows = list(read_rows([in_every_format(tmp_path)[form]]))
    assert [row.fields for row in rows] == ROWS
    assert [row.number for row in rows] == [1, 2]


def test_places_name_lines_where_there_are_lines(tmp_path):
    files = in_every_format(tmp_path)
    places = {form: list(read_rows([file]))[1].place for form, file in files.items()}
    assert places["jsonl"] == f"{files['jsonl']}:2"
    assert places["csv"] == f"{files['csv']}:4"  # the first row's text takes two lines
    assert places["list"] == f"{files['list']}, row 2"
    assert places["parquet"] == f"{files['parquet']}, row 2"


def test_one_object_is_one_row_and_blank_lines_are_none(tmp_path):
    single = write(tmp_path / "one.json", json.dumps(ROWS[0], indent=2))
    (row,) = read_rows([single])
    assert (row.fields, row.number, row.place) == (ROWS[0], None, str(single))
    rows = list(read_rows([write(tmp_path / "gaps.jsonl", '\n{"a": 1}\n\n{"a": 2}\n')]))
    assert [(row.number, row.place.rpartition(":")[2]) for row in rows] == [(1, "2"), (2, "4")]


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path):
    (tmp_path / "bom.csv").write_bytes("a,b\n1,2\n".encode("utf-8-sig"))
    assert next(read_rows([tmp_path / "bom.csv"])).fields == {"a": "1", "b": "2"}


def test_csv_without_header_takes_the_given_columns(tmp_path):
    file = write(tmp_path / "x_test.csv", "q,A\nr,B\n")
    rows = [row.fields for row in read_rows([file], csv_columns=("question", "answer"))]
    assert rows == [{"question": "q", "answer": "A"}, {"question": "r", "answer": "B"}]


def test_expand_takes_files_folders_and_globs_in_sorted_order(tmp_path):
    for name in ("b/2.json", "b/1.json", "a/3.json", "a/note.md", ".cache/4.json", "z.jsonl"):
        write(tmp_path / name, "{}")
    below = [str(path.relative_to(tmp_path)) for path in expand([tmp_path])]
    assert below == ["a/3.json", "b/1.json", "b/2.json", "z.jsonl"]
    assert expand([tmp_path / "b" / "*.json"]) == [tmp_path / "b/1.json", tmp_path / "b/2.json"]
    assert expand([tmp_path / "**" / "*.json"]) == [tmp_path / name for name in ("a/3.json", "b/1.json", "b/2.json")]
    assert expand([tmp_path / "z.jsonl", tmp_path]) == [tmp_path / name for name in ("z.jsonl", *below[:3])]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path):
    file = write(tmp_path / "odd[1].jsonl", "{}\n")
    assert expand([file]) == [file]


@pytest.mark.parametrize("given", ["missing.jsonl", "empty_folder", "*.parquet"])
def test_expand_names_the_path_that_leads_nowhere(tmp_path, given):
    (tmp_path / "empty_folder").mkdir()
    with pytest.raises(InputError) as error:
        expand([tmp_path / given])
    assert f"{tmp_path / given} leads to no raw file" in str(error.value)


def test_expand_refuses_an_unknown_suffix(tmp_path):
    with pytest.raises(InputError, match=r"labels\.lst has a suffix that cannot be read: known are \.jsonl"):
        expand([write(tmp_path / "labels.lst", "1\n")])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "a.jsonl:2 is not valid JSON"),
        ("a.jsonl", "[1, 2]\n", "a.jsonl:1 is a JSON list, not an object"),
        ("a.json", '{\n"a": 1,\n}', "a.json:3 is not valid JSON"),
        ("a.json", '[{"a": 1}, 5]', "a.json, row 2 is a JSON int, not an object"),
        ("a.csv", "a,b\n1,2\n3\n", "a.csv:3 has 1 columns where 2 are expected (a, b)"),
        ("a.parquet", "not parquet", "a.parquet is not a valid parquet file"),
        ("a.jsonl.gz", "not gzip", "a.jsonl.gz cannot be read"),
    ],
)
def test_broken_files_are_named_with_the_line(tmp_path, name, content, sentence):
    with pytest.raises(InputError) as error:
        list(read_rows([write(tmp_path / name, content)]))
    assert sentence in str(error.value)


def test_a_truncated_archive_and_foreign_encodings_are_named(tmp_path):
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(os.urandom(4000).hex().encode())[:2000])
    with pytest.raises(InputError, match=r"cut\.jsonl\.gz cannot be read"):
        list(read_rows([tmp_path / "cut.jsonl.gz"]))
    (tmp_path / "latin.jsonl").write_bytes('{"a": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.jsonl is not UTF-8 text"):
        list(read_rows([tmp_path / "latin.jsonl"]))


def test_a_file_that_disappears_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jsonl cannot be read"):
        list(read_rows([tmp_path / "gone.jsonl"]))


def test_stem_takes_the_whole_known_suffix_away():
    assert [stem(Path(name)) for name in ("a.jsonl.gz", "b.c.csv", "plain")] == ["a", "b.c", "plain"]


def test_companion_labels_lie_beside_and_match_in_length(tmp_path):
    file = write(tmp_path / "dev.jsonl", jsonl(ROWS))
    assert companion_labels(write(tmp_path / "alone.jsonl", jsonl(ROWS))) is None
    write(tmp_path / "dev-labels.lst", "2\n1\n")
    assert companion_labels(file) == ("2", "1")
    longer = write(tmp_path / "test.jsonl", jsonl(ROWS))
    write(tmp_path / "test-labels.lst", "2\n1\n1\n")
    with pytest.raises(InputError, match=r"test-labels\.lst has 3 labels for the 2 rows of .*test\.jsonl"):
        companion_labels(longer)
