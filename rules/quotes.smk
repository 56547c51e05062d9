# Numbers and figures of README and docs that come from an experiment: held against a fresh run, or taken from it.

QUOTED = or_stop(quotes.read, Path("docs/quoted.csv"))


rule check_quotes:
    input:
        listed="docs/quoted.csv",
        documents=list(dict.fromkeys(quote.file for quote in QUOTED)),
        tables=[PATHS.analysis(name) for name in quotes.tables(QUOTED)],
    output:
        PATHS.analysis("quotes"),
    localrule: True
    params:
        analysis=subpath(output[0], parent=True),
    shell:
        "python workflow_scripts/check_quotes.py --quotes {input.listed} --analysis {params.analysis} --output {output}"
        " --log {log} && cat {log}"


rule:
    name:
        "quotes"
    input:
        rules.check_quotes.output,


# The one rule that writes beside results/: into the documents, and into docs/.
rule publish:
    input:
        listed="docs/quoted.csv",
        figures=PATHS.figure("figure2", "png"),
        tables=[PATHS.analysis(name) for name in quotes.tables(QUOTED)],
        provenance=f"{RESULTS}/provenance.json",
    localrule: True
    params:
        results=subpath(input.provenance, parent=True),
    shell:
        "python workflow_scripts/check_quotes.py --quotes {input.listed} --analysis {params.results}/analysis"
        " --publish {input.figures} --provenance {input.provenance} --log {log}"
