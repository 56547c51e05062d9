"""Two checkpoints side by side, outside the workflow: patterns, one table, one page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns import extras, provenance
from headpatterns.attribution import files, probes
from headpatterns.attribution.extract import Settings
from headpatterns.comparison import numbers, pair, probing
from headpatterns.data import samples as rows_of
from headpatterns.errors import InputError
from headpatterns.io import write_csv, write_text

TABLE, PAGE = "comparison.csv", "comparison.html"


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes:
        table: every number, with the columns `numbers.COLUMNS`; its states are a, b, change and change_rate.
        csv: the file of that table.
        page: the file of the page.
        patterns: the folder of the patterns, with a folder for each probe set: step-0 is the first checkpoint, step-1
            the second.
    """

    table: pd.DataFrame
    csv: Path
    page: Path
    patterns: Path


def compare(
    first: str | Path,
    second: str | Path,
    data: str | Path | Mapping[str, str | Path],
    output: str | Path = "comparison",
    *,
    experiment: str | Path | None = None,
    samples: int | None = 64,
    reduction: str = "abs_of_sum",
    template: str | None = None,
    max_length: int = 1024,
    token_budget: int | str = "auto",
    device: str = "cpu",
    dtype: str = "float32",
    threads: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare the activation patterns of two checkpoints on the same samples.

    Patterns of an earlier call in `output` are reused if checkpoints, samples and settings are the same. An interrupted
    call continues with the missing samples.

    Args:
        first: a folder in Hugging Face layout, a GGUF file, or a name of `experiment`: MODEL or MODEL/RUN.
        second: in the same form; with the same architecture, numbers of layers and heads, and tokenizer.
        data: a file or folder of rows with prompt, response and optionally id, or several by the name of the probe set.
        output: folder for the page, the table and the patterns.
        experiment: folder of an experiment, results/NAME, whose models and runs may be named.
        samples: number of samples of each probe set, chosen by a seeded draw; None for all.
        reduction: reading of Eq. 2, one of `REDUCTIONS`.
        template: prompt template into which rows are put: `question`, `alpaca`, `chat` (of the model's tokenizer), or a
            text with {instruction}; None if prompts are ready.
        max_length: tokens at which a sample is cut; a sample whose whole response lies beyond is left out.
        token_budget: tokens of a batch, padding included; `auto` takes what fits into free memory.
        device: cpu, cuda, cuda:N or mps.
        dtype: float32, bfloat16 or float16.
        threads: processor threads; None for all processors.
        resamples: bootstrap replicates of the probe samples.
        seed: of the draws of samples and replicates.

    Raises:
        InputError: an argument cannot be used.
        Interrupted: SIGTERM came; finished samples are kept.
    """
    extras.need("comparing checkpoints", "models", "drawing")
    from headpatterns.comparison import page

    folder = Path(output)
    probe_sets = _by_name(data)
    both = [pair.checkpoint(one, experiment, folder / "models") for one in (first, second)]
    pair.check(both)
    if both[0].name == both[1].name:
        both = [pair.Checkpoint(str(one.folder), one.folder) for one in both]
    rows = {
        name: rows_of.in_template(path, template, probing.patterns(folder, name) / "rows.jsonl")
        for name, path in probe_sets.items()
    }
    wanted = {
        name: probes.drawn(name, path, samples, seed, probing.patterns(folder, name) / "samples.csv")
        for name, path in rows.items()
    }
    settings = Settings.of_call(
        both[0].folder,
        reductions=[reduction],
        max_length=max_length,
        token_budget=token_budget,
        device=device,
        dtype=dtype,
        threads=threads,
    )
    probing.extract_patterns(both, wanted, folder, settings)
    table = numbers.compared(folder / probing.RUNS, resamples, seed)
    write_csv(folder / TABLE, numbers.COLUMNS, table.itertuples(index=False))
    about = _about(both, probe_sets, folder, settings, template)
    write_text(folder / PAGE, page.page(both, folder / probing.RUNS, table, about))
    return Comparison(table, folder / TABLE, folder / PAGE, folder / "patterns")


def _by_name(data: str | Path | Mapping[str, str | Path]) -> dict[str, Path]:
    """Files by the name of the probe set, which is part of paths and tables.

    Raises:
        InputError: none is given, or a name cannot be part of a path.
    """
    given = data if isinstance(data, Mapping) else {Path(data).stem or Path(data).name: data}
    if not given:
        raise InputError("no probe set was given: give a file of rows with prompt and response.")
    for name in given:
        if not name or set(name) & set("/\\+") or name.startswith("."):
            raise InputError(
                f"a probe set cannot have the name '{name}': give it a name (--data NAME=FILE) without /, \\ and +."
            )
    return {name: Path(path) for name, path in given.items()}


def _about(
    both: list[pair.Checkpoint],
    probe_sets: Mapping[str, Path],
    folder: Path,
    settings: Settings,
    template: str | None,
) -> dict[str, Any]:
    """The provenance of the numbers on the page."""
    found: dict[str, Any] = {name: f"{one.name}, in {one.folder}" for name, one in zip(("A", "B"), both, strict=True)}
    for name, path in probe_sets.items():
        known = files.about(probing.patterns(folder, name), 0)
        found[f"Probe set {name}"] = (
            f"{len(known.ids)} samples of {path}, {known.response_tokens.sum()} response tokens"
        )
    environment = provenance.environment()
    return {
        **found,
        "Prompt template": template or "none",
        "Reduction (how Eq. 2 is read)": settings.reduction,
        "Number format": settings.dtype,
        "Device": settings.device,
        "Versions": ", ".join(f"{name} {version}" for name, version in environment["versions"].items()),
        "Commit": environment["commit"],
        "Platform": environment["platform"],
    }
