# Both sections in numbers: tidy CSV with 95 % intervals. Figures and tables are drawn from these files alone.


rule write_run_table:
    output:
        f"{RESULTS}/runs.csv",
    log:
        log_of("write_run_table"),
    localrule: True
    params:
        rows=experiment.run_table(config, pattern_folder),
    run:
        experiment.write_run_table(Path(output[0]), params.rows)


rule write_config:
    output:
        f"{RESULTS}/config.yaml",
    log:
        log_of("write_config"),
    localrule: True
    params:
        config=experiment.decisive(config),
    run:
        experiment.write_config(Path(output[0]), params.config)


rule analyse_distribution:
    input:
        runs=f"{RESULTS}/runs.csv",
        patterns=study_patterns("adaptation"),
    output:
        patterns=f"{RESULTS}/analysis/patterns.csv",
        distribution=f"{RESULTS}/analysis/distribution.csv",
        by_model=f"{RESULTS}/analysis/distribution_by_model.csv",
    log:
        log_of("analyse_distribution"),
    benchmark:
        benchmark_of("analyse_distribution")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("analyse_distribution")
    resources:
        **resources_of("analyse_distribution"),
    params:
        bootstrap=bootstrap_options(),
    shell:
        "python workflow_scripts/analyse_distribution.py --runs {input.runs} {params.bootstrap}"
        " --patterns-output {output.patterns} --distribution-output {output.distribution}"
        " --by-model-output {output.by_model} --log {log}"


rule analyse_similarity:
    input:
        runs=f"{RESULTS}/runs.csv",
        patterns=study_patterns("adaptation"),
    output:
        similarity=f"{RESULTS}/analysis/similarity.csv",
        summary=f"{RESULTS}/analysis/similarity_summary.csv",
    log:
        log_of("analyse_similarity"),
    benchmark:
        benchmark_of("analyse_similarity")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("analyse_similarity")
    resources:
        **resources_of("analyse_similarity"),
    params:
        bootstrap=bootstrap_options(),
    shell:
        "python workflow_scripts/analyse_similarity.py --runs {input.runs} {params.bootstrap}"
        " --similarity-output {output.similarity} --summary-output {output.summary} --log {log}"


rule analyse_composition:
    input:
        runs=f"{RESULTS}/runs.csv",
        patterns=study_patterns("composition"),
    output:
        composition=f"{RESULTS}/analysis/composition.csv",
        coefficients=f"{RESULTS}/analysis/composition_coefficients.csv",
        by_model=f"{RESULTS}/analysis/composition_by_model.csv",
    log:
        log_of("analyse_composition"),
    benchmark:
        benchmark_of("analyse_composition")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("analyse_composition")
    resources:
        **resources_of("analyse_composition"),
    params:
        bootstrap=bootstrap_options(),
        regression=regression_options(),
    shell:
        "python workflow_scripts/analyse_composition.py --runs {input.runs} {params.bootstrap} {params.regression}"
        " --composition-output {output.composition} --coefficients-output {output.coefficients}"
        " --by-model-output {output.by_model} --log {log}"


rule analyse_dynamics:
    input:
        runs=f"{RESULTS}/runs.csv",
        patterns=study_patterns("dynamics"),
    output:
        f"{RESULTS}/analysis/dynamics.csv",
    log:
        log_of("analyse_dynamics"),
    benchmark:
        benchmark_of("analyse_dynamics")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("analyse_dynamics")
    resources:
        **resources_of("analyse_dynamics"),
    params:
        bootstrap=bootstrap_options(),
    shell:
        "python workflow_scripts/analyse_dynamics.py --runs {input.runs} {params.bootstrap} --output {output} --log {log}"


