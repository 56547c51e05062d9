# Paths, the run table and resource helpers. No rule here.

import json
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import report as in_report

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

import config_checks
import experiment
from headpatterns import models
from headpatterns.embedded import registry
from headpatterns.errors import InputError
from headpatterns.instructions import templates

experiment.put_python_first()

SIZED_RULES = [
    "generate_raw_data",
    "generate_corpus",
    "train_tokenizer",
    "pretrain",
    "fetch_dataset",
    "fetch_model",
    "prepare_instructions",
    "tokenize_instructions",
    "cut_training_set",
    "finetune",
    "extract_patterns",
    "analyse_distribution",
    "analyse_similarity",
    "analyse_composition",
    "analyse_dynamics",
    "collect_claims",
    "summarise_experiment",
    "write_table1",
    "draw_figure1",
    "draw_figure2",
    "draw_figure4",
    "draw_figure5",
    "render_report",
]

try:
    config_checks.check(config, SIZED_RULES)
except InputError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{config['experiment']}"
RUNS = experiment.runs(config)
HUB_ROWS = experiment.hub_rows(config)
TASKS = list(dict.fromkeys(run.task for run in RUNS))
FIGURES = ["figure1", "figure2", "figure2_clustered", "figure4", "figure5"]
FIGURE_FORMATS = ["pdf", "svg", "png"]
TABLE_FORMATS = ["csv", "md", "tex"]


def one_of(names):
    """A wildcard constraint that matches exactly these names."""
    return "|".join(map(re.escape, names))


wildcard_constraints:
    model=one_of(config["models"]),
    tokenizer=one_of(["embedded", *config["models"]]),
    dataset=one_of(config["datasets"]),
    run=one_of({run.name: run for run in experiment.needed_runs(config)}),
    rows=one_of(HUB_ROWS) or "none",
    split="train|probe",
    generator=one_of(registry.GENERATORS),
    pretraining=one_of(config["pretraining"]) or "none",


def threads_of(rule):
    return experiment.size(config, rule)["threads"]


def resources_of(rule):
    """What a scheduler is asked for: memory in MB, runtime in minutes, and GPUs where a rule needs any."""
    size = experiment.size(config, rule)
    asked = {"mem_mb": size["mem_mb"], "runtime": size["runtime"]}
    return {**asked, "gpu": size["gpu"]} if size["gpu"] else asked


def log_of(path):
    return f"{RESULTS}/logs/{path}.log"


def benchmark_of(path):
    return f"{RESULTS}/benchmarks/{path}.tsv"


def model_source(model):
    return config["models"][model]["source"]


def model_folder(model):
    """The folder that a base model is loaded from."""
    source = model_source(model)
    if "path" in source:
        return experiment.expand(source["path"], f"models.{model}.source.path")
    if "hub" in source:
        return f"{RESULTS}/models/{model}"
    if "model" in source:
        return f"{RESULTS}/checkpoints/{source['model']}/{source['run']}/final"
    run = f"{RESULTS}/pretraining/{source['pretraining']}"
    last = config["pretraining"][source["pretraining"]]["steps"]
    return f"{run}/final" if source["step"] == last else f"{run}/intermediate/step-{source['step']}"


def model_input(model):
    """What a job that loads a base model depends on: a made folder, or the files of one's own."""
    folder = model_folder(model)
    if "path" in model_source(model):
        return [str(path) for path in models.files(Path(folder))]
    if "pretraining" not in model_source(model):
        return [folder]
    return [f"{RESULTS}/pretraining/{model_source(model)['pretraining']}"]


def tokenizer_of(model):
    """Name of a model's tokenizer: the embedded models share one, and a run has that of the model it began with."""
    base = experiment.base_model(config, model)
    return "embedded" if "pretraining" in model_source(base) else base


def tokenizer_folder(tokenizer):
    return f"{RESULTS}/pretraining/tokenizer" if tokenizer == "embedded" else model_folder(tokenizer)


def tokenizer_input(tokenizer):
    """The embedded tokenizer exists before the models do; elsewhere it is a part of the model."""
    return [tokenizer_folder(tokenizer)] if tokenizer == "embedded" else model_input(tokenizer)


def pattern_folder(run):
    return f"{RESULTS}/patterns/{run.model}/{run.name}/{run.task}"


def tokenized(tokenizer, task):
    return f"{RESULTS}/tokenized/{tokenizer}/{task}/train"


def training_set(model, run):
    return f"{RESULTS}/training_sets/{tokenizer_of(model)}/{run}.csv"


def row_sources(dataset, split):
    """Where the raw rows of a split are; nowhere if the probe set is held out of the training rows."""
    return config["datasets"][dataset].get(split, [])


def row_path(dataset, split, part):
    """The file, folder or glob of one source of a split."""
    source = row_sources(dataset, split)[part]
    if "hub" in source:
        return f"{RESULTS}/raw/hub/{experiment.hub_name(source)}.parquet"
    if "embedded" in source:
        return f"{RESULTS}/raw/{source['embedded']}/{source['file']}"
    return experiment.expand(source["path"], f"datasets.{dataset}.{split}[{part}].path")


