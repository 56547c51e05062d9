# Inputs of jobs, as functions of their wildcards. There is no rule in this file.


OWN_INPUTS = {file for one in missing.sources(EXPERIMENT) for file in missing.inputs_of(EXPERIMENT, one)}
OWN_MODELS = any(of_model(CONFIG.models[name].source) for name in EXPERIMENT.models)


def by_content(paths):
    """Inputs of a job: of files of your own the content decides, which is a parameter, and their times do not."""
    return [ancient(path) if path in OWN_INPUTS else path for path in paths]


def contents(part, wildcard="model"):
    """The parameter that says what a model of your own holds; none where the experiment has no such model."""
    return {"contents": lambda wildcards: PATHS.content(wildcards[wildcard], part)} if OWN_MODELS else {}


def of_job(function, batch):
    """An input or params function of a rule: what `function` says of the runs of a job's model and seed."""
    # Runs that were trained elsewhere have no seed in their paths.
    return lambda wildcards: function(batch.of(wildcards.model, int(wildcards.get("seed", 0))))


def finetuning_input(runs):
    """What the fine-tunings of a job depend on, apart from one another."""
    before = [f"{PATHS.checkpoints(run.earlier)}/final" for run in runs if run.earlier and run.earlier not in runs]
    sets = map(PATHS.training_set, runs)
    model = by_content(PATHS.model_input(runs[0].model, runs[0].seed))
    heads = [PATHS.heads(run) for run in runs if run.group == HEADS]
    return list(dict.fromkeys([*model, *before, *sets, *heads, *PATHS.shards(runs)]))


def training_sets_of(runs):
    """The training sets of the runs of a job; then, where heads alone are trained on them, the option that names these.

    A parameter of its own would make all other fine-tunings again.
    """
    heads = [PATHS.heads(run) for run in runs if run.group == HEADS]
    return [*map(PATHS.training_set, runs), *(["--heads", *heads] if heads else [])]


def urgency(runs):
    """The priority of the fine-tunings of a job: 1 where others wait for them, or their beginnings for them."""
    begun = any(run.earlier and run.earlier not in runs for run in runs)
    return int(begun or not EXPERIMENT.first_runs.isdisjoint(runs))


def extraction_input(runs):
    """What extractions and ablations of a job depend on, apart from the checkpoints."""
    read = [path for run in runs for _, *paths in arguments.probes(EXPERIMENT, run) for path in paths]
    read = [path for path in read if path != arguments.EVERY_SAMPLE]
    return list(dict.fromkeys([*by_content(PATHS.model_input(runs[0].model, runs[0].seed)), *read]))


def model_of(runs):
    """The folder of the model that the runs of a job started from."""
    return PATHS.model(runs[0].model, runs[0].seed)


def run_outputs(batch, part):
    """One output of each run of a batch, with the wildcards model and seed."""
    return [f"{PATHS.checkpoints(run)}/{part}" for run in batch.of("{model}", "{seed}")]


def ablation_outputs(batch):
    """The folders of the ablations of a batch, likewise."""
    runs = batch.of("{model}", "{seed}")
    return [PATHS.ablations(run, probe_set) for run in runs for probe_set in run.training_set.probe_sets]


def pattern_outputs(batch):
    """The pattern folders of a batch, with the wildcards model and seed."""
    runs = batch.of("{model}", "{seed}")
    return [PATHS.patterns(run, probe_set) for run in runs for probe_set in run.training_set.probe_sets]


def candidates(wildcards):
    return mixing.candidate_runs(EXPERIMENT, wildcards.model, int(wildcards.seed))


def target_patterns(wildcards):
    """Patterns of D_T before and after training on it."""
    return PATHS.patterns(mixing.target_run(EXPERIMENT, wildcards.model, int(wildcards.seed)), TRAINING)


def probe_model_patterns(probe_set):
    """Patterns under the base model and the probe model of a domain."""
    return lambda wildcards: PATHS.patterns(
        selection.probe_model_run(EXPERIMENT, wildcards.model, wildcards.domain, int(wildcards.seed)), probe_set
    )


def of_domains(part):
    """A part of every domain of the selection study, where LESS takes gradients of it."""
    return [PATHS.domain(domain, part) for domain in SELECTION.domains] if selection.takes_gradients(EXPERIMENT) else []


def gradients_of(pools, targets):
    """What LESS takes gradients of and how; nothing where it takes none."""
    if not pools:
        return ""
    how = arguments.options({"less": arguments.in_any_order(selection.warm_up(EXPERIMENT))})
    return f"{how} {arguments.options({'pools': pools, 'targets': targets})}"


def sets_of(wildcards):
    """Evaluation sets of a batch, each once."""
    return list(dict.fromkeys(name for _, name in EXPERIMENT.evaluation_batches[wildcards.model, wildcards.batch]))


def set_files(names):
    """The files of those of some evaluation sets that consist of the workflow's own instructions."""
    sets = [EXPERIMENT.evaluation_sets[name] for name in names]
    files_of = (arguments.set_files, arguments.example_files)
    return [file for items in sets for function in files_of for file in function(EXPERIMENT, items)]


def has_builtin(names):
    """Whether any of some evaluation sets is a configuration of OpenCompass."""
    return any(EXPERIMENT.evaluation_sets[name].opencompass for name in names)


def evaluated_input(wildcards):
    """The checkpoints of a batch."""
    model = wildcards.model
    runs = arguments.trained_runs(EXPERIMENT, model, wildcards.batch)
    asked = {run for run, _ in EXPERIMENT.evaluation_batches[model, wildcards.batch]}
    seeds = [seed for (of, run), seed in EXPERIMENT.bases.items() if of == model and run in asked]
    bases = [path for seed in seeds for path in by_content(PATHS.model_input(model, seed))]
    below = [path for run in runs for path in by_content(PATHS.merged_into(EXPERIMENT.run_named[model, run]))]
    others = [path for path in dict.fromkeys(below) if path not in bases]
    return bases + others + [EXPERIMENT.evaluated(model, run) for run in runs]


@functools.cache
def builtin_state():
    """The content of OpenCompass's own data, which are no input of a rule: exchanged, they are evaluated again."""
    return PATHS.own.state("data", CONFIG.evaluation.opencompass_data)


EVALUATED_SETS = EXPERIMENT.evaluated_sets
READERS = arguments.readers(EXPERIMENT)
