"""Checks of a config beyond its schema: one sentence for every problem that prevents a run.

Names are checked first, because the checks of values need names that exist.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from headpatterns.data import adapters, pinned, templates
from headpatterns.data.embedded import registry
from headpatterns.experiment import needed, runs, values
from headpatterns.experiment.experiment import Experiment, refusal
from headpatterns.experiment.gpus import GPUS
from headpatterns.experiment.own import of_model
from headpatterns.experiment.places import Size
from headpatterns.experiment.references import names_of_run, said_by, unknown, unknown_in
from headpatterns.experiment.schema import Config, TaskGroup
from headpatterns.experiment.sources import AfterRun, EmbeddedRows, Pretrained, RowsPinned

TAKEN = {
    runs.MIXING: "of section 5",
    runs.SELECTION: "of section 5",
    runs.HEADS: "that train only some heads",
    runs.FINETUNED: "that were trained elsewhere",
}
"""Runs with their own group, by the group's name, which no task group may have."""


def check(experiment: Experiment) -> None:
    """Refuse an experiment that the workflow cannot run; missing files of your own are not checked (`missing`).

    Raises:
        InputError: with a line for each problem: the key's path, what is wrong, and the fix.
    """
    if problems := list(dict.fromkeys(_names(experiment))):
        raise refusal(problems)
    found = [values.problems(experiment), *(study.problems(experiment) for study in experiment.studies)]
    found += [_untemplated(experiment), _without_template(experiment), _builtin_sets(experiment)]
    if problems := list(dict.fromkeys(chain(*found, values.mixed_rows(experiment)))):
        raise refusal(problems)


def _names(experiment: Experiment) -> Iterator[str]:
    """Names that are undefined or already taken, and sources that refer to nothing in the config."""
    config = experiment.config
    yield from said_by("prompt_template", templates.resolve, config.prompt_template)
    for section, name in (("models", "embedded"), ("pretraining", "tokenizer")):
        if name in getattr(config, section):
            yield f"{section}.{name} has the name of the embedded tokenizer: choose another name."
    for name in config.models:
        yield from _source_of_model(config, name)
        yield from _chat_template(config, name)
    for name in config.finetuned:
        yield from _names_of_finetuned(config, name)
    for name in config.datasets:
        yield from _names_of_dataset(config, name)
    for generator in config.embedded.sizes:
        yield from unknown(f"embedded.sizes.{generator}", "generator", generator, registry.GENERATORS)
    for name, group in config.task_groups.items():
        if name in TAKEN:
            yield f"task_groups.{name} has the name of the runs {TAKEN[name]}: choose another name."
        yield from _names_of_group(config, f"task_groups.{name}", group)
    for study in experiment.studies:
        yield from study.names(experiment)
        yield from _seeds(experiment, study.name)
    yield from _evaluation_sets(experiment)
    if config.patterns.reduction in config.patterns.also:
        yield f"patterns.also names '{config.patterns.reduction}', which is patterns.reduction already: remove it."
    yield from unknown("plan.gpu", "type of GPU", config.plan.gpu, GPUS)
    if "default" not in config.resources:
        yield "resources lacks 'default': add it."
        return
    stated = config.resources["default"].model_fields_set
    yield from (f"resources.default lacks '{key}': add it." for key in Size.model_fields if key not in stated)


def _seeds(experiment: Experiment, study: str) -> Iterator[str]:
    """Seeds of a study that the experiment does not have."""
    own: list[int] = getattr(experiment.settings(study), "seeds", None) or []
    for seed in own:
        if seed not in experiment.config.seeds:
            yield f"studies.{study}.seeds has {seed}, which `seeds` lacks: add it there, or remove it here."


def check_rules(experiment: Experiment, rules: Iterable[str]) -> None:
    """Refuse `resources` of rules that the workflow does not have.

    Raises:
        InputError: with a line for each.
    """
    valid = ["default", *sorted(rules)]
    named = experiment.config.resources
    if problems := [said for rule in named for said in unknown(f"resources.{rule}", "rule", rule, valid)]:
        raise refusal(problems)


def _source_of_model(config: Config, name: str) -> Iterator[str]:
    path, source = f"models.{name}.source", config.models[name].source
    if isinstance(source, Pretrained):
        yield from unknown(f"{path}.pretraining", "pretraining run", source.pretraining, config.pretraining)
        run = config.pretraining.get(source.pretraining)
        if run and source.step not in run.kept:
            yield f"{path}.step is {source.step}, but pretraining.{source.pretraining} keeps the steps {run.kept}."
    if isinstance(source, AfterRun):
        yield from unknown(f"{path}.model", "model", source.model, config.models)
        yield from names_of_run(config, f"{path}.run", source.model, source.run)
        yield from _circle(config, path, source)


def _names_of_finetuned(config: Config, name: str) -> Iterator[str]:
    yield from unknown(f"finetuned.{name}.base", "model", config.finetuned[name].base, config.models)
    if name in config.models or name == "embedded":
        yield f"finetuned.{name} has the name of a model, so both would have the same folder: choose another name."


def _chat_template(config: Config, name: str) -> Iterator[str]:
    """What is wrong with the chat template of a model, according to the config."""
    path, model = f"models.{name}.chat_template", config.models[name]
    if model.chat_template and isinstance(model.source, AfterRun):
        given = runs.finetuned(model.source.run)
        fix = "put it into the folder of that run" if given else f"give it to {model.source.model}"
        yield f"{path} cannot be set, because the model starts from a run and has the template of that run: {fix}."
    lender = config.models.get(model.chat_template or "")
    if lender and (lender.chat_template or isinstance(lender.source, Pretrained | AfterRun)):
        yield f"{path} is {model.chat_template}, whose tokenizer has no chat template: name another model, or a file."


