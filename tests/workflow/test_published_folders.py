"""Every published folder of this repository: its figures are drawn, and its numbers computed, from its files.

The page of one of them is also tested in a browser, as a reader uses it.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import browser
import golden
import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from project import PROJECT, snakemake

FOLDERS = sorted(path.name for path in (PROJECT / "published").glob("*") if path.is_dir())
SHOWN = "smollm2-135m"
SEEDS = [0, 1, 2]
STEPS = (0, 2, 5, 12, 28)
HEADS = 9

PROSE = ("statement", "computed")
"""Columns of tables that describe a claim in words."""


@pytest.fixture(scope="module")
def results(clone) -> Path:
    """The folder with the results that are made from the published folders."""
    project = clone("published")
    for name in FOLDERS:
        done = snakemake(project, "all", "figures", "--cores", "2", "--config", f"from=published/{name}")
        assert done.returncode == 0, done.stdout
    return project / "results/published"


def without_prose(tables: dict[str, golden.Table]) -> dict[str, golden.Table]:
    """The tables without the descriptions of claims in words, which may differ between versions."""
    kept = {
        name: [place for place, column in enumerate(rows[0]) if column not in PROSE] for name, rows in tables.items()
    }
    return {name: [[row[place] for place in kept[name]] for row in rows] for name, rows in tables.items()}


@pytest.mark.parametrize("name", FOLDERS)
def test_every_figure_is_drawn_from_what_was_measured(results, name):
    published, made = PROJECT / "published" / name, results / name
    pictures = {path.stem for path in (published / "figures").iterdir()}
    for suffix in ("pdf", "svg", "png"):
        assert pictures == {path.stem for path in (made / "figures").glob(f"*.{suffix}")}
    theirs, ours = (without_prose(golden.tables(folder / "analysis")) for folder in (published, made))
    known = {claim for claim, *_ in theirs["claims_left_out.csv"]}
    # Claims of studies that were added since then are also listed as left out: ignore them.
    ours["claims_left_out.csv"] = [row for row in ours["claims_left_out.csv"] if row[0] in known]
    assert golden.differences(theirs, ours, exact=True) == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.started() as found:
        yield found


@pytest.fixture
def wide(chromium, results) -> Iterator[browser.Opened]:
    with browser.opened(chromium, results / SHOWN / "report.html") as found:
        yield found


def pattern(task: str, step: int, seed: int | None = None) -> np.ndarray:
    """A published pattern, [layers, heads], of a seed; without one, the mean over seeds, which the page shows first."""
    seeds = SEEDS if seed is None else [seed]
    folders = [PROJECT / f"published/{SHOWN}/patterns/smollm2/nlp.{task}.seed{one}/{task}" for one in seeds]
    array: np.ndarray = np.mean([np.load(folder / f"step-{step}.npy") for folder in folders], axis=0)
    return array


def in_map(found: browser.Opened) -> np.ndarray:
    """The numbers in the labels of the heat map, [layers, heads]."""
    said = [re.fullmatch(r"layer (\d+), head (\d+): (\S+)", text) for text in found.said("heads-map")]
    rows = {(int(one[1]), int(one[2])): float(one[3].replace("−", "-")) for one in said}
    assert len(rows) == len(said)
    return np.array([rows[place] for place in sorted(rows)]).reshape(-1, HEADS)


def same(found: np.ndarray, expected: np.ndarray, smallest: float = 2e-5) -> None:
    """Compare numbers with the page's precision: three significant digits, computed from four."""
    np.testing.assert_allclose(found, expected, rtol=6e-3, atol=smallest)


def test_the_page_asks_for_nothing_and_every_view_has_its_charts(wide):
    ids = wide.page.locator("section.view").evaluate_all("found => found.map(one => one.id)")
    assert ids == ["view-competence", "view-heads", "view-tasks", "view-sums"]  # there is no Table 2 or 3
    charts = wide.page.locator(".chart").evaluate_all("found => found.map(one => one.id)")
    assert {"heads-map", "heads-curve", "heads-tasks", "heads-ablated", "tasks-map", "sums-fits"} <= set(charts)
    assert wide.requests == [] and wide.complaints == []
    labels = wide.page.locator(".chart").evaluate_all("found => found.map(one => one.getAttribute('aria-label'))")
    assert len(set(labels)) == len(charts) and all(len(label) > 20 for label in labels)