def row_paths(dataset, split):
    return [row_path(dataset, split, part) for part in range(len(row_sources(dataset, split)))]


def row_input(dataset, split):
    """What a job that reads raw rows depends on."""
    found = []
    for source, path in zip(row_sources(dataset, split), row_paths(dataset, split)):
        if "embedded" in source:
            found.append(f"{RESULTS}/raw/{source['embedded']}")
        else:
            found += experiment.with_labels(experiment.matches(path)) if "path" in source else [path]
    return list(dict.fromkeys(found))


def folder_state(dataset):
    """Sizes and times of the files below folders of raw rows: Snakemake itself sees only a folder's own time."""
    return experiment.state_of_folders(
        path
        for split in ("train", "probe")
        for source, path in zip(row_sources(dataset, split), row_paths(dataset, split))
        if "path" in source
    )


def options(values):
    """Command line options from a mapping: lists take several words, true is a flag, false and null leave it out."""
    words = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += [shlex.quote(str(word)) for word in (value if isinstance(value, list) else [value])]
    return " ".join(words)


def row_options(dataset):
    train, probe = (row_paths(dataset, split) for split in ("train", "probe"))
    return options({"train_files": train, "probe_files": probe or None})


def sampling_options():
    sampling = config["sampling"]
    return options(
        {
            "train_samples": sampling["train"],
            "probe_samples": sampling["probe"],
            "seed": sampling["seed"],
        }
    )


def hub_options(source):
    return options({key: source[key] for key in ("hub", "name", "split", "revision") if key in source})


def pretraining_options(pretraining):
    """One device and no accumulation: what a step reads is the batch."""
    recipe = {key: value for key, value in config["pretraining_recipe"].items() if key != "block_size"}
    batch_size = recipe.pop("batch_size")
    run = config["pretraining"][pretraining]
    return options(
        {
            **recipe,
            "per_device_batch_size": batch_size,
            "global_batch_size": batch_size,
            "max_steps": run["steps"],
            "checkpoint_steps": run["checkpoint_steps"],
            "device": config["device"],
        }
    )


def finetuning_options():
    recipe = {key: value for key, value in config["finetuning"].items() if key != "keep_intermediate_checkpoints"}
    return options({**recipe, "device": config["device"]})


def pattern_options():
    return options({**config["patterns"], "device": config["device"]})


def unless_kept(output):
    """Intermediate checkpoints are temporary unless the config keeps them: at full scale they are terabytes."""
    return output if config["finetuning"]["keep_intermediate_checkpoints"] else temp(output)


def group_shards(tokenizer, run):
    """Tokenized training rows of every task that a run is compared with."""
    group = experiment.parse_run(run)[0]
    return [tokenized(tokenizer, task) for task in config["task_groups"][group]["tasks"]]


def study_patterns(study):
    """Patterns of a study's runs, each on its own task's probe set."""
    return [pattern_folder(run) for run in experiment.study_runs(config, study)]


def bootstrap_options():
    return options(
        {
            "resamples": config["analysis"]["resamples"],
            "seed": config["analysis"]["seed"],
        }
    )


def regression_options():
    return options({key: config["analysis"][key] for key in ("permutations", "intercept")})


def claim_options():
    """What the paper found, for the claims to be compared with."""
    pairs = [options({"expected_pair": pair}) for pair in experiment.expected_pairs(config)]
    return " ".join(
        [
            *pairs,
            options({"changes_most": config["studies"]["dynamics"].get("changes_most")}),
        ]
    )


def provenance_settings():
    """What the report says of how its results were made, besides versions and commit."""
    return {
        "experiment": config["experiment"],
        "config": experiment.digest(config),
        "seeds": config["seeds"],
        "models": {run.model: str(model_source(run.model)) for run in RUNS},
        "datasets": {task: str({split: row_sources(task, split) for split in ("train", "probe")}) for task in TASKS},
        "device": config["device"],
        "prompt_template": templates.resolve(config["prompt_template"]),
        **{
            key: config[key]
            for key in (
                "sampling",
                "tokenization",
                "finetuning",
                "patterns",
                "analysis",
            )
        },
    }


def figure_files(name):
    return [f"{RESULTS}/figures/{name}.{suffix}" for suffix in FIGURE_FORMATS]


def table_files(name):
    return [f"{RESULTS}/tables/{name}.{suffix}" for suffix in TABLE_FORMATS]


def captioned(files, name, category):
    """Outputs as Snakemake's own report shows them, with the same caption as ours."""
    return [
        in_report(
            file,
            caption=f"captions/{name}.rst",
            category=category,
            labels={"format": Path(file).suffix},
        )
        for file in files
    ]


def farewell():
    made = [
        ("report", f"{RESULTS}/report.html"),
        ("figures", f"{RESULTS}/figures"),
        ("tables", f"{RESULTS}/tables"),
    ]
    lines = [f"  {name:8} {Path(path).resolve()}" for name, path in made if Path(path).exists()]
    return "\n".join([f"\nExperiment {config['experiment']}:", *lines])