def _untemplated(experiment: Experiment) -> Iterator[str]:
    """Embedded models that some study selects although chat templates print prompts: their tokenizer has none."""
    config = experiment.config
    without = [
        f"models.{name}.chat_template"
        for name in experiment.models
        if isinstance(config.models[name].source, Pretrained) and not config.models[name].chat_template
    ]
    if config.prompt_template == templates.CHAT and without:
        yield (
            "prompt_template is chat, but the tokenizer of the embedded models has no chat template: give them "
            f"one ({', '.join(without)}), or use another prompt_template."
        )


def _without_template(experiment: Experiment) -> Iterator[str]:
    """Available models of your own, and sources of templates, that lack a chat template although one is needed."""
    config = experiment.config
    for name in _printing(experiment) if config.prompt_template == templates.CHAT else ():
        source, lender = config.models[name].source, config.models[name].chat_template
        given = runs.finetuned(source.run) if isinstance(source, AfterRun) else None
        lends = lender in config.models or lender in config.finetuned
        own = of_model(config.source(lender or given or name)) if lends or not lender else None
        if own and (said := experiment.paths.own.no_template(own.kind, own.written, lends)):
            place = f"finetuned.{given}" if given else f"models.{name}"
            yield f"{place}{'.chat_template' * lends}: {said}"


def _printing(experiment: Experiment) -> list[str]:
    """Models whose tokenizers print samples or items; this excludes bases of runs that were trained elsewhere."""
    config = experiment.config
    read = [run.model for run in experiment.runs if run.training_set.datasets or run.training_set.probe_sets]
    used = [needed.tokenizer_of(config, model) for model in [*read, *(row["model"] for row in experiment.variants)]]
    return [name for name in dict.fromkeys(used) if name in config.models]


def _circle(config: Config, path: str, source: AfterRun) -> Iterator[str]:
    """A chain of models after runs that returns to its start."""
    seen = [source.model]
    while seen[-1] in config.models and isinstance(earlier := config.models[seen[-1]].source, AfterRun):
        if earlier.model in seen:
            yield f"{path}.model starts from itself ({' → '.join([*seen, earlier.model])}): start from another model."
            return
        seen.append(earlier.model)


def _names_of_dataset(config: Config, name: str) -> Iterator[str]:
    dataset = config.datasets[name]
    yield from unknown(f"datasets.{name}.adapter", "adapter", dataset.adapter, adapters.ADAPTERS)
    if dataset.adapter in adapters.ADAPTERS:
        yield from said_by(f"datasets.{name}.options", adapters.resolve_options, dataset.adapter, dataset.options)
    for split in ("train", "probe"):
        for place, source in enumerate(dataset.sources(split)):
            if isinstance(source, EmbeddedRows):
                path = f"datasets.{name}.{split}[{place}].embedded"
                yield from unknown(path, "generator", source.embedded, registry.GENERATORS)
            elif isinstance(source, RowsPinned):
                yield from _names_of_pinned(f"datasets.{name}.{split}[{place}]", source)


def _names_of_pinned(path: str, source: RowsPinned) -> Iterator[str]:
    table = pinned.read()
    yield from unknown(f"{path}.pinned", f"dataset of {pinned.NAME}", source.pinned, table)
    if source.pinned in table:
        files, kind = table[source.pinned][pinned.PRIMARY].files, f"pattern of {source.pinned} in {pinned.NAME}"
        yield from unknown(f"{path}.files", kind, source.files, files)
        if not all(one.version for one in table[source.pinned].values()):
            yield (
                f"{path}.pinned is {source.pinned}, but {pinned.NAME} has no version of it: write the version "
                "there, or give path instead."
            )


def _names_of_group(config: Config, path: str, group: TaskGroup) -> Iterator[str]:
    yield from unknown_in(f"{path}.tasks", "dataset", group.tasks, config.datasets)
    yield from unknown_in(f"{path}.expected_pair", "dataset", group.expected_pair or [], config.datasets)
    if group.complex:
        yield from unknown(f"{path}.complex", "task of the group", group.complex, group.tasks)
        if len(group.tasks) < 2:
            yield f"{path}.tasks has only the complex task: add the basic tasks."
        if group.complex in (group.expected_pair or []):
            yield f"{path}.expected_pair names the complex task '{group.complex}' itself: name two basic tasks."


def _evaluation_sets(experiment: Experiment) -> Iterator[str]:
    config = experiment.config
    for name, described in config.evaluation.sets.items():
        if len(described.model_fields_set & {"dataset", "opencompass"}) != 1:
            yield f"evaluation.sets.{name} must have exactly one of dataset and opencompass."
        if described.opencompass and described.scoring:
            yield f"evaluation.sets.{name}.scoring cannot be set for a configuration of OpenCompass: remove it."
        if described.dataset:
            yield from unknown(f"evaluation.sets.{name}.dataset", "dataset", described.dataset, config.datasets)


def _builtin_sets(experiment: Experiment) -> Iterator[str]:
    """A missing data folder, although a built-in configuration of OpenCompass is to be evaluated."""
    if experiment.has_builtin_sets and experiment.config.evaluation.opencompass_data is None:
        yield (
            "evaluation.opencompass_data is null, but an evaluation set is a configuration of OpenCompass: name "
            "the folder of OpenCompass's data."
        )
