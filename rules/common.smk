# Paths, the run table and resource helpers. No rule here.

import atexit
import json
import shlex
import sys
from collections import Counter
from pathlib import Path

from snakemake.cli import get_argument_parser
from snakemake.exceptions import WorkflowError
from snakemake.io import report as in_report

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from headpatterns.experiment import applications
from headpatterns.cluster import gpus as local_gpus
from headpatterns.cluster import refusals
from headpatterns.cluster import resources as cluster
from headpatterns.cluster.requests import table
from headpatterns.experiment import checks as config_checks
from headpatterns.experiment import config as experiment
from headpatterns.planning import disk as footprint
from headpatterns.models import loading as models
from headpatterns.data.embedded import registry
from headpatterns.errors import InputError
from headpatterns.data import templates
from headpatterns.experiment.runs import Run
from headpatterns.training import recipe as training_recipe

experiment.put_python_first()

SIZED_RULES = [
    "generate_raw_data",
    "generate_corpus",
    "train_tokenizer",
    "pretrain",
    "check_hub",
    "fetch_dataset",
    "fetch_model",
    "prepare_instructions",
    "tokenize_instructions",
    "cut_training_set",
    "finetune",
    "extract_patterns",
    "ablate_heads",
    "analyse_distribution",
    "analyse_similarity",
    "analyse_composition",
    "analyse_dynamics",
    "analyse_validity",
    "split_domain",
    "mix_basic_tasks",
    "select_samples",
    "check_opencompass",
    "check_evaluation_sets",
    "check_builtin_sets",
    "evaluate",
    "collect_scores",
    "analyse_mixing",
    "analyse_selection",
    "collect_claims",
    "summarise_experiment",
    "write_table1",
    "write_table2",
    "write_table3",
    "draw_figure1",
    "draw_figure2",
    "draw_figure4",
    "draw_figure5",
    "draw_validity",
    "draw_mixture",
    "render_report",
    "plan",
    "costs",
]


def files_are_needed():
    """Whether data and models of one's own must be here: not for a plan alone, which comes before they do.

    Snakemake itself knows the targets only once it has read this. Its jobs rely on what the main process has checked.
    """
    targets = set(get_argument_parser().parse_known_args()[0].targets)
    return workflow.is_main_process and not (targets and targets <= {"plan", "costs"})


try:
    config_checks.check(config, SIZED_RULES, at_hand=files_are_needed())
except InputError as error:
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{config['experiment']}"
RUNS = experiment.needed_runs(config)
SECTION_4_RUNS = frozenset(experiment.runs(config))
BATCHES = experiment.batches(config)
SHEETS = applications.sheets(config)
EVALUATION_SETS = applications.evaluation_sets(config)
MIXING = config["studies"]["mixing"]
SELECTION = config["studies"]["selection"]
VALIDITY_RUNS = experiment.validity_runs(config)
HUB_ROWS = experiment.hub_rows(config)
FIGURES = ["figure1", "figure2", "figure2_clustered", "figure4", "figure5"]
FIGURE_FORMATS = ["pdf", "svg", "png"]
TABLE_FORMATS = ["csv", "md", "tex"]


# At most as many jobs that fill the disk as it is planned for, wherever they run: fine-tunings, and what reads
# checkpoints that go afterwards. Readers have the higher priority, so that the place of a fine-tuning that is done goes
# to those of its checkpoints, and another starts only where none of them waits. A job holds its place while it runs and
# waits for no other then: there is no deadlock.
workflow.register_resource("runs_on_disk", config["plan"]["parallel_jobs"])


def one_of(names):
    """A wildcard constraint that matches exactly these names."""
    return "|".join(map(re.escape, names))


wildcard_constraints:
    model=one_of(config["models"]),
    tokenizer=one_of(["embedded", *config["models"]]),
    dataset=one_of(config["datasets"]),
    run=one_of({run.name: run for run in RUNS}) or "none",
    seed=r"\d+",
    domain=one_of(SELECTION["domains"]) or "none",
    sheet=one_of({sheet for _, sheet in SHEETS}) or "none",
    rows=one_of(HUB_ROWS) or "none",
    split="train|probe",
    generator=one_of(registry.GENERATORS),
    pretraining=one_of(config["pretraining"]) or "none",


def threads_of(rule):
    return experiment.size(config, rule)["threads"]


def resources_of(rule, group=None):
    """What a scheduler is asked for; `group` is that of the runs of a fine-tuning."""
    return cluster.resources(config, rule, group)


def on_gpus(rule, group=None):
    """What goes before a command that needs GPUs: it takes free ones of this machine, where no scheduler binds them."""
    if config["device"] == "cpu":
        return ""
    return f"python workflow_scripts/take_gpus.py --count {cluster.gpus(config, rule, group)} -- "


