# Figures, tables and the report, drawn from analysis/ and the run table alone; and the targets that name them.


rule write_table1:
    input:
        runs=f"{RESULTS}/runs.csv",
        distribution=f"{RESULTS}/analysis/distribution.csv",
        by_model=f"{RESULTS}/analysis/distribution_by_model.csv",
    output:
        captioned(table_files("table1"), "table1", "Tables"),
    log:
        log_of("write_table1"),
    benchmark:
        benchmark_of("write_table1")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("write_table1")
    resources:
        **resources_of("write_table1"),
    params:
        stem=subpath(output[0], strip_suffix=".csv"),
    shell:
        "python workflow_scripts/write_table1.py --runs {input.runs} --distribution {input.distribution}"
        " --by-model {input.by_model} --output {params.stem} --log {log}"


rule write_table2:
    input:
        variants=f"{RESULTS}/variants.csv",
        mixing=f"{RESULTS}/analysis/mixing.csv",
    output:
        captioned(table_files("table2"), "table2", "Tables"),
    log:
        log_of("write_table2"),
    benchmark:
        benchmark_of("write_table2")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("write_table2")
    resources:
        **resources_of("write_table2"),
    params:
        stem=subpath(output[0], strip_suffix=".csv"),
    shell:
        "python workflow_scripts/write_table2.py --variants {input.variants} --mixing {input.mixing} --output {params.stem} --log {log}"


rule write_table3:
    input:
        variants=f"{RESULTS}/variants.csv",
        selection=f"{RESULTS}/analysis/selection.csv",
    output:
        captioned(table_files("table3"), "table3", "Tables"),
    log:
        log_of("write_table3"),
    benchmark:
        benchmark_of("write_table3")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("write_table3")
    resources:
        **resources_of("write_table3"),
    params:
        stem=subpath(output[0], strip_suffix=".csv"),
    shell:
        "python workflow_scripts/write_table3.py --variants {input.variants} --selection {input.selection} --output {params.stem} --log {log}"


rule draw_figure1:
    input:
        runs=f"{RESULTS}/runs.csv",
        patterns=f"{RESULTS}/analysis/patterns.csv",
    output:
        captioned(figure_files("figure1"), "figure1", "Figures"),
    log:
        log_of("draw_figure1"),
    benchmark:
        benchmark_of("draw_figure1")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("draw_figure1")
    resources:
        **resources_of("draw_figure1"),
    params:
        stem=subpath(output[0], strip_suffix=".pdf"),
    shell:
        "python workflow_scripts/draw_figure1.py --runs {input.runs} --patterns {input.patterns}"
        " --output {params.stem} --log {log}"


rule draw_figure2:
    input:
        runs=f"{RESULTS}/runs.csv",
        similarity=f"{RESULTS}/analysis/similarity.csv",
        summary=f"{RESULTS}/analysis/similarity_summary.csv",
    output:
        captioned(figure_files("figure2"), "figure2", "Figures"),
        captioned(figure_files("figure2_clustered"), "figure2_clustered", "Figures"),
    log:
        log_of("draw_figure2"),
    benchmark:
        benchmark_of("draw_figure2")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("draw_figure2")
    resources:
        **resources_of("draw_figure2"),
    params:
        stem=subpath(output[0], strip_suffix=".pdf"),
        clustered=subpath(output[3], strip_suffix=".pdf"),
    shell:
        "python workflow_scripts/draw_figure2.py --runs {input.runs} --similarity {input.similarity}"
        " --summary {input.summary} --output {params.stem} --clustered-output {params.clustered} --log {log}"


rule draw_figure4:
    input:
        runs=f"{RESULTS}/runs.csv",
        composition=f"{RESULTS}/analysis/composition.csv",
    output:
        captioned(figure_files("figure4"), "figure4", "Figures"),
    log:
        log_of("draw_figure4"),
    benchmark:
        benchmark_of("draw_figure4")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("draw_figure4")
    resources:
        **resources_of("draw_figure4"),
    params:
        stem=subpath(output[0], strip_suffix=".pdf"),
    shell:
        "python workflow_scripts/draw_figure4.py --runs {input.runs} --composition {input.composition}"
        " --output {params.stem} --log {log}"


