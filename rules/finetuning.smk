# One rule for every run: a base model, a training set and a seed.


rule finetune:
    input:
        model=lambda wildcards: model_input(wildcards.model),
        training_set=lambda wildcards: training_set(wildcards.model, wildcards.run),
        tokenized=lambda wildcards: tokenized(tokenizer_of(wildcards.model), experiment.parse_run(wildcards.run)[1]),
    output:
        final=directory(f"{RESULTS}/checkpoints/{{model}}/{{run}}/final"),
        intermediate=unless_kept(directory(f"{RESULTS}/checkpoints/{{model}}/{{run}}/intermediate")),
        curve=f"{RESULTS}/checkpoints/{{model}}/{{run}}/training.csv",
        run=f"{RESULTS}/checkpoints/{{model}}/{{run}}/run.json",
    log:
        log_of("finetune/{model}.{run}"),
    benchmark:
        benchmark_of("finetune/{model}.{run}")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("finetune")
    resources:
        **resources_of("finetune"),
    params:
        model=lambda wildcards: model_folder(wildcards.model),
        folder=subpath(output.run, parent=True),
        recipe=finetuning_options(),
        seed=lambda wildcards: experiment.parse_run(wildcards.run)[2],
    shell:
        "python workflow_scripts/finetune.py --model {params.model:q} --training-set {input.training_set} --tokenized {input.tokenized}"
        " {params.recipe} --seed {params.seed} --threads {threads} --output {params.folder} --log {log}"
