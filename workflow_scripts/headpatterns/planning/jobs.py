"""Every job of an experiment, counted from its config as Snakemake would count them on a first run of `all`."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from headpatterns.experiment import applications
from headpatterns.experiment import config as experiment
from headpatterns.experiment.applications import Config
from headpatterns.experiment.runs import Run

Sheet = list[tuple[str, str]]


class Job(NamedTuple):
    """A job of a rule.

    Attributes:
        rule: its rule; those made for each batch count as `finetune`, `extract_patterns` and `ablate_heads`.
        name: what tells it from the rule's other jobs, the stem of its log; empty where a rule has one job.
        about: what it works on, as its rule's planning takes it.
    """

    rule: str
    name: str = ""
    about: Any = None

    @property
    def benchmark(self) -> str:
        """Path of its benchmark file below the folder of those."""
        return f"{self.rule}/{self.name}.tsv" if self.name else f"{self.rule}.tsv"


class Runs(NamedTuple):
    """What a job fine-tunes, extracts the patterns of, or ablates; `steps` says whether those on the way are kept."""

    runs: list[Run]
    steps: bool


class Evaluation(NamedTuple):
    """Pairs of a checkpoint (a run's name, or `base`) and an evaluation set."""

    model: str
    sheet: Sheet


def jobs(config: Config) -> list[Job]:
    """Every job of the target `all`, in the order of the workflow."""
    return [*_data(config), *_models(config), *_runs(config), *_applications(config), *_analysis(config)]


def _data(config: Config) -> Iterator[Job]:
    used = experiment.used_datasets(config)
    sources = [source for name in used for split in ("train", "probe")
               for source in config["datasets"][name].get(split, [])]  # fmt: skip
    for generator in _once(source["embedded"] for source in sources if "embedded" in source):
        yield Job("generate_raw_data", generator)
    models = [config["models"][model]["source"] for model in experiment.used_models(config)]
    if any("hub" in source for source in [*sources, *models]):
        yield Job("check_hub")
    for rows, source in {experiment.hub_name(source): source for source in sources if "hub" in source}.items():
        yield Job("fetch_dataset", rows, source)
    for dataset in used:
        yield Job("prepare_instructions", dataset)
    runs = experiment.needed_runs(config)
    cut = _once((experiment.tokenizer_of(config, run.model), applications.cut_run(run)) for run in runs)
    cut = _once((tokenizer, run.name) for tokenizer, run in cut if run)
    compared = [(tokenizer, task, "train") for tokenizer, name in cut
                for task in config["task_groups"].get(Run.named("", name).group, {"tasks": []})["tasks"]]  # fmt: skip
    read = [(experiment.tokenizer_of(config, run.model), *source) for run in runs
            for source in applications.datasets(config, run)]  # fmt: skip
    for shards in _once([*read, *compared]):
        yield Job("tokenize_instructions", ".".join(shards), shards)
    for tokenizer, name in cut:
        yield Job("cut_training_set", f"{tokenizer}.{name}")


def _models(config: Config) -> Iterator[Job]:
    sources = {model: config["models"][model]["source"] for model in experiment.used_models(config)}
    pretrained = _once(source["pretraining"] for source in sources.values() if "pretraining" in source)
    if pretrained:
        yield Job("generate_corpus")
        yield Job("train_tokenizer")
    for name in pretrained:
        yield Job("pretrain", name, name)
    for model, source in sources.items():
        if "hub" in source:
            yield Job("fetch_model", model, model)


def _runs(config: Config) -> Iterator[Job]:
    section_4 = set(experiment.runs(config))
    applied = {run for run in applications.runs(config) if applications.probe_sets(config, run)}
    for rule in ("finetune", "extract_patterns"):
        for name, batch in experiment.batches(config).items():
            for model, seed in sorted(batch.takers):
                runs = batch.of(model, seed)
                # Patterns are taken where an analysis reads them; a job takes those of all of its runs.
                if rule == "finetune" or not (section_4 | applied).isdisjoint(runs):
                    yield Job(rule, f"{model}.{name}.seed{seed}", Runs(runs, not section_4.isdisjoint(runs)))
    for name, batch in experiment.batches(config).items():
        part = experiment.ablated(config, batch)
        for model, seed in sorted(part.takers) if part.runs else ():
            yield Job("ablate_heads", f"{model}.{name}.seed{seed}", Runs(part.of(model, seed), batch.steps))


def _applications(config: Config) -> Iterator[Job]:
    mixing, selection = config["studies"][applications.MIXING], config["studies"][applications.SELECTION]
    seeds = config["seeds"]
    if selection["models"]:
        for domain in selection["domains"]:
            yield Job("split_domain", domain)
    for model in mixing["models"]:
        for seed in seeds:
            yield Job("mix_basic_tasks", f"{model}.seed{seed}")
    for model in selection["models"]:
        for domain in selection["domains"]:
            for seed in seeds:
                yield Job("select_samples", f"{model}.{domain}.seed{seed}")
    sheets = applications.sheets(config)
    if not sheets:
        return
    yield Job("check_opencompass")
    sets = applications.evaluation_sets(config)
    evaluated = [sets[row["set"]] for row in applications.variants(config)]
    if any("dataset" in described for described in evaluated):
        yield Job("check_evaluation_sets")
    if any("opencompass" in described for described in evaluated):
        yield Job("check_builtin_sets")
    for (model, sheet), pairs in sheets.items():
        yield Job("evaluate", f"{model}.{sheet}", Evaluation(model, pairs))
    yield Job("write_variant_table")
    yield Job("collect_scores")


def _analysis(config: Config) -> Iterator[Job]:
    rules = ["write_run_table", "write_config", "analyse_distribution", "analyse_similarity", "analyse_composition",
             "analyse_dynamics", "collect_claims", "summarise_experiment", "write_table1", "draw_figure1",
             "draw_figure2", "draw_figure4", "draw_figure5"]  # fmt: skip
    if experiment.validity_runs(config):
        rules += ["analyse_validity", "draw_validity"]
    if config["studies"][applications.MIXING]["models"]:
        rules += ["analyse_mixing", "write_table2", "draw_mixture"]
    if config["studies"][applications.SELECTION]["models"]:
        rules += ["analyse_selection", "write_table3"]
    for rule in [*rules, "render_report", "all"]:
        yield Job(rule)


def _once(values: Iterable[Any]) -> list[Any]:
    """Values without repetition, in the order of their first appearance."""
    return list(dict.fromkeys(values))
