# Output on request. One sample token by token, as training and patterns read it: --config show=MODEL/DATASET names it.

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


# The meaning of the keys of a config: --config key=finetuning.lora names one; without it all are shown.
rule config_reference:
    localrule: True
    params:
        key=KEY,
    shell:
        "python workflow_scripts/document_config.py --show {params.key:q} --log {log} && cat {log}"
