"""docs/fidelity.md: its keys exist, its numbers are right, and config/paper.yaml agrees with it."""

import re

import numpy as np
import pytest
from experiments import experiment_of
from project import PROJECT, config_in

from headpatterns.data import pinned, templates
from headpatterns.data.adapters import ADAPTERS
from headpatterns.experiment import arguments
from headpatterns.experiment.document import key_table
from headpatterns.io import read_csv
from headpatterns.planning import courses
from headpatterns.planning.sizes import Sizes
from headpatterns.studies import load_studies

PAGE = (PROJECT / "docs/fidelity.md").read_text(encoding="utf-8")
PAPER = "config/paper.yaml"
TABLE2 = PROJECT / "workflow_scripts/headpatterns/studies/mixing/paper_table2.csv"
ITEMS = 258


def table(header: str) -> list[list[str]]:
    """The cells of the rows below a header."""
    lines = PAGE.partition(f"\n| {header} |")[2].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.setenv("HEADPATTERNS_DATA", "/data")
    return experiment_of(PAPER)


def test_every_row_has_all_columns_and_names_keys_that_exist():
    rows = table("item")
    assert len(rows) > 40
    known = set(re.findall(r"^\| `([^`]+)` \|", key_table(load_studies(), config_in("config.yaml")), re.MULTILINE))
    options = {f"datasets.NAME.options.{name}" for adapter in ADAPTERS.values() for name in adapter.options}
    for row in rows:
        assert len(row) == 7 and all(row), row
        keys = re.findall(r"`([^`]+)`", row[-1])
        assert row[-1] == "none" or row[-1] == ", ".join(f"`{key}`" for key in keys), row
        assert not set(keys) - known - options, row[0]
    in_prose = set(re.findall(r"`(datasets\.mathbench\.\w+)`", PAGE))
    assert in_prose and {key.replace("mathbench", "NAME") for key in in_prose} <= known


def test_items_of_table_2():
    """A value is k / 258 if this share, in per cent, gives the value when it is rounded or cut off."""
    columns = ("base", "sft", "random", "ours")
    expected, found = [], 0
    for row in read_csv(TABLE2, ("model", *columns)):
        cells = [row["model"]]
        for value in (row[column] for column in columns):
            rounded = [k for k in range(ITEMS + 1) if f"{100 * k / ITEMS:.2f}" == value]
            cut = [k for k in range(ITEMS + 1) if f"{10000 * k // ITEMS / 100:.2f}" == value]
            cells.append(str(rounded[0]) if rounded else f"{cut[0]}, cut" if cut else "none")
            found += cells[-1] != "none"
        expected.append(cells)
    assert table("model") == expected
    assert f"So {found} of the 12 values are whole numbers of 258 items." in " ".join(PAGE.split())


def test_no_other_number_of_items_gives_table_2():
    values = {row[column] for row in read_csv(TABLE2, ("base", "sft", "random", "ours"))
              for column in ("base", "sft", "random", "ours")}  # fmt: skip
    fitting = {n: sum(f"{100 * round(float(value) * n / 100) / n:.2f}" == value for value in values)
               for n in range(1, 1001)}  # fmt: skip
    assert max(count for n, count in fitting.items() if n % ITEMS) == 5
    scores = np.arange(2 * ITEMS + 1) / ITEMS / 2, np.arange(3 * ITEMS + 1) / ITEMS / 3
    for value in (33.82, 34.51):
        assert all(np.abs(100 * means - value).min() > 0.01 for means in scores)


def test_the_paper_config_follows_its_sources(paper):
    config = paper.config
    assert templates.resolve(config.prompt_template).endswith("\n\n### Response:{response}")
    assert config.datasets["gsm8k"].options == {"keep_calculator_marks": True}
    sgsm = pinned.chosen(config.datasets["sgsm"].train[0].pinned, config.sources)
    assert sgsm.version == "376054a60c9ffb2c0281a2a21301df09ddd312eb"
    assert [source.files.partition("/")[0] for source in config.datasets["arc"].train] == ["ARC-Easy", "ARC-Challenge"]
    recipe = config.finetuning
    assert (recipe.learning_rate, recipe.devices, recipe.epochs, recipe.global_batch_size) == (1e-6, 8, 3, 128)
    assert (recipe.engine, recipe.precision, config.tokenization.max_length) == ("deepspeed", "bf16", 1024)
    assert config.seeds == [0, 1, 2]
    assert config.studies.mixing.random_draws == config.studies.selection.random_draws == 10
    for model in paper.models:
        assert re.fullmatch(r"[0-9a-f]{40}", config.models[model].source.revision)


def test_expected_numbers_reach_preparation(paper, monkeypatch):
    assert "--expected-train 100 --expected-probe 258" in arguments.rows(paper, "mathbench")
    assert "expected" not in arguments.rows(paper, "sgsm")
    free = experiment_of(PAPER, {"datasets": {"mathbench": {"expected": None}}})
    assert "expected" not in arguments.rows(free, "mathbench")


def test_what_the_rows_of_sgsm_decide(paper, tmp_path):
    for sgsm, smallest, rows, steps, never in table("SGSM"):
        other = experiment_of(PAPER, {"datasets": {"sgsm": {"size": {"train": int(sgsm)}}}})
        run = other.run_named["llama3-8b", "nlp.gsm8k.seed0"]
        sizes = Sizes(other, tmp_path)
        assert sizes.training_set(run).count == int(rows)
        assert sizes.samples("llama3-8b", smallest.lower(), "train").count == int(rows)
        course = courses.course(sizes, run, True)
        assert course.steps == int(steps)
        late = [step for step in other.config.finetuning.checkpoint_steps if step > course.steps]
        assert never == (", ".join(map(str, late)) or "none")
