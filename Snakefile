# Effects of supervised fine-tuning on the attention heads of a language model: raw datasets → instructions → tokenized
# shards → checkpoints → activation patterns → statistics → figures, tables and a report.


from pathlib import Path

from snakemake.exceptions import WorkflowError

if Path.cwd().resolve() != Path(workflow.basedir).resolve():
    raise WorkflowError(
        f"This workflow reads and writes in the folder of its Snakefile: run snakemake in {workflow.basedir}, without --directory."
    )


include: "rules/internals.smk"
include: "rules/slurm.smk"
include: "rules/config.smk"


configfile: "config.yaml"


report: "workflow_scripts/headpatterns/report/workflow.rst"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/studies.smk"
include: "rules/report.smk"
include: "rules/export.smk"
include: "rules/quotes.smk"


if PUBLISHED:

    include: "rules/published.smk"

else:

    include: "rules/data.smk"
    include: "rules/models.smk"
    include: "rules/runs.smk"
    include: "rules/transfer.smk"
    include: "rules/training_sets.smk"
    include: "rules/evaluation.smk"
    include: "rules/summary.smk"
    include: "rules/plan.smk"
    include: "rules/status.smk"
    include: "rules/compare.smk"
    include: "rules/samples.smk"


include: "rules/hooks.smk"


rule all:
    default_target: True
    input:
        TARGETS,
        f"{RESULTS}/report.html",
        f"{RESULTS}/config.yaml",


if not PUBLISHED:
    or_stop(checks.check_rules, EXPERIMENT, kinds())


onstart:
    before_the_first_job()


onsuccess:
    print(farewell())