def test_the_heat_map_follows_task_step_and_quantity(wide):
    wide.page.select_option("#heads-task", "arc")
    wide.shows("heads-map", "level, step 28 of 28")
    wide.shows("heads-map", "ARC")
    same(in_map(wide), pattern("arc", 28))
    wide.page.select_option("#heads-seed", "1")
    first = wide.page.locator("#heads-map [aria-label^='layer 0, head 0:']")
    expect(first).to_have_attribute("aria-label", re.compile(f": {pattern('arc', 28, seed=1)[0, 0]:.3g}"))
    same(in_map(wide), pattern("arc", 28, seed=1))
    wide.page.select_option("#heads-seed", "mean")
    expect(first).to_have_attribute("aria-label", re.compile(f": {pattern('arc', 28)[0, 0]:.3g}"))
    slider = wide.page.locator("#heads-step")
    slider.focus()
    wide.page.keyboard.press("ArrowLeft")
    wide.shows("heads-map", "step 12 of 28")
    expect(wide.page.locator("output[for=heads-step]")).to_have_text("step 12")
    assert slider.get_attribute("aria-valuetext") == "step 12"
    same(in_map(wide), pattern("arc", 12))
    wide.page.select_option("#heads-quantity", "change")
    wide.shows("heads-map", "level minus that of step 0, step 12")
    same(in_map(wide), pattern("arc", 12) - pattern("arc", 0))
    wide.page.select_option("#heads-quantity", "ratio")
    wide.shows("heads-map", "log₂ of level over")
    ratios = [np.log2(pattern("arc", 12, seed) / pattern("arc", 0, seed)) for seed in SEEDS]
    same(in_map(wide), np.mean(ratios, axis=0), smallest=3e-4)
    wide.page.select_option("#heads-quantity", "signed")
    wide.shows("heads-map", "signed sum, step 12")
    assert (in_map(wide) < 0).any() and (np.abs(in_map(wide)) <= pattern("arc", 12) * 1.01 + 1e-4).all()


def colours(found: browser.Opened) -> list[str]:
    return found.page.locator("#heads-map .role-mark [role=graphics-symbol]").evaluate_all(
        "found => found.map(one => one.getAttribute('fill'))"
    )


def test_one_scale_for_all_makes_colours_comparable(wide):
    own = colours(wide)
    wide.page.select_option("#heads-scale", "shared")
    expect(wide.page.locator("#heads-map .role-mark [role=graphics-symbol]").first).not_to_have_attribute(
        "fill", own[0]
    )
    shared = colours(wide)
    assert len(own) == len(shared) and len(set(own)) > len(set(shared)) > 1
    wide.page.select_option("#heads-scale", "own")
    expect(wide.page.locator("#heads-map .role-mark [role=graphics-symbol]").first).to_have_attribute("fill", own[0])


def test_a_click_on_a_head_shows_its_curve_its_tasks_and_its_ablation(wide):
    wide.page.select_option("#heads-seed", "0")
    wide.page.locator("#heads-map [aria-label^='layer 24, head 8:']").click()
    wide.shows("heads-curve", "Layer 24, head 8")
    assert wide.page.input_value("#heads-layer") == "24" and wide.page.input_value("#heads-head") == "8"
    same(of_curve(wide), [pattern("math", step, seed=0)[24, 8] for step in STEPS])
    wide.shows("heads-tasks", "Layer 24, head 8, every task")
    tasks = [text for text in wide.said("heads-tasks") if "HellaSwag" in text]
    now, before = (pattern("hellaswag", step, seed=0)[24, 8] for step in (28, 0))
    assert [number(text, "step 0") for text in tasks if "step 0" in text] == pytest.approx([before], rel=6e-3)
    assert [number(text, "chosen step") for text in tasks if "chosen" in text] == pytest.approx([now], rel=6e-3)
    wide.shows("heads-ablated", "Layer 24, head 8, ablated")
    changes = np.load(PROJECT / f"published/{SHOWN}/ablations/smollm2/nlp.gsm8k.seed0/after.changes.npy")
    [ablated] = [text for text in wide.said("heads-ablated") if "GSM8K" in text and "after" in text]
    assert number(ablated, "change of the loss, nats per token") == pytest.approx(changes[:, 24, 8].mean(), rel=6e-3)


def number(text: str, name: str) -> float:
    """The number after `name` in the label of a mark, which has the form `name: number; ...`."""
    return float(re.search(rf"{name}: (\S+?)(?:;|$)", text)[1].replace("−", "-"))


