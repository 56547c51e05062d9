"""The sample that `--config show=MODEL/DATASET` names, for `snakemake show_sample`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headpatterns.errors import InputError
from headpatterns.experiment.needed import tokenizer_of
from headpatterns.experiment.references import unknown

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

SPLITS = ("train", "probe")


@dataclass(frozen=True)
class Shown:
    """A sample of a dataset as a model reads it.

    Attributes:
        tokenizer: name of the model's tokenizer.
        dataset: name of the dataset.
        split: train or probe.
        id: of the sample; None for the first.
    """

    tokenizer: str
    dataset: str
    split: str
    id: str | None


def asked(experiment: "Experiment", named: str) -> Shown:
    """The sample that a text of the form MODEL/DATASET[/SPLIT[/ID]] names; an empty text takes the first of all.

    The default split is that of the training rows.

    Raises:
        InputError: the text has another form, or a name is unknown.
    """
    config = experiment.config
    first = f"{next(iter(config.models))}/{next(iter(config.datasets))}"
    parts = (named or first).split("/", 3)
    if len(parts) < 2:
        raise InputError(
            f"show={named} does not have the form MODEL/DATASET, MODEL/DATASET/SPLIT or MODEL/DATASET/SPLIT/ID."
        )
    model, dataset, split, *id = [*parts, *["train"][len(parts) - 2 :]]
    wrong = [
        *unknown(f"show={named}", "model", model, config.models),
        *unknown(f"show={named}", "dataset", dataset, config.datasets),
        *unknown(f"show={named}", "split", split, SPLITS),
    ]
    if wrong:
        raise InputError("\n".join(wrong))
    return Shown(tokenizer_of(config, model), dataset, split, id[0] if id else None)
