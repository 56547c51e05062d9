# Activation patterns: one job extracts those of the base model and of every checkpoint of a batch's runs.

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
        log:
            log_of(f"extract_patterns/{{model}}.{name}.seed{{seed}}"),
        benchmark:
            benchmark_of(f"extract_patterns/{{model}}.{name}.seed{{seed}}")
        # Before another fine-tuning, as what is read here goes from the disk afterwards.
        priority: 2
        conda:
            "../envs/workflow.yaml"
        threads: threads_of("extract_patterns")
        resources:
            **resources_of("extract_patterns"),
            runs_on_disk=on_disk("final", "intermediate"),
        params:
            model=lambda wildcards: model_folder(wildcards.model),
            runs=of_job(extraction_options, batch),
            max_length=config["tokenization"]["max_length"],
            patterns=pattern_options(),
        shell:
            f"exec {extractor()}"
            " --model {params.model:q} {params.runs} {params.patterns}"
            " --max-length {params.max_length} --skip-truncated --threads {threads} --log {log}"
