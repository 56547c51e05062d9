# Whole experiments side by side: the folders in --config with='[FOLDER, FOLDER]', below results/ or published.


rule compare:
    localrule: True
    params:
        experiments=[str(Path(folder)) for folder in COMPARED],
        output="results/comparisons/" + "-and-".join(Path(folder).name for folder in COMPARED),
    shell:
        "python workflow_scripts/compare_experiments.py --experiments {params.experiments:q} --output {params.output:q}"
        " --log {log} && cat {log}"
