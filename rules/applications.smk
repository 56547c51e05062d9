# Section 5: mixtures of basic tasks that prepare for a target (Eq. 3, 4), and samples selected from a pool (Eq. 5).


rule mix_basic_tasks:
    input:
        target=target_patterns,
        candidates=lambda wildcards: [pattern_folder(run) for run in candidates_of(wildcards)],
        training_sets=lambda wildcards: [training_set(run) for run in candidates_of(wildcards)],
        training_rows=lambda wildcards: [training_rows(run) for run in candidates_of(wildcards)],
        test=instructions(MIXING["target"], "probe"),
    output:
        coefficients=f"{RESULTS}/mixtures/{{model}}/seed{{seed}}/coefficients.csv",
        mixtures=f"{RESULTS}/mixtures/{{model}}/seed{{seed}}/mixtures.csv",
        report=f"{RESULTS}/mixtures/{{model}}/seed{{seed}}/report.json",
        training_sets=[
            f"{RESULTS}/mixtures/{{model}}/seed{{seed}}/{applications.basic(mixture)}.csv"
            for mixture in applications.mixtures(config)
        ],
    log:
        log_of("mix_basic_tasks/{model}.seed{seed}"),
    benchmark:
        benchmark_of("mix_basic_tasks/{model}.seed{seed}")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("mix_basic_tasks")
    resources:
        **resources_of("mix_basic_tasks"),
    params:
        folder=subpath(output.coefficients, parent=True),
        candidates=lambda wildcards: candidate_options(candidates_of(wildcards)),
        mixing=options({key: MIXING[key] for key in ("instructions", "keep", "random_draws")}),
        bootstrap=mixing_bootstrap_options(),
    shell:
        "python workflow_scripts/mix_basic_tasks.py --model {wildcards.model} --seed {wildcards.seed} --target {input.target}"
        " {params.candidates} --test {input.test} {params.mixing} {params.bootstrap} --output {params.folder} --log {log}"


rule split_domain:
    input:
        train=instructions(SELECTION["dataset"], "train"),
        probe=instructions(SELECTION["dataset"], "probe"),
    output:
        pseudo_private=f"{RESULTS}/domains/{{domain}}/pseudo_private.csv",
        pool=f"{RESULTS}/domains/{{domain}}/pool.csv",
        target=f"{RESULTS}/domains/{{domain}}/target.csv",
        report=f"{RESULTS}/domains/{{domain}}/report.json",
    log:
        log_of("split_domain/{domain}"),
    benchmark:
        benchmark_of("split_domain/{domain}")
    priority: 10
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("split_domain")
    resources:
        **resources_of("split_domain"),
    params:
        folder=subpath(output.pool, parent=True),
        dataset=SELECTION["dataset"],
        tags=lambda wildcards: options({"tags": config["domains"][wildcards.domain]["tags"]}),
        largest_budget=max(SELECTION["budgets"]),
    shell:
        "python workflow_scripts/split_domain.py --dataset {params.dataset} --domain {wildcards.domain} {params.tags}"
        " --train {input.train} --probe {input.probe} --largest-budget {params.largest_budget} --output {params.folder} --log {log}"


rule select_samples:
    input:
        pool=f"{RESULTS}/domains/{{domain}}/pool.csv",
        train=instructions(SELECTION["dataset"], "train"),
        probe=instructions(SELECTION["dataset"], "probe"),
        pool_patterns=lambda wildcards: probe_model_patterns(wildcards, SELECTION["dataset"]),
        pseudo_private=lambda wildcards: probe_model_patterns(wildcards, applications.TRAINING),
    output:
        scores=f"{RESULTS}/selections/{{model}}/{{domain}}.seed{{seed}}/scores.csv",
        report=f"{RESULTS}/selections/{{model}}/{{domain}}.seed{{seed}}/report.json",
        training_sets=[
            f"{RESULTS}/selections/{{model}}/{{domain}}.seed{{seed}}/{applications.selected(*choice)}.csv"
            for choice in applications.selections(config)
        ],
    log:
        log_of("select_samples/{model}.{domain}.seed{seed}"),
    benchmark:
        benchmark_of("select_samples/{model}.{domain}.seed{seed}")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("select_samples")
    resources:
        **resources_of("select_samples"),
    params:
        folder=subpath(output.scores, parent=True),
        dataset=SELECTION["dataset"],
        selection=options({key: SELECTION[key] for key in ("budgets", "random_draws")}),
    shell:
        "python workflow_scripts/select_samples.py --dataset {params.dataset} --domain {wildcards.domain} --seed {wildcards.seed}"
        " --pool {input.pool} --pool-patterns {input.pool_patterns} --pseudo-private-patterns {input.pseudo_private}"
        " --instructions {input.probe} --pseudo-private {input.train} {params.selection} --output {params.folder} --log {log}"
