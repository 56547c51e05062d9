"""An evaluation: greedy answers of checkpoints to evaluation sets, through OpenCompass, and the two tables of them.

It runs under the interpreter of envs/opencompass.txt. OpenCompass, and what it brings along, is imported late: after
what can be refused without it, and after the process is kept offline and out of the user's home.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.evaluation import builtins, scores, sets, targets
from headpatterns.io import remove, write_csv


@dataclass(frozen=True)
class Request:
    """What is evaluated, as the words of a command line.

    Attributes:
        model: the model's name, written into the tables.
        evaluate: run, checkpoint folder and set of each evaluation; the order is that of the tables.
        own: the workflow's own sets, NAME PARQUET and perhaps IDS_CSV each.
        builtin: OpenCompass's sets, NAME and configuration each.
    """

    model: str
    evaluate: Sequence[Sequence[str]]
    own: Sequence[Sequence[str]]
    builtin: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Settings:
    """How it is evaluated, with absolute paths.

    Attributes:
        opencompass_data: folder above `data/` in which OpenCompass's own datasets lie, None without such a set.
        batch_size: prompts answered at a time.
        max_new_tokens: longest answer, in tokens.
        max_length: prompt and answer together, None for the model's positions.
        device: cpu or cuda.
        dtype: float32, bfloat16 or float16.
        threads: processor threads.
        work_folder: OpenCompass's files; emptied first, removed on success.
    """

    opencompass_data: Path | None
    batch_size: int
    max_new_tokens: int
    max_length: int | None
    device: str
    dtype: str
    threads: int
    work_folder: Path


def evaluate(request: Request, settings: Settings, output: Path, items_output: Path) -> None:
    """Check everything that can be wrong, then evaluate one checkpoint after the other and write the two tables.

    Each checkpoint is loaded once for all its sets.

    Args:
        request: what is evaluated.
        settings: how.
        output: CSV of the scores, one row a run and set; an absolute path, as the working directory changes.
        items_output: CSV of every item's prediction and what was read from it; absolute as well.

    Raises:
        InputError: a set, a checkpoint, a configuration or the environment cannot be used.
    """
    own = _read_sets(request)
    asked = targets.read_targets(request.evaluate, [*own, *(name for name, _ in request.builtin)])
    if request.builtin and settings.opencompass_data is None:
        raise InputError(f"--builtin {request.builtin[0][0]} needs --opencompass-data, the folder above its `data/`.")
    builtins.check_installed()
    configs = {name: builtins.full_name(config) for name, config in request.builtin}

    outputs = _evaluate_all(asked, own, configs, settings)
    score_rows: list[scores.Row] = []
    item_rows: list[scores.Row] = []
    for target in asked:
        several = len(outputs[target.folder, target.set]) > 1
        for found in outputs[target.folder, target.set]:
            row, items = scores.of_set(own[target.set], found) if target.set in own else scores.of_builtin(found)
            name = f"{target.set}/{found.dataset}" if several else target.set
            key = (request.model, target.run, name)
            score_rows.append((*key, *row))
            item_rows += [(*key, *item) for item in items]
    write_csv(output, ("model", "run", "set", *scores.COLUMNS), score_rows)
    write_csv(items_output, ("model", "run", "set", *scores.ITEM_COLUMNS), item_rows)
    remove(settings.work_folder)


def _read_sets(request: Request) -> dict[str, list[sets.Item]]:
    """The items of the workflow's own sets by name; also checks the names of the built-in ones."""
    names = [given[0] for given in (*request.own, *request.builtin)]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"the set '{repeated[0]}' is defined twice: give each set its own name.")
    for name in names:
        targets.check_name(name)
    return dict(map(sets.read_given, request.own))


def _evaluate_all(
    asked: Sequence[targets.Target],
    own: Mapping[str, list[sets.Item]],
    configs: Mapping[str, str],
    settings: Settings,
) -> dict[tuple[Path, str], list[scores.Output]]:
    """What OpenCompass finds for every checkpoint folder and set that is asked for, one output a dataset of the set."""
    from headpatterns.evaluation import harness

    work_folder = settings.work_folder
    remove(work_folder)  # OpenCompass would take predictions that lie there for those of these checkpoints
    harness.isolate(work_folder, settings.opencompass_data, settings.threads)

    import torch

    from headpatterns.models import loading as models

    torch.set_num_threads(settings.threads)
    models.check_device(settings.device)
    length = settings.max_length, settings.max_new_tokens
    longest = {target.folder: targets.longest_prompt(target.folder, *length) for target in asked}
    datasets = _configure(own, configs, settings)

    outputs: dict[tuple[Path, str], list[scores.Output]] = {}
    for number, folder in enumerate(longest):
        model = harness.load(folder, settings.dtype, settings.device)
        for name in dict.fromkeys(target.set for target in asked if target.folder == folder):
            place = work_folder / "checkpoints" / str(number) / name
            outputs[folder, name] = [
                harness.evaluate(
                    model, dataset, longest[folder], settings.batch_size, settings.max_new_tokens, place / str(part)
                )
                for part, dataset in enumerate(datasets[name])
            ]
        del model
        models.free_memory(settings.device)
    return outputs


def _configure(
    own: Mapping[str, list[sets.Item]], configs: Mapping[str, str], settings: Settings
) -> dict[str, list[dict[str, Any]]]:
    """OpenCompass's configuration of every dataset of every set."""
    from headpatterns.evaluation import parts

    builtins.forbid_downloads()
    folder = settings.work_folder / "sets"
    datasets = {name: [parts.dataset(name, items, folder / f"{name}.json")] for name, items in own.items()}
    return datasets | {name: builtins.read(config, settings.max_new_tokens) for name, config in configs.items()}
