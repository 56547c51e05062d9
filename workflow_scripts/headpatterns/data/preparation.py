"""One dataset from its raw files to the instructions of its training and probe set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.data import sources, splitting, templates
from headpatterns.data.adapters import resolve_options
from headpatterns.data.loading import Loaded, id_labels, load, ordered
from headpatterns.data.records import Instruction
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, write_json

COLUMNS = ("id", "prompt", "response", "tags", "choices", "answer")


@dataclass(frozen=True)
class Prepared:
    """Both splits, each in its seeded order, and the report on how they came about."""

    train: list[Instruction]
    probe: list[Instruction]
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
    seed: int,
) -> Prepared:
    """Read, convert, clean and split a dataset.

    The probe set is a seeded sample of `probe_samples` instructions (None for all) from `probe_files` or, without
    them, from whole groups held out of the training rows, where None leaves `train_samples` to train on. Repeated
    instructions of a split and training rows with the prompt of a probe candidate are removed; `train_samples` caps
    what is left with a seeded sample. In the report of each split, `rows_read` is the sum of all other counts.

    Raises:
        InputError: a file, row, option or template cannot be used, or there are too few instructions.
    """
    for name, samples in (("probe", probe_samples), ("train", train_samples)):
        if samples is not None and samples < 1:
            raise InputError(f"{samples} {name} samples were asked of {dataset}: ask for at least one.")
    if probe_samples is None and train_samples is None and not probe_files:
        raise InputError(
            f"{dataset} is to hold its probe set out of the training rows, but the size of neither is given: "
            "state the number of training or of probe samples."
        )
    resolved = resolve_options(adapter, options or {})
    wording = templates.resolve(template)
    train_paths, probe_paths = sources.expand(train_files), sources.expand(probe_files)
    labels = id_labels([*train_paths, *probe_paths])

    loaded = load(dataset, adapter, resolved, wording, train_paths, labels)
    _check_selected(dataset, "training", train_paths, loaded, options)
    train = splitting.deduplicate(loaded.instructions)
    train_report = _counts(loaded, train)
    if probe_paths:
        loaded = load(dataset, adapter, resolved, wording, probe_paths, labels)
        _check_selected(dataset, "probe", probe_paths, loaded, options)
        probe = splitting.deduplicate(loaded.instructions)
        probe_report = _counts(loaded, probe)
    else:
        if probe_samples is None:
            probe, train = splitting.hold_out(train, train_samples, seed)
        else:
            train, probe = splitting.hold_out(train, probe_samples, seed)
        train_report["held_out"] = len(probe)
        probe_report = _counts(Loaded(instructions=probe, rows_read=len(probe)), probe)
    if len(probe) < (probe_samples or 1):
        raise InputError(
            f"{dataset} has {len(probe)} instructions for its probe set where {probe_samples or 1} are asked: "
            "ask for fewer probe samples or give more files."
        )

    apart = splitting.without_overlap(train, probe)
    train_report["overlapping"] = len(train) - len(apart)
    if not apart:
        raise InputError(
            f"Nothing of {dataset} is left to train on after its probe set of {len(probe)} instructions is set apart "
            f"({train_report['overlapping']} training rows repeat it): ask for fewer probe samples or give more files."
        )
    apart, probe = splitting.with_unique_ids(apart, probe)
    splits = {
        "train": splitting.sample(apart, train_samples, seed),
        "probe": splitting.sample(probe, probe_samples, seed),
    }
    for counts, before, after in ((train_report, apart, splits["train"]), (probe_report, probe, splits["probe"])):
        counts["surplus"] = len(before) - len(after)
        counts["kept"] = len(after)
    splitting.check_disjoint(dataset, **splits)
    report = {
        "dataset": dataset,
        "adapter": adapter,
        "options": dict(options or {}),
        "template": wording,
        "seed": seed,
        "splits": {"train": train_report, "probe": probe_report},
    }
    return Prepared(**splits, report=report)


def write(prepared: Prepared, folder: Path) -> None:
    """Write `train.parquet`, `probe.parquet` and `report.json`; the folder appears whole or not at all."""
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        _write_parquet(prepared.train, temporary / "train.parquet")
        _write_parquet(prepared.probe, temporary / "probe.parquet")
        write_json(temporary / "report.json", prepared.report)


def _write_parquet(instructions: Sequence[Instruction], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    strings = pyarrow.list_(pyarrow.string())
    types = {name: strings if name in ("tags", "choices") else pyarrow.string() for name in COLUMNS}
    columns = {name: [getattr(one, name) for one in instructions] for name in COLUMNS}
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=pyarrow.schema(types)), path)


def _counts(loaded: Loaded, distinct: Sequence[Instruction]) -> dict[str, Any]:
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
            f"The {split} files of {dataset} hold no usable row ({loaded.rows_read} read of {paths[0]}{more}): "
            "give others."
        )
    seen = "; ".join(f"{why} ({times} rows)" for why, times in ordered(loaded.not_selected)[:5])
    raise InputError(
        f"None of the {loaded.rows_read} {split} rows of {dataset} is selected by the options {dict(options or {})}; "
        f"commonest among those left out: {seen}: change the options."
    )
