# Section 5: mixtures of basic tasks that prepare for a target (Eq. 3, 4), and samples selected from a pool (Eq. 5).


rule mix_basic_tasks:
    input:
        target=target_patterns,
        candidates=lambda wildcards: [PATHS.patterns(run) for run in candidates(wildcards)],
        training_sets=lambda wildcards: [PATHS.training_set(run) for run in candidates(wildcards)],
        training_rows=lambda wildcards: [PATHS.instructions(run.task, "train") for run in candidates(wildcards)],
        test=PATHS.instructions(MIXING.target, "probe"),
    output:
        coefficients=PATHS.mixture("{model}", "{seed}", "coefficients.csv"),
        picks=PATHS.mixture("{model}", "{seed}", "picks.csv"),
        mixtures=PATHS.mixture("{model}", "{seed}", "mixtures.csv"),
        report=PATHS.mixture("{model}", "{seed}", "report.json"),
        training_sets=[PATHS.mixture("{model}", "{seed}", f"{one.task}.csv") for one in mixing.mixtures(EXPERIMENT)],
    params:
        folder=subpath(output.coefficients, parent=True),
        candidates=lambda wildcards: arguments.candidates(EXPERIMENT, candidates(wildcards)),
        mixing=arguments.options(mixing.arguments(EXPERIMENT)),
        reading=as_is(arguments.as_json(reading(EXPERIMENT))),
    shell:
        "python workflow_scripts/mix_basic_tasks.py --model {wildcards.model} --seed {wildcards.seed} --target {input.target}"
        " {params.candidates} --test {input.test} {params.mixing} --reading {params.reading:q} --output {params.folder} --log {log}"


rule split_domain:
    input:
        train=PATHS.instructions(SELECTION.dataset, "train"),
        probe=PATHS.instructions(SELECTION.dataset, "probe"),
    output:
        pseudo_private=PATHS.domain("{domain}", "pseudo_private"),
        pool=PATHS.domain("{domain}", "pool"),
        target=PATHS.domain("{domain}", "target"),
        related=PATHS.domain("{domain}", "related") if SELECTION.related else [],
        report=f"{RESULTS}/domains/{{domain}}/report.json",
    priority: 10
    localrule: True
    params:
        folder=subpath(output.pool, parent=True),
        dataset=SELECTION.dataset,
        tags=lambda wildcards: arguments.tags(EXPERIMENT, wildcards.domain),
        largest_budget=max(SELECTION.budgets),
    shell:
        "python workflow_scripts/split_domain.py --dataset {params.dataset} --domain {wildcards.domain} {params.tags}"
        " --train {input.train} --probe {input.probe} --largest-budget {params.largest_budget} --output {params.folder} --log {log}"


rule read_candidates:
    input:
        model=lambda wildcards: by_content(
            PATHS.model_input(wildcards.model, EXPERIMENT.bases[wildcards.model, wildcards.base])
        ),
        train=PATHS.instructions(SELECTION.dataset, "train"),
        probe=PATHS.instructions(SELECTION.dataset, "probe"),
        pools=of_domains("pool"),
        targets=of_domains("pseudo_private"),
    output:
        directory(PATHS.candidates("{model}", "{base}")),
    params:
        **contents("model"),
        model=lambda wildcards: PATHS.model(wildcards.model, EXPERIMENT.bases[wildcards.model, wildcards.base]),
        max_length=CONFIG.tokenization.max_length,
        passes=arguments.options({"dtype": CONFIG.patterns.dtype, "device": CONFIG.device}),
        less=lambda wildcards, input: gradients_of(input.pools, input.targets),
    shell:
        f"exec {commands.on_gpus(EXPERIMENT, 'read_candidates')}python workflow_scripts/read_candidates.py"
        " --model {params.model:q} --name train probe --data {input.train} {input.probe} --max-length {params.max_length}"
        " {params.passes} {params.less} --threads {threads} --output {output} --log {log}"


rule select_samples:
    input:
        pool=PATHS.domain("{domain}", "pool"),
        train=PATHS.instructions(SELECTION.dataset, "train"),
        probe=PATHS.instructions(SELECTION.dataset, "probe"),
        pool_patterns=probe_model_patterns(SELECTION.dataset),
        pseudo_private=probe_model_patterns(TRAINING),
        related=PATHS.domain("{domain}", "related") if SELECTION.related else [],
        candidates=lambda wildcards: (
            [PATHS.candidates(wildcards.model, needed.base_name(CONFIG, wildcards.model, int(wildcards.seed)))]
            if selection.reads_candidates(EXPERIMENT)
            else []
        ),
    output:
        scores=PATHS.selection("{model}", "{domain}", "{seed}", "scores.csv"),
        report=PATHS.selection("{model}", "{domain}", "{seed}", "report.json"),
        costs=PATHS.selection("{model}", "{domain}", "{seed}", "costs.csv"),
        training_sets=[
            PATHS.selection("{model}", "{domain}", "{seed}", f"{one.choice}.csv")
            for one in selection.choices(EXPERIMENT, "")
        ],
    params:
        folder=subpath(output.scores, parent=True),
        dataset=SELECTION.dataset,
        selection=arguments.options(
            {
                "methods": selection.ranked(EXPERIMENT),
                "budgets": SELECTION.budgets,
                "random_draws": SELECTION.random_draws,
            }
        ),
        further=lambda wildcards, input: arguments.options(
            {
                "related": input.related,
                "candidates": input.candidates,
                "tags": CONFIG.domains[wildcards.domain].tags if selection.takes_gradients(EXPERIMENT) else [],
            }
        ),
        reading=as_is(arguments.as_json(reading(EXPERIMENT))),
    shell:
        "python workflow_scripts/select_samples.py --dataset {params.dataset} --domain {wildcards.domain} --seed {wildcards.seed}"
        " --pool {input.pool} --pool-patterns {input.pool_patterns} --pseudo-private-patterns {input.pseudo_private}"
        " --instructions {input.probe} --pseudo-private {input.train} {params.selection} {params.further} --reading {params.reading:q} --output {params.folder} --log {log}"
