"""Runs programs without repeating slow imports: each runs in a fork of a Python process that has already done them.

    python tests/support/forking.py snakemake.cli pandas

imports these modules. It then runs one program for each line of JSON on its standard input, and prints the program's
exit status. Each program has its own process, and starts and ends as it would from the command line.
"""

import functools
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Done = subprocess.CompletedProcess[str]


class Forking:
    """An interpreter that has imported modules, and waits for programs until this process ends."""

    def __init__(self, python: Path | str, modules: Iterable[str]) -> None:
        self._process = subprocess.Popen(
            [python, __file__, *modules],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, words: list[str], cwd: Path, environment: Mapping[str, str], *, merged: bool = False) -> Done:
        """Run what `python WORDS` would: a script with its arguments, or -m and a module.

        Args:
            words: the script or module, and its arguments.
            cwd: where it runs.
            environment: its environment variables.
            merged: whether standard error is part of standard output.
        """
        assert self._process.stdin and self._process.stdout
        with tempfile.TemporaryDirectory() as folder:
            streams = [str(Path(folder, name)) for name in ("stdout", "stderr")][: 1 if merged else 2]
            request = {"words": words, "cwd": str(cwd), "environment": dict(environment), "streams": streams}
            print(json.dumps(request), file=self._process.stdin, flush=True)
            status = self._process.stdout.readline()
            assert status, f"the interpreter that runs {words} has ended"
            said = [Path(stream).read_text(encoding="utf-8") for stream in streams]
        return subprocess.CompletedProcess(words, int(status), *said)


@functools.cache
def forking(python: Path | str, *modules: str) -> Forking:
    """The one interpreter of this process that has imported these modules."""
    return Forking(python, modules)


def serve() -> dict[str, Any] | None:
    """Wait for requests: returns each one in a new process, which must run it, and None at the end of the input."""
    for line in sys.stdin:
        if not (process := os.fork()):
            request: dict[str, Any] = json.loads(line)
            return request
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(request: Mapping[str, Any]) -> None:
    """Run a program in this process, to its end."""
    for number, place in enumerate((os.devnull, *request["streams"])):
        handle = os.open(place, os.O_RDWR | os.O_CREAT)
        os.dup2(handle, number)
        os.close(handle)
    if len(request["streams"]) == 1:
        os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    words = request["words"]
    if words[0] == "-m":
        sys.path.insert(0, request["cwd"])
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(words[0]).parent))
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    del sys.path[0]  # this folder, which is not in the path of any program
    for name in sys.argv[1:]:
        importlib.import_module(name)
    if asked := serve():
        become(asked)
