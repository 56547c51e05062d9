# Raw rows → instructions → tokenized shards → the training set of each run. Rows come first (priority), so that errors
# in them appear before anything expensive starts.


rule generate_raw_data:
    output:
        directory(f"{RESULTS}/raw/{{generator}}"),
    priority: 10
    localrule: True
    params:
        rows=lambda wildcards: arguments.options(CONFIG.embedded.rows(wildcards.generator)),
        seed=CONFIG.embedded.seed,
    shell:
        "python workflow_scripts/generate_raw_data.py --generator {wildcards.generator} {params.rows} --seed {params.seed}"
        " --output {output} --log {log}"


rule generate_corpus:
    output:
        f"{RESULTS}/raw/corpus.jsonl",
    priority: 10
    localrule: True
    params:
        documents=CONFIG.embedded.documents,
        seed=CONFIG.embedded.seed,
    shell:
        "python workflow_scripts/generate_corpus.py --documents {params.documents} --seed {params.seed} --output {output} --log {log}"


rule fetch_dataset:
    input:
        checked=ancient(f"{RESULTS}/hub.json"),
    output:
        f"{RESULTS}/raw/hub/{{rows}}.parquet",
    priority: 10
    localrule: True
    params:
        source=lambda wildcards: arguments.hub(HUB_ROWS[wildcards.rows]),
    shell:
        "python workflow_scripts/fetch_dataset.py {params.source} --output {output} --log {log}"


# The source of the files is in the output of the check and not a parameter, so another source makes nothing stale.
rule fetch_pinned:
    input:
        checked=ancient(f"{RESULTS}/hub.json"),
    output:
        directory(PATHS.pinned("{pinned}")),
    priority: 10
    localrule: True
    params:
        files=lambda wildcards: arguments.pinned_files(wildcards.pinned),
    shell:
        "python workflow_scripts/fetch_pinned.py --dataset {wildcards.pinned} --checked {input.checked} --output {output}"
        " --log {log}"


rule prepare_instructions:
    input:
        train=lambda wildcards: by_content(PATHS.rows_input(wildcards.dataset, "train")),
        probe=lambda wildcards: by_content(PATHS.rows_input(wildcards.dataset, "probe")),
    output:
        train=PATHS.instructions("{dataset}", "train"),
        probe=PATHS.instructions("{dataset}", "probe"),
        report=f"{RESULTS}/instructions/{{dataset}}/report.json",
    priority: 10
    params:
        folder=subpath(output.train, parent=True),
        rows=lambda wildcards: arguments.rows(EXPERIMENT, wildcards.dataset),
        adapter=lambda wildcards: CONFIG.datasets[wildcards.dataset].adapter,
        options=lambda wildcards: arguments.in_any_order(CONFIG.datasets[wildcards.dataset].options),
        template=as_is(arguments.templates.resolve(CONFIG.prompt_template)),
        contents=lambda wildcards: PATHS.own.state("rows", *PATHS.rows_on_disk(wildcards.dataset)),
    shell:
        "python workflow_scripts/prepare_instructions.py --dataset {wildcards.dataset} --adapter {params.adapter} --options {params.options:q}"
        " {params.rows} --template {params.template:q} --output {params.folder} --log {log}"


rule tokenize_instructions:
    input:
        instructions=PATHS.instructions("{dataset}", "{split}"),
        tokenizer=lambda wildcards: by_content(PATHS.tokenizer_input(wildcards.tokenizer)),
    output:
        directory(PATHS.tokenized("{tokenizer}", "{dataset}", "{split}")),
    priority: 10
    params:
        **contents("tokenizer", "tokenizer"),
        tokenizer=lambda wildcards: PATHS.tokenizer(wildcards.tokenizer),
        max_length=CONFIG.tokenization.max_length,
    shell:
        "python workflow_scripts/tokenize_instructions.py --model {params.tokenizer:q} --instructions {input.instructions}"
        " --max-length {params.max_length} --output {output} --log {log}"


rule cut_training_set:
    input:
        group=lambda wildcards: PATHS.compared_shards(wildcards.tokenizer, TRAINING_SETS[wildcards.run]),
        tokenized=lambda wildcards: PATHS.tokenized(
            wildcards.tokenizer, *TRAINING_SETS[wildcards.run].training_set.datasets[0]
        ),
        among=lambda wildcards: PATHS.cut_among(TRAINING_SETS[wildcards.run]),
    output:
        f"{RESULTS}/training_sets/{{tokenizer}}/{{run}}.csv",
    localrule: True
    params:
        others=lambda wildcards, input: arguments.options({"group": input.get("group"), "among": input.get("among")}),
        draw=lambda wildcards: arguments.cut(EXPERIMENT, TRAINING_SETS[wildcards.run]),
    shell:
        "python workflow_scripts/cut_training_set.py --tokenized {input.tokenized} {params.others} {params.draw} --output {output}"
        " --log {log}"
