"""Arguments of the workflow's command lines, as text for a shell.

This module decides nothing: each function only prints what the experiment defines for a job.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from headpatterns.data import pinned, templates
from headpatterns.experiment import needed, written
from headpatterns.experiment.needed import ItemSet
from headpatterns.experiment.runs import SELECTION, TRAINING, Run
from headpatterns.experiment.sources import AdapterOnHub, AfterRun, InAdapter, OnHub, RowsOnHub, RowsPinned
from headpatterns.experiment.values import positions

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

EVERY_SAMPLE = "all"
"""Given instead of a training set: patterns are computed on every sample of the rows."""


def options(values: Mapping[str, Any]) -> str:
    """Options from a mapping: lists become several words, true is a flag; false, null and empty lists are left out."""
    words: list[str] = []
    for name, value in values.items():
        if value is None or value is False or value == []:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += [shlex.quote(str(word)) for word in (value if isinstance(value, list) else [value])]
    return " ".join(words)


def repeated(option: str, values: Mapping[str, Any]) -> str:
    """An option given once for each `NAME=VALUE` of a mapping."""
    return " ".join(options({option: f"{name}={value}"}) for name, value in values.items())


def as_json(values: Mapping[str, Any]) -> str:
    """A mapping as one word of JSON; a shell needs quotes around it."""
    return json.dumps(dict(values), ensure_ascii=False)


def in_any_order(values: Mapping[str, Any]) -> str:
    """A mapping of the config as one word of JSON, independent of the order of its keys."""
    return as_json(written.in_any_order(dict(values)))


def rows(experiment: "Experiment", dataset: str) -> str:
    """Where the raw rows of a dataset are, and how many of them are kept."""
    train, probe = (experiment.paths.rows(dataset, split) for split in ("train", "probe"))
    sampled = experiment.config.sampled(dataset)
    described = experiment.config.datasets[dataset]
    expected = described.expected.model_dump(exclude_unset=True) if described.expected else {}
    return options({"train_files": train, "probe_files": probe, "train_samples": sampled.train,
                    "probe_samples": sampled.probe, "expected_train": expected.get("train"),
                    "expected_probe": expected.get("probe"), "most_rejected": described.most_rejected,
                    "seed": sampled.seed})  # fmt: skip


def hub(source: OnHub | AdapterOnHub | RowsOnHub) -> str:
    """The id and version of what is fetched from the hub."""
    keys = {key: getattr(source, key, None) for key in ("hub", "name", "split", "revision")}
    return options(keys)


def pinned_files(name: str) -> str:
    """The files to fetch of a dataset of config/datasets.csv; without the source, because it does not change files."""
    source = pinned.chosen(name, pinned.PRIMARY)
    return " ".join([source.version, *source.files, source.checksum])


def hub_sources(experiment: "Experiment") -> list[dict[str, Any]]:
    """The downloads of the experiment and their outputs: models, splits of hub datasets, and pinned datasets."""
    config, paths = experiment.config, experiment.paths
    found: list[dict[str, Any]] = []
    for model in needed.read_here(config, experiment.models, experiment.runs):
        source = config.source(model)
        if isinstance(source, OnHub):
            found.append({"kind": "model", **source.model_dump(exclude_unset=True), "output": paths.made(model)})
        elif isinstance(source, InAdapter) and isinstance(source.lora, AdapterOnHub):
            own = source.lora.model_dump(exclude_unset=True)
            found.append({"kind": "model", **own, "output": paths.adapter(model)})
    for dataset in experiment.datasets:
        for split in ("train", "probe"):
            for place, part in enumerate(config.datasets[dataset].sources(split)):
                if isinstance(part, RowsOnHub):
                    output = paths.rows_of(dataset, split, place)
                    found.append({"kind": "dataset", **part.model_dump(exclude_unset=True), "output": output})
                elif isinstance(part, RowsPinned):
                    chosen = pinned.chosen(part.pinned, config.sources)
                    found.append({"kind": "pinned", **chosen._asdict(), "output": paths.pinned(part.pinned)})
    return list({source["output"]: source for source in found}.values())


def converted(experiment: "Experiment") -> str:
    """The notes on GGUF files in the folders of the models that are made from them."""
    names = converted_models(experiment)
    return by_name("converted", {name: experiment.paths.about_gguf(name) for name in names})


def converted_models(experiment: "Experiment") -> list[str]:
    """Models that are made from GGUF files: base models and models that were fine-tuned elsewhere."""
    return needed.in_gguf(experiment.config, [*experiment.models, *needed.given(experiment.runs)])


def starting_models(experiment: "Experiment", runs: Iterable[Run]) -> list[str]:
    """The model that each run of a job starts from, or the single one if all runs share it."""
    folders = [experiment.paths.starting_model(run) for run in runs]
    return folders if len(set(folders)) > 1 else folders[:1]


def finetuning_recipe(experiment: "Experiment", runs: list[Run]) -> str:
    """The recipe of a job's runs; only runs whose intermediate checkpoints some study reads keep them."""
    with_steps = not experiment.runs_with_steps.isdisjoint(runs)
    seed = experiment.config.moved("order", runs[0].seed)
    return as_json(experiment.recipe(runs[0].group).of_run(with_steps) | {"seed": seed})


