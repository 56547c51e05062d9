# The progress of the last run of the experiment, from its journal, which hooks.smk starts.


# It has no inputs and outputs, so no lock of another run prevents its start, and it does not prevent another run.
rule status:
    localrule: True
    params:
        results=RESULTS,
    shell:
        "python workflow_scripts/status.py --results {params.results} --log {log} && cat {log}"
