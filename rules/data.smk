# Raw rows → instructions → tokenized shards → the training set of each run. Rows go first (priority): a bad one shows
# before anything expensive starts.


rule generate_raw_data:
    output:
        directory(f"{RESULTS}/raw/{{generator}}"),
    log:
        log_of("generate_raw_data/{generator}"),
    benchmark:
        benchmark_of("generate_raw_data/{generator}")
    priority: 10
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("generate_raw_data")
    resources:
        **resources_of("generate_raw_data"),
    params:
        rows=lambda wildcards: options(experiment.embedded_rows(config, wildcards.generator)),
        seed=config["embedded"]["seed"],
    shell:
        "python workflow_scripts/generate_raw_data.py --generator {wildcards.generator} {params.rows} --seed {params.seed}"
        " --output {output} --log {log}"


rule generate_corpus:
    output:
        f"{RESULTS}/raw/corpus.jsonl",
    log:
        log_of("generate_corpus"),
    benchmark:
        benchmark_of("generate_corpus")
    priority: 10
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("generate_corpus")
    resources:
        **resources_of("generate_corpus"),
    params:
        documents=config["embedded"]["documents"],
        seed=config["embedded"]["seed"],
    shell:
        "python workflow_scripts/generate_corpus.py --documents {params.documents} --seed {params.seed} --output {output} --log {log}"


rule fetch_dataset:
    input:
        checked=ancient(f"{RESULTS}/hub.json"),
    output:
        f"{RESULTS}/raw/hub/{{rows}}.parquet",
    log:
        log_of("fetch_dataset/{rows}"),
    benchmark:
        benchmark_of("fetch_dataset/{rows}")
    priority: 10
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("fetch_dataset")
    resources:
        **resources_of("fetch_dataset"),
    params:
        source=lambda wildcards: hub_options(HUB_ROWS[wildcards.rows]),
    shell:
        "python workflow_scripts/fetch_dataset.py {params.source} --output {output} --log {log}"


rule prepare_instructions:
    input:
        train=lambda wildcards: row_input(wildcards.dataset, "train"),
        probe=lambda wildcards: row_input(wildcards.dataset, "probe"),
    output:
        train=f"{RESULTS}/instructions/{{dataset}}/train.parquet",
        probe=f"{RESULTS}/instructions/{{dataset}}/probe.parquet",
        report=f"{RESULTS}/instructions/{{dataset}}/report.json",
    log:
        log_of("prepare_instructions/{dataset}"),
    benchmark:
        benchmark_of("prepare_instructions/{dataset}")
    priority: 10
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("prepare_instructions")
    resources:
        **resources_of("prepare_instructions"),
    params:
        folder=subpath(output.train, parent=True),
        rows=lambda wildcards: row_options(wildcards.dataset),
        adapter=lambda wildcards: config["datasets"][wildcards.dataset]["adapter"],
        options=lambda wildcards: json.dumps(config["datasets"][wildcards.dataset].get("options", {})),
        template=lambda _: templates.resolve(config["prompt_template"]),
        sampling=lambda wildcards: sampling_options(wildcards.dataset),
        folders=lambda wildcards: folder_state(wildcards.dataset),
    shell:
        "python workflow_scripts/prepare_instructions.py --dataset {wildcards.dataset} --adapter {params.adapter} --options {params.options:q}"
        " {params.rows} --template {params.template:q} {params.sampling} --output {params.folder} --log {log}"


rule tokenize_instructions:
    input:
        instructions=f"{RESULTS}/instructions/{{dataset}}/{{split}}.parquet",
        tokenizer=lambda wildcards: tokenizer_input(wildcards.tokenizer),
    output:
        directory(f"{RESULTS}/tokenized/{{tokenizer}}/{{dataset}}/{{split}}"),
    log:
        log_of("tokenize_instructions/{tokenizer}.{dataset}.{split}"),
    benchmark:
        benchmark_of("tokenize_instructions/{tokenizer}.{dataset}.{split}")
    priority: 10
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("tokenize_instructions")
    resources:
        **resources_of("tokenize_instructions"),
    params:
        tokenizer=lambda wildcards: tokenizer_folder(wildcards.tokenizer),
        max_length=config["tokenization"]["max_length"],
    shell:
        "python workflow_scripts/tokenize_instructions.py --model {params.tokenizer:q} --instructions {input.instructions}"
        " --max-length {params.max_length} --output {output} --log {log}"


rule cut_training_set:
    input:
        group=lambda wildcards: group_shards(wildcards.tokenizer, Run.named("", wildcards.run)),
        tokenized=lambda wildcards: tokenized(wildcards.tokenizer, *cut_from(wildcards.run)),
        among=lambda wildcards: cut_among(wildcards.run),
    output:
        f"{RESULTS}/training_sets/{{tokenizer}}/{{run}}.csv",
    log:
        log_of("cut_training_set/{tokenizer}.{run}"),
    benchmark:
        benchmark_of("cut_training_set/{tokenizer}.{run}")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("cut_training_set")
    resources:
        **resources_of("cut_training_set"),
    params:
        others=lambda wildcards, input: options({"group": input.get("group"), "among": input.get("among")}),
        seed=lambda wildcards: Run.named("", wildcards.run).seed,
    shell:
        "python workflow_scripts/cut_training_set.py --tokenized {input.tokenized} {params.others} --seed {params.seed} --output {output}"
        " --log {log}"
