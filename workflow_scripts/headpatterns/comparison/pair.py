"""The two checkpoints of a comparison: their folders, and whether their heads and tokens correspond."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.experiment import written
from headpatterns.experiment.experiment import Experiment
from headpatterns.models import likeness
from headpatterns.models import loading as models
from headpatterns.models.conversion import convert
from headpatterns.provenance import fingerprint
from headpatterns.studies import load_studies

RUN = "/"
"""Between the name of a model and that of its run, as in `llama/nlp.gsm8k.seed0`."""


@dataclass(frozen=True)
class Checkpoint:
    """One of the two checkpoints.

    Attributes:
        name: its name on the page.
        folder: its folder in Hugging Face layout.
    """

    name: str
    folder: Path


def checkpoint(given: str | Path, experiment: str | Path | None, workplace: Path) -> Checkpoint:
    """The checkpoint that a user names.

    Args:
        given: a folder, a GGUF file, or the name of a model of the experiment or of a run of it, MODEL/RUN. If each
            seed has its own base, MODEL is the base of the first seed, and MODEL/base.seedN that of another.
        experiment: the folder of an experiment, results/NAME; None if names are not used.
        workplace: folder in which a GGUF file is converted, once.

    Raises:
        InputError: it is none of these, or there is no such model or run.
    """
    path = Path(given)
    if path.suffix == ".gguf" and path.is_file():
        folder = workplace / f"{path.stem}-{fingerprint(path)}"
        if not folder.is_dir():
            convert(path, folder)
        return Checkpoint(path.stem, folder)
    if path.is_dir():
        named = path.resolve()
        return Checkpoint(named.parent.name if named.name == "final" else named.name, path)
    if not experiment:
        raise InputError(
            f"{given} is neither a folder nor a GGUF file: give one of these, or the name of a model or run "
            "(MODEL/RUN) together with --experiment results/NAME."
        )
    return _named(str(given), Path(experiment))


def _named(given: str, folder: Path) -> Checkpoint:
    """A model or a run of an experiment."""
    config = folder / "config.yaml"
    if not config.is_file():
        raise InputError(f"{folder} is not the folder of an experiment (it has no config.yaml): give results/NAME.")
    experiment = Experiment(written.read_config(config), load_studies(), recall=True, root=str(folder), places=False)
    model, _, run = given.partition(RUN)
    if model not in experiment.config.models:
        raise InputError(f"{folder} has no model '{model}': use one of {', '.join(experiment.models)}.")
    label = experiment.config.models[model].label
    known = [name for of, name in (*experiment.bases, *experiment.run_named) if of == model]
    if run and run not in known:
        raise InputError(f"{folder} has no run '{run}' of {model}: use one of {', '.join(known)}.")
    return Checkpoint(f"{label}, {run}" if run else label, Path(experiment.evaluated(model, run or known[0])))


def check(pair: Sequence[Checkpoint]) -> None:
    """Refuse two checkpoints that are the same folder, or whose layers or heads do not correspond.

    Raises:
        InputError: naming the difference; or a folder is not a model.
    """
    for one in pair:
        models.check_folder(one.folder)
    if pair[0].folder.resolve() == pair[1].folder.resolve():
        raise InputError(f"both checkpoints are {pair[0].folder}: give two different ones.")
    if said := likeness.difference(pair[0].folder, pair[1].folder):
        raise InputError(
            f"{said}, so their heads do not correspond: compare a model with a model that was trained from it."
        )


def check_tokens(
    pair: Sequence[Checkpoint], samples: Sequence[Sequence[TokenizedSample]], ends: Sequence[int | None]
) -> None:
    """Refuse two checkpoints whose tokenizers give different tokens for a sample; the EOS after it may differ.

    Args:
        pair: the two checkpoints.
        samples: of one probe set, tokenized by each tokenizer.
        ends: the EOS of each.

    Raises:
        InputError: naming the first such sample.
    """
    for first, second in zip(*samples, strict=True):
        read = [_body(one, end) for one, end in zip((first, second), ends, strict=True)]
        places = [(one.response_start, one.turns) for one in (first, second)]
        if read[0] != read[1] or places[0] != places[1]:
            raise InputError(
                f"the tokenizers of {pair[0].folder} and {pair[1].folder} split the sample '{first.id}' into "
                "different tokens: compare checkpoints with the same tokenizer."
            )


def _body(sample: TokenizedSample, end: int | None) -> list[int]:
    """The tokens of a sample without the EOS after it."""
    ids = sample.input_ids
    return ids[:-1] if ids and ids[-1] == end and not sample.truncated else ids
