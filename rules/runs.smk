# Runs and their measurements: one job fine-tunes the runs of a batch one after another, another extracts the activation
# patterns of the base model and of every checkpoint, and a third ablates heads.

for name, batch in BATCHES.items():
    if not batch.is_trained:
        continue

    rule:
        name:
            f"finetune_{name}"
        input:
            of_job(finetuning_input, batch),
        output:
            final=[unless_kept(directory(path), "final") for path in run_outputs(batch, "final")],
            intermediate=[
                unless_kept(directory(path), "intermediate")
                for path in run_outputs(batch, "intermediate")
                if batch.steps
            ],
            curves=run_outputs(batch, "training.csv"),
            runs=run_outputs(batch, "run.json"),
        wildcard_constraints:
            model=one_of(batch.models),
            seed=one_of(map(str, batch.seeds)),
        # Jobs that others wait for come first. These are runs that determine the training sets of others, which
        # otherwise would be last and leave processors idle, and the target after its mixture, whose checkpoint is on
        # the disk.
        priority: of_job(urgency, batch)
        resources:
            launcher=commands.watched(EXPERIMENT) + commands.launcher(EXPERIMENT, batch.group),
            runs_on_disk=1,
        params:
            **contents("model"),
            models=of_job(functools.partial(arguments.starting_models, EXPERIMENT), batch),
            training_sets=of_job(training_sets_of, batch),
            tokenized=of_job(PATHS.shards, batch),
            folders=lambda wildcards, output: [str(Path(path).parent) for path in output.runs],
            recipe=of_job(functools.partial(arguments.finetuning_recipe, EXPERIMENT), batch),
            device=CONFIG.device,
        shell:
            "exec {resources.launcher} workflow_scripts/finetune.py --model {params.models:q} --training-set {params.training_sets}"
            " --tokenized {params.tokenized} --recipe {params.recipe:q} --device {params.device}"
            " --threads {threads} --output {params.folders} --log {log}"


for name, batch in BATCHES.items():
    if not pattern_outputs(batch):
        continue

    rule:
        name:
            f"extract_patterns_{name}"
        input:
            of_job(extraction_input, batch),
            final=run_outputs(batch, "final"),
            intermediate=run_outputs(batch, "intermediate") if batch.steps else [],
            runs=run_outputs(batch, "run.json"),
        output:
            [directory(path) for path in pattern_outputs(batch)],
        wildcard_constraints:
            model=one_of(batch.models),
            seed=one_of(map(str, batch.seeds)),
        # This comes before another fine-tuning, because its inputs are removed from the disk afterwards.
        priority: 2
        resources:
            runs_on_disk=on_disk("final", "intermediate"),
        params:
            **contents("model"),
            model=of_job(model_of, batch),
            runs=of_job(functools.partial(arguments.extraction, EXPERIMENT), batch),
            max_length=CONFIG.tokenization.max_length,
            patterns=arguments.pattern_options(EXPERIMENT),
            also=arguments.options({"also": CONFIG.patterns.also}),
        shell:
            f"exec {commands.extractor(EXPERIMENT)}"
            " --model {params.model:q} {params.runs} {params.patterns} {params.also}"
            " --max-length {params.max_length} --skip-truncated --threads {threads} --log {log}"


for name, batch in BATCHES.items():
    part = batches.part(batch, checkpoints.ablated(EXPERIMENT))
    if not part.training_sets or not part.takers:
        continue

    rule:
        name:
            f"ablate_heads_{name}"
        input:
            of_job(extraction_input, part),
            final=run_outputs(part, "final"),
            runs=run_outputs(part, "run.json"),
        output:
            [directory(path) for path in ablation_outputs(part)],
        wildcard_constraints:
            model=one_of(part.models),
            seed=one_of(map(str, part.seeds)),
        # This comes before another fine-tuning, because its inputs may be removed from the disk afterwards.
        priority: 2
        resources:
            runs_on_disk=on_disk("final"),
        params:
            **contents("model"),
            model=of_job(model_of, part),
            runs=of_job(functools.partial(arguments.ablation, EXPERIMENT), part),
            max_length=CONFIG.tokenization.max_length,
            patterns=arguments.pattern_options(EXPERIMENT),
            validity=lambda wildcards: arguments.options(
                {**validity.ablation(EXPERIMENT), **head_scores.asked(EXPERIMENT, wildcards.model)}
            ),
        shell:
            f"exec {commands.on_gpus(EXPERIMENT, 'ablate_heads')}python workflow_scripts/ablate_heads.py"
            " --model {params.model:q} {params.runs} {params.patterns} {params.validity}"
            " --max-length {params.max_length} --threads {threads} --log {log}"
