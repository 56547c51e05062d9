# What is printed on request. One sample token by token, as training and patterns read it: that which
# --config show=MODEL/DATASET names.

SHOWN = or_stop(shown.asked, EXPERIMENT, SHOW)


rule show_sample:
    input:
        PATHS.tokenizer_input(SHOWN.tokenizer),
        instructions=PATHS.instructions(SHOWN.dataset, SHOWN.split),
    localrule: True
    params:
        tokenizer=lambda wildcards: PATHS.tokenizer(SHOWN.tokenizer),
        sample=arguments.options({"id": SHOWN.id}),
        max_length=CONFIG.tokenization.max_length,
        colour="--colour" if sys.stdout.isatty() else "",
    shell:
        "python workflow_scripts/show_sample.py --model {params.tokenizer:q} --data {input.instructions} {params.sample}"
        " --max-length {params.max_length} {params.colour} --log {log} && cat {log}"


# What the keys of a config mean: --config key=finetuning.lora names one, without it all.
rule config_reference:
    localrule: True
    params:
        key=KEY,
    shell:
        "python workflow_scripts/document_config.py --show {params.key:q} --log {log} && cat {log}"