def of_curve(found: browser.Opened) -> list[float]:
    """The levels of the curve's points with seed 0, by step; every seed has a line."""
    points = {
        number(text, "training step"): number(text, "value")
        for text in found.said("heads-curve")
        if re.search(r"\bseed: 0\b", text)
    }
    return [points[step] for step in sorted(points)]


def test_a_head_is_chosen_with_the_keyboard_alone(wide):
    wide.page.select_option("#heads-seed", "0")
    wide.page.locator("#heads-layer").focus()
    wide.page.keyboard.press("Control+A")
    wide.page.keyboard.type("3")
    wide.page.keyboard.press("Tab")
    wide.page.keyboard.press("ArrowDown")
    head = int(wide.page.input_value("#heads-head"))
    wide.shows("heads-curve", f"Layer 3, head {head}")
    same(of_curve(wide), [pattern("math", step, seed=0)[3, head] for step in STEPS])
    wide.page.keyboard.press("Control+A")
    wide.page.keyboard.type("12")
    wide.shows("heads-curve", "Layer 3, head 12: not in this model")
    assert wide.said("heads-tasks") == []


def table(name: str, **wanted: str) -> list[dict[str, str]]:
    """Rows of a published table."""
    with (PROJECT / f"published/{SHOWN}/analysis/{name}.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]


def mean(rows: list[dict[str, str]], column: str) -> float:
    """The mean of a column over seeds, which the page shows first."""
    assert len(rows) == len(SEEDS)
    return float(np.mean([float(row[column]) for row in rows]))


def test_the_matrix_of_tasks_is_the_table_s_and_the_map_moves(wide):
    before = wide.said("tasks-map")
    wide.page.select_option("#tasks-matrix", "after")
    wide.shows("tasks-matrix-chart", "after fine-tuning")
    rows = table("similarity", matrix="after", task_a="arc", task_b="math")
    cells = [text for text in wide.said("tasks-matrix-chart") if "a: ARC; b: MATH" in text]
    assert [number(text, "value") for text in cells] == pytest.approx([mean(rows, "value")], rel=1e-3)
    after = wide.said("tasks-map")
    assert len(before) == len(after) == 7 and not set(before) & set(after)


def test_a_click_on_a_sum_shows_its_weights(wide):
    terms = {
        row["terms"]: table("composition", of="change", terms=row["terms"]) for row in table("composition", size="2")
    }
    worst = min(terms, key=lambda one: mean(terms[one], "r2"))
    label = wide.page.locator(f"#sums-terms option[value='{worst}']").text_content()
    wide.page.locator(f"#sums-fits .role-mark [aria-label*='sum: {label};']").click()
    expect(wide.page.locator("#sums-terms")).to_have_value(worst)
    weights = [table("composition_coefficients", of="change", terms=worst, task=task) for task in worst.split("+")]
    expected = sorted(mean(rows, "beta") for rows in weights)
    expect(wide.page.locator("#sums-weights .role-mark [role=graphics-symbol]")).to_have_count(len(weights))
    found = sorted(number(text, "weight β") for text in wide.said("sums-weights"))
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_verdict_leads_to_its_evidence(wide):
    [claim] = table("claims", claim="steep_first_steps")
    row = wide.page.locator("table.board tr", has_text=claim["statement"])
    assert claim["verdict"] in row.text_content()
    row.locator("a.chip").click()
    expect(wide.page).to_have_url(re.compile("#figure5$"))
    expect(wide.page.locator("#figure5 img")).to_be_in_viewport()
    row.locator("th a").click()
    expect(wide.page.locator("#claim-steep_first_steps")).to_be_in_viewport()
    assert wide.requests == [] and wide.complaints == []


@pytest.mark.parametrize("size", [browser.WIDE, browser.NARROW], ids=["wide", "narrow"])
def test_the_page_fits_its_window_and_is_accessible(chromium, results, size):
    with browser.opened(chromium, results / SHOWN / "report.html", size, policy=False) as found:
        assert found.overflow() <= 0
        widths = found.page.locator(".chart svg").evaluate_all(
            "found => found.map(one => one.getBoundingClientRect().right)"
        )
        assert max(widths) <= size[0]
        assert found.faults() == []


def test_without_scripts_views_lead_to_the_figures(chromium, results):
    with browser.opened(chromium, results / SHOWN / "report.html", scripts=False) as found:
        note = found.page.locator("#view-heads noscript p")
        expect(note).to_contain_text("This view needs JavaScript")
        note.locator("a", has_text="Figure 1").click()
        expect(found.page.locator("#figure1 img")).to_be_in_viewport()
