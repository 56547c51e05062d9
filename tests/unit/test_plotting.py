"""Figures and Table 1: all formats, all sizes of experiment, the same bytes twice, errors that name their cause."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import analysis_tables
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from headpatterns.errors import InputError
from headpatterns.presentation import grids, inputs, style
from headpatterns.studies.adaptation import figure1, figure2, table1
from headpatterns.studies.composition import figure4
from headpatterns.studies.dynamics import figure5, figure_level

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
SMALL_MODELS = {"llama": ("Llama_mini & co", 4, 6)}
SMALL_TASKS = {name: analysis_tables.TASKS[name] for name in ("math", "gsm8k", "arc")}
OPTIONS = {
    "figure1": {"patterns": "patterns"},
    "figure2": {"similarity": "similarity", "summary": "similarity_summary"},
    "figure4": {"composition": "composition"},
    "figure5": {"dynamics": "dynamics"},
    "figure_level": {"level": "level", "summary": "level_summary"},
}

# The statistics of Table 1 that a state has, for the states that do not have all of them.
ONLY_IN = {
    "change": [name for name in table1.STATISTICS if name != "coherence_floor"],
    **{
        state: [name for name in table1.STATISTICS if name not in ("rising", "against_base")]
        for state in ("before", "after")
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return analysis_tables.write(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return analysis_tables.write(tmp_path_factory.mktemp("small"), SMALL_MODELS, SMALL_TASKS, seeds=1)


def draw_command(name, folder, output):
    """The command that draws figures into the folder `output`."""
    tables = {option: str(folder / f"{table}.csv") for option, table in {"runs": "runs", **OPTIONS[name]}.items()}
    return [sys.executable, str(SCRIPTS / "draw.py"), name, "--inputs", json.dumps(tables), "--output", str(output)]


def drawn(name, folder):
    """Every figure that the script of `name` makes, as figure objects."""
    runs = inputs.read_run_table(folder / "runs.csv")
    modules = {"figure1": figure1, "figure2": figure2, "figure4": figure4, "figure5": figure5}
    module = {**modules, "figure_level": figure_level}[name]
    found = [
        inputs.read_table(folder / f"{table}.csv", module.SUMMARY_TEXT, module.SUMMARY_NUMBERS)
        if option == "summary"
        else inputs.read_table(folder / f"{table}.csv", module.TEXT, module.NUMBERS)
        for option, table in OPTIONS[name].items()
    ]
    with style.applied():
        if name == "figure2":
            rates = module.draw(runs, *found, matrices=figure2.RATES)
            return [module.draw(runs, *found), module.draw(runs, *found, clustered=True), rates]
        return [module.draw(runs, *found)]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_a_figure_is_written_in_three_formats_with_the_same_bytes_by_two_processes(name, small, tmp_path):
    for attempt in ("one", "two"):
        environment = {**os.environ, "PYTHONHASHSEED": "1" if attempt == "one" else "2", "TZ": f"UTC{len(attempt)}"}
        subprocess.run(draw_command(name, small, tmp_path / attempt), check=True, env=environment)
    stems = [name, f"{name}_clustered", f"{name}_rates"] if name == "figure2" else [name]
    signatures = {".pdf": b"%PDF", ".svg": b"<?xml", ".png": b"\x89PNG"}
    made = {path.name for path in (tmp_path / "one").iterdir()}
    assert made == {stem + suffix for stem in stems for suffix in signatures}
    for file in made:
        first = (tmp_path / "one" / file).read_bytes()
        assert first == (tmp_path / "two" / file).read_bytes(), file
        assert first.startswith(signatures[Path(file).suffix])
        assert len(first) > 5000
        assert b"CreationDate" not in first and b"<dc:date>" not in first


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_every_text_is_readable_in_print_and_every_model_is_named(name, folder):
    labels = [label for label, _, _ in analysis_tables.MODELS.values()]
    for figure in drawn(name, folder):
        texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        assert min(text.get_fontsize() for text in texts) >= 7
        shown = " ".join(text.get_text() for text in texts)
        for label in (*labels, *(label for label, _ in list(analysis_tables.TASKS.values())[:-1])):
            assert label in shown


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("tasks", "seeds"), [(1, 1), (2, 3)])
def test_one_model_with_few_tasks_is_drawn(name, tasks, seeds, tmp_path):
    chosen = dict(list(analysis_tables.TASKS.items())[-tasks:])
    folder = analysis_tables.write(tmp_path, SMALL_MODELS, chosen, seeds)
    for figure in drawn(name, folder):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=50)
        assert len(buffer.getvalue()) > 1000


def test_figure1_shares_the_scale_of_before_and_after_and_averages_seeds(small):
    patterns = pd.read_csv(small / "patterns.csv", dtype={"seed": str})
    other_seed = patterns.assign(seed="1", value=patterns["value"] * 3)
    runs = inputs.read_run_table(small / "runs.csv")
    with style.applied():
        figure = figure1.draw(runs, pd.concat([patterns, other_seed]))
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 3 * len(SMALL_TASKS)
    rows = patterns[patterns["task"] == "math"].groupby("state")["value"]
    largest = max(rows.get_group("before").max(), rows.get_group("after").max())
    for image, state in zip(images, ("before", "after", "change"), strict=False):
        scale = np.abs(rows.get_group("change")).max() if state == "change" else largest
        shown = np.asarray(image.get_array(), float)
        expected = figure1.signed_root(rows.get_group(state).to_numpy().reshape(4, 6) / scale)
        np.testing.assert_allclose(shown, expected, atol=1e-12)
        assert image.get_clim() == ((-1, 1) if state == "change" else (0, 1))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert f"≤ {style.number(2 * largest)}" in titles


@pytest.mark.slow
def test_figure2_orders_tasks_by_cluster_and_names_families(folder):
    plain, clustered, rates = drawn("figure2", folder)
    labels = [label for label, _ in analysis_tables.TASKS.values()]
    first = [text.get_text() for text in plain.axes[0].get_yticklabels()]
    assert first == labels == [text.get_text() for text in rates.axes[0].get_yticklabels()]
    titles = [axes.get_title().splitlines()[0] for axes in rates.axes[:3]]
    assert titles == ["change rate", "log(after / before)", "change rate, ranks"]
    matrices = figure2.correlations(pd.read_csv(folder / "similarity.csv"), list(analysis_tables.TASKS))
    order, _ = figure2.cluster(matrices["llama", "change_rate"])
    families = [family for _, family in analysis_tables.TASKS.values()]
    found = [families[i] for i in order]
    assert len(figure2.family_blocks(found)) == 2, "the generated families are far apart: each must be one cluster"
    symbols = [text.get_text()[-1] for text in clustered.axes[0].get_yticklabels()]
    assert [symbol == "●" for symbol in symbols] == [family == "maths and code" for family in found]


def test_figure4_frames_the_best_pair_and_shows_negative_values(folder):
    composition = pd.read_csv(folder / "composition.csv", dtype={"seed": str})
    composition.loc[composition["terms"] == "math", "r2"] = -0.37
    composition.loc[composition["terms"] == "gsm8k+sgsm", "r2"] = 0.999
    with style.applied():
        figure = figure4.draw(inputs.read_run_table(folder / "runs.csv"), composition)
    assert len(figure.axes) == 3 * 3 * 2 + 1, "three models, each with three matrices and their strips, and the colours"
    matrix = figure.axes[0]
    texts = {text.get_text() for text in matrix.texts}
    assert "−.37" in texts
    assert [patch.get_xy() for patch in matrix.patches] == [(1, 3)]
    assert re.search(r"all 6 tasks: R² 0\.\d\d\nits null's 95 % quantile: 0\.12", matrix.get_title())
    assert "GSM8K +\nSGSM" in [text.get_text() for text in figure.axes[1].get_yticklabels()]


@pytest.mark.slow
def test_figure2_of_one_task_needs_no_summary(tmp_path):
    one = {"math": analysis_tables.TASKS["math"]}
    folder = analysis_tables.write(tmp_path, SMALL_MODELS, one, seeds=1)
    (folder / "similarity_summary.csv").write_text("model,matrix,pairs,value,low,high\n")
    subprocess.run(draw_command("figure2", folder, tmp_path), check=True)
    assert (tmp_path / "figure2_clustered.pdf").stat().st_size > 5000


def test_figure4_leaves_undefined_fits_out(small):
    composition = pd.read_csv(small / "composition.csv", dtype={"seed": str})
    composition[["r2", "low", "high"]] = np.nan
    with style.applied():
        figure = figure4.draw(inputs.read_run_table(small / "runs.csv"), composition)
        figure.savefig(io.BytesIO(), format="png")
    assert not figure.axes[0].patches and not [text for text in figure.axes[0].texts if text.get_text()]


def test_figure5_shows_step_zero_and_keeps_it_off_the_logarithm(folder):
    (figure,) = drawn("figure5", folder)
    correlation, error = figure.axes[0], figure.axes[3]
    tasks = len(analysis_tables.TASKS)
    lines = [line for line in correlation.lines if len(line.get_xdata())]
    assert len(lines) == tasks and all(line.get_xdata()[0] == 0 for line in lines)
    assert error.get_yscale() == "log" and all(line.get_xdata()[0] == 1 for line in error.lines)
    looks = {(line.get_marker(), line.get_color()) for line in lines}
    assert len(looks) == tasks
    assert len({line.get_linestyle() for line in lines}) == 2
    assert len(figure.legends) == 1


def test_the_level_is_drawn_against_the_loss_and_without_it(folder):
    (figure,) = drawn("figure_level", folder)
    above, below = figure.axes[0], figure.axes[1]
    assert above.get_title() == "Llama_mini & co\nr 0.80 [0.70, 0.90]\nslope 1.20 [1.10, 1.30]"
    assert (above.get_xscale(), above.get_yscale(), below.get_yscale()) == ("log", "log", "log")
    rows = pd.read_csv(folder / "level.csv", dtype={"seed": str})
    runs = [run for _, run in rows[rows["model"] == "llama"].groupby(["task", "seed"], sort=False)]
    for axes, x, y in ((above, "loss", "level"), (below, "step", "level_over_loss")):
        lines = [line for line in axes.lines if line.get_linestyle() != "None"]
        assert len(lines) == len(runs) == 2 * len(analysis_tables.TASKS)
        shown = {(tuple(line.get_xdata()), tuple(line.get_ydata())) for line in lines}
        assert shown == {(tuple(run[x]), tuple(run[y])) for run in runs}
        assert len({line.get_color() for line in lines}) == len(analysis_tables.TASKS)
    hollow = [line for line in above.lines if line.get_markerfacecolor() == "white"]
    assert {line.get_xdata()[0] for line in hollow} == {4.0}, "the loss of step 0"


def test_a_loss_of_zero_has_no_place_on_the_logarithm(small):
    rows = pd.read_csv(small / "level.csv", dtype={"seed": str})
    rows.loc[rows["step"] == 100, ["loss", "level_over_loss"]] = [0.0, np.inf]
    summary = pd.read_csv(small / "level_summary.csv")
    with style.applied():
        figure = figure_level.draw(inputs.read_run_table(small / "runs.csv"), rows, summary)
        figure.savefig(io.BytesIO(), format="png")
    assert all(0 not in line.get_xdata() for line in figure.axes[0].lines)


def test_an_error_of_zero_everywhere_needs_no_logarithm(small):
    dynamics = pd.read_csv(small / "dynamics.csv", dtype={"seed": str})
    dynamics.loc[dynamics["statistic"] == "mse", ["value", "low", "high"]] = 0.0
    with style.applied():
        figure = figure5.draw(inputs.read_run_table(small / "runs.csv"), dynamics)
    assert figure.axes[1].get_yscale() == "linear"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, ".12"), (-0.1234, "−.12"), (-0.001, ".00"), (0.999, "1"), (-0.999, "−1"), (10.5, "10.50"), (np.nan, "")],
)
def test_compact_numbers(value, text):
    assert style.compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.00031, "3.1×10⁻⁴"), (0, "0"), (0.0312, "0.031"), (12.3, "12"), (np.inf, "n/a")]
)
def test_numbers_above_panels(value, text):
    assert style.number(value) == text


@pytest.mark.slow
@pytest.mark.parametrize(("name", "column"), [("figure1", "head"), ("figure2", "task_b"), ("figure5", "low")])
def test_a_missing_column_is_an_error_that_names_file_and_column(name, column, small, tmp_path):
    table = next(iter(OPTIONS[name].values()))
    for path in small.glob("*.csv"):
        rows = pd.read_csv(path)
        rows.drop(columns=column if path.stem == table else []).to_csv(tmp_path / path.name, index=False)
    done = subprocess.run(draw_command(name, tmp_path, tmp_path), capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{table}.csv" in done.stderr and repr(column) in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("figure*"))


def test_a_word_where_a_number_belongs_names_the_row(tmp_path):
    path = tmp_path / "dynamics.csv"
    path.write_text("model,value\nllama,0.5\nllama,\nllama,many\n")
    with pytest.raises(InputError, match=r"dynamics\.csv, row 3: the column 'value' has 'many'"):
        inputs.read_table(path, ["model"], ["value"])


def test_empty_and_missing_files_are_errors(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        inputs.read_table(tmp_path / "none.csv", ["model"])
    (tmp_path / "header.csv").write_text("model,value\n")
    with pytest.raises(InputError, match="has no rows"):
        inputs.read_table(tmp_path / "header.csv", ["model"])
    table = inputs.read_table(tmp_path / "header.csv", ["model"], ["value"], may_be_empty=True)
    assert table.empty and list(table.columns) == ["model", "value"]


def test_a_task_that_the_run_table_does_not_know_is_an_error(small):
    dynamics = pd.read_csv(small / "dynamics.csv").replace({"task": {"arc": "riddles"}})
    runs = inputs.read_run_table(small / "runs.csv")
    with pytest.raises(InputError, match=r"dynamics\.csv names the task 'riddles'"):
        figure5.draw(runs, dynamics)
    with pytest.raises(InputError, match="no run of the study 'tides'"):
        runs.of_study("tides")


def test_the_run_table_orders_and_labels(small):
    runs = inputs.read_run_table(small / "runs.csv").of_study("adaptation")
    assert runs.order("task", ["arc", "math", "gsm8k"], "x.csv") == ["math", "gsm8k", "arc"]
    assert runs.model_label("llama") == "Llama_mini & co"
    assert runs.model_label("all") == "all"
    assert runs.family("arc") == "text reasoning"


@pytest.mark.slow
def test_table1_holds_the_numbers_of_its_inputs(folder, tmp_path):
    inputs_given = {"distribution": folder / "distribution.csv", "by_model": folder / "distribution_by_model.csv"}
    words = json.dumps({name: str(path) for name, path in {**inputs_given, "runs": folder / "runs.csv"}.items()})
    for attempt in ("one", "two"):
        output = tmp_path / attempt / "table1"
        command = [sys.executable, SCRIPTS / "write_table.py", "table1", "--inputs", words, "--output", output]
        subprocess.run(command, check=True)
    made = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert set(made) == {"table1.csv", "table1.md", "table1.tex"}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}

    table = pd.read_csv(tmp_path / "one" / "table1.csv").fillna({"task": ""})
    assert len(table) == len(analysis_tables.MODELS) * (len(analysis_tables.TASKS) + 1) * 3
    by_model = pd.read_csv(inputs_given["by_model"]).set_index(["model", "state", "statistic"])
    by_task = pd.read_csv(inputs_given["distribution"]).groupby(["model", "task", "state", "statistic"])
    means = by_task[["value", "low", "high"]].mean()
    text, latex = made["table1.md"].decode(), made["table1.tex"].decode()
    for row in table.to_dict("records"):
        for statistic in table1.STATISTICS:
            key = (row["model"], row["task"], row["state"], statistic)
            if statistic not in ONLY_IN.get(row["state"], table1.STATISTICS):
                assert np.isnan(row[statistic]) and table1.cell(pd.Series(row), statistic) == ""
                continue
            expected = means.loc[key] if row["task"] else by_model.loc[(key[0], key[2], statistic)]
            for ending, bound in (("", "value"), ("_low", "low"), ("_high", "high")):
                assert row[statistic + ending] == pytest.approx(expected[bound], rel=1e-12)
            shown = table1.cell(pd.Series(row), statistic)
            assert shown.replace("-", "−") in text
            assert f"${shown}$".replace(" ", "\\ ") in latex
    assert r"Llama\_mini \& co" in latex and "Llama_mini & co" not in latex
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 4
    floor = next(
        line for line in text.splitlines() if line.startswith("| Llama_mini & co | before | ") and "0.125" in line
    )
    assert "| 0.125 |" in floor, "the floor is exact: no interval"


def test_table1_has_no_column_for_what_nothing_has(small):
    """Values without a sign have no coherence."""
    rows = [
        pd.read_csv(small / f"{name}.csv", dtype={"seed": str}) for name in ("distribution", "distribution_by_model")
    ]
    rows = [table[~table["statistic"].str.startswith("coherence")] for table in rows]
    spread, levels, *by_task = table1.table1_grids(table1.table1(inputs.read_run_table(small / "runs.csv"), *rows))
    assert spread.numbers == ["Gini", "CV", "Kurtosis"]
    assert levels.numbers == ["Level", "Share rising", "r(change, −before)"]
    assert [grid.header[2:] for grid in by_task] == [spread.header[1:], levels.header[1:]]


def test_levels_are_written_in_three_digits_whatever_their_size():
    row = pd.Series({"state": "change", "level": -3.1234e-5, "level_low": -4e-5, "level_high": 0.012345})
    assert table1.cell(row, "level") == "-3.12e-05 [-4e-05, +0.0123]"


def test_latex_commands_in_labels_are_escaped():
    assert grids.escape_latex("a_b & 50% $x$ #1 {y} ~ ^ \\") == (
        r"a\_b \& 50\% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert grids.escape_latex("[1]") == "{[}1{]}"


def test_importing_the_reader_of_tables_loads_no_drawing_library():
    code = (
        "import sys; from headpatterns.presentation import grids; "
        "print([m for m in ('matplotlib', 'seaborn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPTS, check=True)
    assert done.stdout.strip() == "[]"


def test_ticks_of_a_short_logarithmic_axis_are_told_apart():
    assert [figure_level.tick_label(value) for value in (5.0, 5.5, 0.002, 0.0025)] == ["5", "5.5", "2×10⁻³", "2.5×10⁻³"]
