"""The notebook docs/tour.ipynb, executed as a reader would, with other checkpoints in its first code cell."""

import base64
import json
import re

import nbformat
import pytest
import trained_models
from nbclient import NotebookClient
from project import PROJECT

import headpatterns

PATH = PROJECT / "docs/tour.ipynb"
LARGEST = 200_000
"""Bytes of the file, pictures included."""


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(PATH, as_version=4)


def texts(notebook):
    """What the cells print."""
    return [output["text"] for cell in notebook.cells for output in cell.get("outputs", ()) if "text" in output]


def pictures(notebook):
    """The pictures, as bytes."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [base64.b64decode(one["data"]["image/png"]) for one in outputs if "image/png" in one.get("data", {})]


def test_it_has_ten_cells_real_results_and_is_small(notebook):
    nbformat.validate(notebook)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code"] * 5
    assert PATH.stat().st_size <= LARGEST
    (picture,) = pictures(notebook)
    assert picture.startswith(b"\x89PNG")
    shown = "\n".join(texts(notebook))
    assert "gini" in shown and "loss" in shown
    assert not re.search(r"Traceback|Warning|/(root|home|tmp|Users)/", PATH.read_text())
    assert all(output.get("name") != "stderr" for cell in notebook.cells for output in cell.get("outputs", ()))


def test_its_paths_are_those_of_the_embedded_experiment(notebook):
    first = notebook.cells[1].source
    for name in ("BEFORE", "AFTER", "ROWS"):
        assert re.search(rf'^{name} = "\.\./results/mini/', first, re.MULTILINE)
    assert (PROJECT / "docs").is_dir()


@pytest.mark.slow
def test_it_runs_on_two_checkpoints(notebook, model_folder, rows, tmp_path):
    trained_models.write(tmp_path / "run", model_folder, scale=0.1)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    places = {"BEFORE": model_folder, "AFTER": "run/final", "ROWS": "rows.jsonl", "OUTPUT": "tour"}
    notebook.cells[1].source = "\n".join(f"{name} = {str(place)!r}" for name, place in places.items())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    (picture,) = pictures(notebook)
    assert picture.startswith(b"\x89PNG")
    taken = {name: headpatterns.load_patterns(tmp_path / f"tour/{name}.npy") for name in ("before", "after")}
    printed = "\n".join(texts(notebook))
    assert f"before (12, 3, 6) loss {taken['before'].losses.mean():.2f} nats per token" in printed
    numbers = headpatterns.similarity(taken).round(3).to_string(index=False)
    assert numbers in printed