def launcher(group):
    """What starts finetune.py for the runs of a group: Python itself, or torchrun where several processes share them.

    Of several machines each runs its torchrun, started by srun; the processes meet on the first. Its variables are for
    the shell on each machine, hence the quotes; "$@" is what follows: the script and its options.
    """
    recipe = experiment.recipe(config, group)
    processes, nodes = recipe["devices"] // recipe["nodes"], recipe["nodes"]
    if recipe["devices"] == 1 and recipe["engine"] == "pytorch":
        return f"{on_gpus('finetune', group)}python"
    torchrun = f"python workflow_scripts/launch.py --nproc-per-node {processes}"
    if nodes == 1:
        return f"{on_gpus('finetune', group)}{torchrun} --standalone"
    place = "$SLURM_LAUNCH_NODE_IPADDR:$((20000 + SLURM_JOB_ID % 20000))"
    hosts = "is_host=$((SLURM_NODEID == 0)),read_timeout=600"  # seconds: torch may be slow to load on some of them
    meet = f"--nnodes {nodes} --rdzv-backend c10d --rdzv-id $SLURM_JOB_ID --rdzv-endpoint {place} --rdzv-conf {hosts}"
    return (
        f"srun --nodes {nodes} --ntasks {nodes} --ntasks-per-node 1 --cpus-per-task {threads_of('finetune')}"
        f" --kill-on-bad-exit=1 bash -c 'exec {torchrun} {meet} \"$@\"' torchrun"
    )


def extractor():
    """The start of a command: extract_patterns.py alone, or under torchrun where several GPUs share the samples."""
    count, script = cluster.sharing(config), "workflow_scripts/extract_patterns.py"
    several = f"python workflow_scripts/launch.py --standalone --nproc-per-node {count} {script} --devices {count}"
    return f"{on_gpus('extract_patterns')}{several if count > 1 else f'python {script}'}"


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
    return experiment.tokenizer_of(config, model)


def tokenizer_folder(tokenizer):
    return f"{RESULTS}/pretraining/tokenizer" if tokenizer == "embedded" else model_folder(tokenizer)


def tokenizer_input(tokenizer):
    """The embedded tokenizer exists before the models do; elsewhere it is a part of the model."""
    return [tokenizer_folder(tokenizer)] if tokenizer == "embedded" else model_input(tokenizer)


def checkpoint_folder(run):
    return f"{RESULTS}/checkpoints/{run.model}/{run.name}"


def pattern_folder(run, probe_set=None):
    """Patterns of a run, on the probe set of its own task unless another is named."""
    return f"{RESULTS}/patterns/{run.model}/{run.name}/{probe_set or run.task}"


def ablation_folder(run):
    """What becomes of a run's samples without heads of the model, before the run and after it."""
    return f"{RESULTS}/ablations/{run.model}/{run.name}"


def instructions(dataset, split):
    return f"{RESULTS}/instructions/{dataset}/{split}.parquet"


def tokenized(tokenizer, dataset, split="train"):
    return f"{RESULTS}/tokenized/{tokenizer}/{dataset}/{split}"


def training_set(run):
    """The samples of a run: those of a dataset, of a mixture of basic tasks, or selected from a pool."""
    if cut := applications.cut_run(run):
        return f"{RESULTS}/training_sets/{tokenizer_of(run.model)}/{cut.name}.csv"
    if run.group == applications.MIXING:
        return f"{RESULTS}/mixtures/{run.model}/seed{run.seed}/{run.task}.csv"
    domain = applications.domain_of(config, run)
    return f"{RESULTS}/selections/{run.model}/{domain}.seed{run.seed}/{run.task.removeprefix(f'{domain}-')}.csv"


def shards(run):
    """Tokenized rows that the samples of a run may come from."""
    tokenizer = tokenizer_of(run.model)
    return [tokenized(tokenizer, *source) for source in applications.datasets(config, run)]


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
    """Command line options from a mapping: lists take several words, true is a flag; false, null and empty lists are
    left out."""
    words = []
    for name, value in values.items():
        if value is None or value is False or value == []:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += [shlex.quote(str(word)) for word in (value if isinstance(value, list) else [value])]
    return " ".join(words)


def repeated(option, values):
    """An option given once for each `NAME=VALUE` of a mapping."""
    return " ".join(options({option: f"{name}={value}"}) for name, value in values.items())


def row_options(dataset):
    train, probe = (row_paths(dataset, split) for split in ("train", "probe"))
    return options({"train_files": train, "probe_files": probe or None})


