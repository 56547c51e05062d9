"""Shared parts of the workflow's command lines: a log file, and errors that a user can read."""

import argparse
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NoReturn, TextIO

from headpatterns import storage
from headpatterns.errors import InputError, Interrupted, first_line, redacted, refused_by_system
from headpatterns.io import write_json
from headpatterns.processes import starter

_terminal: TextIO | None = None
"""The original standard error, if a log has replaced it."""


def parser(description: str) -> argparse.ArgumentParser:
    """A parser that shows defaults and has `--log`; `description` is usually the module's docstring."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--log", type=Path, help="write all output to this file instead of the terminal")
    return made


def by_name(given: list[str], option: str, form: str) -> dict[str, str]:
    """Values by name of a repeated option whose words have a form such as `TASK=PATH`, in the order given.

    Raises:
        InputError: a word has another form, or a name is given twice.
    """
    values: dict[str, str] = {}
    for word in given:
        name, _, value = word.partition("=")
        if not (name and value):
            raise InputError(f"{option} {word} does not have the form {form}: fix it.")
        if name in values:
            raise InputError(f"{option} names {name} twice: give it once.")
        values[name] = value
    return values


def paths_by_name(given: list[str], option: str, form: str) -> dict[str, Path]:
    """Like `by_name`, for values that are paths."""
    return {name: Path(value) for name, value in by_name(given, option, form).items()}


def check_counts(arguments: argparse.Namespace, *options: str) -> None:
    """Refuse options, each a number or a list of numbers, with values below 1; options that are not given are None.

    Raises:
        InputError: a value is below 1.
    """
    for option in options:
        given = getattr(arguments, option)
        if given is not None and min(given if isinstance(given, list) else [given]) < 1:
            raise InputError(f"--{option.replace('_', '-')} is {given}: give 1 or more.")


def add_token_budget(made: argparse.ArgumentParser) -> None:
    """Add `--token-budget`, a number or `auto`, to a parser; `check_token_budget` refuses other values."""
    made.add_argument(
        "--token-budget",
        type=lambda word: int(word) if word.isdecimal() else word,
        default="auto",
        help="tokens per batch, padding included, or auto: as many as fit into free memory",
    )


def add_computing(made: argparse.ArgumentParser) -> None:
    """Add the options for the computation of a job that reads samples with a model to a parser."""
    made.add_argument(
        "--max-length", type=int, default=1024, help="largest number of tokens per sample; longer samples are cut"
    )
    add_token_budget(made)
    made.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps")
    made.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    made.add_argument("--threads", type=int, default=1, help="processor threads")


def check_token_budget(arguments: argparse.Namespace) -> None:
    """Refuse a token budget that is neither a positive integer nor `auto`.

    Raises:
        InputError: it has another value.
    """
    budget = arguments.token_budget
    if budget != "auto" and (not isinstance(budget, int) or budget < 1):
        raise InputError(f"--token-budget is {budget}: give a whole number of 1 or more, or auto.")


def tell(line: str) -> None:
    """Print a line to the terminal, even with `--log`."""
    print(redacted(f"{Path(sys.argv[0]).stem}: {line}"), file=_terminal or sys.stderr, flush=True)


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.ArgumentParser, online: bool = False) -> None:
    """Parse the command line, call `main` with it and turn failures into exit statuses.

    With `--log`, standard output and standard error go to that file, including those of libraries and child processes.
    Only the error message is still printed to the terminal. An `InputError` prints its sentence and exits with 2, and
    `Interrupted` exits with 143. Refusals of the system (permissions, space, open files) and missing packages also
    become such sentences. Any other error writes its traceback to the log, prints its last line and exits with 1.
    Several processes that torchrun started share the log, which the first of them empties first.

    Requests to the Hugging Face hub are disabled unless the script is `online`, as for scripts that fetch from it.
    """
    global _terminal
    namespace = arguments.parse_args()
    starter.end_with()
    if not online:
        os.environ["HF_HUB_OFFLINE"] = "1"
    # Characters that the locale does not have are printed as their numbers.
    terminal = _terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w", errors="backslashreplace")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    name = Path(sys.argv[0]).stem
    logged = False
    try:
        with storage.written(namespace.log.parent) if namespace.log else nullcontext():
            if namespace.log:
                _open_log(namespace.log)
                logged = True
            main(namespace)
    except (InputError, Interrupted) as error:
        if namespace.log:
            _print_to_log(f"{name}: {error}\n")
        _fail(f"{name}: {error}", 2 if isinstance(error, InputError) else 128 + signal.SIGTERM, terminal)
    except (OSError, ImportError) as error:
        if logged:
            _print_to_log(traceback.format_exc())
        _fail(f"{name}: {_of_the_machine(error)}", 2, terminal)
    except Exception as error:
        _print_to_log(traceback.format_exc())
        where = f" (the full output is in {namespace.log})" if namespace.log else ""
        _fail(f"{name}: {type(error).__name__}: {error}{where}", 1, terminal)


def _open_log(path: Path) -> None:
    """Redirect all output to a file, which the first of several processes empties first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begin = os.O_TRUNC if os.environ.get("RANK", "0") == "0" else 0
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | begin, 0o644)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())


def _print_to_log(text: str) -> None:
    """Print to standard error, without logins, unless the disk is full; the terminal gets its own message."""
    with suppress(OSError):
        sys.stderr.write(redacted(text))


def _of_the_machine(error: OSError | ImportError) -> str:
    """The message about a machine that lacks something."""
    if isinstance(error, OSError):
        return refused_by_system(error)
    return (
        f"the Python package {(error.name or 'that is asked for').partition('.')[0]} cannot be imported "
        f"({first_line(error)}): install the version that envs/workflow.txt names."
    )


def _fail(sentence: str, status: int, terminal: TextIO) -> NoReturn:
    """Print the sentence, without logins, and exit.

    With torchrun, the sentence is written to a file for it, because torchrun prints the sentence of one process. Then
    the exit is immediate, because libraries abort if connections to processes that have ended are closed.
    """
    sentence = redacted(sentence)
    errors = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not errors:
        print(sentence, file=terminal, flush=True)
        sys.exit(status)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it to the others when one has failed
    write_json(Path(errors), {"message": sentence, "timestamp": int(time.time())})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
