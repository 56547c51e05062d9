# Numbers and figures of README and docs that come from an experiment: compared with a new run, or updated from it.

import os

SOURCE = os.path.relpath(PUBLISHED.folder) if PUBLISHED else ""
QUOTED = or_stop(quotes.read, Path("docs/quoted.csv"), SOURCE)


rule check_quotes:
    input:
        listed="docs/quoted.csv",
        documents=list(dict.fromkeys(quote.file for quote in QUOTED)),
        tables=[PATHS.analysis(name) for name in quotes.tables(QUOTED)],
        published=f"{SOURCE}/provenance.json" if PUBLISHED else "docs/published.json",
        widths="docs/vector_widths.csv",
        provenance=f"{RESULTS}/provenance.json",
    output:
        PATHS.analysis("quotes"),
    localrule: True
    params:
        source=arguments.options({"source": SOURCE or None}),
        analysis=subpath(output[0], parent=True),
    shell:
        "python workflow_scripts/check_quotes.py --quotes {input.listed} {params.source} --analysis {params.analysis}"
        " --published {input.published} --widths {input.widths} --provenance {input.provenance} --output {output}"
        " --log {log} && cat {log}"


rule:
    name:
        "quotes"
    input:
        rules.check_quotes.output,


# This rule writes outside results/: into the documents and, for a run, into docs/. A published folder stays unchanged.
rule publish:
    input:
        listed="docs/quoted.csv",
        figures=[] if PUBLISHED else PATHS.figure("figure2", "png"),
        tables=[PATHS.analysis(name) for name in quotes.tables(QUOTED)],
        provenance=f"{RESULTS}/provenance.json",
    localrule: True
    params:
        source=arguments.options({"source": SOURCE or None}),
        results=subpath(input.provenance, parent=True),
        kind="--renew" if PUBLISHED else "--publish",
    shell:
        "python workflow_scripts/check_quotes.py --quotes {input.listed} {params.source}"
        " --analysis {params.results}/analysis {params.kind} {input.figures} --provenance {input.provenance} --log {log}"
