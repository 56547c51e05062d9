"""The report: complete, self-contained, well-formed, and equal to its inputs."""

import base64
import html
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import ablations
import analysis_tables
import evaluation_tables
import pandas as pd
import pytest
import scripts

from headpatterns.claims import competence
from headpatterns.errors import InputError
from headpatterns.io import write_csv
from headpatterns.presentation import elements, grids, inputs
from headpatterns.report import claims, page
from headpatterns.studies import accuracies, commands, load_studies
from headpatterns.studies.adaptation import table1
from headpatterns.studies.competence import table as competences
from headpatterns.studies.mixing import analysis as mixing
from headpatterns.studies.mixing import table2
from headpatterns.studies.selection import table3

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow_scripts" / "headpatterns"
CAPTIONS = {path.stem: path for path in PACKAGE.rglob("*.rst")}
SECTION_4 = ("adaptation", "composition", "dynamics")
SECTION_5 = ("mixing", "selection", "benchmarks")
FIGURES = [name for study in commands.selected(SECTION_4) for one in study.drawings for name in one.figures]
CELLS = {"td", "th"}
VOID = {"meta", "img", "br", "hr", "link", "input", "col"}
PICTURE = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><desc>%s</desc></svg>'


class Page(HTMLParser):
    """Reads tags with their attributes, the page's text, and the text of every table row by cells.

    It fails where the page closes a tag that is not open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.rows = [], [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in CELLS:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        if CELLS & set(self.open):
            self.rows[-1][-1] += data

    def found(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def table_of(folder, name):
    """A table as the report reads it, from the CSV in analysis/."""
    return folder / "analysis" / f"{name}.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A results folder with everything that the report shows of section 4."""
    made = tmp_path_factory.mktemp("report")
    analysis_tables.write(made / "analysis")
    (made / "analysis" / "runs.csv").rename(made / "runs.csv")
    (made / "figures").mkdir()
    for name in FIGURES:
        (made / "figures" / f"{name}.svg").write_bytes(PICTURE % name.encode())
    tables = {"distribution": "distribution", "by_model": "distribution_by_model"}
    given = {"runs": made / "runs.csv", **{key: table_of(made, name) for key, name in tables.items()}}
    table, shown = table1.tabulate(**given)
    grids.write(table, shown, made / "tables" / "table1")
    provenance = {"git_commit": "0123abc", "seeds": [0, 1], "versions": {"torch": "2.13.0 <cpu>"}, "dirty": False}
    (made / "provenance.json").write_text(json.dumps(provenance))
    timings = {"rule": ["finetune"], "seconds": [12.345678], "max_rss_mb": [512]}
    pd.DataFrame(timings).to_csv(table_of(made, "timings"), index=False)
    pd.DataFrame({"run": ["nlp.arc.seed0"], "steps": [40]}).to_csv(table_of(made, "training"), index=False)
    pd.DataFrame({"dataset": ["arc"], "kept": [27]}).to_csv(table_of(made, "tokens"), index=False)
    return made


def rendered(folder, studies=SECTION_4, **more):
    return page.page("mini <b>", folder, commands.selected(studies), **more)


def copied(folder, target):
    """A copy of a results folder that a test may change."""
    return shutil.copytree(folder, target / "results")


@pytest.fixture(scope="module")
def report(folder):
    return Page(rendered(folder))


def test_the_page_is_well_formed_and_every_anchor_leads_somewhere(report):
    assert report.open == []
    ids = [attributes["id"] for _, attributes in report.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in report.found("a") if a["href"].startswith("#")]
    assert targets and set(targets) <= set(ids)
    assert "mini <b>" in report.text


