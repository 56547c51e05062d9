"""Turn the raw rows of one dataset into instructions: a training set and a probe set that share nothing."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data.adapters import ADAPTERS
from headpatterns.data.preparation import parsed_options, prepare, write
from headpatterns.data.templates import CHAT, TEMPLATES


def main(arguments: argparse.Namespace) -> None:
    """Write train.parquet, probe.parquet and report.json into the output folder, and print the counts."""
    prepared = prepare(
        dataset=arguments.dataset,
        adapter=arguments.adapter,
        train_files=arguments.train_files,
        probe_files=arguments.probe_files,
        options=parsed_options(arguments.options),
        template=arguments.template,
        probe_samples=arguments.probe_samples,
        train_samples=arguments.train_samples,
        expected={"train": arguments.expected_train, "probe": arguments.expected_probe},
        seed=arguments.seed,
        workspace=next(folder for folder in arguments.output.absolute().parents if folder.is_dir()),
        most_rejected=arguments.most_rejected,
    )
    print(write(prepared, arguments.output))


def parser() -> argparse.ArgumentParser:
    """The command line of this rule."""
    p = command_line.parser(__doc__)
    p.add_argument("--dataset", required=True, help="name of the dataset in ids, report and messages")
    p.add_argument("--adapter", required=True, help=f"adapter that reads the rows: {', '.join(ADAPTERS)}")
    p.add_argument("--train-files", nargs="+", required=True, help="files, folders or globs with the training rows")
    p.add_argument(
        "--probe-files",
        nargs="+",
        default=[],
        help="files, folders or globs with the probe rows; without them, the probe set is held out of the training "
        "rows",
    )
    p.add_argument("--options", default="{}", help="JSON object of the options of the adapter")
    templates = f"{', '.join([*TEMPLATES, CHAT])}, or your own text with {{instruction}} and optionally {{response}}"
    p.add_argument("--template", default="question", help=templates)
    p.add_argument("--probe-samples", type=int, help="size of the probe set; all rows by default")
    p.add_argument("--train-samples", type=int, help="largest size of the training set; all rows by default")
    p.add_argument("--expected-train", type=int, help="required number of training instructions; any number by default")
    p.add_argument("--expected-probe", type=int, help="required number of probe instructions; any number by default")
    p.add_argument("--most-rejected", type=float, help="largest share of the rows of a split that may be unusable")
    p.add_argument("--seed", type=int, required=True, help="seed of every draw of samples")
    p.add_argument("--output", type=Path, required=True, help="folder to write")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
