"""The helpers of the tests catch what they should catch."""

import json
import subprocess
import sys
from pathlib import Path

import golden
import pytest
from forking import forking
from refusals import assert_refusal, refusal

from headpatterns.errors import InputError

SAID = "config key a.b[0].c is 'x'; did you mean 'y'?\nanother line"


@pytest.mark.parametrize("key", ["a.b[0].c", "config key a.b[0].c", "'x'"])
def test_a_refusal_that_names_key_and_fix_passes(key: str) -> None:
    assert_refusal(SAID, key, "did you mean 'y'")


@pytest.mark.parametrize(
    ("said", "key", "hint"),
    [
        (SAID, "a.b", "'y'"),  # the key of another place
        (SAID, "a.b[0]", "'y'"),
        (SAID, "b[0].c", "'y'"),
        (SAID, "a.b[0].c", "'z'"),
        (SAID, "a.b[0].c", ("'y'", "'z'")),
        (SAID, "a.b[0].c", "another"),  # in another line
        (SAID, "a.b[0].c", ""),
        (f"Traceback (most recent call last):\n{SAID}", "a.b[0].c", "'y'"),
    ],
)
def test_a_refusal_that_misses_something_fails(said: str, key: str, hint: str | tuple[str, ...]) -> None:
    with pytest.raises(AssertionError):
        assert_refusal(said, key, hint)


def test_a_refusal_is_one_line() -> None:
    with refusal("a.b[0].c", "'y'"):
        raise InputError(SAID.splitlines()[0])
    with pytest.raises(AssertionError), refusal("a.b[0].c", "'y'"):
        raise InputError(SAID)


TABLES = {"claims.csv": [["claim", "value", "verdict"], ["rises", "0.25", "holds"], ["falls", "nan", "undecided"]]}


def with_cell(row: int, column: int, cell: str) -> dict[str, golden.Table]:
    """The tables with another cell."""
    rows = [list(cells) for cells in TABLES["claims.csv"]]
    rows[row][column] = cell
    return {"claims.csv": rows}


@pytest.mark.parametrize("cell", ["0.25", "0.250", "0.2500001", "2.5e-1"])
def test_numbers_within_a_millionth_are_golden(cell: str) -> None:
    assert golden.differences(TABLES, with_cell(1, 1, cell), exact=True) == []


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (with_cell(1, 1, "0.250001"), "claims.csv, row 1, value: 0.250001 instead of 0.25"),
        (with_cell(2, 1, "0"), "claims.csv, row 2, value: 0 instead of nan"),
        (with_cell(2, 1, ""), "claims.csv, row 2, value:  instead of nan"),
        (with_cell(1, 2, "fails"), "claims.csv, row 1, verdict: fails instead of holds"),
    ],
)
def test_other_numbers_and_words_differ_on_the_golden_machine_alone(made: dict[str, golden.Table], said: str) -> None:
    assert golden.differences(TABLES, made, exact=True) == [said]
    assert golden.differences(TABLES, made, exact=False) == []


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (with_cell(1, 0, "rose"), "claims.csv, row 1, claim: rose instead of rises"),
        (
            with_cell(0, 1, "p"),
            "claims.csv, columns: ['claim', 'p', 'verdict'] instead of ['claim', 'value', 'verdict']",
        ),
        ({"claims.csv": TABLES["claims.csv"][:2]}, "claims.csv, 1 rows instead of 2"),
        ({}, "claims.csv is missing"),
        ({**TABLES, "new.csv": [["value"]]}, "new.csv is new"),
    ],
)
@pytest.mark.parametrize("exact", [True, False])
def test_other_shapes_differ_on_every_machine(made: dict[str, golden.Table], said: str, exact: bool) -> None:
    assert golden.differences(TABLES, made, exact) == [said]


def test_golden_files_are_renewed_without_times(tmp_path: Path) -> None:
    analysis = tmp_path / "results/analysis"
    analysis.mkdir(parents=True)
    (analysis / "training.csv").write_text("model,seconds,last_loss\nllama,3.5,6.0216\n")
    (analysis / "timings.csv").write_text("rule,wall_minutes\nfinetune,3\n")
    (tmp_path / "gone.csv").write_text("model\n")
    golden.renew(tmp_path / "results", tmp_path)
    assert golden.tables(tmp_path) == {"training.csv": [["model", "last_loss"], ["llama", "6.0216"]]}
    assert golden.is_golden_machine(tmp_path)
    machine = json.loads((tmp_path / "machine.json").read_text())
    (tmp_path / "machine.json").write_text(json.dumps({**machine, "torch": "another"}))
    assert not golden.is_golden_machine(tmp_path)


def test_the_golden_files_of_the_project_can_fail() -> None:
    """Each has columns that are compared on every machine, and numbers that are compared on the golden machine."""
    for name, (header, *rows) in golden.tables(golden.GOLDEN).items():
        assert rows or name == "transfer_forms.csv", name  # no two tasks there have the same rows
        assert golden.KEYS & set(header) and set(header) - golden.KEYS, name


PROGRAM = """
import atexit, os, sys
atexit.register(print, "at the end")
print(sys.argv, os.getcwd(), sorted(os.environ), sys.path[0], __name__, sys.stdin.read())
print("said", file=sys.stderr)
if sys.argv[1:] == ["fails"]:
    raise KeyError("a")
sys.exit(3)
"""


@pytest.mark.parametrize("last", ["fails", "ends"])
def test_a_program_in_a_fork_is_as_one_that_is_started(tmp_path: Path, last: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    for words in ([str(tmp_path / "program.py"), last], ["-m", "program", last]):
        given = {"cwd": tmp_path, "env": {"LANG": "C.UTF-8", "A": "b"}}
        started = subprocess.run(
            [sys.executable, *words], **given, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        forked = forking(sys.executable, "json").run(words, tmp_path, given["env"])
        assert (forked.returncode, forked.stdout) == (started.returncode, started.stdout)
        assert forked.stderr.splitlines()[0] == "said"
        assert forked.stderr.splitlines()[-1] == started.stderr.splitlines()[-1]
        merged = forking(sys.executable, "json").run(words, tmp_path, given["env"], merged=True)
        assert {*merged.stdout.splitlines()} == {*forked.stdout.splitlines(), *forked.stderr.splitlines()}