def pretraining_recipe(experiment: "Experiment", name: str, seed: int) -> str:
    """The recipe of the pretraining run that belongs to a training seed."""
    run = experiment.config.pretraining[name]
    moved = experiment.config.moved("pretraining", seed)
    return as_json(experiment.config.pretraining_recipe.of_run(run.steps, run.checkpoint_steps, moved))


def cut(experiment: "Experiment", run: Run) -> str:
    """How many samples a training set has at most, and the seed that draws them."""
    return options({"most": needed.most_samples(experiment.config, run), "seed": run.seed})


def pattern_options(experiment: "Experiment") -> str:
    """How patterns are computed, without the further reductions."""
    return options({**experiment.config.patterns.model_dump(exclude={"also"}), "device": experiment.config.device})


def pass_options(experiment: "Experiment") -> str:
    """How losses are computed, with the settings of patterns."""
    patterns = experiment.config.patterns
    return options({"token_budget": patterns.token_budget, "dtype": patterns.dtype, "device": experiment.config.device})


def probes(experiment: "Experiment", run: Run) -> list[tuple[str, str, str]]:
    """The inputs of a run's patterns: the probe set, its rows, and the training set that selects samples from them."""
    paths = experiment.paths
    return [
        (
            probe_set,
            paths.probed_rows(run, probe_set),
            paths.training_set(run) if probe_set == TRAINING else EVERY_SAMPLE,
        )
        for probe_set in run.training_set.probe_sets
    ]


def extraction(experiment: "Experiment", runs: Iterable[Run]) -> str:
    """Lists of runs, rows, selections of rows and output folders, all of the same length."""
    listed = [(run, *probe) for run in runs for probe in probes(experiment, run)]
    return options(
        {
            "run": [experiment.paths.checkpoints(run) for run, *_ in listed],
            "data": [rows for _, _, rows, _ in listed],
            "among": [among for *_, among in listed],
            "output_folder": [experiment.paths.patterns(run, probe_set) for run, probe_set, _, _ in listed],
        }
    )


def ablation(experiment: "Experiment", runs: list[Run]) -> str:
    """Lists of runs, rows and output folders, all of the same length."""
    paths = experiment.paths
    listed = [(run, probe_set) for run in runs for probe_set in run.training_set.probe_sets]
    return options(
        {
            "run": [paths.checkpoints(run) for run, _ in listed],
            "data": [paths.instructions(probe_set, "probe") for _, probe_set in listed],
            "output_folder": [paths.ablations(*one) for one in listed],
        }
    )


def candidates(experiment: "Experiment", runs: Iterable[Run]) -> str:
    """Pattern folders, training sets and their rows, for the candidate runs of a mixture, by task."""
    paths, listed = experiment.paths, {run.task: run for run in runs}
    return " ".join(
        [
            repeated("candidate", {task: paths.patterns(run) for task, run in listed.items()}),
            repeated("training_set", {task: paths.training_set(run) for task, run in listed.items()}),
            repeated("training_rows", {task: paths.instructions(task, "train") for task in listed}),
        ]
    )


