import bz2
import gzip
import json
import lzma
import os
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from headpatterns.data.sources import companion_labels, expand, read_rows, stem
from headpatterns.errors import InputError

ROWS = [{"question": 'eins\n"zwei", 三', "n": "1"}, {"question": "drei", "n": "2"}]
ON_A_LINE = [{"question": 'eins "zwei", 三', "n": "1"}, {"question": "drei", "n": "2"}]
"""The same rows for tab-separated tables, whose cells have no line breaks."""


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
        "tsv": write(folder / "e.tsv", 'question\tn\neins "zwei", 三\t1\ndrei\t2\n'),
        "gz": folder / "f.jsonl.gz",
        "bz2": folder / "h.json.bz2",
        "xz": folder / "i.csv.xz",
        "zst": folder / "j.jsonl.zst",
        "parquet": folder / "g.parquet",
        "stream": folder / "k.arrow",
        "arrow": folder / "l.arrow",
    }
    table = pyarrow.Table.from_pylist(ROWS)
    files["gz"].write_bytes(gzip.compress(jsonl(ROWS).encode()))
    files["bz2"].write_bytes(bz2.compress(files["list"].read_bytes()))
    files["xz"].write_bytes(lzma.compress(files["csv"].read_bytes()))
    with pyarrow.output_stream(files["zst"], compression="zstd") as file:
        file.write(files["jsonl"].read_bytes())
    pyarrow.parquet.write_table(table, files["parquet"])
    for form, new in (("stream", pyarrow.ipc.new_stream), ("arrow", pyarrow.ipc.new_file)):
        with new(str(files[form]), table.schema) as writer:
            writer.write_table(table)
    return files


FORMS = ["jsonl", "list", "lines called json", "csv", "tsv", "gz", "bz2", "xz", "zst", "parquet", "stream", "arrow"]


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_same_rows(tmp_path, form):
    rows = list(read_rows([in_every_format(tmp_path)[form]]))
    assert [row.fields for row in rows] == (ON_A_LINE if form == "tsv" else ROWS)
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


def test_csv_may_begin_with_an_empty_line(tmp_path):
    file = write(tmp_path / "x.csv", "\nq,A\n\nr,B\n")
    assert [(row.fields, row.place) for row in read_rows([file])] == [({"q": "r", "A": "B"}, f"{file}:4")]


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
    assert f"{tmp_path / given} has no file of raw rows" in str(error.value)


def test_expand_refuses_an_unknown_suffix(tmp_path):
    with pytest.raises(InputError, match=r"labels\.lst has a suffix that cannot be read: use one of \.jsonl"):
        expand([write(tmp_path / "labels.lst", "1\n")])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "a.jsonl:2 is not valid JSON"),
        ("a.jsonl", "[1, 2]\n", "a.jsonl:1 is a JSON array, not an object"),
        ("a.json", '{\n"a": 1,\n}', "a.json:3 is not valid JSON"),
        ("a.json", '[{"a": 1}, 5]', "a.json, row 2 is a JSON number, not an object"),
        ("a.csv", "a,b\n1,2\n3\n", "a.csv:3 has 1 columns where 2 are expected (a, b)"),
        ("a.parquet", "not parquet", "a.parquet cannot be read ("),
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
    (tmp_path / "latin.jsonl").write_bytes('{"a": "e"}\n{"a": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.jsonl:2 is not UTF-8 text \("):
        list(read_rows([tmp_path / "latin.jsonl"]))


DIGITS, DEEP = "7" * 5000, "[" * 100_000 + "]" * 100_000


def test_a_number_beyond_python_s_is_text(tmp_path):
    for name, content in (("a.jsonl", f'{{"a": {DIGITS}, "n": 12}}\n'), ("a.json", f'[{{"a": {DIGITS}, "n": 12}}]')):
        (row,) = read_rows([write(tmp_path / name, content)])
        assert row.fields == {"a": DIGITS, "n": 12}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", f'{{"a": 1}}\n{{"a": {DEEP}}}\n', "a.jsonl:2 is not valid JSON (nested too deeply)"),
        ("a.json", f'[{{"a": {DEEP}}}]', "a.json is not valid JSON (nested too deeply)"),
        ("a.json", f'{{"a": 1}}\n{{"a": {DEEP}}}', "a.json:2 is not valid JSON (nested too deeply)"),
        ("a.csv", 'q,a\n1,2\n3,"four\n5,6\n', "a.csv:3 is not valid CSV (unexpected end of data in line 4)"),
        ("a.csv", 'q,a\n"one" two,3\n', "a.csv:2 is not valid CSV ("),
        ("a.csv", 'q,a\n"say \\"yes\\"",3\n', "a.csv:2 is not valid CSV ("),
        (
            "a.csv",
            "q;a\n1;2\n",
            "a.csv has the single column 'q;a': semicolons separate its columns",
        ),
        ("a.csv", "q\ta\n1\t2\n", "write it with these, or name it .tsv"),
        ("a.tsv", "q,a\n1,2\n", "write it with these, or name it .csv"),
        ("a.csv", "q,a,q\n1,2,3\n", "a.csv has two columns with the name 'q'"),
        ("a.tsv", 'q\ta\n"say ""yes"""\tno\n', "a.tsv:2 has CSV quotes around the column q"),
        ("a.tsv", 'q\ta\n"two\nlines"\tno\n', "a.tsv:2 has 1 columns where 2 are expected"),
        ("a.json", '{"0": {"q": 1, "a": 2}, "1": {"q": 3, "a": 4}}', "is a JSON object of 2 rows by their number"),
        ("a.json", '{"q": {"0": 1, "1": 3}, "a": {"0": 2, "1": 4}}', "is a JSON object of columns (q, a)"),
        (
            "a.json",
            '{"q": [1, 3], "a": [2, 4]}',
            "not a list of rows: write a list of rows (in pandas orient=",
        ),
        ("a.jsonl.gz", "{}", "a.jsonl.gz cannot be read ("),
        ("a.jsonl.zst", "{}", "a.jsonl.zst cannot be read ("),
        ("a.csv.xz", "a,b", "a.csv.xz cannot be read ("),
        ("a.arrow", "no arrow", "a.arrow cannot be read ("),
    ],
)
def test_whatever_a_library_says_of_a_file_is_a_sentence(tmp_path, name, content, sentence):
    with pytest.raises(InputError) as error:
        list(read_rows([write(tmp_path / name, content)]))
    assert sentence in str(error.value)
    assert len(str(error.value)) < 400


