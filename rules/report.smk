# The paper's claims held against the numbers, a summary of data and training, and the page that shows everything.

from itertools import product

from headpatterns.claims import registry

# What is wrong with a registry of claims is said before anything starts.
or_stop(registry.registry, EXPERIMENT.studies)

CHOSEN = [study for study in EXPERIMENT.studies if study.selected(EXPERIMENT)]
DRAWN = [one for study in CHOSEN for one in study.drawings if one.selected(EXPERIMENT)]
EFFECTS = {one.name: PATHS.effects(one.name) for study in CHOSEN for one in study.effects}


# The sets whose answers are compared: the others need no gold answers, and the competence study has a table of its own.
COMPARED_SETS = [name for name in EVALUATED_SETS if EXPERIMENT.evaluation_sets[name].answers_needed]


rule assess_answers:
    input:
        set_files(COMPARED_SETS),
        scores=[PATHS.analysis("scores")] if EXPERIMENT.evaluation_batches else [],
    output:
        PATHS.analysis("answers"),
    localrule: True
    params:
        scores=lambda wildcards, input: arguments.options({"scores": input.get("scores")}),
        sets=arguments.own_sets(EXPERIMENT, COMPARED_SETS),
    shell:
        "python workflow_scripts/assess_answers.py {params.scores} {params.sets} --output {output} --log {log}"


rule collect_claims:
    input:
        registry=registry.files(),
        effects=list(EFFECTS.values()),
        competence=PATHS.analysis("competence"),
        answers=rules.assess_answers.output,
    output:
        claims=PATHS.analysis("claims"),
        left_out=PATHS.analysis("claims_left_out"),
    localrule: True
    params:
        effects=arguments.by_name("effects", EFFECTS),
        stands_for=arguments.by_name("stands_for", arguments.stands_for(EXPERIMENT)),
    shell:
        "python workflow_scripts/collect_claims.py {params.effects} --competence {input.competence} --answers {input.answers} {params.stands_for}"
        " --output {output.claims} --left-out-output {output.left_out} --log {log}"


rule summarise_experiment:
    input:
        instructions=[f"{RESULTS}/instructions/{name}/report.json" for name in EXPERIMENT.datasets],
        runs=[f"{PATHS.checkpoints(run)}/run.json" for run in EXPERIMENT.runs],
        curves=[f"{PATHS.checkpoints(run)}/training.csv" for run in EXPERIMENT.runs],
        training_sets=list(dict.fromkeys(map(PATHS.training_set, EXPERIMENT.runs))),
        tokenized=PATHS.shards(EXPERIMENT.runs),
        converted=[PATHS.model(model, 0) for model in needed.in_gguf(CONFIG, EXPERIMENT.models)],
        claims=rules.collect_claims.output,
        config=f"{RESULTS}/config.yaml",
    output:
        data=PATHS.analysis("data"),
        tokens=PATHS.analysis("tokens"),
        training=PATHS.analysis("training"),
        timings=PATHS.analysis("timings"),
        provenance=f"{RESULTS}/provenance.json",
    localrule: True
    params:
        benchmarks=f"{RESULTS}/benchmarks",
        jobs=f"{RESULTS}/jobs.csv",
        converted=arguments.converted(EXPERIMENT),
        settings=as_is(arguments.as_json(arguments.provenance(EXPERIMENT))),
    shell:
        "python workflow_scripts/summarise_experiment.py --instructions {input.instructions} --runs {input.runs}"
        " --tokenized {input.tokenized} {params.converted} --jobs {params.jobs} --benchmarks {params.benchmarks}"
        " --settings {params.settings:q} --data-output {output.data} --tokens-output {output.tokens}"
        " --training-output {output.training} --timings-output {output.timings} --provenance-output {output.provenance} --log {log}"


rule render_report:
    input:
        [path for study in CHOSEN for one in study.tables for path in PATHS.tables(one.name)],
        [PATHS.figure(name, "svg") for one in DRAWN for name in one.figures],
        [PATHS.analysis(name) for study in CHOSEN for one in study.analyses for name in one.outputs.values()],
        [PATHS.mixture(*of, "report.json") for of in product(MIXING.models, EXPERIMENT.seeds("mixing"))],
        scores=[PATHS.analysis("scores")] if EXPERIMENT.evaluation_batches else [],
        runs=PATHS.run_table,
        claims=rules.collect_claims.output,
        data=rules.summarise_experiment.output,
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
    shell:
        "python workflow_scripts/render_report.py --experiment {params.experiment} --results {params.results}"
        " --studies {params.studies} {params.labels} --output {output.page} --summary-output {output.summary} --log {log}"


# The name `report` is a word of Snakemake's own, so this target is made under another name.
rule:
    name:
        "report"
    input:
        rules.render_report.output,