rule draw_figure5:
    input:
        runs=f"{RESULTS}/runs.csv",
        dynamics=f"{RESULTS}/analysis/dynamics.csv",
    output:
        captioned(figure_files("figure5"), "figure5", "Figures"),
    log:
        log_of("draw_figure5"),
    benchmark:
        benchmark_of("draw_figure5")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("draw_figure5")
    resources:
        **resources_of("draw_figure5"),
    params:
        stem=subpath(output[0], strip_suffix=".pdf"),
    shell:
        "python workflow_scripts/draw_figure5.py --runs {input.runs} --dynamics {input.dynamics}"
        " --output {params.stem} --log {log}"


rule draw_mixture:
    input:
        variants=f"{RESULTS}/variants.csv",
        coefficients=f"{RESULTS}/analysis/mixture.csv",
    output:
        captioned(figure_files("mixture"), "mixture", "Figures"),
    log:
        log_of("draw_mixture"),
    benchmark:
        benchmark_of("draw_mixture")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("draw_mixture")
    resources:
        **resources_of("draw_mixture"),
    params:
        stem=subpath(output[0], strip_suffix=".pdf"),
        labels=repeated(
            "task_label", {task: config["datasets"][task]["label"] for task in applications.candidates(config)}
        ),
    shell:
        "python workflow_scripts/draw_mixture.py --variants {input.variants} {params.labels} --coefficients {input.coefficients}"
        " --output {params.stem} --log {log}"


rule render_report:
    input:
        **validity_results(),
        **application_results(),
        runs=f"{RESULTS}/runs.csv",
        figures=[f"{RESULTS}/figures/{name}.svg" for name in FIGURES],
        table1=f"{RESULTS}/tables/table1.csv",
        claims=f"{RESULTS}/analysis/claims.csv",
        data=f"{RESULTS}/analysis/data.csv",
        training=f"{RESULTS}/analysis/training.csv",
        tokens=f"{RESULTS}/analysis/tokens.csv",
        timings=f"{RESULTS}/analysis/timings.csv",
        provenance=f"{RESULTS}/provenance.json",
        captions=expand(
            "rules/captions/{name}.rst",
            name=[*FIGURES, "table1", "tokens", "workflow", *validity_captions(), *application_captions()],
        ),
    output:
        f"{RESULTS}/report.html",
    log:
        log_of("render_report"),
    benchmark:
        benchmark_of("render_report")
    localrule: True
    conda:
        "../envs/workflow.yaml"
    threads: threads_of("render_report")
    resources:
        **resources_of("render_report"),
    params:
        experiment=config["experiment"],
        captions=lambda _, input: Path(input.captions[0]).parent,
        studies=options({**validity_results(), **application_results()}),
        labels=repeated("label", experiment.labels(config)),
    shell:
        "python workflow_scripts/render_report.py --experiment {params.experiment} --runs {input.runs}"
        " --figures {input.figures} --table1 {input.table1} --tables {input.tokens} --captions {params.captions} --claims {input.claims}"
        " --data {input.data} --training {input.training} --benchmarks {input.timings} {params.studies} {params.labels}"
        " --provenance {input.provenance} --output {output} --log {log}"


rule table1:
    input:
        table_files("table1"),


rule table2:
    input:
        table_files("table2") + figure_files("mixture") if MIXING["models"] else [],


rule table3:
    input:
        table_files("table3") if SELECTION["models"] else [],


rule figure1:
    input:
        figure_files("figure1"),


rule figure2:
    input:
        figure_files("figure2"),
        figure_files("figure2_clustered"),


rule figure4:
    input:
        figure_files("figure4"),


rule figure5:
    input:
        figure_files("figure5"),


# The name `report` is a word of Snakemake's own, so this target is made under another name.
rule:
    name:
        "report"
    input:
        f"{RESULTS}/report.html",