def test_a_label_is_text_whatever_a_browser_would_make_of_it(folder, tmp_path):
    label = '<script>alert(1)</script><img src="x" onerror="alert(2)">{{ 7 * 7 }}{% raw %}'
    changed = copied(folder, tmp_path)
    runs = pd.read_csv(changed / "runs.csv")
    assert {"Gemma-mini", "ARC"} <= {*runs["model_label"], *runs["task_label"]}
    runs.replace({"Gemma-mini": label, "ARC": f"task {label}"}).to_csv(changed / "runs.csv", index=False)
    tables = {"distribution": "distribution", "by_model": "distribution_by_model"}
    table, shown = table1.tabulate(
        runs=changed / "runs.csv", **{key: table_of(changed, of) for key, of in tables.items()}
    )
    grids.write(table, shown, changed / "tables" / "table1")
    provenance = json.loads((changed / "provenance.json").read_text())
    (changed / "provenance.json").write_text(json.dumps({**provenance, "label": label}))
    made = Page(rendered(changed))
    assert made.text.count(label) > 1 and not made.found("script")
    assert not [attributes for attributes in made.found("img") if "onerror" in attributes]


def test_the_page_fetches_nothing(report):
    for tag, attributes in report.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name, value in attributes.items():
            if value and ("://" in value or value.startswith("//")):
                assert (tag, name) == ("a", "href") and value.startswith("https://arxiv.org/"), value
        assert "srcset" not in attributes and not any(name.startswith("on") for name in attributes)
    for image in report.found("img"):
        assert image["src"].startswith("data:image/")


def test_the_style_fetches_nothing(folder):
    style = rendered(folder).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert "color-scheme: light" in style and "@media print" in style


def test_every_figure_is_embedded_with_its_caption_and_alternative_text(report, folder):
    images = report.found("img")
    assert len(images) == len(FIGURES)
    text = " ".join(report.text.split())
    for image, name in zip(images, FIGURES, strict=True):
        assert base64.b64decode(image["src"].split(",")[1]) == (folder / "figures" / f"{name}.svg").read_bytes()
        assert image["alt"].startswith(elements.title_of(name)) and len(image["alt"]) > 30
        plain = " ".join(CAPTIONS[name].read_text().replace("*", "").split())
        assert plain in text


def test_every_claim_is_shown_as_it_stands(report, folder):
    text = " ".join(report.text.split())
    for row in pd.read_csv(table_of(folder, "claims")).itertuples():
        assert row.statement in text and row.computed in text and f"Unit: {row.unit}." in text
        assert claims.VERDICTS[row.verdict] in text
        assert elements.estimate(row.estimate, row.low, row.high) in text
    expected = "Of 8 checks, 4 hold, 1 is reversed, 1 is negligible, 1 is undecided and 1 is not testable."
    assert expected in text
    classes = [attributes.get("class") for attributes in report.found("span")]
    shown = {verdict.replace(" ", "-") for verdict in claims.VERDICTS}
    assert sorted(one for one in classes if one in shown) == [
        *["holds"] * 4, "negligible", "not-testable", "reversed", "undecided"
    ]  # fmt: skip


def test_claims_stand_by_section_with_the_papers_value_and_what_the_verdict_rests_on(report):
    text = " ".join(report.text.split())
    text = text[text.index("Claims in full Fixed rules") :]
    first, second = text.index("Section 4.1 of the paper"), text.index("Section 4.3 of the paper")
    left_out = text.index("Left out These statements")
    gini = text[first:second]
    assert "Llama_mini & co−0.17−0.123 [−0.2, −0.05]0.085 samples 1.00; held: seeds; tasks ✓ holds" in gini
    assert "p = 0.020; without seed variance; learnt 6 of 7 tasks by accuracy" in gini
    assert "all models–−0.432– nothing; held: seeds; tasks ✓ holds" in gini
    budgets = text[second:left_out]
    undecided, untestable = budgets.split("? undecided")[1].split("– not testable")
    shown = "p = 0.020; power 12 %; power of the paper's comparison 9 %; learnt 6 of 7 tasks by accuracy"
    assert undecided.startswith(f"{shown} Llama_mini & co, 400") and "learnt" not in untestable.split("Left out")[0]
    assert untestable.startswith("p = 0.020; power of the paper's comparison 9 %; 99% of the answers of base cannot be")
    assert "power 12 %" not in budgets.split("? undecided")[0]  # reversed and negligible claims need no power
    assert (
        "changes_most (Figure 5): OPT changes most. Left out: no model of the experiment stands for OPT-6.7B." in text
    )


