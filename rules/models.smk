# Models: pretrained here, fetched from the hub, or made from a GGUF file or from an adapter and its base. Model folders
# on disk are used in their places. Models that were fine-tuned elsewhere become runs of their bases.


rule train_tokenizer:
    input:
        f"{RESULTS}/raw/corpus.jsonl",
    output:
        directory(PATHS.tokenizer("embedded")),
    localrule: True
    params:
        vocabulary=CONFIG.embedded.vocabulary,
    shell:
        "python workflow_scripts/train_tokenizer.py --corpus {input} --vocabulary {params.vocabulary} --output {output} --log {log}"


rule pretrain:
    input:
        corpus=f"{RESULTS}/raw/corpus.jsonl",
        tokenizer=PATHS.tokenizer("embedded"),
    output:
        directory(PATHS.pretraining("{pretraining}", "{seed}")),
    priority: 5
    params:
        architecture=lambda wildcards: arguments.in_any_order(
            CONFIG.pretraining[wildcards.pretraining].architecture.model_dump()
        ),
        recipe=lambda wildcards: arguments.pretraining_recipe(
            EXPERIMENT, wildcards.pretraining, int(wildcards.get("seed", 0))
        ),
        block_size=CONFIG.pretraining_recipe.block_size,
        device=CONFIG.device,
    shell:
        f"exec {commands.on_gpus(EXPERIMENT, 'pretrain')}python workflow_scripts/pretrain.py"
        " --architecture {params.architecture:q} --tokenizer {input.tokenizer} --corpus {input.corpus}"
        " --block-size {params.block_size} --recipe {params.recipe:q} --device {params.device} --threads {threads}"
        " --output {output} --log {log}"


rule check_hub:
    output:
        f"{RESULTS}/hub.json",
    priority: 30
    retries: 0
    localrule: True
    params:
        sources=lambda wildcards: json.dumps(arguments.hub_sources(EXPERIMENT)),
    shell:
        "python workflow_scripts/check_hub.py --sources {params.sources:q} --output {output} --log {log}"


rule fetch_model:
    input:
        checked=ancient(f"{RESULTS}/hub.json"),
    output:
        directory(f"{RESULTS}/models/{{model}}"),
    wildcard_constraints:
        model=of_kind(sources.OnHub),
    localrule: True
    params:
        source=lambda wildcards: arguments.hub(CONFIG.source(wildcards.model)),
    shell:
        "python workflow_scripts/fetch_model.py {params.source} --output {output} --log {log}"


# This is as early as the check of the hub, so that a file that transformers cannot read is found before expensive jobs.
rule convert_gguf:
    input:
        lambda wildcards: by_content(PATHS.gguf_input(wildcards.model)),
    output:
        directory(f"{RESULTS}/models/{{model}}"),
    wildcard_constraints:
        model=of_kind(sources.InGguf),
    priority: 30
    params:
        **contents("gguf"),
    shell:
        "python workflow_scripts/convert_gguf.py --gguf {input:q} --output {output} --log {log}"


rule fetch_adapter:
    input:
        checked=ancient(f"{RESULTS}/hub.json"),
    output:
        directory(f"{RESULTS}/adapters/{{finetuned}}"),
    wildcard_constraints:
        finetuned=one_of(needed.in_adapter(CONFIG, CONFIG.finetuned)),
    localrule: True
    params:
        source=lambda wildcards: arguments.hub(CONFIG.source(wildcards.finetuned).lora),
    shell:
        "python workflow_scripts/fetch_model.py {params.source} --output {output} --log {log}"


rule merge_adapter:
    input:
        base=lambda wildcards: by_content(PATHS.model_input(CONFIG.finetuned[wildcards.model].base, 0)),
        adapter=lambda wildcards: by_content(PATHS.adapter_input(wildcards.model)),
    output:
        directory(f"{RESULTS}/models/{{model}}"),
    wildcard_constraints:
        model=of_kind(sources.InAdapter),
    priority: 30
    params:
        contents=lambda wildcards: [
            PATHS.content(CONFIG.finetuned[wildcards.model].base, "model"),
            PATHS.content(wildcards.model, "adapter"),
        ],
        base=lambda wildcards: PATHS.model(CONFIG.finetuned[wildcards.model].base, 0),
        adapter=lambda wildcards: PATHS.adapter(wildcards.model),
        dtype=CONFIG.finetuning.checkpoint_dtype,
    shell:
        "python workflow_scripts/merge_adapter.py --base {params.base:q} --adapter {params.adapter:q} --dtype {params.dtype}"
        " --output {output} --log {log}"


# This runs as soon as both exist, so that a model that does not belong to its base is found before expensive jobs.
rule take_finetuned:
    input:
        base=lambda wildcards: by_content(PATHS.model_input(wildcards.model, 0)),
        finetuned=lambda wildcards: by_content(PATHS.finetuned_input(wildcards.finetuned)),
    output:
        final=directory(f"{RESULTS}/checkpoints/{{model}}/finetuned.{{finetuned}}/final"),
        run=f"{RESULTS}/checkpoints/{{model}}/finetuned.{{finetuned}}/run.json",
    priority: 30
    params:
        contents=lambda wildcards: [
            PATHS.content(wildcards.model, "model"),
            PATHS.content(wildcards.finetuned, "model"),
        ],
        base=lambda wildcards: PATHS.model(wildcards.model, 0),
        finetuned=lambda wildcards: PATHS.finetuned(wildcards.finetuned),
        folder=subpath(output.run, parent=True),
    shell:
        "python workflow_scripts/take_finetuned.py --base {params.base:q} --finetuned {params.finetuned:q} --output {params.folder}"
        " --log {log}"


# Links to a model's files, with a new chat template.
rule give_chat_template:
    input:
        model=lambda wildcards: by_content(PATHS.to_be_templated(wildcards.model, wildcards.part)[1]),
        template=lambda wildcards: by_content(PATHS.template_input(wildcards.model)),
    output:
        directory(PATHS.templated("{model}", "{part}")),
    wildcard_constraints:
        part=r"model|tokenizer|seed\d+",
    priority: 10
    localrule: True
    params:
        **contents("tokenizer"),
        folder=lambda wildcards: PATHS.to_be_templated(wildcards.model, wildcards.part)[0],
        source=lambda wildcards: PATHS.template(wildcards.model),
        written=lambda wildcards: PATHS.template_content(wildcards.model),
    shell:
        "python workflow_scripts/give_chat_template.py --model {params.folder:q} --template {params.source:q} --output {output}"
        " --log {log}"
