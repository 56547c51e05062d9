"""The command `headpatterns` and the functions behind it, on a user's own model and rows."""

import contextlib
import importlib
import inspect
import io
import json
import os
import pkgutil
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import gguf_files
import numpy as np
import pytest
import tokenizers_of_all_kinds as kinds
import trained_models
from project import PROJECT
from refusals import refusal

import headpatterns
from headpatterns import activation_patterns, command, progress
from headpatterns.api import selecting
from headpatterns.attribution.ablation import ablated_losses
from headpatterns.models import loading as models
from headpatterns.statistics import pearson
from headpatterns.studies.selection import select

COMMANDS = ("patterns", "compare", "ablate", "select", "check-model", "show-sample")


def blocks(page, language):
    """The contents of the code blocks of a documentation page in one language."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory, model_folder, rows):
    """A folder with the models and rows that the documentation names."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "published").symlink_to(PROJECT / "published")
    shutil.copytree(model_folder, folder / "models/llama")
    run = trained_models.write(folder / "run", model_folder)
    (run / "final").rename(folder / "models/llama-tuned")
    parts = {"rows": rows, "pool": rows[4:], "target": rows[:4]}
    for name, some in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    return folder


@pytest.fixture
def place(made, monkeypatch):
    """The folder of `made`, as the working directory."""
    monkeypatch.chdir(made)
    return made


def run(monkeypatch, capfd, *words):
    """Exit status, standard output and standard error of a command line."""
    monkeypatch.setattr(sys, "argv", ["headpatterns", *map(str, words)])
    monkeypatch.setattr(signal, "signal", lambda *given: None)  # pytest keeps its own signal handlers
    capfd.readouterr()
    status = 0
    try:
        command.main()
    except SystemExit as stopped:
        status = stopped.code or 0
    return status, *capfd.readouterr()


LINES = [line for block in blocks("command-line.md", "sh") for line in block.splitlines()]


def test_the_page_shows_every_command():
    assert [line.split()[:2] for line in LINES] == [["headpatterns", name] for name in COMMANDS]


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_page_runs(place, monkeypatch, capfd, line):
    status, out, err = run(monkeypatch, capfd, *line.split()[1:], "--quiet")
    assert status == 0, err
    assert out.strip()
    assert "samples" not in err and "passes" not in err


@pytest.mark.slow
def test_the_python_of_the_page_runs(place):
    names, printed = {}, io.StringIO()
    for block in blocks("python-api.md", "python"):
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "python-api.md", "exec"), names)
    said = printed.getvalue()
    assert "(3, 6)" in said and "(40, 30, 9)" in said and "pattern-5.jsonl" in said


def test_the_page_of_the_functions_has_all_ten():
    text = (PROJECT / "docs/python-api.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)\(", text, re.MULTILINE)) == headpatterns.__all__
    assert len(headpatterns.__all__) == 10
    for name in headpatterns.__all__:
        function = getattr(headpatterns, name)
        assert function.__name__ == name
        known = set(inspect.signature(function).parameters)
        shown = re.search(rf"`{name}\((.*?)\)`", text)[1].split(", ")
        assert set(shown) <= known, name


def test_no_module_has_the_name_of_a_function():
    assert not {module.name for module in pkgutil.iter_modules(headpatterns.__path__)} & set(headpatterns.MODULES)
    for name, module in headpatterns.MODULES.items():
        assert hasattr(importlib.import_module(f"headpatterns.{module}"), name)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_of_the_command(monkeypatch, capfd, name):
    status, out, _ = run(monkeypatch, capfd, name, "--help")
    assert status == 0
    assert f"Example: headpatterns {name} " in out
    assert "None" not in out and "default: False" not in out and "[]" not in out
    assert out.startswith(f"usage: headpatterns {name} ")


def test_the_version_is_that_of_the_package(monkeypatch, capfd):
    assert run(monkeypatch, capfd, "--version")[:2] == (0, f"headpatterns {headpatterns.__version__}\n")