def test_tables_provenance_and_the_papers_values_are_shown(report, folder):
    rows = pd.read_csv(folder / "tables" / "table1.csv")
    for _, row in rows.iterrows():
        for statistic in table1.STATISTICS:
            assert table1.cell(row, statistic).replace("-", "−") in report.text
    for text in ("0123abc", "0, 1", "2.13.0 <cpu>", "no", "12.35", "512", "95.37", "0.819", "reference"):
        assert text in report.text
    assert len(pd.read_csv(folder / "runs.csv")) == 126
    assert "Every run (126 rows)" in report.text


@pytest.fixture(scope="module")
def opened(folder, tmp_path_factory):
    """A results folder with what the models can do."""
    made = copied(folder, tmp_path_factory.mktemp("opened"))
    write_csv(table_of(made, "competence"), competence.COLUMNS, analysis_tables.competence())
    table, shown = competences.tabulate(made / "runs.csv", table_of(made, "competence"))
    grids.write(table, shown, made / "tables" / "competence")
    (made / "figures" / "figure_competence.svg").write_bytes(PICTURE % b"competence")
    return made


OPENED = ("competence", *SECTION_4)
COMPETENT = "1 of 2 pairs of model and task are learnt: the whole interval of the accuracy after fine-tuning is"


def test_the_page_opens_with_what_the_models_can_do(opened):
    made = Page(rendered(opened, OPENED))
    assert made.open == []
    order = [attributes["id"] for attributes in made.found("section")]
    assert order[:5] == ["verdicts", "competence", "about", "summary", "how-to-read"]
    text = " ".join(made.text.split())
    assert COMPETENT in text and "3 → 30 [20, 42] *" in text and "no gold answers" in text
    marked = [attributes for attributes in made.found("td") if attributes.get("class") == "number reversed"]
    assert len(marked) == 1  # only the cell that is not above chance
    assert base64.b64decode(made.found("img")[0]["src"].split(",")[1]) == PICTURE % b"competence"
    assert "Claims about what fine-tuning changes are tested only where more than half" in text


def test_the_summary_opens_with_it_and_lists_every_verdict(opened, tmp_path):
    outputs = (tmp_path / "report.html", tmp_path / "summary.md")
    page.write("mini", opened, commands.selected(OPENED), {}, *outputs)
    text = outputs[1].read_text()
    assert text.startswith(f"# mini\n\n## What the models can do\n\n{COMPETENT}")
    assert "| ARC | 25 | 3 → 30 [20, 42] * | 54 → 90 [80, 96] |" in text
    claims_of = text[text.index("## Claims") :]
    assert "Of 8 checks, 4 hold," in claims_of and "### Section 4.1 of the paper" in claims_of
    assert "| The first steps are steep. | Llama_mini & co, 100 | ✗ reversed | 0 [−0.02, 0.04] | 0.0133 |" in claims_of
    assert outputs[0].read_text() == page.page("mini", opened, commands.selected(OPENED))


@pytest.fixture(scope="module")
def section5(folder, tmp_path_factory):
    """A results folder with everything that the report shows of sections 4 and 5, with a known truth."""
    made = copied(folder, tmp_path_factory.mktemp("section5"))
    rows = evaluation_tables.variants(oracle=True)
    evaluation_tables.write(made, rows, evaluation_tables.generated(rows))
    for number, study in ((2, "mixing"), (3, "selection")):
        evaluation_tables.analyse(study, made, made / "analysis", resamples=50, parts=evaluation_tables.PARTS)
        evaluation_tables.write_table(made, number, made / "tables" / f"table{number}", made / "analysis")
    evaluation_tables.precision(made / "analysis", evaluation_tables.write_rankings(made))
    batches = sorted(made.glob("evaluations/*/batch.csv"))
    scripts.run("collect_scores", variants=made / "variants.csv", scores=batches, output=table_of(made, "scores"))
    judged = pd.read_csv(table_of(made, "claims"))
    about = [judged, judged.assign(where="Table 2", section="5.1"), judged.assign(where="Table 3", section="5.2")]
    numbered = [rows.assign(claim=rows["claim"] + str(place)) for place, rows in enumerate(about)]
    pd.concat(numbered).to_csv(table_of(made, "claims"), index=False)
    evaluation_tables.write_costs(made / "analysis" / "selection_costs.csv")
    for name in ("mixture", "precision"):
        (made / "figures" / f"{name}.svg").write_bytes(PICTURE % name.encode())
    for path in made.glob("mixtures/*/*/coefficients.csv"):
        path.with_name("report.json").write_text(json.dumps({"note": ""}))
    return made


