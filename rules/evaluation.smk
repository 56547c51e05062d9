# OpenCompass, in an environment of its own: one job evaluates several checkpoints of a model, a sheet of them.


rule write_variant_table:
    output:
        f"{RESULTS}/variants.csv",
    log:
        log_of("write_variant_table"),
    localrule: True
    params:
        rows=applications.variants(config),
    run:
        experiment.write_variant_table(Path(output[0]), params.rows)


# First of all jobs: a missing environment, or a set without answers, shows before anything expensive starts.
rule check_opencompass:
    input:
        "envs/opencompass.txt",
    output:
        f"{RESULTS}/opencompass.json",
    log:
        log_of("check_opencompass"),
    benchmark:
        benchmark_of("check_opencompass")
    priority: 20
    retries: 0
    localrule: True
    conda:
        "../envs/opencompass.yaml"
    threads: threads_of("check_opencompass")
    resources:
        **resources_of("check_opencompass"),
    params:
        python=lambda _: opencompass_python(),
    shell:
        "python workflow_scripts/check_opencompass.py --python {params.python:q} --output {output} --log {log}"


rule check_evaluation_sets:
    input:
        [file for name in own_sets() for file in set_files(name)],
    output:
        f"{RESULTS}/evaluations/sets.csv",
    log:
        log_of("check_evaluation_sets"),
    benchmark:
        benchmark_of("check_evaluation_sets")
    priority: 20
    retries: 0
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("check_evaluation_sets")
    resources:
        **resources_of("check_evaluation_sets"),
    params:
        sets=" ".join(options({"set": [name, *set_files(name)]}) for name in own_sets()),
    shell:
        "python workflow_scripts/check_evaluation_sets.py {params.sets} --output {output} --log {log}"


rule check_builtin_sets:
    input:
        f"{RESULTS}/opencompass.json",
    output:
        f"{RESULTS}/evaluations/builtin_sets.csv",
    log:
        log_of("check_builtin_sets"),
    benchmark:
        benchmark_of("check_builtin_sets")
    priority: 20
    retries: 0
    localrule: True
    conda:
        "../envs/opencompass.yaml"
    threads: threads_of("check_builtin_sets")
    resources:
        **resources_of("check_builtin_sets"),
    params:
        python=lambda _: opencompass_python(),
        sets=builtin_options(evaluated_sets()),
        data=lambda _: opencompass_data(),
        state=lambda _: builtin_state(),
        work_folder=lambda wildcards, output: output[0].removesuffix(".csv") + ".unfinished",
    shell:
        "{params.python:q} workflow_scripts/check_builtin_sets.py {params.sets} --opencompass-data {params.data:q}"
        " --work-folder {params.work_folder} --output {output} --log {log}"


rule evaluate:
    input:
        environment=f"{RESULTS}/opencompass.json",
        checked=f"{RESULTS}/evaluations/sets.csv" if own_sets() else [],
        builtin=builtin_check,
        checkpoints=evaluated_input,
        sets=lambda wildcards: [file for name in sets_of(wildcards) for file in set_files(name)],
    output:
        scores=f"{RESULTS}/evaluations/{{model}}/{{sheet}}.csv",
        predictions=f"{RESULTS}/evaluations/{{model}}/{{sheet}}.items.csv",
    log:
        log_of("evaluate/{model}.{sheet}"),
    benchmark:
        benchmark_of("evaluate/{model}.{sheet}")
    # Before another fine-tuning, as what is read here may go from the disk afterwards.
    priority: 2
    conda:
        "../envs/opencompass.yaml"
    threads: threads_of("evaluate")
    resources:
        **resources_of("evaluate"),
        runs_on_disk=lambda wildcards: on_disk("final") if trained_runs(wildcards) else 0,
    params:
        python=lambda _: opencompass_python(),
        sheet=evaluation_options,
        state=sheet_state,
        decoding=lambda _: decoding_options(),
        max_length=config["tokenization"]["max_length"],
        work_folder=lambda wildcards, output: output.scores.removesuffix(".csv") + ".unfinished",
    shell:
        f"exec {on_gpus('evaluate')}"
        "{params.python:q} workflow_scripts/evaluate.py --model {wildcards.model} {params.sheet} {params.decoding}"
        " --max-length {params.max_length} --threads {threads} --work-folder {params.work_folder} --output {output.scores}"
        " --items-output {output.predictions} --log {log}"


rule collect_scores:
    input:
        variants=f"{RESULTS}/variants.csv",
        scores=[f"{RESULTS}/evaluations/{model}/{sheet}.csv" for model, sheet in SHEETS],
    output:
        f"{RESULTS}/analysis/scores.csv",
    log:
        log_of("collect_scores"),
    benchmark:
        benchmark_of("collect_scores")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("collect_scores")
    resources:
        **resources_of("collect_scores"),
    shell:
        "python workflow_scripts/collect_scores.py --variants {input.variants} --scores {input.scores} --output {output} --log {log}"
