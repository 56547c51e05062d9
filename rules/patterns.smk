# Activation patterns: one job extracts those of the base model and of every checkpoint of a run on one probe set.


rule extract_patterns:
    input:
        model=lambda wildcards: model_input(wildcards.model),
        final=f"{RESULTS}/checkpoints/{{model}}/{{run}}/final",
        intermediate=f"{RESULTS}/checkpoints/{{model}}/{{run}}/intermediate",
        run=f"{RESULTS}/checkpoints/{{model}}/{{run}}/run.json",
        probe=f"{RESULTS}/instructions/{{dataset}}/probe.parquet",
    output:
        directory(f"{RESULTS}/patterns/{{model}}/{{run}}/{{dataset}}"),
    log:
        log_of("extract_patterns/{model}.{run}.{dataset}"),
    benchmark:
        benchmark_of("extract_patterns/{model}.{run}.{dataset}")
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("extract_patterns")
    resources:
        **resources_of("extract_patterns"),
    params:
        model=lambda wildcards: model_folder(wildcards.model),
        run=subpath(input.run, parent=True),
        max_length=config["tokenization"]["max_length"],
        patterns=pattern_options(),
    shell:
        "python workflow_scripts/extract_patterns.py --model {params.model:q} --run {params.run} --data {input.probe} {params.patterns}"
        " --max-length {params.max_length} --skip-truncated --threads {threads} --output-folder {output} --log {log}"