def test_rows_by_number_are_told_in_a_short_sentence(tmp_path):
    rows = {str(number): {"q": "a", "a": "b"} for number in range(52_000)}
    with pytest.raises(InputError, match=r"52000 rows by their number or name \(0, 1, .* 7 and 51992 more\)"):
        list(read_rows([write(tmp_path / "a.json", json.dumps(rows))]))


def test_quotes_are_text_where_tabs_separate(tmp_path):
    lines = ['"Yes, said one\tA', 'Two "said" so\tB', 'three"\t"C"']
    rows = list(read_rows([write(tmp_path / "a.tsv", "\n".join(["q\ta", *lines]))]))
    assert [f"{row.fields['q']}\t{row.fields['a']}" for row in rows] == lines


def test_a_parquet_file_that_is_cut_or_not_unicode_is_named(tmp_path):
    file = in_every_format(tmp_path)["parquet"]
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"g\.parquet cannot be read \("):
        list(read_rows([file]))
    latin = pyarrow.array([b"\xe9t\xe9"]).cast(pyarrow.string(), safe=False)
    pyarrow.parquet.write_table(pyarrow.table({"q": latin}), file)
    with pytest.raises(InputError, match=r"g\.parquet is not UTF-8 text \(.*\): convert it"):
        list(read_rows([file]))


def test_a_saved_dataset_is_its_arrow_files(tmp_path):
    from datasets import Dataset, DatasetDict

    saved = Dataset.from_list(ROWS)
    saved.save_to_disk(tmp_path / "saved", num_shards=2)
    files = expand([tmp_path / "saved"])
    assert [file.suffix for file in files] == [".arrow", ".arrow"]
    assert [row.fields for row in read_rows(files)] == ROWS
    DatasetDict(train=saved, test=saved).save_to_disk(tmp_path / "splits")
    with pytest.raises(InputError, match="splits has a dataset with the splits test, train: give the folder of one"):
        expand([tmp_path / "splits"])
    (tmp_path / "saved" / "state.json").write_text("{")
    with pytest.raises(InputError, match=r"state\.json is not what `datasets` saves"):
        expand([tmp_path / "saved"])


def test_a_file_that_disappears_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jsonl cannot be used \(No such file"):
        list(read_rows([tmp_path / "gone.jsonl"]))


def test_stem_takes_the_whole_known_suffix_away():
    assert [stem(Path(name)) for name in ("a.jsonl.gz", "b.c.csv", "d.json.zst", "plain")] == ["a", "b.c", "d", "plain"]


def test_companion_labels_lie_beside_and_match_in_length(tmp_path):
    file = write(tmp_path / "dev.jsonl", jsonl(ROWS))
    assert companion_labels(write(tmp_path / "alone.jsonl", jsonl(ROWS))) is None
    write(tmp_path / "dev-labels.lst", "2\n1\n")
    assert companion_labels(file) == ("2", "1")
    longer = write(tmp_path / "test.jsonl", jsonl(ROWS))
    write(tmp_path / "test-labels.lst", "2\n1\n1\n")
    with pytest.raises(InputError, match=r"test-labels\.lst has 3 labels for the 2 rows of .*test\.jsonl"):
        companion_labels(longer)
