"""Evaluate checkpoints with OpenCompass: greedy answers to evaluation sets and to OpenCompass's own datasets.

Runs under the interpreter of envs/opencompass.txt. Each checkpoint is loaded once for all its sets.
"""

import argparse
from pathlib import Path
from typing import Any

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.errors import InputError
from headpatterns.evaluation import builtins, scores, sets, targets
from headpatterns.io import remove


def main(arguments: argparse.Namespace) -> None:
    """Check everything that can be wrong, then evaluate one checkpoint after the other and write the two tables."""
    command_line.check_counts(arguments, "batch_size", "max_new_tokens", "max_length", "threads")
    own = read_sets(arguments)
    asked = targets.read_targets(arguments.evaluate, [*own, *(name for name, _ in arguments.builtin)])
    if arguments.builtin and not arguments.opencompass_data:
        raise InputError(f"--builtin {arguments.builtin[0][0]} needs --opencompass-data, the folder above its `data/`.")
    builtins.check_installed()
    arguments.builtin = [(name, builtins.full_name(config)) for name, config in arguments.builtin]
    for option in ("output", "items_output", "work_folder", "opencompass_data"):
        if path := getattr(arguments, option):  # the working directory changes
            setattr(arguments, option, path.absolute())

    outputs = evaluate_all(asked, own, arguments)
    score_rows, item_rows = [], []
    for target in asked:
        several = len(outputs[target.folder, target.set]) > 1
        for output in outputs[target.folder, target.set]:
            row, items = scores.of_set(own[target.set], output) if target.set in own else scores.of_builtin(output)
            name = f"{target.set}/{output.dataset}" if several else target.set
            key = (arguments.model, target.run, name)
            score_rows.append((*key, *row))
            item_rows += [(*key, *item) for item in items]
    tidy.write(arguments.output, ("model", "run", "set", *scores.COLUMNS), score_rows)
    tidy.write(arguments.items_output, ("model", "run", "set", *scores.ITEM_COLUMNS), item_rows)
    remove(arguments.work_folder)


def read_sets(arguments: argparse.Namespace) -> dict[str, list[sets.Item]]:
    """The items of the workflow's own sets by name; also checks the names of the built-in ones."""
    names = [given[0] for given in (*arguments.set, *arguments.builtin)]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"the set '{repeated[0]}' is defined twice: give each set its own name.")
    for name in names:
        targets.check_name(name)
    return dict(map(sets.read_given, arguments.set))


def evaluate_all(
    asked: list[targets.Target], own: dict[str, list[sets.Item]], arguments: argparse.Namespace
) -> dict[tuple[Path, str], list[scores.Output]]:
    """What OpenCompass finds for every checkpoint folder and set that is asked for, one output a dataset of the set."""
    from headpatterns.evaluation import harness

    remove(arguments.work_folder)  # OpenCompass would take predictions that lie there for those of these checkpoints
    harness.isolate(arguments.work_folder, arguments.opencompass_data, arguments.threads)

    import torch

    from headpatterns.models import loading as models

    torch.set_num_threads(arguments.threads)
    models.check_device(arguments.device)
    length = arguments.max_length, arguments.max_new_tokens
    longest = {target.folder: targets.longest_prompt(target.folder, *length) for target in asked}
    datasets = configure(own, arguments)

    outputs: dict[tuple[Path, str], list[scores.Output]] = {}
    for number, folder in enumerate(longest):
        model = harness.load(folder, arguments.dtype, arguments.device)
        for name in dict.fromkeys(target.set for target in asked if target.folder == folder):
            place = arguments.work_folder / "checkpoints" / str(number) / name
            outputs[folder, name] = [
                harness.evaluate(
                    model, dataset, longest[folder], arguments.batch_size, arguments.max_new_tokens, place / str(part)
                )
                for part, dataset in enumerate(datasets[name])
            ]
        del model
        models.free_memory(arguments.device)
    return outputs


def configure(own: dict[str, list[sets.Item]], arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """OpenCompass's configuration of every dataset of every set."""
    from headpatterns.evaluation import parts

    builtins.forbid_downloads()
    folder = arguments.work_folder / "sets"
    datasets = {name: [parts.dataset(name, items, folder / f"{name}.json")] for name, items in own.items()}
    return datasets | {name: builtins.read(config, arguments.max_new_tokens) for name, config in arguments.builtin}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    add = p.add_argument
    add("--model", required=True, help="the model's name, written into the tables")
    add(
        "--evaluate",
        nargs=3,
        action="append",
        required=True,
        metavar=("RUN", "FOLDER", "SET"),
        help="evaluate a run's checkpoint folder on a set; the order is that of the tables",
    )
    add(
        "--set",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "FILE"),
        help="an evaluation set: NAME PARQUET [IDS_CSV], an instructions file, all of it or the ids of a CSV",
    )
    add(
        "--builtin",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "CONFIG"),
        help="an evaluation set of OpenCompass's own, such as ARC_c/ARC_c_gen_1e0de5",
    )
    add("--opencompass-data", type=Path, help="folder above `data/` in which OpenCompass's own datasets lie")
    add("--batch-size", type=int, default=8, help="prompts answered at a time")
    add("--max-new-tokens", type=int, default=256, help="longest answer, in tokens")
    add("--max-length", type=int, help="prompt and answer together, if fewer tokens than the model has positions")
    add("--device", default="cpu", help="cpu or cuda")
    add("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    add("--threads", type=int, default=1, help="processor threads")
    add("--work-folder", type=Path, required=True, help="OpenCompass's files; emptied first, removed on success")
    add("--output", type=Path, required=True, help="scores, one row a run and set")
    add("--items-output", type=Path, required=True, help="every item's prediction and what was read from it")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