def tags(experiment: "Experiment", domain: str) -> str:
    """The tags of a domain, and tags that share its relations, if the config gives them."""
    related = experiment.settings(SELECTION).related or {}
    return options({"tags": experiment.config.domains[domain].tags, "related": related.get(domain)})


def set_files(experiment: "Experiment", items: ItemSet) -> list[str]:
    """The rows of an evaluation set, and the CSV that selects the rows of a domain."""
    if not items.dataset:
        return []
    rows = experiment.paths.instructions(items.dataset, "probe")
    return [rows, experiment.paths.domain(items.domain, "target")] if items.domain else [rows]


def own_sets(experiment: "Experiment", names: Iterable[str]) -> str:
    """The evaluation sets among `names` that consist of the workflow's own instructions, with their files."""
    found = [(name, set_files(experiment, experiment.evaluation_sets[name])) for name in names]
    return " ".join(options({"set": [name, *files]}) for name, files in found if files)


def example_files(experiment: "Experiment", items: ItemSet) -> list[str]:
    """The training rows of an evaluation set's dataset, if its prompts start with examples."""
    if not (items.dataset and experiment.config.evaluation.shots):
        return []
    return [experiment.paths.instructions(items.dataset, "train")]


def scoring(experiment: "Experiment", names: Iterable[str]) -> str:
    """How the evaluation sets of the workflow's own instructions are asked and scored."""
    evaluation = experiment.config.evaluation
    own = {name: items for name in names if (items := experiment.evaluation_sets[name]).dataset}
    examples = {name: file for name, items in own.items() for file in example_files(experiment, items)}
    return " ".join(
        [
            options({"scoring": evaluation.scoring, "shots": evaluation.shots or None}),
            by_name("examples", examples),
            by_name("scored", {name: items.scoring for name, items in own.items() if items.scoring}),
            options({"lenient": [name for name, items in own.items() if not items.answers_needed]}),
        ]
    )


def readers(experiment: "Experiment") -> list[tuple[str, int, list[str]]]:
    """Tokenizers that are available before any training, the positions of their models, and the sets that these read.

    They do not include tokenizers of hub models, of runs that were trained elsewhere, and of models whose config does
    not state the number of positions.
    """
    found: dict[tuple[str, int], dict[str, None]] = {}
    for row in experiment.variants:
        tokenizer = needed.tokenizer_of(experiment.config, row["model"])
        owner = experiment.config.models.get(tokenizer)
        is_late = owner is not None and isinstance(owner.source, OnHub | AfterRun)
        most = positions(experiment, needed.base_model(experiment.config, row["model"]))
        if most and not is_late and experiment.evaluation_sets[row["set"]].dataset:
            found.setdefault((tokenizer, most), {})[row["set"]] = None
    return [(tokenizer, most, list(names)) for (tokenizer, most), names in found.items()]


def read_by(experiment: "Experiment") -> str:
    """The same as options."""
    return " ".join(options({"read_by": [experiment.paths.tokenizer(tokenizer), most, *names]})
                    for tokenizer, most, names in readers(experiment))  # fmt: skip


def builtin_sets(experiment: "Experiment", names: Iterable[str]) -> str:
    """The evaluation sets among `names` that are configurations of OpenCompass, with these configurations."""
    found = {name: experiment.evaluation_sets[name].opencompass for name in names}
    return " ".join(options({"builtin": [name, builtin]}) for name, builtin in found.items() if builtin)


def evaluation(experiment: "Experiment", model: str, batch: str) -> str:
    """Checkpoints with their sets, and the definition of each set."""
    pairs = experiment.evaluation_batches[model, batch]
    folders = {run: experiment.evaluated(model, run) for run, _ in pairs}
    sets = list(dict.fromkeys(name for _, name in pairs))
    checkpoints = [options({"evaluate": [run, folders[run], name]}) for run, name in pairs]
    own = [own_sets(experiment, sets), scoring(experiment, sets)]
    return " ".join([*checkpoints, *own, builtin_sets(experiment, sets)])


def opencompass_data(experiment: "Experiment") -> str | None:
    """The folder above OpenCompass's own `data/`, if the config names one."""
    data = experiment.config.evaluation.opencompass_data
    return data and experiment.paths.own.path("data", data)


