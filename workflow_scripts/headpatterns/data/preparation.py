"""One dataset from its raw files to the instructions of its training and probe set."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.data import sources, splitting, templates
from headpatterns.data.adapters import resolve_options
from headpatterns.data.conversations import to_json
from headpatterns.data.loading import MAX_REJECTED, Loaded, id_labels, load, ordered
from headpatterns.data.records import Instruction
from headpatterns.data.spool import Entry, Stored
from headpatterns.errors import InputError, first_line
from headpatterns.io import atomic_path, write_json
from headpatterns.progress import Progress

COLUMNS = ("id", "prompt", "response", "tags", "choices", "answer")

GROUP, CHARACTERS = 2**15, 2**24
"""Most rows of a row group of a parquet file, and most characters of its prompts and responses without the last row."""


@dataclass(frozen=True)
class Prepared:
    """Both splits, in their seeded orders and read from disk on demand, and the report on them."""

    train: Sequence[Instruction]
    probe: Sequence[Instruction]
    report: dict[str, Any]


def prepare(
    *,
    dataset: str,
    adapter: str,
    train_files: Sequence[str | Path],
    probe_files: Sequence[str | Path] = (),
    options: Mapping[str, Any] | None = None,
    template: str = "question",
    probe_samples: int | None,
    train_samples: int | None = None,
    expected: Mapping[str, int | None] | None = None,
    seed: int,
    workspace: Path | None = None,
    most_rejected: float | None = None,
) -> Prepared:
    """Read, convert, clean and split a dataset.

    The probe set is a seeded sample of `probe_samples` instructions (None for all) from `probe_files`. Without these
    files, it comes from whole groups that are held out of the training rows; None then leaves `train_samples` for
    training. Repeated instructions of a split and training rows with the prompt of a probe candidate are removed. Of
    the remaining rows, at most `train_samples` are kept, as a seeded sample.

    In the report of each split, `rows_read` is the sum of all other counts. A split in `expected` must have the number
    of instructions that is given there. Texts are in an unnamed file on the disk of `workspace` (None: that of
    temporary files), so that memory holds only what is needed to split the rows. At most the share `most_rejected` of
    the rows of a split may be unusable (None: `loading.MAX_REJECTED`).

    Raises:
        InputError: a file, row, option or template cannot be used, there are too few instructions, or their number is
            not the expected one.
    """
    _check_sizes(dataset, probe_samples, train_samples, bool(probe_files))
    wording = templates.resolve(template)
    resolved = resolve_options(adapter, options or {}, wording == templates.CHAT)
    most = MAX_REJECTED if most_rejected is None else most_rejected
    train_paths, probe_paths = sources.expand(train_files), sources.expand(probe_files)
    labels = id_labels([*train_paths, *probe_paths])

    def read(split: str, paths: Sequence[Path]) -> tuple[list[Entry], dict[str, Any]]:
        loaded = load(dataset, adapter, resolved, wording, paths, labels, workspace, most)
        _check_selected(dataset, split, paths, loaded, options)
        distinct = splitting.deduplicate(loaded.instructions)
        return distinct, _counts(loaded, distinct)

    train, train_report = read("training", train_paths)
    if probe_paths:
        probe, probe_report = read("probe", probe_paths)
    else:
        train, probe = _held_out(train, probe_samples, train_samples, seed)
        train_report["held_out"] = len(probe)
        probe_report = _counts(Loaded(instructions=probe, rows_read=len(probe)), probe)
    apart = splitting.without_overlap(train, probe)
    train_report["overlapping"] = len(train) - len(apart)
    _check_enough(dataset, apart, probe, probe_samples, train_report["overlapping"])

    apart, probe = splitting.with_unique_ids(apart, probe)
    splits = {
        "train": splitting.sample(apart, train_samples, seed),
        "probe": splitting.sample(probe, probe_samples, seed),
    }
    for counts, before, after in ((train_report, apart, splits["train"]), (probe_report, probe, splits["probe"])):
        counts["surplus"] = len(before) - len(after)
        counts["kept"] = len(after)
    _check_expected(dataset, expected or {}, {"train": train_report, "probe": probe_report})
    splitting.check_disjoint(dataset, **splits)
    report = {
        "dataset": dataset,
        "adapter": adapter,
        "options": dict(options or {}),
        "template": wording,
        "seed": seed,
        "splits": {"train": train_report, "probe": probe_report},
    }
    return Prepared(Stored(splits["train"]), Stored(splits["probe"]), report)


def parsed_options(text: str) -> dict[str, Any]:
    """The adapter's options from the JSON text of `--options`.

    Raises:
        InputError: the text is not a JSON object.
    """
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"--options {text!r} is not valid JSON ({first_line(error)}): give a JSON object.") from error
    if not isinstance(options, dict):
        raise InputError(f"--options {text!r} is not a JSON object: give names and values in braces.")
    return options


def _check_sizes(dataset: str, probe_samples: int | None, train_samples: int | None, has_probe_files: bool) -> None:
    for name, samples in (("probe", probe_samples), ("train", train_samples)):
        if samples is not None and samples < 1:
            raise InputError(f"{dataset} is asked for {samples} {name} samples: ask for at least one.")
    if probe_samples is None and train_samples is None and not has_probe_files:
        raise InputError(
            f"{dataset} holds its probe set out of the training rows, but neither size is given: set the number "
            "of training samples or of probe samples."
        )


def _held_out(
    train: Sequence[Entry], probe_samples: int | None, train_samples: int | None, seed: int
) -> tuple[list[Entry], list[Entry]]:
    """Training and probe set from the training rows, by the number of probe samples or of training samples."""
    if probe_samples is not None:
        return splitting.hold_out(train, probe_samples, seed)
    probe, kept = splitting.hold_out(train, train_samples or 0, seed)
    return kept, probe


def _check_enough(
    dataset: str,
    train: Sequence[Entry],
    probe: Sequence[Entry],
    probe_samples: int | None,
    overlapping: int,
) -> None:
    if len(probe) < (probe_samples or 1):
        raise InputError(
            f"{dataset} has {len(probe)} instructions for its probe set, but {probe_samples or 1} are asked for: "
            "ask for fewer probe samples, or give more files."
        )
    if not train:
        raise InputError(
            f"{dataset} has no training rows left after {len(probe)} instructions are held out as its probe set "
            f"({overlapping} training rows repeat one of them): ask for fewer probe samples, or give more files."
        )


def _check_expected(dataset: str, expected: Mapping[str, int | None], reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse files without the numbers of instructions that the config states: they are from another release."""
    stated = {split: count for split, count in expected.items() if count is not None}
    if all(reports[split]["kept"] == count for split, count in stated.items()):
        return
    train, found = reports["train"], " and ".join(f"{reports[split]['kept']} {split}" for split in stated)
    wanted = " and ".join(map(str, stated.values()))
    raise InputError(
        f"{dataset} gives {found} instructions, but datasets.{dataset}.expected is {wanted} (of "
        f"{train['rows_read']} training rows read, {sum(train['rejected'].values())} rejected and "
        f"{train['duplicates']} repeated): give the expected files, or set it to null."
    )


