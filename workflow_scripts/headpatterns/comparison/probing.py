"""The patterns of two checkpoints on the same samples, from files to files; finished files of an earlier call are kept.

The folder of a comparison has `runs.csv`, in which each probe set is a run from the first checkpoint to the second. For
each probe set it has `patterns/{name}/`: samples.csv, the chosen samples; step-0, the patterns of the first checkpoint;
step-1, those of the second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headpatterns.attribution import extract, probes
from headpatterns.attribution.extract import Settings
from headpatterns.attribution.probes import Probe, Probed
from headpatterns.comparison import pair as pairs
from headpatterns.comparison.pair import Checkpoint
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.io import write_csv
from headpatterns.models import loading as models

STUDY, MODEL = "adaptation", "pair"
"""Study and model of a comparison in the table of runs, so that the study's functions can read it."""

RUNS = "runs.csv"


def _check_number(data: Path, samples: int) -> None:
    """Refuse a single sample.

    Raises:
        InputError: there is only one.
    """
    if samples < 2:
        raise InputError(
            f"{data} gives {samples} sample that can be used: give two or more, because one sample gives no interval."
        )


def tokenized(pair: Sequence[Checkpoint], wanted: Mapping[str, Probe], max_length: int) -> list[dict[str, Probed]]:
    """The samples of each probe set, tokenized by the tokenizer of each checkpoint.

    Raises:
        InputError: a tokenizer cannot be loaded, or the two give different tokens.
    """
    tokenizers = [models.load_tokenizer(one.folder) for one in pair]
    rows = {name: probes.read(probe) for name, probe in wanted.items()}
    found = [
        {name: probes.tokenized(probe, rows[name], tokenizer, max_length, skip=True) for name, probe in wanted.items()}
        for tokenizer in tokenizers
    ]
    for name, probe in wanted.items():
        samples = [of_one[name].samples for of_one in found]
        _check_number(probe.data, len(samples[0]))
        pairs.check_tokens(pair, samples, [tokenizer.eos_token_id for tokenizer in tokenizers])
    return found


def extract_patterns(pair: Sequence[Checkpoint], wanted: Mapping[str, Probe], output: Path, settings: Settings) -> None:
    """Extract missing patterns, and write the table of runs.

    Raises:
        InputError: as `extract.of_model` and `tokenized`.
        Interrupted: as there.
    """
    samples = tokenized(pair, wanted, settings.max_length)
    for name, probe in wanted.items():
        for step, one in enumerate(pair):
            own = replace(settings, model=one.folder)
            extract.what_is_missing(probe, samples[step][name], patterns(output, name) / f"step-{step}.npy", own)
    write_csv(output / RUNS, run_table.COLUMNS, [_row(name, pair, output) for name in wanted])


def patterns(output: Path, name: str) -> Path:
    """The folder of the patterns on a probe set."""
    return output / "patterns" / name


def _row(name: str, pair: Sequence[Checkpoint], output: Path) -> list[Any]:
    """The row of a probe set in the table of runs."""
    row = {
        "study": STUDY,
        "model": MODEL,
        "model_label": f"{pair[0].name} → {pair[1].name}",
        "task": name,
        "task_label": name,
        "seed": 0,
        "run": name,
        "patterns": patterns(output, name),
    }
    return [row.get(column, "") for column in run_table.COLUMNS]
