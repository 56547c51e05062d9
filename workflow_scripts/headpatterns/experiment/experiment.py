"""An experiment: a config with its studies, and everything that follows from both."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from headpatterns.errors import InputError
from headpatterns.experiment import batches, needed
from headpatterns.experiment.fields import Section
from headpatterns.experiment.own import OwnFiles
from headpatterns.experiment.paths import Paths
from headpatterns.experiment.recipes import Finetuning
from headpatterns.experiment.runs import Run
from headpatterns.experiment.schema import Config, config_model
from headpatterns.experiment.sentences import in_one_line, sentences, unusable
from headpatterns.io import read_json

OWN_FILES = "own_files.json"
"""The file in the experiment's folder in which a run records files of your own (`missing.record`)."""


class Part(Protocol):
    """The part of a study that an experiment uses; `headpatterns.experiment.study.Study` describes all of it."""

    @property
    def name(self) -> str:
        """Its key below `studies`."""

    @property
    def settings(self) -> type[Section]:
        """The model of that key."""

    @property
    def selected(self) -> Callable[["Experiment"], bool]:
        """Whether the config asks for it."""

    @property
    def runs(self) -> Callable[["Experiment"], list[Run]]:
        """The fine-tunings that it needs."""

    @property
    def first(self) -> Callable[["Experiment"], list[Run]]:
        """The fine-tunings among them that determine the training sets of others."""

    @property
    def in_run_table(self) -> bool:
        """Whether its runs have rows in the run table."""

    @property
    def reads_steps(self) -> bool:
        """Whether its runs keep their intermediate checkpoints."""

    @property
    def variants(self) -> Callable[["Experiment"], list[dict[str, Any]]]:
        """What is evaluated for it."""

    @property
    def evaluation_sets(self) -> Callable[["Experiment"], Mapping[str, needed.ItemSet]]:
        """The evaluation sets that it adds."""

    @property
    def effects(self) -> tuple[Any, ...]:
        """The effects that it measures for its claims."""

    @property
    def names(self) -> Callable[["Experiment"], Iterable[str]]:
        """Undefined names in its settings."""

    @property
    def problems(self) -> Callable[["Experiment"], Iterable[str]]:
        """Other problems of its settings."""


