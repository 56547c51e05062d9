"""What a user sees of a failing script: its exit status, one sentence, and the log."""

import os
import subprocess
import sys

import pytest
import scripts

from headpatterns import cli as command_line
from headpatterns.errors import InputError

SCRIPT = f"""
import subprocess
import sys
sys.path.insert(0, {str(scripts.FOLDER)!r})
from headpatterns import cli as command_line
from headpatterns.errors import InputError

def main(arguments):
    print("working")
    print("complaining", file=sys.stderr)
    subprocess.run(["echo", "a child"])
    if arguments.fail == "input":
        raise InputError("the row 3 of x.csv is bad: fix it.")
    if arguments.fail == "other":
        raise KeyError("deep inside")

p = command_line.parser("What it does.")
p.add_argument("--fail", default="no", help="how")
command_line.run(main, p)
"""


def run(tmp_path, *arguments):
    (tmp_path / "some_rule.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "some_rule.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)


def test_without_a_log_everything_is_on_the_terminal(tmp_path):
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "complaining\n")
    assert sorted(done.stdout.splitlines()) == ["a child", "working"]


def test_with_a_log_the_terminal_stays_silent(tmp_path):
    (tmp_path / "log.txt").write_text("an older and longer log\n" * 9)
    done = run(tmp_path, "--log", "log.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted((tmp_path / "log.txt").read_text().splitlines()) == ["a child", "complaining", "working"]


def test_an_input_error_is_one_sentence(tmp_path):
    done = run(tmp_path, "--fail", "input")
    assert done.returncode == 2
    assert done.stderr == "complaining\nsome_rule: the row 3 of x.csv is bad: fix it.\n"


def test_an_input_error_reaches_log_and_terminal(tmp_path):
    done = run(tmp_path, "--fail", "input", "--log", "deep/log.txt")
    sentence = "some_rule: the row 3 of x.csv is bad: fix it."
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{sentence}\n")
    log = (tmp_path / "deep" / "log.txt").read_text().splitlines()
    assert sentence in log and "Traceback (most recent call last):" not in log


def test_another_error_leaves_its_traceback_in_the_log(tmp_path):
    done = run(tmp_path, "--fail", "other", "--log", "log.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "some_rule: KeyError: 'deep inside' (the full output is in log.txt)\n"
    log = (tmp_path / "log.txt").read_text()
    assert "Traceback (most recent call last):" in log and "deep inside" in log


def test_another_error_without_a_log_shows_its_traceback(tmp_path):
    done = run(tmp_path, "--fail", "other")
    assert done.returncode == 1
    assert "Traceback (most recent call last):" in done.stderr
    assert done.stderr.endswith("some_rule: KeyError: 'deep inside'\n")


@pytest.mark.parametrize(("online", "said"), [("", "1"), (", online=True", "unset")])
def test_only_a_script_that_is_online_may_ask_the_hub(tmp_path, online, said):
    program = (
        f"import os, sys; sys.path.insert(0, {str(scripts.FOLDER)!r}); from headpatterns import cli as command_line\n"
        "main = lambda arguments: command_line.tell(os.environ.get('HF_HUB_OFFLINE', 'unset'))\n"
        f"command_line.run(main, command_line.parser('What it does.'){online})\n"
    )
    (tmp_path / "some_rule.py").write_text(program)
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    command = [sys.executable, "some_rule.py", "--log", "log.txt"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"some_rule: {said}\n")
    assert (tmp_path / "log.txt").read_text() == ""


def test_an_unknown_option_exits_with_2(tmp_path):
    done = run(tmp_path, "--fial", "no")
    assert done.returncode == 2 and "Traceback" not in done.stderr


MODULES = (
    "applications",
    "cluster",
    "command_line",
    "config_checks",
    "experiment",
    "footprint",
    "hub",
    "jobs",
    "launch",
    "planning",
    "recipe_options",
    "runs",
    "sizes",
    "tables",
    "timings",
)


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted({path.stem for path in scripts.FOLDER.glob("*.py")} - set(MODULES)))
def test_help_comes_without_heavy_libraries(script, tmp_path):
    program = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(scripts.FOLDER)!r})\n"
        f"sys.argv = ['{script}.py', '--help']\n"
        f"try: runpy.run_path({str(scripts.FOLDER / (script + '.py'))!r}, run_name='__main__')\n"
        "except SystemExit as stopped: status = stopped.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'huggingface_hub'} & set(sys.modules)\n"
        "print(status, heavy or 'light')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.stdout.splitlines()[-1] == "0 light", done.stderr
    assert "--log" in done.stdout
    assert not list(tmp_path.iterdir())


def test_values_by_name():
    words = ["a=x=1", "b=y"]
    assert command_line.by_name(words, "--label", "NAME=LABEL") == {"a": "x=1", "b": "y"}
    for word, sentence in (("a", "--label a does not have the form NAME=LABEL"), ("b=z", "--label names b twice")):
        with pytest.raises(InputError, match=sentence):
            command_line.by_name([*words, word], "--label", "NAME=LABEL")