def decoding(experiment: "Experiment", model: str, batch: str) -> str:
    """How answers are generated; all sets of a batch have the same limit of length."""
    evaluation = experiment.config.evaluation
    _, evaluation_set = experiment.evaluation_batches[model, batch][0]
    return options(
        {
            "batch_size": evaluation.batch_size,
            "token_budget": evaluation.token_budget,
            "max_new_tokens": experiment.answer_tokens(evaluation_set),
            "dtype": evaluation.dtype,
            "opencompass_data": opencompass_data(experiment),
            "device": experiment.config.device,
        }
    )


def prompt_limit(experiment: "Experiment") -> str:
    """The limit for prompt and answer together: as in training or, with examples, the positions of the model."""
    config = experiment.config
    return options({"max_length": None if config.evaluation.shots else config.tokenization.max_length})


def provenance(experiment: "Experiment") -> dict[str, Any]:
    """What the report says about how its results were made, in addition to versions and commit."""
    config, given = experiment.config, written.in_any_order(experiment.given)
    return {
        "experiment": config.experiment,
        "config": written.digest(given),
        "seeds": config.seeds,
        "seed_moves": config.seed_moves,
        "models": {model: str(given["models"][model]["source"]) for model in experiment.models},
        **_finetuned(experiment),
        "datasets": {
            dataset: str({split: given["datasets"][dataset].get(split, []) for split in ("train", "probe")})
            for dataset in experiment.datasets
        },
        **_pinned(experiment),
        **_chat_templates(experiment),
        **{f"study: {name}": study for name, study in given["studies"].items()},
        "domains": {name: domain.tags for name, domain in config.domains.items()},
        "device": config.device,
        "prompt_template": templates.resolve(config.prompt_template),
        **{
            f"finetuning of {group}": own["finetuning"]
            for group, own in given["task_groups"].items()
            if own.get("finetuning")
        },
        **{key: given[key] for key in ("sampling", "tokenization", "finetuning", "patterns", "analysis", "evaluation")},
    }


def _finetuned(experiment: "Experiment") -> dict[str, dict[str, str]]:
    """Base and source of every run that was trained elsewhere; empty if there is none."""
    config = experiment.config
    found = {f"{config.finetuned[name].base}/finetuned.{name}": str(experiment.given["finetuned"][name]["source"])
             for name in needed.given(experiment.runs)}  # fmt: skip
    return {"finetuned": found} if found else {}


def _pinned(experiment: "Experiment") -> dict[str, dict[str, str]]:
    """Address and version of the pinned datasets, independent of the source of the files; empty if there are none."""
    found = {entry["dataset"]: pinned.chosen(entry["dataset"], pinned.PRIMARY)
             for entry in hub_sources(experiment) if entry["kind"] == "pinned"}  # fmt: skip
    return {"pinned": {name: f"{one.address} at {one.version}" for name, one in found.items()}} if found else {}


def _chat_templates(experiment: "Experiment") -> dict[str, dict[str, str]]:
    """The files or models whose chat templates are given to models; empty if there are none."""
    config = experiment.config
    found = {model: str(config.models[model].chat_template)
             for model in experiment.models if needed.is_templated(config, model)}  # fmt: skip
    return {"chat templates": found} if found else {}


def stands_for(experiment: "Experiment") -> dict[str, str]:
    """The paper's model that corresponds to a model of the experiment, by the latter's name, if the config says so."""
    found = {model: experiment.config.models[model].stands_for for model in experiment.models}
    return {model: stood_for for model, stood_for in found.items() if stood_for}


def by_name(option: str, values: Mapping[str, Any]) -> str:
    """An option with all its words `NAME=VALUE`; nothing for an empty mapping."""
    return options({option: [f"{name}={value}" for name, value in values.items()]})


def trained_runs(experiment: "Experiment", model: str, batch: str) -> list[str]:
    """The names of the runs of an evaluation batch, each once, without the base model."""
    pairs = experiment.evaluation_batches[model, batch]
    return list(dict.fromkeys(run for run, _ in pairs if (model, run) not in experiment.bases))


def label_options(experiment: "Experiment") -> str:
    """Labels of models and tasks that are not in the run table."""
    return repeated("label", experiment.labels)
