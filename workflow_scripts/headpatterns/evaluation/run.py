"""An evaluation: greedy answers of checkpoints with OpenCompass, likelihoods, and two tables of both.

It runs with the interpreter of envs/opencompass.txt. OpenCompass and its dependencies are imported late: after all
checks that do not need them, and after the process is kept offline and out of the user's home.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.evaluation import builtins, likelihoods, scores, sequences, sets, targets
from headpatterns.evaluation.sets import EvaluationSet
from headpatterns.io import remove, write_csv
from headpatterns.models import independence
from headpatterns.models import loading as models

Own = Mapping[str, EvaluationSet]


@dataclass(frozen=True)
class Request:
    """The evaluations, as the words of a command line.

    Attributes:
        model: the model's name, written into the tables.
        evaluate: run, checkpoint folder and set of each evaluation; the order is that of the tables.
        own: the workflow's own sets.
        builtin: OpenCompass's sets, NAME and configuration each.
    """

    model: str
    evaluate: Sequence[Sequence[str]]
    own: sets.Asked
    builtin: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Settings:
    """Settings of the evaluations, with absolute paths.

    Attributes:
        opencompass_data: folder that contains the `data/` of OpenCompass's own datasets, None without such a set.
        batch_size: prompts answered at the same time.
        token_budget: tokens, padding included, of a batch for likelihoods.
        max_new_tokens: longest answer, in tokens.
        max_length: limit for prompt and generated answer together, None for the model's positions.
        device: cpu or cuda.
        dtype: float32, bfloat16 or float16.
        threads: processor threads.
        work_folder: OpenCompass's files; emptied first, removed on success.
    """

    opencompass_data: Path | None
    batch_size: int
    token_budget: int
    max_new_tokens: int
    max_length: int | None
    device: str
    dtype: str
    threads: int
    work_folder: Path


def evaluate(request: Request, settings: Settings, output: Path, items_output: Path) -> None:
    """Check all inputs first, then evaluate one checkpoint after the other and write the two tables.

    Each checkpoint is loaded once for all its sets.

    Args:
        request: the evaluations.
        settings: their settings.
        output: CSV of the scores, one row per run and set; an absolute path, because the working directory changes.
        items_output: CSV of every item's prediction, the answer read from it, and likelihoods; also absolute.

    Raises:
        InputError: a set, a checkpoint, a configuration or the environment cannot be used.
    """
    own = _read_sets(request)
    asked = targets.read_targets(request.evaluate, [*own, *(name for name, _ in request.builtin)])
    if request.builtin and settings.opencompass_data is None:
        raise InputError(f"--builtin {request.builtin[0][0]} needs --opencompass-data, the folder above its `data/`.")
    builtins.check_installed()
    configs = {name: builtins.full_name(config) for name, config in request.builtin}

    found = _evaluate_all(asked, own, configs, settings)
    score_rows: list[scores.Row] = []
    item_rows: list[scores.Row] = []
    for target in asked:
        for name, row, items in found[target.folder, target.set]:
            key = (request.model, target.run, name)
            score_rows.append((*key, *row))
            item_rows += [(*key, *item) for item in items]
    write_csv(output, ("model", "run", "set", *scores.COLUMNS), score_rows)
    write_csv(items_output, ("model", "run", "set", *scores.ITEM_COLUMNS), item_rows)
    remove(settings.work_folder)


def _read_sets(request: Request) -> dict[str, EvaluationSet]:
    """The workflow's own sets by name; also checks the names of the built-in ones."""
    names = [given[0] for given in (*request.own.given, *request.builtin)]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"the set '{repeated[0]}' is defined twice: give each set its own name.")
    for name in names:
        targets.check_name(name)
    return sets.read_all(request.own)


Found = list[tuple[str, scores.Row, list[scores.Row]]]
"""The scores of one checkpoint on one set, or on each of its parts: name, scores, item rows."""


