"""The command `headpatterns`: what can be asked of models and rows of your own, with no workflow around it."""

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.errors import InputError


def main() -> None:
    """Run the command that the command line names; whoever reads its output may stop before the end."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    command_line.run(lambda arguments: arguments.command(arguments), parser())


def compare(arguments: argparse.Namespace) -> None:
    """Compare two checkpoints, and say where the page is; with --json, the numbers of whole patterns."""
    command_line.check_counts(arguments, "samples", "max_length", "threads", "resamples")
    command_line.check_token_budget(arguments)
    from headpatterns.comparison.comparing import compare as compared

    with contextlib.redirect_stdout(sys.stderr):  # progress: what is asked for alone goes to standard output
        found = compared(
            arguments.first,
            arguments.second,
            probe_sets(arguments.data),
            arguments.output,
            experiment=arguments.experiment,
            samples=arguments.samples,
            reduction=arguments.reduction,
            max_length=arguments.max_length,
            token_budget=arguments.token_budget,
            device=arguments.device,
            dtype=arguments.dtype,
            threads=arguments.threads,
            resamples=arguments.resamples,
            seed=arguments.seed,
        )
    if arguments.json:
        whole = found.table[(found.table["layer"] == "") & (found.table["head"] == "")]
        print(json.dumps(whole.drop(columns=["layer", "head"]).to_dict("records"), indent=1))
    else:
        print(f"page: {found.page}\ntable: {found.csv}\npatterns: {found.patterns}")


def probe_sets(given: list[str]) -> dict[str, str]:
    """Files by the name of the probe set, of words of the form FILE or NAME=FILE.

    Raises:
        InputError: a name is given twice.
    """
    found: dict[str, str] = {}
    for word in given:
        name, is_named, path = word.partition("=")
        if not is_named or Path(word).exists():
            name, path = Path(word).stem, word
        if name in found:
            raise InputError(f"--data names {name} twice: give one of them another name (--data NAME=FILE).")
        found[name] = path
    return found


def check_model(arguments: argparse.Namespace) -> None:
    """Print what patterns of a model rest on, and refuse a model that has none."""
    from headpatterns.attribution.check import REFUSED
    from headpatterns.attribution.check import check_model as checked

    rows = checked(arguments.model, dtype=arguments.dtype, device=arguments.device)
    if rows[-1].result == REFUSED:
        raise InputError(rows[-1].detail)


def show_sample(arguments: argparse.Namespace) -> None:
    """Print a sample token by token, in colour on a terminal."""
    command_line.check_counts(arguments, "max_length")
    from headpatterns.data.sample import show

    colour = sys.stdout.isatty()
    print(show(arguments.model, arguments.data, arguments.id, arguments.max_length, colour))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], None], what: str) -> argparse.ArgumentParser:
        own = commands.add_parser(name, help=what, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        own.set_defaults(command=function)
        return own

    _add_compare(command("compare", compare, "two checkpoints side by side: patterns, a table and a page"))
    _add_check_model(command("check-model", check_model, "whether patterns of a model can be taken, and how"))
    _add_show_sample(command("show-sample", show_sample, "a sample token by token, with the labels of training"))
    return made


def _add_compare(own: argparse.ArgumentParser) -> None:
    what = "folder in Hugging Face layout, GGUF file, or MODEL or MODEL/RUN of --experiment"
    own.add_argument("first", help=f"A: {what}")
    own.add_argument("second", help="B: likewise")
    own.add_argument(
        "--data", nargs="+", required=True, metavar="[NAME=]FILE", help="rows with prompt, response, optionally id"
    )
    own.add_argument("--output", type=Path, default=Path("comparison"), help="folder of page, table and patterns")
    own.add_argument("--experiment", type=Path, help="results/NAME, whose models and runs may be named")
    own.add_argument("--samples", type=int, default=64, help="of each probe set at most, by a seeded draw")
    own.add_argument("--reduction", default="abs_of_sum", choices=REDUCTIONS, help="Eq. 2")
    own.add_argument("--max-length", type=int, default=1024, help="tokens at which a sample is cut")
    command_line.add_token_budget(own)
    _add_where(own)
    own.add_argument("--threads", type=int, help="processor threads; without, as many as there are processors")
    own.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the samples")
    own.add_argument("--seed", type=int, default=0, help="of the draws of samples and replicates")
    own.add_argument("--json", action="store_true", help="print the numbers of whole patterns as JSON")


def _add_check_model(own: argparse.ArgumentParser) -> None:
    own.add_argument("model", type=Path, help="folder in Hugging Face layout")
    _add_where(own)


def _add_show_sample(own: argparse.ArgumentParser) -> None:
    own.add_argument("model", type=Path, help="folder with the tokenizer")
    own.add_argument("data", type=Path, help="rows with prompt, response, optionally id")
    own.add_argument("--id", help="of the sample; without it the first")
    own.add_argument("--max-length", type=int, default=1024, help="tokens at which it is cut")


def _add_where(own: argparse.ArgumentParser) -> None:
    """Device and number format."""
    own.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps")
    own.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])


if __name__ == "__main__":
    main()
