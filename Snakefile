# What supervised fine-tuning does to the attention heads of a language model: raw datasets → instructions → tokenized
# shards → checkpoints → activation patterns → statistics → figures, tables and a report.


configfile: "config.yaml"


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/common_applications.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/finetuning.smk"
include: "rules/patterns.smk"
include: "rules/validity.smk"
include: "rules/applications.smk"
include: "rules/evaluation.smk"
include: "rules/analysis.smk"
include: "rules/figures.smk"
include: "rules/plan.smk"


rule all:
    default_target: True
    input:
        rules.table1.input,
        rules.table2.input,
        rules.table3.input,
        rules.figure1.input,
        rules.figure2.input,
        rules.figure4.input,
        rules.figure5.input,
        rules.figure_validity.input,
        f"{RESULTS}/report.html",
        f"{RESULTS}/config.yaml",


onstart:
    check_cluster()
    check_disk()


onsuccess:
    print(farewell())
