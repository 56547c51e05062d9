"""Numbers that README and docs quote: each is in its file, and is compared with a table."""

import csv
import json
import re
from pathlib import Path
from statistics import median

import pytest
import scripts
from project import PROJECT
from refusals import assert_refusal

from headpatterns.errors import InputError
from headpatterns.report import machines, quotes

LISTED = quotes.read(PROJECT / "docs/quoted.csv", "")
SHIPPED = [quote for quote in quotes.read(PROJECT / "docs/quoted.csv") if quote.source]
RESULTS = {
    "docs/embedded.md": ["## What the patterns show"],
    "docs/attribution.md": ["## When the reductions disagree", "## Do the patterns mean anything?"],
}


def section(document: str, title: str) -> str:
    """A section from its title to the next title of the same level."""
    start = document.index(title)
    end = document.find("\n## ", start + 1)
    return document[start : end if end > 0 else None]


def unlisted(document, passage, listed):
    """Numbers with decimals in a passage of a document that no quote of the document covers."""
    start = document.index(passage)
    covered = [quote.found(document).span("number") for quote in listed]
    inside = re.compile(r"[−-]?\b\d+\.\d+\b").finditer(document, start, start + len(passage))
    return [one[0] for one in inside if not any(low <= one.start() and one.end() <= high for low, high in covered)]


@pytest.mark.parametrize("file", RESULTS)
def test_every_result_in_the_documents_is_listed(file):
    document = (PROJECT / file).read_text(encoding="utf-8")
    own = [quote for quote in LISTED if quote.file == file]
    assert own
    for title in RESULTS[file]:
        assert unlisted(document, section(document, title), own) == []


def test_quotes_from_a_published_folder_are_its_numbers():
    """They agree to the last digit shown: the folder does not vary by chance, as a new run does."""
    for quote in SHIPPED:
        text = quote.found((PROJECT / quote.file).read_text(encoding="utf-8"))["number"]
        number = quotes.fresh(quote, PROJECT / quote.source / "analysis")[quote.column]
        assert text == quote.shown(number), f"{quote.file}: '{quote.text}': {number}"


def test_every_number_of_a_document_about_a_published_folder_is_listed():
    for file in {quote.file for quote in SHIPPED}:
        document = (PROJECT / file).read_text(encoding="utf-8")
        assert unlisted(document, document, [quote for quote in SHIPPED if quote.file == file]) == []


def test_what_is_published_is_what_is_quoted():
    """docs/published.csv has a row for each quote, with the number in the text, which is within its interval."""
    with (PROJECT / "docs/published.csv").open(newline="", encoding="utf-8") as file:
        published = list(csv.DictReader(file))
    texts = {quote.file: (PROJECT / quote.file).read_text(encoding="utf-8") for quote in LISTED}
    assert [(row["file"], row["text"], row["quoted"]) for row in published] == [
        (quote.file, quote.text, quote.found(texts[quote.file])["number"]) for quote in LISTED
    ]
    assert {row["verdict"] for row in published} == {"within", "bound"}
    made = json.loads((PROJECT / "docs/published.json").read_text(encoding="utf-8"))
    assert made["experiment"] == "mini" and made["commit"] and made["platform"] and made["versions"]["torch"]


