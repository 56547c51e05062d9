"""What an experiment needs: runs, models, datasets and evaluation sets, each once and in display order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headpatterns.data.templates import CHAT
from headpatterns.experiment import runs as runs_of
from headpatterns.experiment.recipes import Finetuning, OwnRecipe
from headpatterns.experiment.runs import Elsewhere, HeadsSet, PseudoPrivateSet, Run, SelectedSet, TaskSet
from headpatterns.experiment.schema import Config
from headpatterns.experiment.sources import AfterRun, InAdapter, InGguf, Pretrained, RowsOnHub, RowsPinned

Rows = Sequence[Mapping[str, Any]]
"""Rows of variants.csv."""


@dataclass(frozen=True)
class ItemSet:
    """Items that checkpoints are evaluated on.

    Attributes:
        dataset: a dataset whose probe rows are evaluated; empty for a configuration of OpenCompass.
        domain: the domain that the items are limited to; empty for all rows.
        opencompass: a built-in generative configuration of OpenCompass; empty for a dataset.
        answers_needed: whether every item must have a gold answer. Without this, a set without answers may be evaluated
            for the likelihood of its responses alone, and a response that is too long is cut at its end.
        scoring: how items with options are answered, if it is set for this set; otherwise empty.
    """

    dataset: str = ""
    domain: str = ""
    opencompass: str = ""
    answers_needed: bool = True
    scoring: str = ""


def own_recipe(config: Config, group: str) -> tuple[str, OwnRecipe | None]:
    """The recipe values that a group sets for its own runs, and the path of their key.

    A group is a task group, or the study of section 5 that its runs belong to. Runs that train only some heads have the
    recipe of the runs that train all weights.
    """
    if group == runs_of.HEADS:
        group = config.studies.adaptation.group
    if group in config.task_groups:
        return f"task_groups.{group}.finetuning", config.task_groups[group].finetuning
    return f"studies.{group}.finetuning", getattr(getattr(config.studies, group, None), "finetuning", None)


def recipe(config: Config, group: str) -> Finetuning:
    """The recipe of a group's runs; runs that were trained elsewhere are whole models, independent of the config."""
    if group == runs_of.FINETUNED:
        return config.finetuning.model_copy(update={"method": "full"})
    _, own = own_recipe(config, group)
    return own.on(config.finetuning) if own else config.finetuning


def base_model(config: Config, model: str) -> str:
    """The model at the start of a chain of earlier runs; for a model that is not a run, the model itself."""
    source = config.models[model].source
    return base_model(config, source.model) if isinstance(source, AfterRun) else model


def tokenizer_of(config: Config, model: str) -> str:
    """Name of a model's tokenizer: the embedded models share one, and a run has the tokenizer of its starting model.

    An embedded model with a given chat template has its own tokenizer. So has a model that starts from a run that was
    trained elsewhere: its checkpoint has a tokenizer, perhaps with another template and another EOS than its base's.
    """
    source = config.models[model].source
    if isinstance(source, AfterRun):
        return model if runs_of.finetuned(source.run) else tokenizer_of(config, source.model)
    shared = isinstance(source, Pretrained) and not is_templated(config, model)
    return "embedded" if shared else model


def is_templated(config: Config, model: str) -> bool:
    """Whether the config gives a model a chat template that replaces its own."""
    return config.prompt_template == CHAT and bool(config.models[model].chat_template)


def lenders(config: Config, models: Iterable[str]) -> list[str]:
    """Models, or keys below `finetuned`, whose chat templates are given to other models, each once."""
    given = [config.models[model].chat_template for model in models if is_templated(config, model)]
    return [name for name in dict.fromkeys(given) if name in config.models or name in config.finetuned]


def has_base_per_seed(config: Config, model: str) -> bool:
    """Whether a model is pretrained once for each training seed, so that each seed has a different model."""
    return "pretraining" in config.seed_moves and isinstance(config.models[model].source, Pretrained)


def base_name(config: Config, model: str, seed: int) -> str:
    """The name, instead of a run's, of the model before a run with a seed: `base`, or `base.seedN`."""
    return f"{runs_of.BASE}.seed{seed}" if has_base_per_seed(config, model) else runs_of.BASE


def group_runs(config: Config, models: list[str], groups: list[str], seeds: Sequence[int] = ()) -> list[Run]:
    """The runs of some models on every task of some task groups, in display order: with all seeds, or some."""
    return [
        Run(model, TaskSet(group, task), seed)
        for group in groups
        for model in models
        for task in config.task_groups[group].tasks
        for seed in seeds or config.seeds
    ]


def elsewhere(config: Config, name: str) -> Run:
    """The run that was trained elsewhere, by its key below `finetuned`; it starts from the base of seed 0.

    Every caller gets the same run, so that its patterns are computed on the probe sets of every chain.
    """
    study: Any = config.studies.checkpoints
    probed = any(name in chain.models for chain in study.chains.values())
    return Run(config.finetuned[name].base, Elsewhere(name, tuple(study.tasks) if probed else ()), 0)


