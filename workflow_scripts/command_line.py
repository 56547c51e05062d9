"""What every command line of the workflow shares: a log file, and errors that a user can read."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from headpatterns.errors import InputError


def parser(description: str) -> argparse.ArgumentParser:
    """A parser that shows defaults and knows `--log`; `description` is usually the module's docstring."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--log", type=Path, help="write everything that is printed to this file instead")
    return made


def by_name(given: list[str], option: str, form: str) -> dict[str, str]:
    """Values by name of a repeated option whose words have a form such as `TASK=PATH`, in the order given.

    Raises:
        InputError: a word of another form, or a name given twice.
    """
    values: dict[str, str] = {}
    for word in given:
        name, _, value = word.partition("=")
        if not (name and value):
            raise InputError(f"{option} {word} is not of the form {form}: mend it.")
        if name in values:
            raise InputError(f"{option} names {name} twice: give it once.")
        values[name] = value
    return values


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.ArgumentParser) -> None:
    """Parse the command line, call `main` with it and turn failures into exit statuses.

    With `--log`, standard output and standard error go to that file, those of libraries and child processes included;
    only the sentence that says what went wrong still reaches the terminal. An `InputError` prints its sentence and
    exits with 2; any other error leaves its traceback in the log, prints its last line and exits with 1.
    """
    namespace = arguments.parse_args()
    terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w")
    if namespace.log:
        namespace.log.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(namespace.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
    name = Path(sys.argv[0]).stem
    try:
        main(namespace)
    except InputError as error:
        if namespace.log:
            print(f"{name}: {error}", file=sys.stderr)
        print(f"{name}: {error}", file=terminal, flush=True)
        sys.exit(2)
    except Exception as error:
        traceback.print_exc()
        where = f" (the whole story is in {namespace.log})" if namespace.log else ""
        print(f"{name}: {type(error).__name__}: {error}{where}", file=terminal, flush=True)
        sys.exit(1)
