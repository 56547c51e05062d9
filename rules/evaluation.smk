# OpenCompass, in its own environment: one job evaluates several checkpoints of a model, an evaluation batch.


# These are the first jobs, so that a missing environment, or a set without answers, appears before expensive jobs.
rule check_opencompass:
    input:
        "envs/opencompass.txt",
    output:
        f"{RESULTS}/opencompass.json",
    priority: 20
    retries: 0
    localrule: True
    conda:
        "../envs/opencompass.yaml"
    params:
        python=lambda wildcards: opencompass_python(),
    shell:
        "python workflow_scripts/check_opencompass.py --python {params.python:q} --output {output} --log {log}"


rule check_evaluation_sets:
    input:
        set_files(EVALUATED_SETS),
    output:
        f"{RESULTS}/evaluations/sets.csv",
    priority: 20
    retries: 0
    localrule: True
    params:
        sets=arguments.own_sets(EXPERIMENT, EVALUATED_SETS),
        scoring=arguments.scoring(EXPERIMENT, EVALUATED_SETS),
    shell:
        "python workflow_scripts/check_evaluation_sets.py {params.sets} {params.scoring} --output {output} --log {log}"


# This runs as soon as there is a tokenizer; models of the hub are checked in their evaluation.
rule check_lengths:
    input:
        f"{RESULTS}/evaluations/sets.csv",
        set_files(EVALUATED_SETS),
        [file for reader, *_ in READERS for file in by_content(PATHS.tokenizer_input(reader))],
    output:
        f"{RESULTS}/evaluations/lengths.csv",
    priority: 20
    retries: 0
    localrule: True
    params:
        **(
            {"contents": lambda wildcards: [PATHS.content(reader, "tokenizer") for reader, *_ in READERS]}
            if OWN_MODELS
            else {}
        ),
        sets=arguments.own_sets(EXPERIMENT, EVALUATED_SETS),
        scoring=arguments.scoring(EXPERIMENT, EVALUATED_SETS),
        read_by=arguments.read_by(EXPERIMENT),
    shell:
        "python workflow_scripts/check_lengths.py {params.sets} {params.scoring} {params.read_by} --output {output} --log {log}"


rule check_builtin_sets:
    input:
        f"{RESULTS}/opencompass.json",
    output:
        f"{RESULTS}/evaluations/builtin_sets.csv",
    priority: 20
    retries: 0
    localrule: True
    conda:
        "../envs/opencompass.yaml"
    params:
        python=lambda wildcards: opencompass_python(),
        sets=arguments.builtin_sets(EXPERIMENT, EVALUATED_SETS),
        data=lambda wildcards: arguments.opencompass_data(EXPERIMENT),
        state=lambda wildcards: builtin_state(),
        work_folder=lambda wildcards, output: output[0].removesuffix(".csv") + ".unfinished",
    shell:
        "{params.python:q} workflow_scripts/check_builtin_sets.py {params.sets} --opencompass-data {params.data:q}"
        " --work-folder {params.work_folder} --output {output} --log {log}"


rule evaluate:
    input:
        environment=f"{RESULTS}/opencompass.json",
        # These tables are about all sets and only have to exist before. Another study changes them, but not the scores.
        checked=ancient(f"{RESULTS}/evaluations/sets.csv") if set_files(EVALUATED_SETS) else [],
        fitting=ancient(f"{RESULTS}/evaluations/lengths.csv") if READERS else [],
        builtin=lambda wildcards: (
            [ancient(f"{RESULTS}/evaluations/builtin_sets.csv")] if has_builtin(sets_of(wildcards)) else []
        ),
        checkpoints=evaluated_input,
        sets=lambda wildcards: set_files(sets_of(wildcards)),
    output:
        scores=PATHS.evaluation("{model}", "{batch}"),
        predictions=PATHS.items("{model}", "{batch}"),
    # This comes before another fine-tuning, because its inputs may be removed from the disk afterwards.
    priority: 2
    conda:
        "../envs/opencompass.yaml"
    resources:
        runs_on_disk=lambda wildcards: (
            on_disk("final") if arguments.trained_runs(EXPERIMENT, wildcards.model, wildcards.batch) else 0
        ),
    params:
        **contents("model"),
        python=lambda wildcards: opencompass_python(),
        batch=lambda wildcards: arguments.evaluation(EXPERIMENT, wildcards.model, wildcards.batch),
        state=lambda wildcards: builtin_state() if has_builtin(sets_of(wildcards)) else "",
        decoding=lambda wildcards: arguments.decoding(EXPERIMENT, wildcards.model, wildcards.batch),
        limit=arguments.prompt_limit(EXPERIMENT),
        work_folder=lambda wildcards, output: output.scores.removesuffix(".csv") + ".unfinished",
    shell:
        f"exec {commands.on_gpus(EXPERIMENT, 'evaluate')}"
        "{params.python:q} workflow_scripts/evaluate.py --model {wildcards.model} {params.batch} {params.decoding}"
        " {params.limit} --threads {threads} --work-folder {params.work_folder} --output {output.scores}"
        " --items-output {output.predictions} --log {log}"


rule collect_scores:
    input:
        variants=PATHS.variants,
        scores=[PATHS.evaluation(model, batch) for model, batch in EXPERIMENT.evaluation_batches],
    output:
        PATHS.analysis("scores"),
    localrule: True
    shell:
        "python workflow_scripts/collect_scores.py --variants {input.variants} --scores {input.scores} --output {output} --log {log}"


# The sets whose answers are compared. Other sets need no gold answers, and the competence study has its own table.
COMPARED_SETS = [name for name in EVALUATED_SETS if EXPERIMENT.evaluation_sets[name].answers_needed]


rule assess_answers:
    input:
        set_files(COMPARED_SETS),
        scores=[PATHS.analysis("scores")] if EXPERIMENT.evaluation_batches else [],
    output:
        PATHS.analysis("answers"),
    localrule: True
    params:
        scores=lambda wildcards, input: arguments.options({"scores": input.get("scores")}),
        sets=arguments.own_sets(EXPERIMENT, COMPARED_SETS),
    shell:
        "python workflow_scripts/assess_answers.py {params.scores} {params.sets} --output {output} --log {log}"
