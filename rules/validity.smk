# Do patterns say which heads matter? Heads are ablated, and what the loss changes by is compared with the patterns.

for name, batch in BATCHES.items():
    part = experiment.ablated(config, batch)
    if not part.runs:
        continue

    rule:
        name:
            f"ablate_heads_{name}"
        input:
            of_job(extraction_input, part),
            final=run_outputs(part, "final"),
            runs=run_outputs(part, "run.json"),
        output:
            [directory(ablation_folder(run)) for run in part.of("{model}", "{seed}")],
        log:
            log_of(f"ablate_heads/{{model}}.{name}.seed{{seed}}"),
        benchmark:
            benchmark_of(f"ablate_heads/{{model}}.{name}.seed{{seed}}")
        # Before another fine-tuning, as what is read here may go from the disk afterwards.
        priority: 2
        conda:
            "../envs/workflow.yaml"
        threads: threads_of("ablate_heads")
        resources:
            **resources_of("ablate_heads"),
            runs_on_disk=on_disk("final"),
        params:
            model=lambda wildcards: model_folder(wildcards.model),
            runs=of_job(ablation_options, part),
            max_length=config["tokenization"]["max_length"],
            patterns=pattern_options(),
            validity=validity_options(),
        shell:
            f"exec {on_gpus('ablate_heads')}python workflow_scripts/ablate_heads.py"
            " --model {params.model:q} {params.runs} {params.patterns} {params.validity}"
            " --max-length {params.max_length} --threads {threads} --log {log}"


rule analyse_validity:
    input:
        [ablation_folder(run) for run in VALIDITY_RUNS],
    output:
        correlations=f"{RESULTS}/analysis/validity.csv",
        between=f"{RESULTS}/analysis/validity_between.csv",
        groups=f"{RESULTS}/analysis/validity_groups.csv",
        contrasts=f"{RESULTS}/analysis/validity_contrasts.csv",
    log:
        log_of("analyse_validity"),
    benchmark:
        benchmark_of("analyse_validity")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("analyse_validity")
    resources:
        **resources_of("analyse_validity"),
    params:
        ablations=" ".join(
            options({"ablations": [run.model, run.task, run.seed, ablation_folder(run)]}) for run in VALIDITY_RUNS
        ),
        bootstrap=bootstrap_options(),
    shell:
        "python workflow_scripts/analyse_validity.py {params.ablations} {params.bootstrap}"
        " --output {output.correlations} --between-output {output.between} --groups-output {output.groups}"
        " --contrasts-output {output.contrasts} --log {log}"


rule draw_validity:
    input:
        runs=f"{RESULTS}/runs.csv",
        correlations=f"{RESULTS}/analysis/validity.csv",
        groups=f"{RESULTS}/analysis/validity_groups.csv",
    output:
        captioned(figure_files("figure_validity"), "figure_validity", "Figures"),
    log:
        log_of("draw_validity"),
    benchmark:
        benchmark_of("draw_validity")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("draw_validity")
    resources:
        **resources_of("draw_validity"),
    params:
        stem=subpath(output[0], strip_suffix=".pdf"),
    shell:
        "python workflow_scripts/draw_validity.py --runs {input.runs} --correlations {input.correlations}"
        " --groups {input.groups} --output {params.stem} --log {log}"


rule figure_validity:
    input:
        figure_files("figure_validity") if VALIDITY_RUNS else [],