def _evaluate_all(
    asked: Sequence[targets.Target], own: Own, configs: Mapping[str, str], settings: Settings
) -> dict[tuple[Path, str], Found]:
    """The scores of every checkpoint folder on its requested sets."""
    from headpatterns.evaluation import harness

    work_folder = settings.work_folder
    remove(work_folder)  # OpenCompass would use old predictions there for these checkpoints
    harness.isolate(work_folder, settings.opencompass_data, settings.threads)

    import torch

    torch.set_num_threads(settings.threads)
    models.check_device(settings.device)
    length = settings.max_length, settings.max_new_tokens
    longest = {target.folder: targets.longest_prompt(target.folder, *length) for target in asked}
    texts = _tokenized(asked, own)
    datasets = _configure(own, configs, settings)

    found: dict[tuple[Path, str], Found] = {}
    for number, folder in enumerate(longest):
        chats = any(target.set in own and own[target.set].chat for target in asked if target.folder == folder)
        model = harness.load(folder, settings.dtype, settings.device, chats)
        alone = independence.logits_depend(model.model)
        for name in dict.fromkeys(target.set for target in asked if target.folder == folder):
            # Likelihoods come first, so that problems appear before answers are generated.
            read = texts[folder, name] if name in own else []
            taken = likelihoods.of_items(model.model, name, read, settings.token_budget, alone=alone) if read else []
            together = 1 if alone else _together(model.model, read, longest[folder], settings)
            decoding = harness.Decoding(longest[folder], together, settings.max_new_tokens,
                                        own[name].examples if name in own else (),
                                        name in own and own[name].chat)  # fmt: skip
            place = work_folder / "checkpoints" / str(number) / name
            outputs = [harness.evaluate(model, dataset, decoding, place / str(part))
                       for part, dataset in enumerate(datasets[name])]  # fmt: skip
            if name in own:
                found[folder, name] = [(name, *scores.of_set(name, own[name], outputs[0] if outputs else None, taken))]
            else:
                found[folder, name] = _of_builtin(name, outputs)
        del model
        models.free_memory(settings.device)
    return found


def _together(model: Any, texts: Sequence[sequences.Texts], longest_prompt: int | None, settings: Settings) -> int:
    """Prompts that are answered at the same time: one, if a longer prompt in the batch could change how one is read.

    Args:
        model: the model that reads prompts.
        texts: the items as it reads them; empty if only OpenCompass knows them.
        longest_prompt: tokens that any prompt may have.
        settings: how many are answered at the same time in other cases.
    """
    turn = independence.turn(model.config)
    if turn is None:
        return settings.batch_size
    longest = max((text.gold.start + 1 for text in texts), default=longest_prompt)
    short = longest is not None and longest + settings.max_new_tokens <= turn
    return settings.batch_size if short else 1


def _of_builtin(name: str, outputs: Sequence[scores.Output]) -> Found:
    """The scores of a built-in set, with the names of its datasets if it has several."""
    several = len(outputs) > 1
    return [(f"{name}/{output.dataset}" if several else name, *scores.of_builtin(output)) for output in outputs]


def _tokenized(asked: Sequence[targets.Target], own: Own) -> dict[tuple[Path, str], list[sequences.Texts]]:
    """The items of the workflow's own sets as each checkpoint folder reads them; folders that read alike share them.

    Raises:
        InputError: a response does not fit into the positions of a model that reads it.
    """
    shared: dict[tuple[str, int | None, str], list[sequences.Texts]] = {}
    found = {}
    for folder in dict.fromkeys(target.folder for target in asked):
        tokenizer, positions = models.load_tokenizer(folder), targets.positions(folder)
        reader = targets.digest_of_tokenizer(folder)
        for name in dict.fromkeys(target.set for target in asked if target.folder == folder and target.set in own):
            key = reader, positions, name
            if key not in shared:
                shared[key] = sequences.tokenized(tokenizer, name, own[name], positions)
            found[folder, name] = shared[key]
    return found


def _configure(own: Own, configs: Mapping[str, str], settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """OpenCompass's configuration of every dataset of every set; empty if nothing is generated."""
    from headpatterns.evaluation import parts

    builtins.forbid_downloads()
    folder = settings.work_folder / "sets"
    generated = {name: [item for item in items.items if items.is_generated(item)] for name, items in own.items()}
    datasets = {name: [parts.dataset(name, items, folder / f"{name}.json")] if items else []
                for name, items in generated.items()}  # fmt: skip
    rehearsals = settings.work_folder / "rehearsals"
    return datasets | {
        name: builtins.read(config, settings.max_new_tokens, rehearsals / name) for name, config in configs.items()
    }