def run_written(config: Config, model: str, name: str) -> Run:
    """The run of a model whose name in a config is GROUP.TASK.seedN or finetuned.NAME."""
    given = runs_of.finetuned(name)
    return elsewhere(config, given) if given else runs_of.of_task(model, *runs_of.written(name))


def starts_from_adapters(config: Config, run: Run) -> bool:
    """Whether a run starts from a run that trained adapters."""
    source = config.models[run.model].source
    before = run.earlier
    if before is None and isinstance(source, AfterRun):
        before = run_written(config, source.model, source.run)
    return before is not None and recipe(config, before.group).is_lora


def runs(config: Config, wanted: Iterable[Run], variants: Rows) -> list[Run]:
    """Every wanted run once, and the earlier runs that their models and the models of evaluations start from."""
    found = dict.fromkeys(wanted)
    models = [*(run.model for run in found), *(row["model"] for row in variants)]
    for model in models:  # grows during the loop
        source = config.models[model].source
        if isinstance(source, AfterRun):
            before = run_written(config, source.model, source.run)
            if before not in found:
                found[before] = None
                models.append(before.model)
    return list(found)


def wanted_together(config: Config, run: Run) -> str:
    """A key that is the same for runs of a group that every study needs together.

    Some studies need only the basic tasks of a task group, and others the complex task as well. Mixtures add tasks that
    are not in the group. Each domain is selected separately.
    """
    match run.training_set:
        case TaskSet(group=name, task=task):
            group = config.task_groups.get(name)
            if group and task in group.tasks:
                return "complex" if task == group.complex else "basic"
            return "further"
        case PseudoPrivateSet(domain=domain) | SelectedSet(domain=domain):
            return domain
        case HeadsSet(of=TaskSet(task=task)):
            return task
    return ""


def compared_tasks(config: Config, run: Run) -> list[str]:
    """The tasks of a run's task group; the smallest of them determines the size of the run's training set."""
    group = config.task_groups.get(run.group)
    return list(group.tasks) if group else []


def most_samples(config: Config, run: Run) -> int | None:
    """The limit of a run's task group for the size of training sets; None if there is none."""
    group = config.task_groups.get(run.group)
    return group.samples if group else None


def datasets(config: Config, runs: Sequence[Run], evaluated: Iterable[ItemSet]) -> list[str]:
    """Datasets of which samples are evaluated, or that runs use for training, comparison or probing."""
    trained = [task for run in runs if run.group in config.task_groups
               for task in [*config.task_groups[run.group].tasks, run.task]]  # fmt: skip
    read = [dataset for run in runs for dataset, _ in run.training_set.datasets]
    probed = [name for run in runs if not run.is_trained for name in run.training_set.probe_sets]
    found = [*trained, *read, *probed, *(items.dataset for items in evaluated)]
    return list(dict.fromkeys(name for name in found if name))


def written_sets(config: Config) -> dict[str, ItemSet]:
    """The evaluation sets that the config itself names."""
    return {name: ItemSet(**described.model_dump(exclude_unset=True))
            for name, described in config.evaluation.sets.items()}  # fmt: skip


def given(runs: Iterable[Run]) -> list[str]:
    """Keys below `finetuned` of the runs that were trained elsewhere."""
    return [run.task for run in runs if not run.is_trained]


def read_here(config: Config, models: Iterable[str], runs: Iterable[Run]) -> list[str]:
    """Models, and keys below `finetuned`, whose files some job reads: models of runs, and sources of chat templates."""
    models = list(models)
    return list(dict.fromkeys([*models, *given(runs), *lenders(config, models)]))


def in_gguf(config: Config, names: Iterable[str]) -> list[str]:
    """The models among `names`, including models that were fine-tuned elsewhere, that are made from a GGUF file."""
    return [name for name in names if isinstance(config.source(name), InGguf)]


def in_adapter(config: Config, names: Iterable[str]) -> list[str]:
    """The models among `names` that were fine-tuned elsewhere and are given only as an adapter."""
    return [name for name in names if isinstance(config.source(name), InAdapter)]


def hub_rows(config: Config) -> dict[str, RowsOnHub]:
    """Splits of hub datasets by unique names, so that a split that several datasets share is fetched once."""
    return {source.file: source for source in _sources(config) if isinstance(source, RowsOnHub)}


def pinned(config: Config) -> list[str]:
    """Datasets of config/datasets.csv that the config names, each once."""
    return list(dict.fromkeys(source.pinned for source in _sources(config) if isinstance(source, RowsPinned)))


def _sources(config: Config) -> list[Any]:
    return [source for dataset in config.datasets.values() for split in ("train", "probe")
            for source in dataset.sources(split)]  # fmt: skip
