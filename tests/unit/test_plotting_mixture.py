"""The figure of the mixture: its files, what its bars and texts say, its layout, and refusals."""

import io
import json

import analysis_tables
import numpy as np
import pandas as pd
import pytest
import scripts
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from headpatterns.errors import InputError
from headpatterns.presentation import inputs, style
from headpatterns.studies.mixing import figure as mixture
from headpatterns.studies.mixing import proportions as mixing

MODELS = {model: label for model, (label, _, _) in analysis_tables.MODELS.items()}
LABELS = {
    **{task: label for task, (label, _) in analysis_tables.TASKS.items()},
    "refgpt": "RefGPT (dialogues with several turns)",
}
INSTRUCTIONS = 2000


def write(folder, models=MODELS, tasks=tuple(LABELS), seeds=2):
    """Write variants.csv and mixture.csv of generated coefficients; each model and seed keeps the two best."""
    generator = np.random.default_rng(len(models) + len(tasks))
    rows = []
    for model in models:
        typical = generator.normal(0.1, 0.4, len(tasks))
        for seed in range(seeds):
            beta = typical + generator.normal(0, 0.1, len(tasks))
            chosen = mixing.kept(beta, 2)
            share = mixing.shares(beta, chosen)
            counts = dict(zip(chosen, mixing.apportion(INSTRUCTIONS, share[chosen]), strict=True))
            rows += [
                (model, seed, task, b, b - 0.1, b + 0.2, 0.8, int(i in chosen), share[i], counts.get(i, 0))
                for i, (task, b) in enumerate(zip(tasks, beta, strict=True))
            ]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=[*mixture.TEXT, *mixture.NUMBERS]).to_csv(folder / "mixture.csv", index=False)
    # The other study has another order and other labels, which must not count here.
    variants = [("selection", model, label.upper(), 0) for model, label in reversed(models.items())]
    variants += [("mixing", model, label, seed) for model, label in models.items() for seed in range(seeds)]
    pd.DataFrame(variants, columns=["study", "model", "model_label", "seed"]).to_csv(
        folder / "variants.csv", index=False
    )
    return folder


def options(folder, output, settings=None, **changed):
    """The command line that draws into the folder `output`."""
    tables = {"variants": folder / "variants.csv", "coefficients": folder / "mixture.csv"} | changed
    return {
        "positional": ["mixture"],
        "inputs": json.dumps({name: str(path) for name, path in tables.items()}),
        "settings": json.dumps({"labels": LABELS, "parts": ["arc"]}) if settings is None else settings,
        "output": output,
    }


def drawn(folder, change=lambda table: table):
    path = folder / "variants.csv"
    variants = inputs.RunTable(path, inputs.read_table(path, mixture.VARIANT_TEXT))
    coefficients = inputs.read_table(folder / "mixture.csv", mixture.TEXT, mixture.NUMBERS)
    with style.applied():
        figure = mixture.draw(variants, change(coefficients), LABELS, "mixture.csv")
        figure.canvas.draw()
    return figure


def table(*rows):
    """Coefficients of one model: (seed, task, beta, low, high, kept, share, instructions)."""
    made = [
        ("llama", str(seed), task, *numbers[:3], 0.5 + int(seed) / 10, *numbers[3:]) for seed, task, *numbers in rows
    ]
    return pd.DataFrame(made, columns=[*mixture.TEXT, *mixture.NUMBERS])


def bars(axes):
    """Width and colour of the bars, from top to bottom."""
    found = [patch for container in axes.containers for patch in container]
    return [(patch.get_width(), to_hex(patch.get_facecolor())) for patch in found]


def texts(owner):
    return [text.get_text() for text in owner.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("mixture"))


@pytest.mark.slow
def test_three_formats_with_the_same_bytes_by_two_processes(folder, tmp_path):
    made = []
    for name in ("one", "two"):
        output = tmp_path / name / "figures"
        done = scripts.launch("draw", tmp_path / name, **options(folder, output))
        assert done.returncode == 0, done.stderr
        made.append(scripts.contents(output))
    assert made[0] == made[1]
    signatures = {"mixture.pdf": b"%PDF", "mixture.svg": b"<?xml", "mixture.png": b"\x89PNG"}
    assert set(made[0]) == set(signatures)
    for name, signature in signatures.items():
        assert made[0][name].startswith(signature) and len(made[0][name]) > 5000
        assert b"CreationDate" not in made[0][name] and b"<dc:date>" not in made[0][name]


def test_models_and_tasks_stand_in_their_order_with_their_labels(folder):
    figure = drawn(folder, lambda rows: rows.iloc[::-1])
    titles = [text.get_text() for text in figure.texts if text.get_fontsize() == style.LARGE]
    assert titles == list(MODELS.values())
    names = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_yticklabels()]
    assert names == list(reversed(LABELS.values())), "tasks in the order of the coefficients"
    assert not any(label.get_text() for axes in figure.axes[1:] for label in axes.get_yticklabels())


@pytest.mark.parametrize(("models", "tasks"), [(3, 8), (3, 7), (1, 8), (1, 1), (2, 2), (5, 8)])
def test_no_text_is_small_or_clipped_or_on_another(models, tasks, tmp_path):
    many = {**MODELS, "qwen": "A model with quite a long label, longer than its panel", "phi": "Phi"}
    figure = drawn(write(tmp_path, dict(list(many.items())[:models]), list(LABELS)[:tasks], seeds=3))
    assert len(figure.axes) == models
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert min(text.get_fontsize() for text in found) >= style.SMALL
    boxes = [(text.get_text(), text.get_window_extent()) for text in found]
    width, height = figure.bbox.size
    for i, (text, box) in enumerate(boxes):
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text
        for other, other_box in boxes[i + 1 :]:
            assert not box.padded(-1).overlaps(other_box.padded(-1)), (text, other)
    for axes in figure.axes:
        bars_end = axes.get_window_extent().x1
        assert all(text.get_window_extent().x0 >= bars_end - 1 for text in axes.texts if "%" in text.get_text())


