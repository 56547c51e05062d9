"""Runs the scripts of the workflow: in this process if only the result matters, or else as a user does."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headpatterns import cli as command_line

FOLDER = Path(__file__).resolve().parents[2] / "workflow_scripts"


def words(positional=(), **options):
    """The words of a command line. A list becomes several words, True becomes a flag, and None adds nothing."""
    made = [str(word) for word in positional]
    for name, value in options.items():
        if value is None:
            continue
        made.append(f"--{name.replace('_', '-')}")
        if value is not True:
            made += [str(word) for word in (value if isinstance(value, (list, tuple)) else [value])]
    return made


def run(script, **options):
    """Call a script's main; exceptions are passed on."""
    module = importlib.import_module(script)
    module.main(module.parser().parse_args(words(**options)))


def refused(capfd, monkeypatch, script, **options):
    """Run the script's whole command line, which must exit with 2; returns the sentence on the terminal."""
    module = importlib.import_module(script)
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *words(**options)])
    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped:
        command_line.run(module.main, module.parser())
    error = capfd.readouterr().err
    assert stopped.value.code == 2
    assert "Traceback" not in error
    last = error.strip().splitlines()[-1]
    assert last.startswith(f"{script}: ")
    return last


def launch(script, home, start=subprocess.run, hub=None, token=None, **options):
    """Start a script as a separate process in the empty folder `home`, which is also the user's home.

    `hub` is the address of the hub that it can reach, and `token` is a login there. By default there is no hub.
    """
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))},
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        **({"HF_ENDPOINT": hub} if hub else {"HF_HUB_OFFLINE": "1"}),
        **({"HF_TOKEN": token} if token else {}),
    }
    command = [sys.executable, str(FOLDER / f"{script}.py"), *words(**options)]
    return start(command, cwd=home, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def contents(folder):
    """The bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
