# What the rules of section 5 ask for: options, inputs and paths of mixing, selection and evaluation. No rule here.

import functools

from snakemake_interface_executor_plugins.settings import DeploymentMethod


def mixing_bootstrap_options():
    """The bootstrap and the regression of the mixing study; its seed is not that of the training."""
    analysis = config["analysis"]
    return options(
        {"resamples": analysis["resamples"], "bootstrap_seed": analysis["seed"], "intercept": analysis["intercept"]}
    )


def training_rows(run):
    """The rows that the training set of a candidate run is cut from."""
    return instructions(*applications.datasets(config, run)[0])


def candidate_options(runs):
    """Pattern folders, training sets and the rows of these, of the candidate runs by task."""
    return " ".join(
        [
            repeated("candidate", {run.task: pattern_folder(run) for run in runs}),
            repeated("training_set", {run.task: training_set(run) for run in runs}),
            repeated("training_rows", {run.task: training_rows(run) for run in runs}),
        ]
    )


def candidates_of(wildcards):
    return applications.candidate_runs(config, wildcards.model, int(wildcards.seed))


def target_patterns(wildcards):
    """Patterns of D_T before and after training on it."""
    run = Run(wildcards.model, applications.MIXING, applications.TARGET, int(wildcards.seed))
    return pattern_folder(run, applications.TRAINING)


def probe_model_patterns(wildcards, probe_set):
    """Patterns under the base model and the probe model of a domain."""
    run = applications.pseudo_private_run(wildcards.model, wildcards.domain, int(wildcards.seed))
    return pattern_folder(run, probe_set)


def opencompass_python():
    """Its interpreter: that of the conda environment where Snakemake makes one, else the one that the config names."""
    by_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    return "python" if by_conda else experiment.expand(config["evaluation"]["python"], "evaluation.python")


def sheet(wildcards):
    """Pairs of a run's name (or base) and an evaluation set."""
    return SHEETS[wildcards.model, wildcards.sheet]


def evaluated_folder(model, run):
    return model_folder(model) if run == applications.BASE else f"{checkpoint_folder(Run.named(model, run))}/final"


def trained_runs(wildcards):
    """The runs of a sheet: all that it reads but the base model."""
    return list(dict.fromkeys(run for run, _ in sheet(wildcards) if run != applications.BASE))


def evaluated_input(wildcards):
    """The checkpoints of a sheet."""
    runs = trained_runs(wildcards)
    return model_input(wildcards.model) + [evaluated_folder(wildcards.model, run) for run in runs]


def set_files(name):
    """The rows of an evaluation set, and the CSV that picks a domain's among them."""
    described = EVALUATION_SETS[name]
    if "opencompass" in described:
        return []
    rows = instructions(described["dataset"], "probe")
    return [rows, f"{RESULTS}/domains/{described['domain']}/target.csv"] if "domain" in described else [rows]


def evaluated_sets():
    """Evaluation sets of all sheets, each once."""
    return list(dict.fromkeys(row["set"] for row in applications.variants(config)))


def own_sets():
    """Evaluation sets that are evaluated and consist of the workflow's own instructions."""
    return [name for name in evaluated_sets() if set_files(name)]


def builtin_sets(names):
    """Those of some evaluation sets that are configurations of OpenCompass, with these."""
    return {name: EVALUATION_SETS[name]["opencompass"] for name in names if "opencompass" in EVALUATION_SETS[name]}


def builtin_options(names):
    """What the built-in ones of some evaluation sets are."""
    return " ".join(options({"builtin": [*described]}) for described in builtin_sets(names).items())


def sets_of(wildcards):
    return list(dict.fromkeys(name for _, name in sheet(wildcards)))


def builtin_check(wildcards):
    """The check of the built-in sets, where a sheet has any."""
    return [f"{RESULTS}/evaluations/builtin_sets.csv"] if builtin_sets(sets_of(wildcards)) else []


def opencompass_data():
    """The folder above OpenCompass's own `data/`, if the config names one."""
    data = config["evaluation"]["opencompass_data"]
    return data and experiment.expand(data, "evaluation.opencompass_data")


@functools.cache
def builtin_state():
    """Sizes and times of OpenCompass's own data, which are no input of a rule: exchanged, they are evaluated again."""
    return experiment.state_of_folders([f"{opencompass_data()}/data"])


def sheet_state(wildcards):
    """That of a sheet that reads those data."""
    return builtin_state() if builtin_sets(sets_of(wildcards)) else ""


def evaluation_options(wildcards):
    """Checkpoints with their sets, and what each set is."""
    pairs = [
        options({"evaluate": [run, evaluated_folder(wildcards.model, run), name]}) for run, name in sheet(wildcards)
    ]
    names = sets_of(wildcards)
    own = [options({"set": [name, *set_files(name)]}) for name in names if set_files(name)]
    return " ".join([*pairs, *own, builtin_options(names)])


def decoding_options():
    evaluation = config["evaluation"]
    return options(
        {
            **{key: evaluation[key] for key in ("batch_size", "max_new_tokens", "dtype")},
            "opencompass_data": opencompass_data(),
            "device": config["device"],
        }
    )


def predictions(study):
    """Predictions of every item, of the sheets of a study and of those that it shares."""
    evaluated = {
        (row["model"], row["run"], row["set"]) for row in applications.variants(config) if row["study"] == study
    }
    return [
        f"{RESULTS}/evaluations/{model}/{sheet}.items.csv"
        for (model, sheet), pairs in SHEETS.items()
        if any((model, *pair) in evaluated for pair in pairs)
    ]


def difference_inputs():
    """Differences between variants, of the applications that the config selects."""
    return {
        f"{name}_differences": f"{RESULTS}/analysis/{name}_differences.csv"
        for name in applications.STUDIES
        if config["studies"][name]["models"]
    }


def application_results():
    """What the report shows of section 5, by the option that takes it, as far as the config selects its studies."""
    mixing = {
        "table2": f"{RESULTS}/tables/table2.csv",
        "mixture_figure": f"{RESULTS}/figures/mixture.svg",
        "mixture": f"{RESULTS}/analysis/mixture.csv",
        "mixture_reports": [
            f"{RESULTS}/mixtures/{model}/seed{seed}/report.json"
            for model in MIXING["models"]
            for seed in config["seeds"]
        ],
    }
    selection = {"table3": f"{RESULTS}/tables/table3.csv"}
    scores = {"scores": f"{RESULTS}/analysis/scores.csv"}
    return {
        **(mixing if MIXING["models"] else {}),
        **(selection if SELECTION["models"] else {}),
        **(scores if SHEETS else {}),
    }


def application_captions():
    """Captions of those."""
    named = {"table2": ["table2", "mixture", "mixture_table"], "table3": ["table3"], "scores": ["scores"]}
    return [name for option in application_results() for name in named.get(option, [])]