def test_bars_intervals_and_texts_are_means_over_seeds(folder):
    rows = table(
        (0, "math", 0.6, 0.5, 0.8, 1, 0.6, 1200),
        (0, "arc", 0.4, 0.1, 0.5, 1, 0.4, 800),
        (0, "sgsm", -0.2, -0.3, 0.1, 0, 0, 0),
        (1, "math", 0.8, 0.6, 0.9, 1, 0.75, 1501),
        (1, "arc", 0.1, -0.1, 0.2, 0, 0, 0),
        (1, "sgsm", 0.3, 0.1, 0.4, 1, 0.25, 500),
    )
    figure = drawn(folder, lambda _: rows)
    axes = figure.axes[0]
    found = bars(axes)
    np.testing.assert_allclose([width for width, _ in found], [0.7, 0.25, 0.05])
    strong, light = (to_hex(colour) for colour in (mixture.KEPT, mixture.SOMETIMES))
    assert [colour for _, colour in found] == [strong, light, light]
    ends = np.array([segment[:, 0] for segment in axes.collections[-1].get_segments()])
    np.testing.assert_allclose(ends, [[0.55, 0.85], [0.0, 0.35], [-0.1, 0.25]])
    shown = [text.get_text() for text in axes.texts if text.get_text()]
    assert shown == ["68 % (1350)", "20 % (400)\n1 of 2 seeds", "12 % (250)\n1 of 2 seeds"]
    assert "R² 0.55" in texts(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "in the mixture",
        "in the mixture of some seeds",
    ]


def test_undefined_coefficients_and_an_empty_mixture(folder):
    rows = table(
        (0, "math", np.nan, np.nan, np.nan, 0, 0, 0),
        (0, "arc", -0.4, -0.5, -0.1, 0, 0, 0),
    )
    figure = drawn(folder, lambda _: rows)
    axes = figure.axes[0]
    assert [text.get_text().strip() for text in axes.texts if text.get_text()] == ["n/a"]
    assert [colour for _, colour in bars(axes)] == [to_hex(mixture.LEFT_OUT)] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["left out"]
    low, high = axes.get_xlim()
    assert low < -0.5 and high > 0
    everything = drawn(folder, lambda _: rows.iloc[:1])
    buffer = io.BytesIO()
    everything.savefig(buffer, format="png", dpi=50)
    assert buffer.getvalue()[:4] == b"\x89PNG"


def test_true_parts_are_marked(folder):
    with style.applied():
        figure = mixture.figures(folder / "variants.csv", folder / "mixture.csv", LABELS, ["arc", "sgsm"])["mixture"]
    names = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_yticklabels()]
    assert [name for name in names if name.endswith(" *")] == [
        f"{LABELS[task]} *" for task in LABELS if task in ("arc", "sgsm")
    ]


def test_a_task_that_one_model_lacks_is_not_available_there(folder):
    figure = drawn(folder, lambda rows: rows[~((rows["model"] == "gemma") & (rows["task"] == "arc"))])
    place = list(LABELS).index("arc")
    missing = [[t.get_position()[1] for t in axes.texts if t.get_text() == " n/a"] for axes in figure.axes]
    assert missing == [[], [place], []]


def test_every_other_row_has_a_ground_as_wide_as_panel_and_text(folder):
    axes = drawn(folder).axes[0]
    grounds = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_zorder() < 0]
    assert [patch.get_y() for patch in grounds] == [-0.5, 1.5, 3.5, 5.5]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: pd.concat([rows, rows.iloc[:1]]), r"mixture\.csv has the task math of model llama, seed 0 twice"),
        (lambda rows: rows.assign(kept=0.5), "'kept' has 0.5 for the task math of model llama, seed 0"),
        (lambda rows: rows.assign(kept=np.nan), "'kept' has nan"),
        (lambda rows: rows.replace({"model": {"opt": "pythia"}}), r"mixture\.csv names the model 'pythia'"),
    ],
)
def test_rows_that_cannot_be_are_refused(change, sentence, folder):
    with pytest.raises(InputError, match=sentence):
        drawn(folder, change)


def test_wrong_files_and_words_are_refused(folder, tmp_path, capfd, monkeypatch):
    def refused(**change):
        given = options(folder, tmp_path / "figures", **change)
        said = scripts.refused(capfd, monkeypatch, "draw", **given)
        assert not list(tmp_path.glob("figure*"))
        return said

    assert "--settings is not JSON (" in refused(settings="math")
    assert "inputs and settings of the drawing mixture: the key 'labels' is missing" in refused(settings="{}")
    lacking = tmp_path / "lacking.csv"
    pd.read_csv(folder / "mixture.csv").drop(columns="share").to_csv(lacking, index=False)
    assert f"{lacking} lacks the column 'share'" in refused(coefficients=lacking)
    other = tmp_path / "other.csv"
    other.write_text("study,model,model_label\nselection,llama,Llama\n")
    assert f"{other} has no run of the study 'mixing'" in refused(variants=other)
    empty = tmp_path / "empty.csv"
    empty.write_text(",".join([*mixture.TEXT, *mixture.NUMBERS]) + "\n")
    assert f"{empty} has no rows" in refused(coefficients=empty)
