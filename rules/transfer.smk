# Effects of the runs of a model and seed on other tasks, and the share that their heads carry: one job for all of them.

if transfer.runs(EXPERIMENT):

    rule transfer_losses:
        input:
            lambda wildcards: by_content(PATHS.model_input(wildcards.model, int(wildcards.seed))),
            tasks=[PATHS.instructions(task, "probe") for task in transfer.tasks(EXPERIMENT)],
            final=[f"{PATHS.checkpoints(run)}/final" for run in transfer.runs_of(EXPERIMENT, "{model}", "{seed}")],
            runs=[f"{PATHS.checkpoints(run)}/run.json" for run in transfer.runs_of(EXPERIMENT, "{model}", "{seed}")],
        output:
            [PATHS.transfer(run) for run in transfer.runs_of(EXPERIMENT, "{model}", "{seed}")],
        # This comes before another fine-tuning, because its inputs may be removed from the disk afterwards.
        priority: 2
        resources:
            runs_on_disk=on_disk("final"),
        params:
            **contents("model"),
            model=lambda wildcards: PATHS.model(wildcards.model, wildcards.seed),
            runs=lambda wildcards: transfer.measured(EXPERIMENT, wildcards.model, int(wildcards.seed)),
            max_length=CONFIG.tokenization.max_length,
            passes=arguments.pass_options(EXPERIMENT),
        shell:
            f"exec {commands.on_gpus(EXPERIMENT, 'transfer_losses')}python workflow_scripts/transfer_losses.py"
            " --model {params.model:q} {params.runs} {params.passes} --max-length {params.max_length}"
            " --threads {threads} --log {log}"


if transplant.runs(EXPERIMENT):

    rule transplant_heads:
        input:
            lambda wildcards: by_content(PATHS.model_input(wildcards.model, int(wildcards.seed))),
            data=[PATHS.instructions(run.task, "probe") for run in transplant.runs_of(EXPERIMENT, "{model}", "{seed}")],
            patterns=[PATHS.patterns(run) for run in transplant.runs_of(EXPERIMENT, "{model}", "{seed}")],
            ablations=transplant.ablations(EXPERIMENT, "{model}", "{seed}"),
            final=[f"{PATHS.checkpoints(run)}/final" for run in transplant.runs_of(EXPERIMENT, "{model}", "{seed}")],
            runs=[f"{PATHS.checkpoints(run)}/run.json" for run in transplant.runs_of(EXPERIMENT, "{model}", "{seed}")],
        output:
            [PATHS.transplants(run) for run in transplant.runs_of(EXPERIMENT, "{model}", "{seed}")],
        # This comes before another fine-tuning, because its inputs may be removed from the disk afterwards.
        priority: 2
        resources:
            runs_on_disk=on_disk("final"),
        params:
            **contents("model"),
            model=lambda wildcards: PATHS.model(wildcards.model, wildcards.seed),
            runs=lambda wildcards: transplant.measured(EXPERIMENT, wildcards.model, int(wildcards.seed)),
            max_length=CONFIG.tokenization.max_length,
            passes=arguments.pass_options(EXPERIMENT),
        shell:
            f"exec {commands.on_gpus(EXPERIMENT, 'transplant_heads')}python workflow_scripts/transplant_heads.py"
            " --model {params.model:q} {params.runs} {params.passes} --max-length {params.max_length}"
            " --threads {threads} --log {log}"


# Heads that are trained alone: chosen with the runs that train all weights, and measured on samples of their task.

if trained_heads.whole(EXPERIMENT):

    rule choose_heads:
        input:
            lambda wildcards: by_content(PATHS.model_input(wildcards.model, int(wildcards.seed))),
            data=[
                PATHS.instructions(run.task, "probe")
                for run in trained_heads.whole_of(EXPERIMENT, "{model}", "{seed}")
            ],
            patterns=[PATHS.patterns(run) for run in trained_heads.whole_of(EXPERIMENT, "{model}", "{seed}")],
            ablations=trained_heads.ablations(EXPERIMENT, "{model}", "{seed}"),
            final=[f"{PATHS.checkpoints(run)}/final" for run in trained_heads.whole_of(EXPERIMENT, "{model}", "{seed}")],
            runs=[
                f"{PATHS.checkpoints(run)}/run.json" for run in trained_heads.whole_of(EXPERIMENT, "{model}", "{seed}")
            ],
        output:
            trained_heads.chosen_files(EXPERIMENT, "{model}", "{seed}"),
        # This comes before another fine-tuning, because its inputs may be removed from the disk afterwards.
        priority: 2
        resources:
            runs_on_disk=on_disk("final"),
        params:
            **contents("model"),
            model=lambda wildcards: PATHS.model(wildcards.model, wildcards.seed),
            runs=lambda wildcards: trained_heads.chosen(EXPERIMENT, wildcards.model, int(wildcards.seed)),
            max_length=CONFIG.tokenization.max_length,
            passes=arguments.pass_options(EXPERIMENT),
        shell:
            f"exec {commands.on_gpus(EXPERIMENT, 'choose_heads')}python workflow_scripts/choose_heads.py"
            " --model {params.model:q} {params.runs} {params.passes} --max-length {params.max_length}"
            " --threads {threads} --log {log}"


for name, batch in BATCHES.items():
    if not batch.trains_heads:
        continue

    rule:
        name:
            f"trained_losses_{name}"
        input:
            lambda wildcards: by_content(PATHS.model_input(wildcards.model, int(wildcards.seed))),
            data=sorted({PATHS.instructions(trained_heads.task_of(run), "probe") for run in batch.of("", 0)}),
            final=run_outputs(batch, "final"),
            runs=run_outputs(batch, "run.json"),
        output:
            [PATHS.trained_heads(run) for run in batch.of("{model}", "{seed}")],
        wildcard_constraints:
            model=one_of(batch.models),
            seed=one_of(map(str, batch.seeds)),
        # This comes before another fine-tuning, because its inputs may be removed from the disk afterwards.
        priority: 2
        resources:
            runs_on_disk=on_disk("final"),
        params:
            **contents("model"),
            model=of_job(model_of, batch),
            runs=of_job(functools.partial(trained_heads.measured, EXPERIMENT), batch),
            max_length=CONFIG.tokenization.max_length,
            passes=arguments.pass_options(EXPERIMENT),
        shell:
            f"exec {commands.on_gpus(EXPERIMENT, 'trained_losses')}python workflow_scripts/trained_losses.py"
            " --model {params.model:q} {params.runs} {params.passes} --max-length {params.max_length}"
            " --threads {threads} --log {log}"