def sampling_options(dataset):
    sampling = {**config["sampling"], **config["datasets"][dataset].get("sampling", {})}
    return options(
        {
            "train_samples": sampling["train"],
            "probe_samples": sampling["probe"],
            "seed": sampling["seed"],
        }
    )


def hub_sources():
    """What the experiment fetches from the hub, and where to: models, and splits of datasets."""
    found = [
        {"kind": "model", **model_source(model), "output": model_folder(model)}
        for model in experiment.used_models(config)
    ]
    for dataset in experiment.used_datasets(config):
        for split in ("train", "probe"):
            for part, source in enumerate(row_sources(dataset, split)):
                found += (
                    [{"kind": "dataset", **source, "output": row_path(dataset, split, part)}] if "hub" in source else []
                )
    return list({source["output"]: source for source in found if "hub" in source}.values())


def hub_options(source):
    return options({key: source[key] for key in ("hub", "name", "split", "revision") if key in source})


def pretraining_recipe(pretraining):
    """One device and no accumulation: what a step reads is the batch."""
    run, stated = config["pretraining"][pretraining], config["pretraining_recipe"]
    return recipe_of(
        {
            **stated,
            "per_device_batch_size": stated["batch_size"],
            "global_batch_size": stated["batch_size"],
            "max_steps": run["steps"],
            "checkpoint_steps": run["checkpoint_steps"],
        }
    )


def recipe_of(stated):
    """The option --recipe: of what a section of the config states, all that belongs to a recipe."""
    return json.dumps({key: stated[key] for key in training_recipe.KEYS if key in stated})


def group_of(batch):
    """The group that all runs of a batch have."""
    return batch.runs[0][0]


def of_job(function, batch):
    """An input or params function of a rule: what `function` says of the runs of a job's model and seed."""
    return lambda wildcards: function(batch.of(wildcards.model, int(wildcards.seed)))


def starting_folder(run):
    """The folder of the model that a run starts from."""
    earlier = applications.earlier(run)
    return f"{checkpoint_folder(earlier)}/final" if earlier else model_folder(run.model)


def starting_folders(runs):
    """The model that each run of a job starts from, or the one that all of them do."""
    folders = [starting_folder(run) for run in runs]
    return folders if len(set(folders)) > 1 else folders[:1]


def earlier_runs(runs):
    """Runs of other jobs that those of a job start from."""
    return [run for run in map(applications.earlier, runs) if run and run not in runs]


def finetuning_input(runs):
    """What the fine-tunings of a job depend on, besides one another."""
    return list(
        dict.fromkeys(
            [
                *model_input(runs[0].model),
                *(f"{checkpoint_folder(run)}/final" for run in earlier_runs(runs)),
                *map(training_set, runs),
                *all_shards(runs),
            ]
        )
    )


def all_shards(runs):
    return list(dict.fromkeys(folder for run in runs for folder in shards(run)))


def finetuning_recipe(runs):
    """The recipe of a job's runs; only those of section 4 need checkpoints on the way."""
    without = {"checkpoint_steps": []} if SECTION_4_RUNS.isdisjoint(runs) else {}
    return recipe_of({**experiment.recipe(config, runs[0].group), **without, "seed": runs[0].seed})


def pattern_options():
    return options({**config["patterns"], "device": config["device"]})


def run_outputs(batch, part):
    """One output of each run of a batch, with the wildcards model and seed."""
    return [f"{checkpoint_folder(run)}/{part}" for run in batch.of("{model}", "{seed}")]


def unless_kept(output, kept):
    """Weights are temporary unless the config keeps them: at full scale they are terabytes."""
    return output if config["finetuning"][kept] else temp(output)


def on_disk(*read):
    """The place that a reader of checkpoints takes of `runs_on_disk`: one where any of their kinds is not kept."""
    return int(not all(config["finetuning"][f"keep_{kind}_checkpoints"] for kind in read))


def probes(run):
    """What the patterns of a run are taken on: the probe set, its rows, and the training set that picks among them."""
    found = []
    for probe_set in applications.probe_sets(config, run):
        own = probe_set == applications.TRAINING
        dataset = applications.datasets(config, run)[0][0] if own else probe_set
        rows = instructions(dataset, "train" if own else "probe")
        found.append((probe_set, rows, training_set(run) if own else "all"))
    return found


def extraction_input(runs):
    """What the extractions of a job depend on, besides the checkpoints."""
    read = [path for run in runs for _, *paths in probes(run) for path in paths if path != "all"]
    return list(dict.fromkeys([*model_input(runs[0].model), *read]))