EVERY = (*SECTION_4, *SECTION_5)


def test_section_5_has_its_sections_after_table_1(section5):
    made = Page(rendered(section5, EVERY))
    assert made.open == []
    order = [attributes["id"] for attributes in made.found("section")]
    after = order[order.index("table1") + 1 :]
    assert after[:5] == ["composition-controls", "mixing-basic-tasks", "selecting-data", "tokens", "scores"]
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in made.found("a") if a["href"].startswith("#")]
    assert set(targets) <= set(ids) and {"table2", "table3", "scores", "selecting-data"} <= set(targets)


def test_section_5_shows_its_tables_captions_and_the_papers_values(section5):
    made = Page(rendered(section5, EVERY))
    text = " ".join(made.text.split())
    for name, columns, made_grids in (
        ("table2", table2.TEXT, table2.table2_grids),
        ("table3", table3.TEXT, table3.table3_grids),
    ):
        for grid in made_grids(inputs.read_table(section5 / "tables" / f"{name}.csv", columns, accuracies.NUMBERS)):
            cells = [cell for row in grid.readable_rows for cell in row]
            assert cells and all(cell in made.text for cell in cells)
    for reported in ("36.82", "55.03", "31.66", "56.19"):
        assert reported in text
    for name in SECTION_5_CAPTIONS:
        plain = " ".join(CAPTIONS[name].read_text().replace("*", "").split())
        assert plain in text
    images = [image["src"].split(",")[1] for image in made.found("img")]
    assert [base64.b64decode(image) for image in images[-2:]] == [PICTURE % b"mixture", PICTURE % b"precision"]
    assert "−0.123 [−0.2, 0.1]" in text and "75.0 %" in text


def test_the_truth_of_section_5_stands_beside_its_tables(section5):
    made = Page(rendered(section5, EVERY))
    text = " ".join(made.text.split())
    differences = pd.read_csv(table_of(section5, "mixing_differences"))
    for _, one in differences.iterrows():
        assert accuracies.cell(one).replace("-", "−") in text
    kept = ["1 of 2", "50 %", "60.0 % [50, 100]", "66.7 %", "1.000"]
    assert [row[2] for row in made.rows if row[3:] == kept] == ["changes", "changes without base pattern"] * 4
    found = {" ".join(row[1:3]): row[3:] for row in made.rows if len(row) == 6}
    assert found["Law by BM25"] == [
        "100.0 ± 0.0 [72.2, 100.0]",
        "60.0 ± 0.0 [38.7, 78.1]",
        "100.0 ± 0.0 [100.0, 100.0]",
    ]
    chance = " ".join(found["Law by chance"])
    assert re.match(r"30\.0 \[10\.0, 60\.0\] 30\.0 \[\d+\.0, \d+\.0\] \d+\.\d \[", chance)


def test_a_grid_of_mixtures_is_shown_where_there_is_one(section5, tmp_path):
    assert "mixture-grid" not in {a.get("id") for _, a in Page(rendered(section5, EVERY)).tags}
    changed = copied(section5, tmp_path)
    rows = [
        ("llama", "accuracy", 0, "0/1 + 1/1", 0.25, 0.1, 0.4, 0),
        ("llama", "accuracy", 1, "1/1 + 0/1", 0.5, 0.3, 0.7, 1),
    ]
    pd.DataFrame(rows, columns=mixing.GRID_COLUMNS).to_csv(table_of(changed, "mixture_grid"), index=False)
    found = Page(rendered(changed, EVERY)).rows
    assert ["Llama_mini & co", "Accuracy in per cent", "0/1 + 1/1", "25.00 [10.00, 40.00]", ""] in found
    assert ["Llama_mini & co", "Accuracy in per cent", "1/1 + 0/1", "50.00 [30.00, 70.00]", "yes"] in found


