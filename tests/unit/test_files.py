"""Files: a failure leaves only the old result behind, and tables have stable bytes."""

import math
import re
import shutil

import numpy as np
import pytest

from headpatterns.errors import InputError
from headpatterns.io import atomic_path, read_csv, read_json, remove, remove_leftovers, write_csv, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "deep" / "result.csv"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".csv"
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert names(path.parent) == ["result.csv"]


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.csv"]


def test_a_failure_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(KeyboardInterrupt), atomic_path(folder) as temporary:
        (temporary / "deeper").mkdir(parents=True)
        (temporary / "deeper" / "new").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == ["shards"] and names(folder) == ["old"]


def test_a_folder_replaces_a_folder_and_a_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    (tmp_path / "file").write_text("old")
    for name in ("folder", "file"):
        with atomic_path(tmp_path / name) as temporary:
            temporary.mkdir()
            (temporary / "new").touch()
        assert names(tmp_path / name) == ["new"]
    with atomic_path(tmp_path / "folder") as temporary:
        temporary.write_text("a file now")
    assert (tmp_path / "folder").read_text() == "a file now"
    assert names(tmp_path) == ["file", "folder"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "old"


def test_a_kill_leaves_no_half_of_a_removed_folder(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "part").touch()

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", killed)
        remove(tmp_path / "folder")
    assert not (tmp_path / "folder").exists() and len(names(tmp_path)) == 1
    (tmp_path / ".4711.other").touch()
    remove_leftovers(tmp_path / "folder")
    assert names(tmp_path) == [".4711.other"]


def test_json_keeps_order_and_letters(tmp_path):
    content = {"z": 1, "a": ["é", 0.1, None], "数": {}}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content
    assert list(read_json(tmp_path / "x.json")) == ["z", "a", "数"]
    assert "数" in (tmp_path / "x.json").read_text(encoding="utf-8")
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"x": object()})
    assert read_json(tmp_path / "x.json") == content
    assert names(tmp_path) == ["x.json"]


def test_removing_a_link_spares_what_it_points_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove(tmp_path / "link")
    remove(tmp_path / "nothing")
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder") == ["kept"]
    remove(tmp_path / "folder")
    assert names(tmp_path) == []


def test_equal_numbers_give_equal_bytes(tmp_path):
    rows = [("a,b", 0.1 + 0.2, np.float32(0.5), 3), ("", -0.0, math.nan, np.int64(7)), ("é", 1 / 3, 1e20, True)]
    write_csv(tmp_path / "deep" / "x.csv", ("name", "first", "second", "count"), rows)
    text = 'name,first,second,count\n"a,b",0.3,0.5,3\n,0,nan,7\né,0.3333333333,1e+20,True\n'
    assert (tmp_path / "deep" / "x.csv").read_bytes() == text.encode()
    found = read_csv(tmp_path / "deep" / "x.csv", ("name", "count"))
    assert found[0] == {"name": "a,b", "first": "0.3", "second": "0.5", "count": "3"}
    assert [row["name"] for row in found] == ["a,b", "", "é"]


@pytest.mark.parametrize("text", ["a\rb", "\r", "a\r\nb", "a\nb", 'a"\r', " \r,"])
def test_what_a_model_wrote_is_read_as_it_was_written(tmp_path, text):
    """An unquoted carriage return would end a row for every reader."""
    write_csv(tmp_path / "x.csv", ("id", "prediction", "correct"), [("1", text, 0), ("2", "b", 1)])
    assert [row["prediction"] for row in read_csv(tmp_path / "x.csv", ("id",))] == [text, "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,c\n1,2\n", "x.csv lacks the column 'b': its header must have a,b."),
        (b"", "x.csv lacks the column 'a': its header must have a,b."),
        (b"a,b\n1,2\n3\n", "x.csv, row 2: the number of fields differs from the header's: fix that row."),
        (b"a,b\n1,2,3\n", "x.csv, row 1: the number of fields differs from the header's: fix that row."),
        (b"a,b\n\xff,2\n", "x.csv cannot be read as a CSV table ("),
        (None, "x.csv cannot be read as a CSV table ("),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)):
        read_csv(tmp_path / "x.csv", ("a", "b"))