rule analyse_mixing:
    input:
        variants=f"{RESULTS}/variants.csv",
        predictions=predictions("mixing"),
        coefficients=[
            f"{RESULTS}/mixtures/{model}/seed{seed}/coefficients.csv"
            for model in MIXING["models"]
            for seed in config["seeds"]
        ],
    output:
        accuracy=f"{RESULTS}/analysis/mixing.csv",
        differences=f"{RESULTS}/analysis/mixing_differences.csv",
        mixture=f"{RESULTS}/analysis/mixture.csv",
    log:
        log_of("analyse_mixing"),
    benchmark:
        benchmark_of("analyse_mixing")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("analyse_mixing")
    resources:
        **resources_of("analyse_mixing"),
    params:
        bootstrap=bootstrap_options(),
    shell:
        "python workflow_scripts/analyse_mixing.py --variants {input.variants} --items {input.predictions}"
        " --coefficients {input.coefficients} {params.bootstrap} --output {output.accuracy}"
        " --differences-output {output.differences} --mixture-output {output.mixture} --log {log}"


rule analyse_selection:
    input:
        variants=f"{RESULTS}/variants.csv",
        predictions=predictions("selection"),
    output:
        accuracy=f"{RESULTS}/analysis/selection.csv",
        differences=f"{RESULTS}/analysis/selection_differences.csv",
    log:
        log_of("analyse_selection"),
    benchmark:
        benchmark_of("analyse_selection")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("analyse_selection")
    resources:
        **resources_of("analyse_selection"),
    params:
        bootstrap=bootstrap_options(),
    shell:
        "python workflow_scripts/analyse_selection.py --variants {input.variants} --items {input.predictions} {params.bootstrap}"
        " --output {output.accuracy} --differences-output {output.differences} --log {log}"


rule collect_claims:
    input:
        **difference_inputs(),
        distribution=f"{RESULTS}/analysis/distribution_by_model.csv",
        similarity=f"{RESULTS}/analysis/similarity.csv",
        summary=f"{RESULTS}/analysis/similarity_summary.csv",
        composition=f"{RESULTS}/analysis/composition.csv",
        composition_by_model=f"{RESULTS}/analysis/composition_by_model.csv",
        dynamics=f"{RESULTS}/analysis/dynamics.csv",
    output:
        f"{RESULTS}/analysis/claims.csv",
    log:
        log_of("collect_claims"),
    benchmark:
        benchmark_of("collect_claims")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("collect_claims")
    resources:
        **resources_of("collect_claims"),
    params:
        expected=claim_options(),
        differences=options(difference_inputs()),
    shell:
        "python workflow_scripts/collect_claims.py --distribution-by-model {input.distribution}"
        " --similarity {input.similarity} --similarity-summary {input.summary} --composition {input.composition}"
        " --composition-by-model {input.composition_by_model} --dynamics {input.dynamics} {params.expected} {params.differences}"
        " --output {output} --log {log}"


rule summarise_experiment:
    input:
        instructions=[f"{RESULTS}/instructions/{name}/report.json" for name in experiment.used_datasets(config)],
        runs=[f"{checkpoint_folder(run)}/run.json" for run in RUNS],
        curves=[f"{checkpoint_folder(run)}/training.csv" for run in RUNS],
        training_sets=list(dict.fromkeys(map(training_set, RUNS))),
        tokenized=all_shards(RUNS),
        claims=f"{RESULTS}/analysis/claims.csv",
        config=f"{RESULTS}/config.yaml",
    output:
        data=f"{RESULTS}/analysis/data.csv",
        tokens=f"{RESULTS}/analysis/tokens.csv",
        training=f"{RESULTS}/analysis/training.csv",
        timings=f"{RESULTS}/analysis/timings.csv",
        provenance=f"{RESULTS}/provenance.json",
    log:
        log_of("summarise_experiment"),
    benchmark:
        benchmark_of("summarise_experiment")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("summarise_experiment")
    resources:
        **resources_of("summarise_experiment"),
    params:
        benchmarks=f"{RESULTS}/benchmarks",
        settings=lambda _: json.dumps(provenance_settings()),
    shell:
        "python workflow_scripts/summarise_experiment.py --instructions {input.instructions} --runs {input.runs}"
        " --tokenized {input.tokenized} --config {input.config} --benchmarks {params.benchmarks} --settings {params.settings:q}"
        " --data-output {output.data} --tokens-output {output.tokens} --training-output {output.training} --timings-output {output.timings}"
        " --provenance-output {output.provenance} --log {log}"
