"""The command `headpatterns`: what can be asked of models and rows of your own, with no workflow around it."""

import argparse
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from headpatterns import __version__
from headpatterns import cli as command_line
from headpatterns.commands import ablate, checking, compare, options, patterns, select
from headpatterns.errors import InputError, Interrupted, first_line

BY_CTRL_C = 128 + signal.SIGINT
"""The exit status of a program that Ctrl-C has ended, as in a shell."""


def main() -> None:
    """Run the command that the command line names; a reader of its output may close it before the end."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        command_line.run(_run, parser())
    except KeyboardInterrupt:
        _end("stopped by Ctrl-C.")


def _run(arguments: argparse.Namespace) -> None:
    """Run the command; when Ctrl-C ends it, it may have stored work from which it can continue."""
    options.check(arguments)
    try:
        arguments.command(arguments)
    except ImportError as error:
        raise InputError(
            f"the Python package {(error.name or 'that is asked for').partition('.')[0]} cannot be imported "
            f'({first_line(error)}): pip install "headpatterns[models,drawing]".'
        ) from error
    except Interrupted as error:
        from headpatterns.processes import interruption

        if interruption.name() != "SIGINT":
            raise
        _end(str(error))


def _end(sentence: str) -> NoReturn:
    command_line.tell(sentence)
    sys.exit(BY_CTRL_C)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.prog, made.formatter_class = "headpatterns", options.Help
    made.epilog = f"Example: {compare.EXAMPLE}"
    made.add_argument("--version", action="version", version=f"headpatterns {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], None], what: str, example: str
    ) -> argparse.ArgumentParser:
        own = commands.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            epilog=f"Example: {example}",
            formatter_class=options.Help,
        )
        own.set_defaults(command=run)
        return own

    patterns.add(command("patterns", patterns.run, "activation patterns of a model", patterns.EXAMPLE))
    compare.add(
        command("compare", compare.run, "comparison of two checkpoints: patterns, a table and a page", compare.EXAMPLE)
    )
    ablate.add(command("ablate", ablate.run, "how the loss changes without each head", ablate.EXAMPLE))
    select.add(
        command("select", select.run, "ranking of a pool by how similar its samples are to a target", select.EXAMPLE)
    )
    checking.add_model(
        command(
            "check-model", checking.run_model, "whether patterns of a model can be taken", checking.EXAMPLE_OF_MODEL
        )
    )
    checking.add_sample(
        command(
            "show-sample", checking.run_sample, "the tokens of a sample, with their labels", checking.EXAMPLE_OF_SAMPLE
        )
    )
    return made


if __name__ == "__main__":
    main()