def test_costs_are_means_over_domains_in_milliseconds(section5):
    """LESS reads for 2 and 4 ms in the two domains and ranks in 1 µs. The reading time of BM25 is not known."""
    found = [row for row in Page(rendered(section5, EVERY)).rows if row[:1] == ["Llama_mini & co"] and len(row) == 6]
    assert ["Llama_mini & co", "by gradients (LESS)", "3", "0.001", "0.5", "64"] in found
    assert ["Llama_mini & co", "by BM25", "", "0.001", "", "0"] in found


def test_where_the_truth_is_unknown_the_page_does_not_speak_of_it(section5, tmp_path):
    changed = copied(section5, tmp_path)
    evaluation_tables.precision(changed / "analysis", [])
    kept = pd.read_csv(table_of(changed, "mixture_parts"))
    kept.iloc[:0].to_csv(table_of(changed, "mixture_parts"), index=False)
    (changed / "figures" / "precision.svg").unlink()
    made = Page(rendered(changed, EVERY))
    ids = {attributes["id"] for _, attributes in made.tags if "id" in attributes}
    assert "mixing-differences" in ids and not {"mixture-parts", "precision-table", "precision"} & ids


def test_notes_on_mixtures_stand_under_table_2(section5, tmp_path):
    without = rendered(section5, EVERY)
    assert "Note:" not in without
    changed = copied(section5, tmp_path)
    reports = [changed / "mixtures" / model / f"seed{seed}" / "report.json"
               for model in sorted(evaluation_tables.MODELS) for seed in (0, 1)]  # fmt: skip
    notes = ("Model gemma, seed 0: only <one> task.", "", "Model llama, seed 0: no candidate.", "")
    for path, note in zip(reports, notes, strict=True):
        path.write_text(json.dumps({"model": "llama", "note": note}))
    made = Page(rendered(changed, EVERY))
    assert made.open == []
    assert made.text.count("Note:") == 2
    between = made.text[made.text.index("Table 2 of the paper") : made.text.index("Table 3 of the paper")]
    assert between.index(f"Note: {notes[0]}") < between.index(f"Note: {notes[2]}") < between.index("Coefficients")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_mixture_report_without_a_note_is_named(section5, tmp_path, content):
    changed = copied(section5, tmp_path)
    path = changed / "mixtures" / "gemma" / "seed1" / "report.json"
    path.unlink()
    if content:
        path.write_text(content)
    with pytest.raises(InputError, match=r"report\.json is not a readable report with a note: run the rule mix_basic"):
        rendered(changed, EVERY)


def test_unparsed_answers_are_in_plain_sight(section5, tmp_path):
    scores = pd.read_csv(table_of(section5, "scores"), keep_default_na=False, dtype=str)
    once = scores[scores["study"] == "selection"].drop_duplicates(["model", "run", "set"])
    found = once[once["model"] == "gemma"][["items", "unparsed", "cut"]].astype(int).sum()
    text = Page(rendered(section5, EVERY)).text
    visible = text[: text.index(f"Every score ({len(scores)} rows)")]
    assert f"{found['unparsed']} ({100 * found['unparsed'] / found['items']:.1f} %)" in visible
    assert f"{found['cut']} ({100 * found['cut'] / found['items']:.1f} %)" in visible
    # The page shows a dash where an evaluator does not count unparsed answers.
    changed = copied(section5, tmp_path)
    scores.assign(unparsed="").to_csv(table_of(changed, "scores"), index=False)
    made = Page(rendered(changed, EVERY))
    assert made.text.count("–") == text.count("–") + len(scores[["study", "model"]].drop_duplicates())


def test_claims_about_tables_2_and_3_lead_to_them(section5):
    text = rendered(section5, EVERY)
    assert '<a href="#table2">Table 2</a>' in text and '<a href="#table3">Table 3</a>' in text


