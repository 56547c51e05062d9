# The inputs of the experiment as tables: data, tokens, training, time; and the provenance.


rule summarise_experiment:
    input:
        instructions=[f"{RESULTS}/instructions/{name}/report.json" for name in EXPERIMENT.datasets],
        runs=[f"{PATHS.checkpoints(run)}/run.json" for run in EXPERIMENT.trained_runs],
        curves=[f"{PATHS.checkpoints(run)}/training.csv" for run in EXPERIMENT.trained_runs],
        training_sets=list(dict.fromkeys(map(PATHS.training_set, EXPERIMENT.trained_runs))),
        tokenized=PATHS.shards(EXPERIMENT.runs),
        patterns=[
            PATHS.patterns(run, probe_set) for run in EXPERIMENT.runs for probe_set in run.training_set.probe_sets
        ],
        ablations=[
            PATHS.ablations(run, probe_set)
            for run in checkpoints.ablated(EXPERIMENT)
            for probe_set in run.training_set.probe_sets
        ],
        tables=[PATHS.analysis(name) for one in published.calculations(EXPERIMENT) for name in published.tables_of(one)],
        converted=[PATHS.made(model) for model in arguments.converted_models(EXPERIMENT)],
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
        measured=lambda wildcards, input: arguments.options({"patterns": input.patterns, "ablations": input.ablations}),
        # They are written with the tables above, and start with the provenance of their job.
        logs=[f"{RESULTS}/logs/analyse_{one.name}.log" for study in CHOSEN for one in study.analyses]
        + [f"{RESULTS}/logs/measure_{one.name}.log" for study in CHOSEN for one in study.effects],
        settings=as_is(arguments.as_json(arguments.provenance(EXPERIMENT))),
    shell:
        "python workflow_scripts/summarise_experiment.py --instructions {input.instructions} --runs {input.runs}"
        " --tokenized {input.tokenized} {params.converted} {params.measured} --logs {params.logs} --jobs {params.jobs} --benchmarks {params.benchmarks}"
        " --settings {params.settings:q} --data-output {output.data} --tokens-output {output.tokens}"
        " --training-output {output.training} --timings-output {output.timings} --provenance-output {output.provenance} --log {log}"
