# The estimated and actual costs of an experiment: always computed again, printed, and written next to the results.
#
# Both read the list of all jobs of `all` that Snakemake itself makes in a separate dry run.


# They write no file that `all` makes, so that they can run at the same time.
rule write_plan_config:
    output:
        f"{RESULTS}/plan.yaml",
    localrule: True
    params:
        config=config,
    run:
        written.write_config(Path(output[0]), params.config)


for name in ("plan", "costs"):

    rule:
        name:
            name
        input:
            f"{RESULTS}/plan.yaml",
        localrule: True
        params:
            name=name,
            variable=jobs.VARIABLE,
            results=subpath(input[0], parent=True),
            jobs=lambda wildcards, input, name=name: f"{Path(input[0]).parent}/{name}.jobs.csv",
        shell:
            "{params.variable}={params.jobs:q} snakemake all --dry-run --forceall --quiet --configfile {input} > {log} 2>&1"
            " || {{ cat {log} >&2; exit 1; }}; python workflow_scripts/{params.name}.py --config {input} --jobs {params.jobs:q} --results {params.results}"
            " --output {params.results}/{params.name} --log {log} && cat {log}"