@pytest.mark.parametrize(
    ("left_out", "anchors"),
    [
        (
            "mixing",
            {
                "table2",
                "mixing-differences",
                "mixture-parts",
                "mixture",
                "coefficients",
                "mixture-picks",
                "mixing-ranks",
            },
        ),
        ("selection", {"table3", "precision-table", "precision", "selection-differences", "selection-ranks"}),
        ("benchmarks", {"scores"}),
        ("adaptation", {"table1", "figure1", "figure2", "figure2_clustered"}),
        ("composition", {"figure4", "composition-controls"}),
        ("dynamics", {"figure5"}),
    ],
)
def test_every_study_may_be_left_out(section5, left_out, anchors):
    made = Page(rendered(section5, [name for name in EVERY if name != left_out]))
    assert made.open == []
    ids = {attributes["id"] for _, attributes in made.tags if "id" in attributes}
    figures = {"figure1", "figure2", "figure2_clustered", "figure4", "figure5"}
    assert figures <= set(FIGURES)
    every = {"table1", "table2", "table3", "scores", "mixture", "coefficients", *figures}
    every |= {"composition-controls", "mixture-picks", "mixing-ranks", "selection-ranks", "mixture-parts"}
    every |= {"mixing-differences", "selection-differences", "precision", "precision-table"}
    assert every - ids == anchors
    assert {a["href"][1:] for a in made.found("a") if a["href"].startswith("#")} <= ids


def test_without_section_5_the_page_says_nothing_of_it(report):
    for word in ("Mixing basic tasks", "Selecting data", "Wilson", "Table 2", "Table 3"):
        assert word not in report.text


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes_from_the_command_line(section5, tmp_path):
    command = [sys.executable, str(ROOT / "workflow_scripts" / "render_report.py"), "--experiment", "mini"]
    command += ["--results", str(section5), "--studies", *EVERY, "--label", "refgpt=RefGPT"]
    for attempt in ("one", "two"):
        outputs = ("--output", str(tmp_path / f"{attempt}.html"), "--summary-output", str(tmp_path / f"{attempt}.md"))
        subprocess.run([*command, *outputs], check=True)
    for suffix in (".html", ".md"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4
    assert "<td>RefGPT</td>" in (tmp_path / "one.html").read_text()


def test_an_unknown_study_is_named_with_those_that_there_are():
    with pytest.raises(InputError, match="Unknown study 'mixed': use some of competence, adaptation, comp"):
        commands.selected(["adaptation", "mixed"])


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("figures/figure4.svg", r"figure4\.svg does not exist"),
        ("provenance.json", r"provenance\.json does not exist"),
        ("tables/table1.csv", r"table1\.csv cannot be read"),
        ("analysis/timings.csv", r"timings\.csv cannot be read"),
        ("runs.csv", r"runs\.csv cannot be read"),
    ],
)
def test_missing_inputs_are_named(folder, tmp_path, lost, message):
    changed = copied(folder, tmp_path)
    (changed / lost).unlink()
    with pytest.raises(InputError, match=message):
        rendered(changed)


def test_a_figure_that_the_page_cannot_show_is_named(tmp_path):
    with pytest.raises(InputError, match=r"figure1\.pdf: give it as an SVG or PNG"):
        elements.figure(tmp_path / "figure1.pdf", tmp_path)
    (tmp_path / "figure1.svg").write_bytes(PICTURE % b"figure1")
    with pytest.raises(InputError, match=r"figure1\.rst does not exist"):
        elements.figure(tmp_path / "figure1.svg", tmp_path)


def test_a_faulty_caption_claim_or_column_is_named(folder, tmp_path):
    (tmp_path / "figure1.rst").write_text("**not closed")
    with pytest.raises(InputError, match=r"figure1\.rst is not valid"):
        elements.caption(tmp_path / "figure1.rst")
    changed = copied(folder, tmp_path)
    rows = pd.read_csv(table_of(folder, "claims"))
    rows.assign(verdict="perhaps").to_csv(table_of(changed, "claims"), index=False)
    with pytest.raises(InputError, match="'perhaps'"):
        rendered(changed)
    rows.drop(columns="statement").to_csv(table_of(changed, "claims"), index=False)
    with pytest.raises(InputError, match=r"claims\.csv lacks the column 'statement'"):
        rendered(changed)


