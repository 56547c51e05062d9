# The paper's claims compared with the numbers, and the page that shows everything.

from headpatterns.claims import registry

# Errors in a registry of claims are reported before anything starts.
or_stop(registry.registry, EXPERIMENT.studies)

CHOSEN = published.chosen(EXPERIMENT)
DRAWN = [one for study in CHOSEN for one in study.drawings if one.selected(EXPERIMENT)]
VIEWS = published.views(EXPERIMENT, PUBLISHED)
EFFECTS = {one.name: PATHS.effects(one.name) for study in CHOSEN for one in study.effects}


rule collect_claims:
    input:
        registry=registry.files(),
        effects=list(EFFECTS.values()),
        competence=[PATHS.analysis("competence")] if any(study.name == "competence" for study in CHOSEN) else [],
        answers=PATHS.analysis("answers"),
    output:
        claims=PATHS.analysis("claims"),
        left_out=PATHS.analysis("claims_left_out"),
    localrule: True
    params:
        effects=arguments.by_name("effects", EFFECTS),
        competence=lambda wildcards, input: arguments.options({"competence": input.competence}),
        stands_for=arguments.by_name("stands_for", arguments.stands_for(EXPERIMENT)),
    shell:
        "python workflow_scripts/collect_claims.py {params.effects} {params.competence} --answers {input.answers} {params.stands_for}"
        " --output {output.claims} --left-out-output {output.left_out} --log {log}"


rule render_report:
    input:
        [path for study in CHOSEN for one in study.tables for path in PATHS.tables(one.name)],
        [PATHS.figure(name, "svg") for one in DRAWN for name in one.figures],
        [PATHS.analysis(name) for study in CHOSEN for one in study.analyses for name in one.outputs.values()],
        published.mixture_reports(EXPERIMENT),
        [path for view in VIEWS for path in published.read_by(EXPERIMENT, view)],
        runs=PATHS.run_table,
        claims=rules.collect_claims.output,
        accounts=published.accounts(EXPERIMENT),
        captions=sorted(map(str, Path("workflow_scripts/headpatterns").rglob("*.rst"))),
    output:
        page=f"{RESULTS}/report.html",
        summary=f"{RESULTS}/summary.md",
    localrule: True
    params:
        experiment=CONFIG.experiment,
        results=subpath(output.page, parent=True),
        studies=[study.name for study in CHOSEN],
        labels=arguments.label_options(EXPERIMENT),
        views=as_is(
            arguments.as_json(
                {
                    view.name: {"inputs": view.inputs(EXPERIMENT), "settings": view.settings(EXPERIMENT)}
                    for view in VIEWS
                }
            )
        ),
    shell:
        "python workflow_scripts/render_report.py --experiment {params.experiment} --results {params.results}"
        " --studies {params.studies} {params.labels} --views {params.views:q} --output {output.page} --summary-output {output.summary} --log {log}"


# `report` is a keyword of Snakemake, so the rule of this target has another name.
rule:
    name:
        "report"
    input:
        rules.render_report.output,
