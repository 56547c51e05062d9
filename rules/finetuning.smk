# Runs: a base model, a training set and a seed. One job fine-tunes the runs of a batch one after another.

for name, batch in BATCHES.items():

    rule:
        name:
            f"finetune_{name}"
        input:
            of_job(finetuning_input, batch),
        output:
            final=[unless_kept(directory(path), "keep_final_checkpoints") for path in run_outputs(batch, "final")],
            intermediate=[
                unless_kept(directory(path), "keep_intermediate_checkpoints")
                for path in run_outputs(batch, "intermediate")
                if batch.steps
            ],
            curves=run_outputs(batch, "training.csv"),
            runs=run_outputs(batch, "run.json"),
        log:
            log_of(f"finetune/{{model}}.{name}.seed{{seed}}"),
        benchmark:
            benchmark_of(f"finetune/{{model}}.{name}.seed{{seed}}")
        # The target after its mixture before other runs: the mixture's checkpoint is on the disk.
        priority: int(bool(earlier_runs(batch.of("", 0))))
        conda:
            "../envs/workflow.yaml"
        threads: threads_of("finetune")
        resources:
            **resources_of("finetune", group_of(batch)),
            launcher=launcher(group_of(batch)),
            runs_on_disk=1,
        params:
            models=of_job(starting_folders, batch),
            training_sets=of_job(lambda runs: [training_set(run) for run in runs], batch),
            tokenized=of_job(all_shards, batch),
            folders=lambda wildcards, output: [str(Path(path).parent) for path in output.runs],
            recipe=of_job(finetuning_recipe, batch),
            device=config["device"],
        shell:
            "exec {resources.launcher} workflow_scripts/finetune.py --model {params.models:q} --training-set {params.training_sets}"
            " --tokenized {params.tokenized} --recipe {params.recipe:q} --device {params.device} --threads {threads}"
            " --output {params.folders} --log {log}"
