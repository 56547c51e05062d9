"""The report: complete, self-contained, well-formed, and equal to its inputs."""

import base64
import html
import json
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

from headpatterns.errors import InputError
from headpatterns.presentation import elements, grids, inputs
from headpatterns.report import page
from headpatterns.studies import accuracies
from headpatterns.studies.adaptation import table1

ROOT = Path(__file__).parents[2]
CAPTIONS = ROOT / "rules" / "captions"
FIGURES = ("figure1", "figure2", "figure2_clustered", "figure4", "figure5")
VOID = {"meta", "img", "br", "hr", "link", "input", "col"}
PICTURE = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><desc>%s</desc></svg>'


class Page(HTMLParser):
    """Tags with their attributes and the page's text; fails where a tag is closed that was not open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def found(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = analysis_tables.write(tmp_path_factory.mktemp("report"))
    (made / "figures").mkdir()
    for name in FIGURES:
        (made / "figures" / f"{name}.svg").write_bytes(PICTURE % name.encode())
    runs = inputs.read_run_table(made / "runs.csv")
    by_task = inputs.read_table(made / "distribution.csv", table1.TASK_TEXT, table1.NUMBERS)
    by_model = inputs.read_table(made / "distribution_by_model.csv", table1.MODEL_TEXT, table1.NUMBERS)
    table = table1.table1(runs, by_task, by_model)
    grids.write(table, table1.table1_grids(table), made / "tables" / "table1")
    provenance = {"git_commit": "0123abc", "seeds": [0, 1], "versions": {"torch": "2.13.0 <cpu>"}, "dirty": False}
    (made / "provenance.json").write_text(json.dumps(provenance))
    pd.DataFrame({"rule": ["finetune"], "seconds": [12.345678], "max_rss_mb": [512]}).to_csv(
        made / "benchmarks.csv", index=False
    )
    return made


def arguments(folder, **changed):
    given = {
        "experiment": "mini <b>",
        "runs": folder / "runs.csv",
        "figures": [folder / "figures" / f"{name}.svg" for name in FIGURES],
        "table1": folder / "tables" / "table1.csv",
        "captions": CAPTIONS,
        "claims": folder / "claims.csv",
        "provenance": folder / "provenance.json",
        "data": folder / "data.csv",
        "benchmarks": folder / "benchmarks.csv",
    }
    return {**given, **changed}


@pytest.fixture(scope="module")
def report(folder):
    return Page(page.render(**arguments(folder)))


def test_the_page_is_well_formed_and_every_anchor_leads_somewhere(report):
    assert report.open == []
    ids = [attributes["id"] for _, attributes in report.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in report.found("a") if a["href"].startswith("#")]
    assert targets and set(targets) <= set(ids)
    assert "mini <b>" in report.text


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
    style = page.render(**arguments(folder)).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert "prefers-color-scheme: dark" in style and "@media print" in style


def test_every_figure_is_embedded_with_its_caption_and_alternative_text(report, folder):
    images = report.found("img")
    assert len(images) == len(FIGURES)
    text = " ".join(report.text.split())
    for image, name in zip(images, FIGURES, strict=True):
        assert base64.b64decode(image["src"].split(",")[1]) == (folder / "figures" / f"{name}.svg").read_bytes()
        assert image["alt"].startswith(page.title_of(name)) and len(image["alt"]) > 30
        plain = " ".join((CAPTIONS / f"{name}.rst").read_text().replace("*", "").split())
        assert plain in text


def test_every_claim_is_shown_as_it_stands(report, folder):
    text = " ".join(report.text.split())
    for row in pd.read_csv(folder / "claims.csv").itertuples():
        assert row.statement in text
        assert page.VERDICTS[row.verdict] in text
        assert page.estimate(row.value, row.low, row.high) in text
    assert "Of 4 checks, 2 hold, 1 fails and 1 is undecided." in text
    classes = [attributes["class"] for attributes in report.found("td") if attributes.get("class") in page.VERDICTS]
    assert sorted(classes) == ["fails", "holds", "holds", "undecided"]


def test_tables_provenance_and_the_papers_values_are_shown(report, folder):
    rows = pd.read_csv(folder / "tables" / "table1.csv", keep_default_na=False)
    for _, row in rows.iterrows():
        for statistic in table1.STATISTICS:
            assert table1.cell(row, statistic).replace("-", "−") in report.text
    for text in ("0123abc", "0, 1", "2.13.0 <cpu>", "no", "12.35", "512", "95.37", "0.819", "reference"):
        assert text in report.text
    assert len(pd.read_csv(folder / "runs.csv")) == 126
    assert "Every run (126 rows)" in report.text


@pytest.fixture(scope="module")
def section5(folder, tmp_path_factory):
    """What the report shows of section 5, and the whole page with it."""
    rows = evaluation_tables.variants()
    made = tmp_path_factory.mktemp("section5")
    evaluation_tables.write(made, rows, evaluation_tables.generated(rows))
    given = {**evaluation_tables.options(made), "resamples": 50}
    coefficients = sorted(made.glob("mixtures/*/*/coefficients.csv"))
    for study, more in (("mixing", {"coefficients": coefficients, "mixture_output": made / "mixture.csv"}),
                        ("selection", {})):  # fmt: skip
        outputs = {"output": made / f"{study}.csv", "differences_output": made / f"{study}_differences.csv"}
        scripts.run(f"analyse_{study}", **given, **outputs, **more)
    scripts.run("write_table2", variants=made / "variants.csv", mixing=made / "mixing.csv", output=made / "table2")
    scripts.run(
        "write_table3", variants=made / "variants.csv", selection=made / "selection.csv", output=made / "table3"
    )
    sheets = sorted(made.glob("evaluations/*/sheet.csv"))
    scripts.run("collect_scores", variants=made / "variants.csv", scores=sheets, output=made / "scores.csv")
    differences = {f"{study}_differences": made / f"{study}_differences.csv" for study in ("mixing", "selection")}
    scripts.run("collect_claims", **differences, output=made / "claims.csv")
    (made / "mixture.svg").write_bytes(PICTURE % b"mixture")
    reports = [path.with_name("report.json") for path in coefficients]
    for path in reports:
        path.write_text(json.dumps({"note": ""}))
    parts = {name: made / f"{name}.csv" for name in ("table2", "mixture", "table3", "scores", "claims")}
    return arguments(folder, **parts, mixture_figure=made / "mixture.svg", mixture_reports=reports)


def test_section_5_has_its_sections_after_table_1(section5):
    made = Page(page.render(**section5))
    assert made.open == []
    order = [attributes["id"] for attributes in made.found("section")]
    assert order[order.index("table1") + 1 :][:3] == ["mixing-basic-tasks", "selecting-data", "scores"]
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in made.found("a") if a["href"].startswith("#")]
    assert set(targets) <= set(ids) and {"table2", "table3", "scores", "selecting-data"} <= set(targets)


def test_section_5_shows_its_tables_captions_and_the_papers_values(section5):
    made = Page(page.render(**section5))
    text = " ".join(made.text.split())
    for number, made_grids in ((2, accuracies.table2_grids), (3, accuracies.table3_grids)):
        columns = {2: accuracies.TABLE2_TEXT, 3: accuracies.TABLE3_TEXT}[number]
        for grid in made_grids(inputs.read_table(section5[f"table{number}"], columns, accuracies.ACCURACY_NUMBERS)):
            cells = [cell for row in grid.readable_rows for cell in row]
            assert cells and all(cell in made.text for cell in cells)
    for reported in ("36.82", "55.03", "31.66", "56.19"):
        assert reported in text
    for name in SECTION_5_CAPTIONS:
        plain = " ".join((CAPTIONS / f"{name}.rst").read_text().replace("*", "").split())
        assert plain in text
    images = [image["src"].split(",")[1] for image in made.found("img")]
    assert base64.b64decode(images[-1]) == PICTURE % b"mixture"
    assert "−0.123 [−0.2, 0.1]" in text and "75.0 %" in text


def test_notes_on_mixtures_stand_under_table_2(section5, tmp_path):
    without = page.render(**section5)
    assert "Note:" not in without
    reports = [tmp_path / f"{name}.json" for name in "abc"]
    notes = ("Model llama, seed 0: only <one> task.", "", "Model llama, seed 2: no candidate.")
    for path, note in zip(reports, notes, strict=True):
        path.write_text(json.dumps({"model": "llama", "note": note}))
    made = Page(page.render(**{**section5, "mixture_reports": reports}))
    assert made.open == []
    assert made.text.count("Note:") == 2
    between = made.text[made.text.index("Table 2 of the paper") : made.text.index("Table 3 of the paper")]
    assert between.index(f"Note: {notes[0]}") < between.index(f"Note: {notes[2]}") < between.index("Coefficients")
    assert page.render(**{**section5, "mixture_reports": []}) == without


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_mixture_report_without_a_note_is_named(section5, tmp_path, content):
    path = tmp_path / "report.json"
    if content:
        path.write_text(content)
    with pytest.raises(InputError, match=r"report\.json is no readable report with a note: run the rule mix_basic"):
        page.render(**{**section5, "mixture_reports": [path]})


def test_unparsed_answers_are_in_plain_sight(section5, tmp_path):
    scores = pd.read_csv(section5["scores"], keep_default_na=False, dtype=str)
    once = scores[scores["study"] == "selection"].drop_duplicates(["model", "run", "set"])
    found = once[once["model"] == "gemma"][["items", "unparsed", "cut"]].astype(int).sum()
    text = Page(page.render(**section5)).text
    visible = text[: text.index(f"Every score ({len(scores)} rows)")]
    assert f"{found['unparsed']} ({100 * found['unparsed'] / found['items']:.1f} %)" in visible
    assert f"{found['cut']} ({100 * found['cut'] / found['items']:.1f} %)" in visible
    # A dash where an evaluator does not say.
    scores.assign(unparsed="").to_csv(tmp_path / "scores.csv", index=False)
    made = Page(page.render(**{**section5, "scores": tmp_path / "scores.csv"}))
    assert made.text.count("–") == text.count("–") + len(scores[["study", "model"]].drop_duplicates())


def test_claims_about_tables_2_and_3_lead_to_them(section5):
    text = page.render(**section5)
    assert '<a href="#table2">Table 2</a>' in text and '<a href="#table3">Table 3</a>' in text
    rows = pd.read_csv(section5["claims"])
    assert len(rows) == 14
    for row in rows.itertuples():
        assert html.escape(row.statement) in text
        assert page.estimate(row.value, row.low, row.high) in text


@pytest.mark.parametrize("left_out", ["table2", "table3", "scores", "mixture", "mixture_figure"])
def test_every_part_of_section_5_may_be_left_out(section5, left_out):
    made = Page(page.render(**{**section5, left_out: None}))
    assert made.open == []
    ids = {attributes["id"] for _, attributes in made.tags if "id" in attributes}
    anchor = {"mixture": "coefficients", "mixture_figure": "mixture"}.get(left_out, left_out)
    assert anchor not in ids
    assert {"table2", "table3", "scores", "mixture", "coefficients"} - ids <= {anchor, "mixture", "coefficients"}


def test_without_section_5_the_page_says_nothing_of_it(report):
    for word in ("Mixing basic tasks", "Selecting data", "Wilson", "Table 2", "Table 3"):
        assert word not in report.text


def test_optional_parts_may_be_left_out_and_further_tables_added(folder, tmp_path):
    (tmp_path / "mixing.csv").write_text("variant,accuracy\nrandom,0.123456789\nours,-0.25\n")
    made = Page(page.render(**arguments(folder, data=None, benchmarks=None, others=[tmp_path / "mixing.csv"])))
    titles = [attributes.get("id") for attributes in made.found("section")]
    assert "data" not in titles and "timings" not in titles and "mixing" in titles
    assert "0.1235" in made.text and "−0.25" in made.text


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes_from_the_command_line(section5, tmp_path):
    given = {**section5, "experiment": "mini"}
    command = [sys.executable, str(ROOT / "workflow_scripts" / "render_report.py")]
    for name, value in given.items():
        command += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    for attempt in ("one.html", "two.html"):
        subprocess.run([*command, "--output", str(tmp_path / attempt)], check=True)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"figures": [Path("figure1.pdf")]}, "figure1.pdf: give an SVG or PNG"),
        ({"figures": [Path("figure9.svg")]}, "figure9.svg does not exist"),
        ({"captions": Path("nowhere")}, "figure1.rst does not exist"),
        ({"provenance": Path("nowhere.json")}, "nowhere.json does not exist"),
    ],
)
def test_missing_inputs_are_named(folder, changed, message):
    with pytest.raises(InputError, match=message):
        page.render(**arguments(folder, **changed))


def test_a_faulty_caption_claim_or_column_is_named(folder, tmp_path):
    (tmp_path / "figure1.rst").write_text("**not closed")
    with pytest.raises(InputError, match=r"figure1\.rst is not valid"):
        page.caption(tmp_path / "figure1.rst")
    claims = pd.read_csv(folder / "claims.csv")
    claims.assign(verdict="perhaps").to_csv(tmp_path / "claims.csv", index=False)
    with pytest.raises(InputError, match="'perhaps'"):
        page.render(**arguments(folder, claims=tmp_path / "claims.csv"))
    claims.drop(columns="statement").to_csv(tmp_path / "claims.csv", index=False)
    with pytest.raises(InputError, match=r"claims\.csv lacks the column 'statement'"):
        page.render(**arguments(folder, claims=tmp_path / "claims.csv"))


def test_a_claim_about_a_part_of_a_figure_leads_to_it_and_no_claim_is_said(folder, tmp_path):
    claims = pd.read_csv(folder / "claims.csv").assign(where="Figure 4, nlp")
    claims.to_csv(tmp_path / "claims.csv", index=False)
    text = page.render(**arguments(folder, claims=tmp_path / "claims.csv"))
    assert '<a href="#figure4">Figure 4, nlp</a>' in text
    claims.head(0).to_csv(tmp_path / "claims.csv", index=False)
    assert "No statement of the paper was checked" in page.render(**arguments(folder, claims=tmp_path / "claims.csv"))


def test_the_section_on_validity_is_there_where_its_tables_are(folder, tmp_path, report):
    names = {"output": "validity", "between_output": "validity_between", "groups_output": "validity_groups",
             "contrasts_output": "validity_contrasts"}  # fmt: skip
    paths = {option: tmp_path / f"{name}.csv" for option, name in names.items()}
    ablated = ["llama", "math", 0, ablations.write(tmp_path / "ablations")]
    scripts.run("analyse_validity", ablations=ablated, resamples=20, **paths)
    picture = tmp_path / "figure_validity.svg"
    picture.write_bytes(PICTURE % b"validity")
    given = {"picture": picture, "correlations": paths["output"], "between": paths["between_output"],
             "contrasts": paths["contrasts_output"]}  # fmt: skip
    made = Page(page.render(**arguments(folder, validity_tables=given)))
    assert made.open == []
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert made.text.count("Do the patterns mean anything?") == 2  # its heading and the way there
    assert "#validity" in [a["href"] for a in made.found("a")]
    assert len(made.found("img")) == len(report.found("img")) + 1
    assert "Do the patterns mean anything?" not in report.text


VALIDITY_CAPTIONS = ("figure_validity", "validity_table")
SECTION_5_CAPTIONS = ("table2", "table3", "mixture", "mixture_table", "scores")


@pytest.mark.parametrize("name", [*FIGURES, "table1", "workflow", *VALIDITY_CAPTIONS, *SECTION_5_CAPTIONS])
def test_captions_are_plain_and_end_as_sentences(name):
    text = html.unescape(page.caption(CAPTIONS / f"{name}.rst"))
    assert "system-message" not in text and text.strip().endswith(".</p>")


@pytest.mark.parametrize(
    ("stem", "title"),
    [("figure2_clustered", "Figure 2, clustered"), ("table1", "Table 1"), ("mixing_scores", "Mixing scores")],
)
def test_titles_of_files(stem, title):
    assert page.title_of(stem) == title


@pytest.mark.parametrize(
    ("value", "text"),
    [("12", "12"), ("-3", "−3"), ("0.123456", "0.1235"), ("1e-07", "1e−07"), ("0.5", "0.5"), ("nlp.arc-1", "nlp.arc-1"),
     ("2024-01-02", "2024-01-02"), ("", "")],
)  # fmt: skip
def test_numbers_in_plain_tables(value, text):
    assert elements.short(value) == text