class Experiment:
    """The meaning of a config. Reading it applies the schema; `checks.check` refuses what cannot be run.

    Attributes:
        config: the typed config.
        given: the config as it was read, a plain dictionary.
        studies: all studies of the package, in display order.
        paths: the paths of all files of this experiment.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        studies: Sequence[Part],
        recall: bool = False,
        root: str | None = None,
        places: bool = True,
        reads: Callable[[], bool] = lambda: True,
    ) -> None:
        """The experiment of a config as Snakemake reads it, below results/ or in another folder, `root`.

        With `recall`, missing files of your own are treated as its last run recorded them. Files that no run has
        recorded are read only if `reads` returns true when they are needed. Without `places`, the config is the one
        that the folder of an experiment keeps (`written.decisive`).

        Raises:
            InputError: keys are unknown or missing, or values have a wrong type; every problem is listed.
        """
        if problems := list(unusable(dict(given))):
            raise refusal(problems)
        model = config_model({study.name: study.settings for study in studies}, places)
        try:
            self.config: Config = model.model_validate(dict(given))
        except ValidationError as error:
            raise refusal(sentences(error, model)) from None
        self.given = dict(given)
        self.studies = tuple(studies)
        root = root or f"results/{self.config.experiment}"
        seen = Path(root) / OWN_FILES
        own = OwnFiles(read_json(seen) if recall and seen.is_file() else {}, reads)
        self.paths = Paths(self.config, own, root)

    def seeds(self, study: str) -> list[int]:
        """The training seeds of a study."""
        own: list[int] | None = self.settings(study).seeds
        return self.config.seeds if own is None else own

    def settings(self, study: str) -> Any:
        """The settings of a study."""
        return getattr(self.config.studies, study)

    def recipe(self, group: str) -> Finetuning:
        """The recipe of a group's runs: the common recipe with the group's own values."""
        return needed.recipe(self.config, group)

    @cached_property
    def runs(self) -> list[Run]:
        """Every run that a study needs, and the earlier runs that their models start from."""
        wanted = [run for study in self.studies for run in study.runs(self)]
        return needed.runs(self.config, wanted, self.variants)

    @cached_property
    def trained_runs(self) -> list[Run]:
        """The runs that are trained here."""
        return [run for run in self.runs if run.is_trained]

    @cached_property
    def runs_with_steps(self) -> frozenset[Run]:
        """Runs whose intermediate checkpoints some study reads."""
        return frozenset(run for study in self.studies if study.reads_steps for run in study.runs(self))

    @cached_property
    def first_runs(self) -> frozenset[Run]:
        """Runs that determine the training sets of others."""
        return frozenset(run for study in self.studies for run in study.first(self))

    @cached_property
    def run_named(self) -> dict[tuple[str, str], Run]:
        """Runs by model and name."""
        return {(run.model, run.name): run for run in self.runs}

    @cached_property
    def bases(self) -> dict[tuple[str, str], int]:
        """A training seed of every base model, by model and the name that is used instead of a run's name."""
        return {(model, needed.base_name(self.config, model, seed)): seed
                for model in self.config.models for seed in reversed(self.config.seeds)}  # fmt: skip

    def evaluated(self, model: str, run: str) -> str:
        """The folder of an evaluated checkpoint: of a run or, by the name used instead of a run's, a base model."""
        if (model, run) in self.bases:
            return self.paths.model(model, self.bases[model, run])
        return f"{self.paths.checkpoints(self.run_named[model, run])}/final"

    def predictions(self, study: str) -> list[str]:
        """Predictions of every item, from the evaluation batches of a study and those that it shares with others."""
        own = {(row["model"], row["run"], row["set"]) for row in self.variants if row["study"] == study}
        return [self.paths.items(model, batch) for (model, batch), pairs in self.evaluation_batches.items()
                if any((model, *pair) in own for pair in pairs)]  # fmt: skip

    @cached_property
    def variants(self) -> list[dict[str, Any]]:
        """Rows of variants.csv: the evaluated variants, in display order."""
        return [row for study in self.studies for row in study.variants(self)]

    @cached_property
    def models(self) -> list[str]:
        """Models that some study selects or starts from."""
        return list(dict.fromkeys([*(run.model for run in self.runs), *(row["model"] for row in self.variants)]))

    @cached_property
    def datasets(self) -> list[str]:
        """Datasets whose samples some study uses for training, probing or evaluation."""
        return needed.datasets(self.config, self.runs, map(self.evaluation_sets.__getitem__, self.evaluated_sets))

    @cached_property
    def batches(self) -> dict[str, batches.Batch]:
        """Runs that share a job, by the name of the batch."""
        share = functools.partial(needed.wanted_together, self.config)
        return batches.of_runs(self.runs, self.runs_with_steps, self.config.finetuning.runs_per_job, share)

    @cached_property
    def evaluation_batches(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Checkpoints (a run's name, or base) with their evaluation sets, by model and the name of the batch."""
        lengths = {name: self.answer_tokens(name) for name in self.evaluated_sets}
        return batches.of_evaluations(self.variants, self.config.evaluation.checkpoints_per_job, lengths)

    def answer_tokens(self, evaluation_set: str) -> int:
        """The most tokens of an answer to an item of a set, from its dataset's settings or those of the evaluation."""
        dataset = self.evaluation_sets[evaluation_set].dataset
        own = self.config.datasets[dataset].max_new_tokens if dataset else None
        return own or self.config.evaluation.max_new_tokens

    @cached_property
    def evaluation_sets(self) -> dict[str, needed.ItemSet]:
        """Evaluation sets by name, from the config and from the studies."""
        found = needed.written_sets(self.config)
        for study in self.studies:
            found |= study.evaluation_sets(self)
        return found

    @cached_property
    def evaluated_sets(self) -> list[str]:
        """Evaluation sets that some checkpoint is evaluated on, each once."""
        return list(dict.fromkeys(row["set"] for row in self.variants))

    @cached_property
    def has_builtin_sets(self) -> bool:
        """Whether some checkpoint is evaluated on a configuration of OpenCompass."""
        return any(self.evaluation_sets[name].opencompass for name in self.evaluated_sets)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Labels of models and tasks that are not in the run table."""
        tabled = [run for study in self.studies if study.in_run_table for run in study.runs(self)]
        known = {name for run in tabled for name in (run.model, *run.training_set.probe_sets)}
        labelled: list[tuple[str, Any]] = [
            *((name, self.config.models[name]) for name in self.models),
            *((name, self.config.datasets[name]) for name in self.datasets),
        ]
        return {name: one.label for name, one in labelled if name not in known}


def refusal(problems: Iterable[str]) -> InputError:
    """The error that lists the problems of a config, one per line."""
    return InputError("\n".join(f"config key {in_one_line(problem)}" for problem in problems))
