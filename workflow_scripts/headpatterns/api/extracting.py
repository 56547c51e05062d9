"""Patterns of one model on the rows of a file, outside the workflow."""

from collections.abc import Sequence
from pathlib import Path

from headpatterns import extras
from headpatterns.api.stored import StoredPatterns, load_patterns
from headpatterns.attribution import extract, probes
from headpatterns.attribution.extract import Settings
from headpatterns.attribution.patterns import check_reductions
from headpatterns.attribution.probes import Probe
from headpatterns.comparison import pair
from headpatterns.data import samples as rows_of
from headpatterns.errors import InputError
from headpatterns.models import loading as models


def patterns(
    model: str | Path,
    data: str | Path,
    output: str | Path = "patterns.npy",
    *,
    samples: int | None = 64,
    reduction: str = "abs_of_sum",
    also: Sequence[str] = (),
    experiment: str | Path | None = None,
    template: str | None = None,
    max_length: int = 1024,
    token_budget: int | str = "auto",
    device: str = "cpu",
    dtype: str = "float32",
    threads: int | None = None,
    seed: int = 0,
) -> StoredPatterns:
    """Activation patterns of a model on the rows of a file (Eq. 2), from files to files.

    OUT.npy gets the pattern [layers, heads], OUT.samples.npy the levels of every sample [samples, layers, heads], and
    OUT.json their provenance. Files of an earlier call are reused if model, samples and settings are the same. An
    interrupted call continues with the missing samples.

    Args:
        model: a folder in Hugging Face layout, a GGUF file, or a name of `experiment`: MODEL or MODEL/RUN.
        data: a file or folder of rows with prompt, response and optionally id, or with messages.
        output: OUT.npy.
        samples: number of rows, chosen by a seeded draw; None for all.
        reduction: reading of Eq. 2, one of `REDUCTIONS`.
        also: further reductions, from the same passes.
        experiment: folder of an experiment, results/NAME, whose models and runs may be named.
        template: prompt template into which rows are put: `question`, `alpaca`, `chat` (of the model's tokenizer), or a
            text with {instruction}; None if prompts are ready.
        max_length: tokens at which a sample is cut; a sample whose whole response lies beyond is left out.
        token_budget: tokens of a batch, padding included; `auto` takes what fits into free memory.
        device: cpu, cuda, cuda:N or mps.
        dtype: float32, bfloat16 or float16.
        threads: processor threads; None for all processors.
        seed: of the draw of samples.

    Raises:
        InputError: an argument cannot be used.
        Interrupted: SIGTERM or Ctrl-C came; finished samples are kept.
    """
    extras.need("taking patterns", "models")
    output = Path(output)
    if output.suffix != ".npy":
        raise InputError(f"the output {output} must end in .npy.")
    reductions = list(dict.fromkeys((reduction, *also)))
    check_reductions(reductions)
    settings = Settings.of_call(
        resolved(model, experiment, output.parent),
        reductions=reductions,
        max_length=max_length,
        token_budget=token_budget,
        device=device,
        dtype=dtype,
        threads=threads,
    )
    rows = rows_of.in_template(Path(data), template, output.with_suffix(".rows.jsonl"))
    taken(rows, output, samples, seed, settings)
    return load_patterns(output)


def resolved(model: str | Path, experiment: str | Path | None, folder: Path) -> Path:
    """The folder of a named model; a model that is made from a GGUF file is in `folder`/models.

    Raises:
        InputError: as `pair.checkpoint`.
    """
    return pair.checkpoint(model, experiment, folder / "models").folder


def taken(data: Path, output: Path, samples: int | None, seed: int, settings: Settings) -> None:
    """Extract patterns on some rows of a file, or on all, unless they exist already.

    Raises:
        InputError: as `extract.of_model`.
        Interrupted: as there.
    """
    models.check_folder(settings.model)
    models.check_device(settings.device)
    listed = output.with_suffix(".samples.csv")
    probe = Probe(data) if samples is None else probes.drawn(output.stem, data, samples, seed, listed)
    rows = probes.read(probe)
    tokenizer = models.load_tokenizer(settings.model)
    probed = probes.tokenized(probe, rows, tokenizer, settings.max_length, skip=True)
    extract.what_is_missing(probe, probed, output, settings)
