"""The report: complete, self-contained, well-formed, and equal to its inputs."""

import base64
import html
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import analysis_tables
import pandas as pd
import pytest

from headpatterns import tables
from headpatterns.errors import InputError
from headpatterns.plotting import inputs
from headpatterns.reporting import page

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
    by_task = inputs.read_table(made / "distribution.csv", tables.TASK_TEXT, tables.NUMBERS)
    by_model = inputs.read_table(made / "distribution_by_model.csv", tables.MODEL_TEXT, tables.NUMBERS)
    tables.write(tables.table1(runs, by_task, by_model), made / "tables" / "table1")
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
        for statistic in tables.STATISTICS:
            assert tables.cell(row, statistic).replace("-", "−") in report.text
    for text in ("0123abc", "0, 1", "2.13.0 <cpu>", "no", "12.35", "512", "95.37", "0.819", "reference"):
        assert text in report.text
    assert len(pd.read_csv(folder / "runs.csv")) == 126
    assert "Every run (126 rows)" in report.text


def test_optional_parts_may_be_left_out_and_further_tables_added(folder, tmp_path):
    (tmp_path / "mixing.csv").write_text("variant,accuracy\nrandom,0.123456789\nours,-0.25\n")
    made = Page(page.render(**arguments(folder, data=None, benchmarks=None, others=[tmp_path / "mixing.csv"])))
    titles = [attributes.get("id") for attributes in made.found("section")]
    assert "data" not in titles and "timings" not in titles and "mixing" in titles
    assert "0.1235" in made.text and "−0.25" in made.text


def test_the_same_input_gives_the_same_bytes_from_the_command_line(folder, tmp_path):
    given = arguments(folder, experiment="mini")
    command = [sys.executable, str(ROOT / "workflow_scripts" / "render_report.py")]
    for name, value in given.items():
        command += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
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


@pytest.mark.parametrize("name", [*FIGURES, "table1", "workflow"])
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
    assert page.short(value) == text