def test_patterns_are_those_in_memory_and_are_taken_once(place, monkeypatch, capfd, rows):
    words = ("patterns", "models/llama", "rows.jsonl", "--output", "out/p.npy", "--samples", 5, "--also", "sum_of_abs")
    status, out, _ = run(monkeypatch, capfd, *words, "--json")
    assert status == 0
    found = headpatterns.load_patterns("out/p.npy")
    chosen = [row for row in rows if row["id"] in found.ids]
    assert [row["id"] for row in chosen] == found.ids and len(found.ids) == 5
    taken = activation_patterns(
        models.load_model("models/llama"), chosen, tokenizer=models.load_tokenizer("models/llama"), also=["sum_of_abs"]
    )
    np.testing.assert_allclose(found.values, taken.values, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.patterns.by("sum_of_abs"), taken.by("sum_of_abs"), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.losses, taken.losses, rtol=1e-5)
    np.testing.assert_array_equal(found.mean, np.load("out/p.npy"))
    said = json.loads(out)
    np.testing.assert_allclose(said["pattern"], found.mean)
    loss = next(row for row in said["statistics"] if row["statistic"] == "loss")
    assert loss["plain"] == pytest.approx(taken.losses.mean(), rel=1e-5)
    times = {path: path.stat().st_mtime_ns for path in Path("out").iterdir() if path.suffix in (".npy", ".json")}
    assert run(monkeypatch, capfd, *words)[0] == 0
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert run(monkeypatch, capfd, *words[:-3], 4)[0] == 0
    assert len(headpatterns.load_patterns("out/p.npy").ids) == 4


