# Base models: pretrained here, or fetched from the hub. Models on disk are used where they lie.


rule train_tokenizer:
    input:
        f"{RESULTS}/raw/corpus.jsonl",
    output:
        directory(f"{RESULTS}/pretraining/tokenizer"),
    log:
        log_of("train_tokenizer"),
    benchmark:
        benchmark_of("train_tokenizer")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("train_tokenizer")
    resources:
        **resources_of("train_tokenizer"),
    params:
        vocabulary=config["embedded"]["vocabulary"],
    shell:
        "python workflow_scripts/train_tokenizer.py --corpus {input} --vocabulary {params.vocabulary} --output {output} --log {log}"


rule pretrain:
    input:
        corpus=f"{RESULTS}/raw/corpus.jsonl",
        tokenizer=f"{RESULTS}/pretraining/tokenizer",
    output:
        directory(f"{RESULTS}/pretraining/{{pretraining}}"),
    log:
        log_of("pretrain/{pretraining}"),
    benchmark:
        benchmark_of("pretrain/{pretraining}")
    priority: 5
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("pretrain")
    resources:
        **resources_of("pretrain"),
    params:
        architecture=lambda wildcards: json.dumps(config["pretraining"][wildcards.pretraining]["architecture"]),
        recipe=lambda wildcards: pretraining_recipe(wildcards.pretraining),
        device=config["device"],
        block_size=config["pretraining_recipe"]["block_size"],
    shell:
        f"exec {on_gpus('pretrain')}python workflow_scripts/pretrain.py"
        " --architecture {params.architecture:q} --tokenizer {input.tokenizer} --corpus {input.corpus}"
        " --block-size {params.block_size} --recipe {params.recipe:q} --device {params.device} --threads {threads} --output {output} --log {log}"


rule check_hub:
    output:
        f"{RESULTS}/hub.json",
    log:
        log_of("check_hub"),
    benchmark:
        benchmark_of("check_hub")
    priority: 30
    retries: 0
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("check_hub")
    resources:
        **resources_of("check_hub"),
    params:
        sources=lambda _: json.dumps(hub_sources()),
    shell:
        "python workflow_scripts/check_hub.py --sources {params.sources:q} --output {output} --log {log}"


rule fetch_model:
    input:
        checked=ancient(f"{RESULTS}/hub.json"),
    output:
        directory(f"{RESULTS}/models/{{model}}"),
    log:
        log_of("fetch_model/{model}"),
    benchmark:
        benchmark_of("fetch_model/{model}")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("fetch_model")
    resources:
        **resources_of("fetch_model"),
    params:
        source=lambda wildcards: hub_options(model_source(wildcards.model)),
    shell:
        "python workflow_scripts/fetch_model.py {params.source} --output {output} --log {log}"