TEXT = """# A page

The mean is 0.50 [0.40, 0.60] before
fine-tuning and −0.21 after it. In 3 of 4
runs it is 1.7 or more.
"""
HEADER = "file,text,table,where,column,decimals,source\n"
QUOTED = (
    HEADER
    + """page.md,"mean is {#} [#, #] before",levels,phase=before,value,2,
page.md,"mean is # [{#}, #] before",levels,phase=before,low,2,
page.md,"mean is # [#, {#}] before",levels,phase=before,high,2,
page.md,"before fine-tuning and {#} after it",levels,phase=after;task=*,value,2,
"""
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "page.md").write_text(TEXT)
    (tmp_path / "quoted.csv").write_text(QUOTED)
    (tmp_path / "analysis").mkdir()
    write_levels(tmp_path, "before,math,0.4,0.3,0.5\nbefore,arc,0.5,0.4,0.6\nafter,*,-0.2,-0.3,-0.1\nafter,arc,9,9,9\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "figure.png").write_bytes(b"picture")
    (tmp_path / "provenance.json").write_text("{}")
    return tmp_path


def write_levels(folder: Path, rows: str) -> None:
    (folder / "analysis/levels.csv").write_text(f"phase,task,value,low,high\n{rows}")


def checked(folder):
    scripts.run("check_quotes", quotes=folder / "quoted.csv", project=folder, analysis=folder / "analysis",
                output=folder / "quotes.csv")  # fmt: skip
    with (folder / "quotes.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_quote_lies_within_the_fresh_interval(folder, capsys):
    """Two rows have the mean 0.45 in [0.35, 0.55]. 0.50 and −0.21 are within their intervals; 9 is of another task."""
    rows = checked(folder)
    assert [row["quoted"] for row in rows] == ["0.50", "0.40", "0.60", "−0.21"]
    assert [row["verdict"] for row in rows] == ["within", "bound", "bound", "within"]
    assert [float(rows[0][key]) for key in ("value", "low", "high")] == pytest.approx([0.45, 0.35, 0.55])
    assert float(rows[3]["value"]) == -0.2
    assert "0 of 4 quoted numbers are outside" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("high", "verdict"),
    [("0.4951", "within"), ("0.4949", "outside")],  # 0.50 may be a number from 0.495 on
)
def test_rounding_is_granted_and_no_more(folder, capsys, high, verdict):
    write_levels(folder, f"before,math,0.45,0.4,{high}\nafter,*,-0.2,-0.3,-0.1\n")
    assert checked(folder)[0]["verdict"] == verdict
    said = capsys.readouterr().out
    assert ("page.md quotes 0.50, but levels.csv has 0.45 [0.4, 0.4949]" in said) == (verdict == "outside")


def test_a_table_without_intervals_has_to_give_the_same_number(folder):
    (folder / "quoted.csv").write_text(HEADER + 'page.md,"runs it is {#} or more",counts,,share,1,\n')
    for value, verdict in (("1.74", "within"), ("1.76", "outside")):
        (folder / "analysis/counts.csv").write_text(f"share\n{value}\n")
        assert [row["verdict"] for row in checked(folder)] == [verdict]


def test_publishing_writes_fresh_numbers_into_the_text(folder):
    scripts.run("check_quotes", quotes=folder / "quoted.csv", project=folder, analysis=folder / "analysis",
                publish=[folder / "figure.png"], provenance=folder / "provenance.json")  # fmt: skip
    expected = TEXT.replace("0.50 [0.40, 0.60]", "0.45 [0.35, 0.55]").replace("−0.21", "−0.20")
    assert (folder / "page.md").read_text() == expected
    assert (folder / "docs/figure.png").read_bytes() == b"picture"
    assert (folder / "docs/published.json").read_text() == "{}"
    with (folder / "docs/published.csv").open(newline="", encoding="utf-8") as file:
        assert [row["quoted"] for row in csv.DictReader(file)] == ["0.45", "0.35", "0.55", "−0.20"]


def test_a_quote_from_a_published_folder_is_told_apart(folder):
    """Each source has its own check, and a renewal of one source does not change the text of the other."""
    listed = folder / "quoted.csv"
    listed.write_text(f'{QUOTED}page.md,"runs it is {{#}} or more",counts,,share,1,published/x\n')
    assert [len(quotes.read(listed, source)) for source in (None, "", "published/x", "published/y")] == [5, 4, 1, 0]
    assert len(checked(folder)) == 4
    (folder / "analysis/counts.csv").write_text("share\n2.5\n")
    scripts.run("check_quotes", quotes=listed, project=folder, analysis=folder / "analysis", source="published/x",
                renew=True)  # fmt: skip
    assert (folder / "page.md").read_text() == TEXT.replace("1.7", "2.5")
    assert not (folder / "docs/published.csv").exists()
    with pytest.raises(
        InputError, match=r"quoted\.csv has no row with the source published/y: add rows with that source"
    ):
        scripts.run("check_quotes", quotes=listed, project=folder, analysis=folder / "analysis", source="published/y",
                    renew=True)  # fmt: skip


def test_numbers_that_no_quote_covers_are_found(folder):
    listed = quotes.read(folder / "quoted.csv")
    assert unlisted(TEXT, TEXT, listed) == ["1.7"]
    assert unlisted(TEXT, TEXT, listed[:1]) == ["0.40", "0.60", "−0.21", "1.7"]


@pytest.mark.parametrize(
    ("row", "start", "hint"),
    [
        ('page.md,"the mode is {#}",levels,,value,2', "page.md has the passage", ("0 times", "docs/quoted.csv")),
        ('page.md,"{#}",levels,,value,2', "page.md has the passage", "7 times"),
        ('page.md,"mean is # [",levels,,value,2', "{folder}/quoted.csv, row 1", ("0 times", "write it once")),
        ('page.md,"mean is {#} [",levels,phase,value,2', "{folder}/quoted.csv, row 1", ("'phase' has no '='",)),
        ('page.md,"mean is {#} [",levels,,value,x', "{folder}/quoted.csv, row 1", ("decimals is 'x'", "fix it")),
        ('page.md,"mean is {#} [",levels,task=math;phase=after,value,2', "{folder}/analysis/levels.csv",
         ("no row with task math, phase after", "fix the conditions")),
        ('page.md,"mean is {#} [",levels,model=opt,value,2', "{folder}/analysis/levels.csv", "model"),
    ],
)  # fmt: skip
def test_a_list_that_does_not_fit_is_refused(folder, row, start, hint):
    (folder / "quoted.csv").write_text(f"{HEADER}{row},\n")
    with pytest.raises(InputError) as refused:
        checked(folder)
    assert_refusal(str(refused.value), start.format(folder=folder), hint)


def test_publishing_needs_to_know_what_the_numbers_were_made_with(folder):
    with pytest.raises(InputError, match="--publish needs --provenance"):
        scripts.run("check_quotes", quotes=folder / "quoted.csv", project=folder, analysis=folder / "analysis",
                    publish=[folder / "figure.png"])  # fmt: skip


def test_a_passage_may_be_broken_into_lines():
    quote = quotes.Quote("x", "a {#} b", "t", (), "value", 1)
    assert quote.found("so a\n 2.5\tb")["number"] == "2.5"
    assert quote.shown(-0.25) == "−0.2" and re.fullmatch(quotes.NUMBER, quote.shown(-3))


WIDTHS = "table,share\na,0.5\nb,0.1\nc,0.25\nd,\n"


def of_machine(folder, name, **fine_tuned):
    made = folder / name
    made.write_text(
        json.dumps({"fine-tuned": {"processor": "AMD EPYC", **fine_tuned}, "versions": {"torch": "2.13.0"}})
    )
    return made


def test_numbers_of_another_machine_are_said_with_what_vector_instructions_move(folder, capfd):
    (folder / "widths.csv").write_text(WIDTHS)
    there = of_machine(folder, "there.json", cpu_capability="AVX512")
    same = of_machine(folder, "same.json")
    here = of_machine(folder, "here.json", cpu_capability="AVX2")
    assert machines.sentence(there, same, folder / "widths.csv") == ""
    for provenance in (there, here):
        scripts.run("check_quotes", quotes=folder / "quoted.csv", project=folder, analysis=folder / "analysis",
                    published=there, provenance=provenance, widths=folder / "widths.csv",
                    output=folder / "quotes.csv")  # fmt: skip
        said = capfd.readouterr().out
        assert "quoted numbers are outside" in said
        assert ("published numbers are from" in said) == (provenance == here)
    expected = (
        "published numbers are from AMD EPYC, AVX512, PyTorch 2.13.0; this run is from AMD EPYC, AVX2, PyTorch 2.13.0. "
    )
    assert (
        f"{expected}In a measurement of 3 numbers of an experiment, other vector instructions alone changed them "
        "by a median of 0.25 times half" in said
    )
    assert "The largest change was 0.5 times" in said


def test_the_spread_over_vector_widths_is_what_its_page_says():
    """docs/reproducibility.md has the numbers of docs/vector_widths.csv, which benchmarks/vector_widths.py writes."""
    with (PROJECT / "docs/vector_widths.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {"distribution_by_model", "similarity_summary", "adaptation_effects", "training", "patterns"} == {
        row["table"] for row in rows
    }
    for row in rows:
        values = [float(row[width]) for width in ("default", "avx2", "avx512")]
        assert float(row["spread"]) == pytest.approx(max(values) - min(values), rel=1e-6, abs=1e-9)
        if row["share"]:
            assert float(row["share"]) == pytest.approx(float(row["spread"]) / float(row["half_interval"]), rel=1e-6)
    page = " ".join((PROJECT / "docs/reproducibility.md").read_text(encoding="utf-8").split())
    found = machines.shares(PROJECT / "docs/vector_widths.csv")
    assert f"Of {len(rows)} numbers, {len(found)} have an interval." in page
    assert f"{median(found):.2g} of half of their interval in the median, and {max(found):.2g} at most" in page
