# What an experiment will cost, and what it has cost: always estimated again, printed, and written beside the results.


# No file of theirs is one that `all` makes, which would keep them from running beside it.
rule write_plan_config:
    output:
        f"{RESULTS}/plan.yaml",
    log:
        log_of("write_plan_config"),
    localrule: True
    params:
        config=config,
    run:
        experiment.write_config(Path(output[0]), params.config)


rule plan:
    input:
        f"{RESULTS}/plan.yaml",
    log:
        log_of("plan"),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("plan")
    resources:
        **resources_of("plan"),
    params:
        results=subpath(input[0], parent=True),
    shell:
        "python workflow_scripts/plan.py --config {input} --results {params.results} --output {params.results}/plan --log {log}"
        " && cat {log}"


rule costs:
    input:
        f"{RESULTS}/plan.yaml",
    log:
        log_of("costs"),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("costs")
    resources:
        **resources_of("costs"),
    params:
        results=subpath(input[0], parent=True),
    shell:
        "python workflow_scripts/costs.py --config {input} --results {params.results} --output {params.results}/costs --log {log}"
        " && cat {log}"
