# The results of an experiment as a folder to publish.


rule:
    name:
        "figures"
    input:
        [path for one in DRAWN for name in one.figures for path in PATHS.figures(name)],


# This rule writes outside results/: into the folder that --config to=FOLDER names.
rule export:
    input:
        published.measured(EXPERIMENT),
        [PATHS.analysis(name) for one in published.calculations(EXPERIMENT) for name in published.tables_of(one)],
        [PATHS.figure(name, "png") for one in DRAWN for name in one.figures],
        [path for study in CHOSEN for one in study.tables for path in PATHS.tables(one.name)],
        published.accounts(EXPERIMENT),
        rules.collect_claims.output,
        rules.render_report.output.summary,
        config=f"{RESULTS}/config.yaml",
    localrule: True
    params:
        results=subpath(input.config, parent=True),
        richest=PUBLISHED.kept if PUBLISHED else published.EVERY_REDUCTION,
        folder=PUBLISH_TO,
    shell:
        "python workflow_scripts/export.py --results {params.results} --paths {input} --richest {params.richest}"
        " --output {params.folder:q} --log {log} && cat {log}"
