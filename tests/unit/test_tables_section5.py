"""Tables 2 and 3: the numbers of their inputs in three formats, labels, order, undefined numbers, and refusals."""

import json

import evaluation_tables as made
import pandas as pd
import pytest
import scripts

from headpatterns.errors import InputError
from headpatterns.experiment import variants as evaluations
from headpatterns.studies import accuracies
from headpatterns.studies.selection import table3

PLUS_MINUS = r"\pm "
NUMBERS = list(accuracies.NUMBERS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    rows = made.variants()
    folder = made.write(tmp_path_factory.mktemp("whole"), rows, made.generated(rows))
    analyse(folder)
    return folder


def analyse(folder):
    for study in ("mixing", "selection"):
        made.analyse(study, folder, resamples=50)


def write(number, folder, output):
    made.write_table(folder, number, output)


def shown(row):
    """A cell, put together by hand."""
    if row["measure"] == "nll":
        spread = "" if pd.isna(row["spread"]) else f" ± {row['spread']:.3f}"
        return f"{row['value']:.3f}{spread} [{row['low']:.3f}, {row['high']:.3f}]"
    spread = "" if pd.isna(row["spread"]) else f" ± {row['spread'] * 100:.2f}"
    return f"{row['value'] * 100:.2f}{spread} [{row['low'] * 100:.2f}, {row['high'] * 100:.2f}]"


@pytest.mark.parametrize("number", [2, 3])
def test_tables_hold_the_numbers_of_their_input_twice_the_same(number, whole, tmp_path):
    source = pd.read_csv(whole / {2: "mixing.csv", 3: "selection.csv"}[number], dtype={"budget": str})
    for attempt in ("one", "two"):
        write(number, whole, tmp_path / attempt / "table")
    files = {path.suffix: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert set(files) == {".csv", ".md", ".tex"}
    assert files == {path.suffix: path.read_bytes() for path in (tmp_path / "two").iterdir()}

    table = pd.read_csv(tmp_path / "one" / "table.csv", dtype={"budget": str})
    assert len(table) == len(source)
    keys = ["model", "measure", *(["variant"] if number == 2 else ["domain", "variant", "budget"])]
    both = table.merge(source, on=keys, suffixes=("", "_source"))
    assert len(both) == len(source)
    for name in ("items", *NUMBERS):
        pd.testing.assert_series_equal(both[name], both[f"{name}_source"], check_names=False)
    markdown, latex = files[".md"].decode(), files[".tex"].decode()
    for _, row in source.iterrows():
        assert f"| {shown(row)} |" in markdown
        value, *bounds = shown(row).rsplit(" ", 2)
        assert "\\ ".join([f"${value.replace(' ± ', PLUS_MINUS)}", *bounds]) + "$" in latex
    assert r"Llama\_mini \& co" in latex and "Llama_mini & co" not in latex
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 2 * (number - 1)
    assert not set(latex) & {"±", "−"}


def test_table2_has_a_row_a_model_and_a_column_a_variant(whole, tmp_path):
    write(2, whole, tmp_path / "table2")
    lines = (tmp_path / "table2.md").read_text().splitlines()
    assert lines[2] == "| Model | Base | SFT | Random | Ours |"
    assert [line.split(" | ")[0] for line in lines[4:6]] == ["| Llama_mini & co", "| Gemma-mini"]
    assert lines[0].startswith("Accuracy in per cent") and lines[7].startswith("Negative log-likelihood")
    assert lines[9:11] == [lines[2], lines[3]] and len(lines) == 13
    source = pd.read_csv(whole / "mixing.csv")
    random = source[(source["model"] == "gemma") & (source["variant"] == "random")].iloc[0]
    assert lines[5].split(" | ")[3] == shown(random) and " ± " in shown(random)
    # The base model is one run: no spread.
    assert " ± " not in lines[5].split(" | ")[1]


def test_table3_has_methods_as_rows_and_budgets_as_columns(whole, tmp_path):
    write(3, whole, tmp_path / "table3")
    table = pd.read_csv(tmp_path / "table3.csv", keep_default_na=False)
    assert table["domain_label"].unique().tolist() == ["mean over domains", "Mathematics", "Law"]
    means, domains, *losses = table3.table3_grids(accuracies_of(tmp_path / "table3.csv"))
    assert [grid.header for grid in losses] == [means.header, domains.header]
    assert "log-likelihood" in losses[0].title and losses[0].rows != means.rows
    assert means.header == ["Model", "Training samples", "n = 100", "n = 300"]
    methods = [table3.METHODS[method] for method in ("base", "pattern", "random", "base-pattern", "nearest", "bm25")]
    assert [row[1] for row in means.rows] == methods * 2
    assert means.rows[0][2] == means.rows[0][3] != ""
    assert domains.header == ["Model", "Domain", "Training samples", "n = 100", "n = 300"]
    assert [row[:2] for row in domains.rows[::6]] == [
        [model, domain] for model in made.MODELS.values() for domain in made.DOMAINS.values()
    ]


def accuracies_of(path):
    from headpatterns.presentation import inputs

    return inputs.read_table(path, table3.TEXT, accuracies.NUMBERS)


def test_models_and_domains_stand_in_the_order_of_the_variants(whole):
    rows = [variant for variant in evaluations.read_variants(whole / "variants.csv") if variant.study == "selection"]
    selection = pd.read_csv(whole / "selection.csv", dtype={"budget": str}).fillna({"budget": ""})
    one, two = table3.table3(rows, selection), table3.table3(rows[::-1], selection)
    assert one["model"].unique().tolist() == two["model"].unique()[::-1].tolist() == ["llama", "gemma"]
    assert one["domain"].unique().tolist() == ["all", "maths", "law"]
    assert two["domain"].unique().tolist() == ["all", "law", "maths"]


def test_a_study_without_random_runs_or_further_methods_has_no_such_columns_or_rows(tmp_path):
    rows = [row for row in made.variants(seeds=1, budgets=(5,)) if row.variant in ("base", "sft", "pattern")]
    made.write(tmp_path, rows, made.generated(rows))
    analyse(tmp_path)
    write(2, tmp_path, tmp_path / "table2")
    write(3, tmp_path, tmp_path / "table3")
    assert "| Model | Base | SFT |\n" in (tmp_path / "table2.md").read_text()
    text = (tmp_path / "table3.md").read_text()
    assert "| Model | Training samples | n = 5 |\n" in text and "BM25" not in text
    assert not [line for line in text.splitlines() if line.startswith("|") and " ± " in line]


def test_undefined_numbers_leave_cells_empty():
    row = pd.Series({"measure": "accuracy", "value": 0.5, "low": 0.25, "high": 1, "spread": 0.125})
    assert accuracies.cell(row) == "50.00 ± 12.50 [25.00, 100.00]"
    nan = float("nan")
    assert accuracies.cell(row.replace({0.125: nan})) == "50.00 [25.00, 100.00]"
    assert accuracies.cell(row.replace({0.25: nan, 0.125: nan})) == "50.00"
    assert accuracies.cell(row.replace({0.5: nan})) == ""
    assert accuracies.cell(row.replace({"accuracy": "nll"})) == "0.500 ± 0.125 [0.250, 1.000]"


def test_a_model_that_the_variants_lack_is_refused(whole, tmp_path, capfd, monkeypatch):
    rows = [row for row in evaluations.read_variants(whole / "variants.csv") if row.model != "gemma"]
    variants = made.write_variants(tmp_path / "variants.csv", rows)
    tables = json.dumps({"variants": str(variants), "mixing": str(whole / "mixing.csv")})
    given = {"positional": ["table2"], "inputs": tables, "output": tmp_path / "table2"}
    assert "mixing.csv names the model 'gemma'" in scripts.refused(capfd, monkeypatch, "write_table", **given)
    with pytest.raises(InputError, match=r"selection\.csv names the domain 'maths'"):
        accuracies.labelled(pd.DataFrame({"domain": ["maths"]}), {"domain": {}}, "selection.csv")