def test_a_template_is_put_around_the_rows(place, monkeypatch, capfd):
    rows = [{"id": str(n), "prompt": f"What is {n} plus {n}?", "response": f"It is {n + n}."} for n in range(2, 6)]
    Path("bare.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("models/llama", "bare.jsonl", "--template", "question")
    assert run(monkeypatch, capfd, "patterns", *words, "--output", "templated.npy", "--threads", 1)[0] == 0
    full = [{**row, "prompt": f"Question: {row['prompt']}\nAnswer:", "response": f" {row['response']}"} for row in rows]
    tokenizer = models.load_tokenizer("models/llama")
    taken = activation_patterns(models.load_model("models/llama"), full, tokenizer=tokenizer)
    np.testing.assert_allclose(headpatterns.load_patterns("templated.npy").values, taken.values, rtol=1e-4, atol=1e-7)
    _, out, _ = run(monkeypatch, capfd, "show-sample", *words)
    assert "Question: What is 2 plus 2?\nAnswer:" in out
    Path("chat.jsonl").write_text(
        json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    )
    for file, template, said in (
        ("bare.jsonl", "qestion", "question"),
        ("chat.jsonl", "question", "leave the template out"),
    ):
        status, _, err = run(monkeypatch, capfd, "show-sample", "models/llama", file, "--template", template)
        assert status == 2 and said in err


def test_a_model_may_be_a_gguf_file(place, rows):
    tokenizer = kinds.fast("gpt2")
    path = gguf_files.write(Path("whole.gguf"), gguf_files.model_of(len(tokenizer)), tokenizer)
    found = headpatterns.patterns(path, "target.jsonl", "gguf/p.npy", threads=1)
    (folder,) = Path("gguf/models").iterdir()
    assert folder.name.startswith("whole-")
    taken = activation_patterns(models.load_model(folder), rows[:4], tokenizer=models.load_tokenizer(folder))
    np.testing.assert_allclose(found.values, taken.values, rtol=1e-3, atol=1e-6)
    with refusal("no/model", ("--experiment",)):
        headpatterns.ablate("no/model", "target.jsonl", "gguf/a")
    with refusal("gguf", ("config.yaml",)):
        headpatterns.select("llama", "pool.jsonl", "target.jsonl", "gguf/s", experiment="gguf")


def test_a_step_of_a_folder_is_named_where_there_are_several(place):
    for number, model in enumerate(("llama", "llama-tuned")):
        headpatterns.patterns(f"models/{model}", "target.jsonl", f"steps/step-{number}.npy", threads=1)
    assert headpatterns.load_patterns("steps", step=1).path == Path("steps/step-1.json")
    for step, words in ((None, "steps 0, 1"), (2, "no step 2")):
        with refusal("steps", words):
            headpatterns.load_patterns("steps", step=step)
    with refusal("steps/step-0.npy", "not a folder"):
        headpatterns.load_patterns("steps/step-0.npy", step=0)
    with refusal("nowhere.npy", "nowhere.json"):
        headpatterns.load_patterns("nowhere.npy")


def test_a_head_costs_what_its_ablation_costs(place, monkeypatch, capfd, rows):
    words = ("ablate", "models/llama", "rows.jsonl", "--output", "ablated", "--threads", 1, "--json")
    status, out, _ = run(monkeypatch, capfd, *words)
    assert status == 0
    found = json.loads(out)
    about = json.loads(Path("ablated/model.json").read_text())
    chosen = [row for row in rows if row["id"] in about["ids"]]
    kept = np.ones((2, 3, 6), dtype=bool)
    kept[1, 1, 4] = False
    model, tokenizer = models.load_model("models/llama"), models.load_tokenizer("models/llama")
    losses = ablated_losses(model, chosen, kept, tokenizer=tokenizer).mean(axis=1)
    head = next(row for row in found["heads"] if (row["layer"], row["head"]) == (1, 4))
    assert head["change"] == pytest.approx(losses[1] - losses[0], abs=1e-5)
    others = [row for row in rows if row["id"] in about["pattern_ids"]]
    assert len(others) == len(chosen) == 6
    level = activation_patterns(model, others, tokenizer=tokenizer).mean[1, 4]
    assert head["level"] == pytest.approx(level, rel=1e-4)
    assert head["level_low"] < head["level"] < head["level_high"]
    assert {row["over"] for row in found["agreement"]} == {"all_heads", "within_layers"}


def test_the_pool_is_ranked_by_equation_5(place, monkeypatch, capfd, rows):
    words = ("select", "models/llama", "pool.jsonl", "target.jsonl", "--output", "ranked", "--threads", 1)
    status, out, _ = run(monkeypatch, capfd, *words, "--method", "pattern", "ifd", "rds", "--budget", 3, "--json")
    assert status == 0
    model, tokenizer = models.load_model("models/llama"), models.load_tokenizer("models/llama")
    taken = activation_patterns(model, rows, tokenizer=tokenizer).values
    wanted = dict(zip([row["id"] for row in rows[4:]], pearson(taken[4:], taken[:4].mean(axis=0)), strict=True))
    found = [row for row in json.loads(out) if row["method"] == "pattern"]
    assert {row["id"]: row["score"] for row in found} == pytest.approx(wanted, abs=1e-4)
    assert [row["id"] for row in found] == sorted(wanted, key=lambda id: -wanted[id])
    assert [row["rank"] for row in found] == list(range(1, len(wanted) + 1))
    best = [json.loads(line) for line in Path("ranked/pattern-3.jsonl").read_text().splitlines()]
    assert best == [next(row for row in rows if row["id"] == one["id"]) for one in found[:3]]
    assert {row["method"] for row in json.loads(out)} == {"pattern", "ifd", "rds"}


def test_methods_are_those_of_the_study_that_train_nothing():
    assert set(selecting.METHODS) < set(select.METHODS)
    assert "base-pattern" not in selecting.METHODS


@pytest.mark.parametrize("wrong", [{"resamples": 1}, {"seed": -1}, {"draws": 0}, {"top": [0]}, {"top": []}])
def test_numbers_that_cannot_be_are_refused_before_a_model_is_read(place, wrong):
    with refusal("2 or more resamples", "sizes of 1 or more"):
        headpatterns.ablate("nowhere", "rows.jsonl", **wrong)


@pytest.mark.parametrize("samples", [0, -3])
def test_less_than_one_sample_is_none(place, samples):
    with refusal(f"{samples} samples cannot be drawn", "give 1 or more"):
        headpatterns.patterns("models/llama", "rows.jsonl", "none.npy", samples=samples)


@pytest.mark.slow
def test_bm25_ranks_the_same_beside_other_methods(place):
    template, given = "Some words around {instruction} or so", ("models/llama", "pool.jsonl", "target.jsonl")
    alone = headpatterns.select(*given, "alone", methods=["bm25"], template=template).table
    beside = headpatterns.select(*given, "beside", methods=["bm25", "top-perplexity"], template=template).table
    own = beside[beside["method"] == "bm25"].reset_index(drop=True)
    assert alone.equals(own)


def test_words_alone_need_no_model(place):
    found = headpatterns.select("nowhere", "pool.jsonl", "target.jsonl", "by-words", methods=["bm25"])
    assert len(found.table) == 8 and found.table["score"].is_monotonic_decreasing
    assert not Path("by-words/patterns").exists()


def test_json_of_tokens_and_checks(place, monkeypatch, capfd):
    _, out, _ = run(monkeypatch, capfd, "show-sample", "models/llama", "rows.jsonl", "--json")
    found = json.loads(out)
    assert found["id"] == "sum-1"
    assert sum(token["loss"] for token in found["tokens"]) == found["response_tokens"]
    assert "".join(token["token"] for token in found["tokens"]).count("It is 2.") == 1
    _, out, _ = run(monkeypatch, capfd, "check-model", "models/llama", "--json")
    assert [row["result"] for row in json.loads(out)] == ["ok"] * 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("patterns", "nowhere", "rows.jsonl"), "nowhere is neither a folder nor a GGUF file"),
        (("patterns", "models/llama", "nowhere.jsonl"), "nowhere.jsonl does not exist"),
        (("patterns", "models/llama", "rows.jsonl", "--output", "p.txt"), "p.txt must end in .npy"),
        (("patterns", "models/llama", "rows.jsonl", "--samples", "0"), "--samples is 0: give 1 or more"),
        (("patterns", "models/llama", "rows.jsonl", "--token-budget", "many"), "--token-budget is many"),
        (("patterns", "models/llama", "rows.jsonl", "--output", "q.npy", "--resamples", "1"), "--resamples is 1"),
        (("compare", "a", "b", "--data", "rows.jsonl", "--seed", "-1"), "--seed is -1"),
        (("ablate", "models/llama", "rows.jsonl", "--samples", "1"), "1 samples cannot be split into halves"),
        (("ablate", "models/llama", "rows.jsonl", "--top", "99"), "18"),
        (("ablate", "models/llama", "rows.jsonl", "--samples", "2", "--ablation", "resample"), "there is one sample"),
        (
            ("ablate", "models/llama", "rows.jsonl", "--output", "models"),
            "models contains llama, which is not a file of ablations",
        ),
        (
            ("ablate", "models/llama", "rows.jsonl", "--output", "rows.jsonl"),
            "which is not a file of ablations: give a new",
        ),
        (("patterns", "models/llama", "rows.jsonl", "--device", "gpu"), "gpu"),
        (("select", "models/llama", "pool.jsonl", "target.jsonl", "--budget", "9"), "budgets from 1 to 8"),
        (("select", "models/llama", "pool.jsonl", "target.jsonl", "--method", "bm25", "--template", "none"), "none"),
        (("select", "models/llama", "pool.jsonl", "target.jsonl", "--method", "bm25", "bm25"), "named twice"),
        (("check-model", "nowhere"), "nowhere"),
        (("show-sample", "models/llama", "rows.jsonl", "--id", "sum-99"), "'sum-99'"),
        (("compare", "models/llama", "models/llama", "--data", "rows.jsonl"), "give two"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_status_2(place, monkeypatch, capfd, words, said):
    status, out, err = run(monkeypatch, capfd, *words)
    assert status == 2
    assert said in err.splitlines()[-1] and err.splitlines()[-1].startswith("headpatterns: ")
    assert "Traceback" not in err
    assert out == "" or words[0] == "check-model"


def test_similarity_is_that_of_the_patterns_and_pairs_their_samples(place):
    names = {"a": "llama", "b": "llama-tuned"}
    taken = {
        one: headpatterns.patterns(f"models/{model}", "rows.jsonl", f"similar-{one}.npy", threads=1)
        for one, model in names.items()
    }
    row = headpatterns.similarity(taken, resamples=200).iloc[0]
    plain = np.corrcoef(taken["a"].values.mean(axis=0).ravel(), taken["b"].values.mean(axis=0).ravel())[0, 1]
    assert row["plain"] == pytest.approx(plain, rel=1e-6)
    assert row["low"] <= row["value"] <= row["high"]
    same = headpatterns.similarity({"a": taken["a"], "again": taken["a"]}, resamples=50).iloc[0]
    assert (same["low"], same["high"]) == (pytest.approx(1), pytest.approx(1))  # both have the same draw of samples
    with refusal("'a'", "two or more"):
        headpatterns.similarity({"a": taken["a"]})
    with refusal("unknown method 'cosine'", "pearson"):
        headpatterns.similarity(taken, method="cosine")


def test_bars_are_shown_and_end(capfd):
    with progress.as_bars():
        for done in (1, 2, 3):
            progress.report("a model", done, 3, "samples")
        progress.report("a model", 1, 2, "samples")
    assert "a model: 100%" in (shown := capfd.readouterr().err)
    assert "3/3" in shown and "1/2" in shown
    with progress.in_silence():
        progress.report("a model", 1, 2, "samples")
    progress.report("a model", 1, 2, "samples")
    assert capfd.readouterr() == ("a model: 1/2 samples\n", "")


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_a_terminal_has_bars(made, rows, tmp_path):
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps({**row, "id": f"{n}-{row['id']}"}) + "\n" for n in range(400) for row in rows))
    words = ("patterns", made / "models/llama", many, "--output", tmp_path / "p.npy", "--samples", "all")
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    at_work = subprocess.Popen(
        [sys.executable, "-m", "headpatterns.command", *map(str, words), "--token-budget", "1", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=end,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "workflow_scripts")},
    )
    os.close(end)
    shown = ""
    while not re.search(r"\d+/4800", shown):
        shown += os.read(terminal, 4096).decode()
    time.sleep(0.2)
    at_work.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # reading fails after the other side has closed the terminal
        while more := os.read(terminal, 4096).decode():
            shown += more
    assert at_work.communicate()[0] == ""
    assert at_work.returncode == 130
    assert "Traceback" not in shown
    assert re.search(
        r"interrupted by SIGINT: \d+ samples of .* are kept: run the same command again to continue", shown
    )
    assert list((tmp_path / "p.npy.unfinished").iterdir())
