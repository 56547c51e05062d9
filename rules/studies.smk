# Numbers, figures and tables of every study, each from the description in its folder; and the targets that name them.


rule write_run_table:
    output:
        PATHS.run_table,
    localrule: True
    params:
        rows=tables.run_rows(EXPERIMENT),
    run:
        tables.write_run_table(Path(output[0]), params.rows)


rule write_variant_table:
    output:
        PATHS.variants,
    localrule: True
    params:
        rows=EXPERIMENT.variants,
    run:
        tables.write_variant_table(Path(output[0]), params.rows)


rule write_config:
    output:
        f"{RESULTS}/config.yaml",
    localrule: True
    params:
        meaning=written.digest(config),
    run:
        written.write_config(Path(output[0]), written.decisive(config))


MADE, TARGETS = {}, []

for study in EXPERIMENT.studies:
    for analysis in filter(is_computed, study.analyses):

        rule:
            name:
                f"analyse_{analysis.name}"
            input:
                analysis.needs(EXPERIMENT),
                *analysis.inputs(EXPERIMENT).values(),
            output:
                [PATHS.analysis(name) for name in analysis.outputs.values()],
            params:
                name=analysis.name,
                inputs=as_is(arguments.as_json(analysis.inputs(EXPERIMENT))),
                outputs=as_is(arguments.as_json({key: PATHS.analysis(name) for key, name in analysis.outputs.items()})),
                settings=as_is(arguments.as_json(analysis.settings(EXPERIMENT))),
            shell:
                "python workflow_scripts/analyse.py {params.name} --inputs {params.inputs:q} --outputs {params.outputs:q}"
                " --settings {params.settings:q} --log {log}"

    for effects in filter(is_computed, study.effects):

        rule:
            name:
                f"measure_{effects.name}"
            input:
                effects.needs(EXPERIMENT),
                *effects.inputs(EXPERIMENT).values(),
            output:
                PATHS.effects(effects.name),
            params:
                name=effects.name,
                inputs=as_is(arguments.as_json(effects.inputs(EXPERIMENT))),
                settings=as_is(arguments.as_json(effects.settings(EXPERIMENT))),
                reading=as_is(arguments.as_json(reading(EXPERIMENT) if effects.read else {})),
            shell:
                "python workflow_scripts/measure.py {params.name} --inputs {params.inputs:q} --settings {params.settings:q}"
                " --reading {params.reading:q} --output {output} --log {log}"

    for drawing in study.drawings:
        drawn = [path for figure in drawing.figures for path in PATHS.figures(figure)]
        MADE[drawing.name] = drawn if drawing.selected(EXPERIMENT) else []

        rule:
            name:
                f"draw_{drawing.name}"
            input:
                *drawing.inputs(EXPERIMENT).values(),
            output:
                captioned(drawn, study.name, "Figures"),
            localrule: True
            params:
                name=drawing.name,
                inputs=as_is(arguments.as_json(drawing.inputs(EXPERIMENT))),
                settings=as_is(arguments.as_json(drawing.settings(EXPERIMENT))),
                folder=subpath(output[0], parent=True),
            shell:
                "python workflow_scripts/draw.py {params.name} --inputs {params.inputs:q} --settings {params.settings:q}"
                " --output {params.folder} --log {log}"

    for table in study.tables:
        MADE[table.name] = PATHS.tables(table.name)

        rule:
            name:
                f"write_{table.name}"
            input:
                *table.inputs(EXPERIMENT).values(),
            output:
                captioned(MADE[table.name], study.name, "Tables"),
            localrule: True
            params:
                name=table.name,
                inputs=as_is(arguments.as_json(table.inputs(EXPERIMENT))),
                stem=subpath(output[0], strip_suffix=".csv"),
            shell:
                "python workflow_scripts/write_table.py {params.name} --inputs {params.inputs:q} --output {params.stem} --log {log}"

    for target, parts in study.targets.items():
        TARGETS.append([path for part in parts for path in MADE[part]] if study.selected(EXPERIMENT) else [])

        rule:
            name:
                target
            input:
                TARGETS[-1],