def test_a_claim_about_a_part_of_a_figure_leads_to_it_and_no_claim_is_said(folder, tmp_path):
    changed = copied(folder, tmp_path)
    rows = pd.read_csv(table_of(folder, "claims")).assign(where="Figure 4, nlp")
    rows.to_csv(table_of(changed, "claims"), index=False)
    assert '<a href="#figure4">Figure 4, nlp</a>' in rendered(changed)
    for name in ("claims", "claims_left_out"):
        pd.read_csv(table_of(folder, name)).head(0).to_csv(table_of(changed, name), index=False)
    empty = rendered(changed)
    assert "No statement of the paper was checked" in empty and "left-out" not in empty


def test_the_section_on_validity_is_there_where_the_study_is(folder, tmp_path, report):
    changed = copied(folder, tmp_path)
    tables = {"correlations": "validity", "between": "validity_between", "groups": "validity_groups",
              "contrasts": "validity_contrasts"}  # fmt: skip
    scripts.run(
        "analyse",
        positional=["validity"],
        inputs=json.dumps({"ablations": [str(ablations.write(tmp_path / "ablations"))]}),
        outputs=json.dumps({key: str(table_of(changed, name)) for key, name in tables.items()}),
        settings=json.dumps({"runs": [["llama", "math", 0]], "resamples": 20, "seed": 0}),
    )
    (changed / "figures" / "figure_validity.svg").write_bytes(PICTURE % b"validity")
    made = Page(rendered(changed, (*SECTION_4, "validity")))
    assert made.open == []
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert made.text.count("Do the patterns mean anything?") == 2  # its heading and the link to it
    assert "#validity" in [a["href"] for a in made.found("a")]
    assert len(made.found("img")) == len(report.found("img")) + 1
    assert "Do the patterns mean anything?" not in report.text


SECTION_5_CAPTIONS = (
    *("table2", "table3", "mixture", "mixture_table", "scores"),
    *("picks_table", "mixing_ranks", "selection_ranks", "mixing_differences", "selection_differences"),
    *("mixture_parts", "precision_table", "precision", "costs_table"),
)


@pytest.mark.parametrize("name", CAPTIONS)
def test_captions_are_plain_and_end_as_sentences(name):
    text = html.unescape(elements.caption(CAPTIONS[name]))
    assert "system-message" not in text and text.strip().endswith(".</p>")


def test_every_figure_and_table_of_a_study_has_its_caption_in_the_study_s_folder():
    for study in load_studies():
        made = [figure for drawing in study.drawings for figure in drawing.figures]
        views = [f"view_{view.name}" for view in study.views]
        for name in [*made, *(table.name for table in study.tables), *views]:
            assert (PACKAGE / "studies" / study.name / f"{name}.rst").is_file(), name


@pytest.mark.parametrize(
    ("stem", "title"),
    [("figure2_clustered", "Figure 2, clustered"), ("table1", "Table 1"), ("mixing_scores", "Mixing scores")],
)
def test_titles_of_files(stem, title):
    assert elements.title_of(stem) == title


@pytest.mark.parametrize(
    ("value", "text"),
    [("12", "12"), ("-3", "−3"), ("0.123456", "0.1235"), ("1e-07", "1e−07"), ("0.5", "0.5"), ("nlp.arc-1", "nlp.arc-1"),
     ("2024-01-02", "2024-01-02"), ("", "")],
)  # fmt: skip
def test_numbers_in_plain_tables(value, text):
    assert elements.short(value) == text


@pytest.mark.parametrize(
    ("root", "size"),
    [
        (b'<svg height="36.75pt" version="1.1" width="72pt" xmlns="x">', (96, 49)),
        (b'<svg width="9" height="9">', ()),
        (b"", ()),
    ],
)
def test_the_size_of_a_picture_is_known_before_it_is_drawn(root, size):
    assert elements.size_of(b'<?xml version="1.0"?>\n' + root) == size