def write(prepared: Prepared, folder: Path) -> str:
    """Write `train.parquet`, `probe.parquet` and `report.json`; the folder appears only when it is complete.

    Returns a text with the counts of the report, one line per split.
    """
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        rows = len(prepared.train) + len(prepared.probe)
        progress = Progress(f"{prepared.report['dataset']}, written", rows)
        _write_parquet(prepared.train, temporary / "train.parquet", progress)
        _write_parquet(prepared.probe, temporary / "probe.parquet", progress)
        write_json(temporary / "report.json", prepared.report)
    return "\n".join(
        f"{prepared.report['dataset']} {split}: {json.dumps(counts, ensure_ascii=False)}"
        for split, counts in prepared.report["splits"].items()
    )


def _write_parquet(instructions: Sequence[Instruction], path: Path, progress: Progress) -> None:
    import pyarrow
    import pyarrow.parquet

    strings = pyarrow.list_(pyarrow.string())
    # All rows have conversations, or none: with a chat template every instruction is one.
    chat = bool(instructions) and bool(instructions[0].messages)
    names = (*COLUMNS, *(("messages",) if chat else ()))
    types = {name: strings if name in ("tags", "choices") else pyarrow.string() for name in names}
    schema = pyarrow.schema(types)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for part in _parts(instructions):
            columns = {name: [getattr(one, name) for one in part] for name in COLUMNS}
            if chat:
                columns["messages"] = [to_json(one.messages) for one in part]
            writer.write_table(pyarrow.table(columns, schema=schema))
            progress.add(len(part))
        if not instructions:
            writer.write_table(schema.empty_table())


def _parts(instructions: Iterable[Instruction]) -> Iterator[list[Instruction]]:
    """Lists of instructions, one per row group of a parquet file: at most GROUP of them, and at most CHARACTERS."""
    part: list[Instruction] = []
    characters = 0
    for one in instructions:
        part.append(one)
        characters += len(one.prompt) + len(one.response)
        if len(part) == GROUP or characters > CHARACTERS:
            yield part
            part, characters = [], 0
    if part:
        yield part


def _counts(loaded: Loaded, distinct: Sequence[Entry]) -> dict[str, Any]:
    return {
        "rows_read": loaded.rows_read,
        "not_selected": loaded.not_selected.total(),
        "rejected": dict(ordered(loaded.rejected)),
        "duplicates": len(loaded.instructions) - len(distinct),
        "held_out": 0,
        "overlapping": 0,
        "surplus": 0,
        "kept": 0,
    }


def _check_selected(
    dataset: str, split: str, paths: Sequence[Path], loaded: Loaded, options: Mapping[str, Any] | None
) -> None:
    if loaded.instructions:
        return
    if not loaded.not_selected:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        raise InputError(
            f"The {split} files of {dataset} have no usable row ({loaded.rows_read} read of {paths[0]}{more}): "
            "give other files."
        )
    seen = "; ".join(f"{why} ({times} rows)" for why, times in ordered(loaded.not_selected)[:5])
    raise InputError(
        f"None of the {loaded.rows_read} {split} rows of {dataset} is selected by the options "
        f"{dict(options or {})} (most frequent reasons: {seen}): change the options."
    )
