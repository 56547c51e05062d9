# How far the last run of the experiment is, from the journal that it keeps: hooks.smk begins it.


# Without inputs and outputs: no lock of another run keeps it from starting, nor does it keep another from it.
rule status:
    localrule: True
    params:
        results=RESULTS,
    shell:
        "python workflow_scripts/status.py --results {params.results} --log {log} && cat {log}"