def extraction_options(runs):
    """Run, rows, selection of rows and output folder, as many of each."""
    listed = [(run, *probe) for run in runs for probe in probes(run)]
    return options(
        {
            "run": [checkpoint_folder(run) for run, *_ in listed],
            "data": [rows for _, _, rows, _ in listed],
            "among": [among for *_, among in listed],
            "output_folder": [pattern_folder(run, probe_set) for run, probe_set, _, _ in listed],
        }
    )


def pattern_outputs(batch):
    """The pattern folders of a batch, with the wildcards model and seed; probe sets do not depend on them."""
    return [
        pattern_folder(run, probe_set)
        for run in batch.of("{model}", "{seed}")
        for probe_set in applications.probe_sets(config, run)
    ]


def ablation_options(runs):
    """Run, rows and output folder, as many of each."""
    return options(
        {
            "run": [checkpoint_folder(run) for run in runs],
            "data": [instructions(run.task, "probe") for run in runs],
            "output_folder": [ablation_folder(run) for run in runs],
        }
    )


def validity_options():
    """What of the probe sets is taken, and which heads are ablated together."""
    validity = config["studies"]["validity"]
    settings = {key: validity[key] for key in ("samples", "draws", "top")}
    return options({**settings, "seed": config["sampling"]["seed"]})


def validity_results():
    """What the report shows of the validity study, by the option that takes it, where the config selects any run."""
    if not VALIDITY_RUNS:
        return {}
    tables = ("validity", "validity_between", "validity_contrasts")
    return {
        "validity_figure": f"{RESULTS}/figures/figure_validity.svg",
        **{name: f"{RESULTS}/analysis/{name}.csv" for name in tables},
    }


def validity_captions():
    return ["figure_validity", "validity_table"] if VALIDITY_RUNS else []


def cut_from(run):
    """Dataset and split that a training set is cut from."""
    return applications.datasets(config, Run.named("", run))[0]


def cut_among(run):
    """Where a training set is only a part of a dataset: the samples of a domain."""
    cut = Run.named("", run)
    if cut.group != applications.SELECTION:
        return []
    return f"{RESULTS}/domains/{applications.domain_of(config, cut)}/pseudo_private.csv"


def group_shards(tokenizer, run):
    """Tokenized training rows of every task that a run is compared with."""
    group = config["task_groups"].get(run.group, {"tasks": []})
    return [tokenized(tokenizer, task) for task in group["tasks"]]


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
        "models": {model: str(model_source(model)) for model in experiment.used_models(config)},
        "datasets": {
            dataset: str({split: row_sources(dataset, split) for split in ("train", "probe")})
            for dataset in experiment.used_datasets(config)
        },
        **{f"study: {name}": study for name, study in config["studies"].items()},
        "domains": {name: domain["tags"] for name, domain in config["domains"].items()},
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
                "evaluation",
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


def requests(jobs):
    """How many jobs ask for the same."""
    groups = {f"finetune_{name}": group_of(batch) for name, batch in BATCHES.items()}
    return Counter(cluster.request(job, config, groups.get(job.rule.name, "")) for job in jobs)


def check_cluster():
    """Before any job: refuse what this Slurm cannot run, or what needs one that is not there.

    The plan and other targets of local rules alone need no Slurm with its profile either.
    """
    asked = requests(job for job in workflow.dag.needrun_jobs() if not job.is_local or workflow.local_exec)
    try:
        if workflow.executor_plugin.name != "slurm":
            shown = len(local_gpus.visible()) if workflow.local_exec and config["device"] == "cuda" else None
            refusals.check_without(asked, shown)
        elif asked:
            refusals.check(asked, cluster.configured(config), workflow.executor_settings.status_command)
            print(table(asked), file=sys.stderr)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def print_dry_request():
    """After a dry-run, in which Snakemake calls no hook: what its GPU jobs would ask of Slurm."""
    if workflow.dryrun and cluster.configured(config):
        print(table(requests(workflow.dag.needrun_jobs(exclude_finished=False))))


if workflow.is_main_process:
    atexit.register(print_dry_request)


def check_disk():
    """Refuse, before anything starts, to train where the disk has no room for the planned peak."""
    if not config["plan"]["check_disk"]:
        return
    benchmarks = {str(job.benchmark) for job in workflow.dag.needrun_jobs()}
    try:
        if unknown := footprint.check(config, RESULTS, benchmarks):
            print(f"The check of the disk counts as nothing what is not known: {', '.join(unknown)}.", file=sys.stderr)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def farewell():
    made = [
        ("report", f"{RESULTS}/report.html"),
        ("figures", f"{RESULTS}/figures"),
        ("tables", f"{RESULTS}/tables"),
    ]
    lines = [f"  {name:8} {Path(path).resolve()}" for name, path in made if Path(path).exists()]
    return "\n".join([f"\nExperiment {config['experiment']}:", *lines])
