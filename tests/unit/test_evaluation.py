"""Evaluation with OpenCompass, in its own environment: predictions, tables, and what is refused."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pyarrow
import pyarrow.parquet
import pytest
import scripts
import torch
import transformers
from forking import forking
from tiny_models import VOCABULARY, build

from headpatterns.evaluation import answers, scores, sets, targets
from headpatterns.evaluation.intervals import wilson
from headpatterns.evaluation.likelihoods import Likelihood
from headpatterns.models import loading as models

POSITIONS, NEW_TOKENS = 96, 12
TOOLS = ["clock", "ruler", "thermometer", "scale"]


OPENCOMPASS = ("opencompass.datasets", "opencompass.models", "opencompass.tasks")
"""Modules whose import takes half of the time of a script in OpenCompass's environment."""


def launch(python, home, script="evaluate", imported=False, **options):
    """Start a script under an interpreter, in the folder `home`; a list of values repeats an option.

    With `imported`, OpenCompass is already imported: for tests of the output that do not test the start.
    """
    words = []
    for name, value in options.items():
        for given in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", *map(str, given if isinstance(given, tuple) else (given,))]
    home.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    environment |= {"HOME": str(home / "home"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [str(scripts.FOLDER / f"{script}.py"), *words]
    if imported:
        return forking(python, *OPENCOMPASS).run(words, home, environment)
    return subprocess.run([python, *words], cwd=home, env=environment, capture_output=True, text=True)


def evaluate(python, home, **options):
    """Evaluate into scores.csv and items.csv of the folder `home`."""
    files = {"work_folder": "work", "output": "scores.csv", "items_output": "items.csv", "log": "log.txt"}
    return launch(python, home, **{"model": "tiny", "max_new_tokens": NEW_TOKENS, **files, **options})


def sentence(done):
    """The single line that a user reads after a refusal."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_parquet(path, rows):
    """An instructions file as the workflow writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    empty = {"response": "", "tags": [], "choices": [], "answer": ""}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{**empty, **row} for row in rows]), path)
    return path


def choice_rows(count=6):
    return [
        {
            "id": f"tool-{n}",
            "prompt": f"Question: Which tool is number {n}?\nAnswer: ",
            "response": "B. ruler",
            "choices": TOOLS,
            "answer": "B",
        }
        for n in range(count)
    ]


def open_rows():
    """Sums, a prompt with names of OpenCompass's columns in braces, and a prompt that is too long."""
    asked = [(f"sum-{n}", f"Question: {n} + {n}?\nAnswer: ", str(n + n)) for n in range(4)]
    asked[2:2] = [
        ("braces", "Print {gold}, {idx}, {canonical} and {prompt}: ", "7"),
        ("long", "Question: " + "1 + " * 80 + "1?\nAnswer: ", "81"),
    ]
    return [
        {"id": id, "prompt": prompt, "response": f"It is {answer}.", "answer": answer} for id, prompt, answer in asked
    ]


def greedy(folder, prompts, new_tokens, positions):
    """Greedy answers of the workflow's own transformers, one prompt at a time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    answered = []
    for prompt in prompts:
        ids = tokenizer(prompt.rstrip())["input_ids"]
        if ids[-1] == tokenizer.eos_token_id and len(ids) > 1:
            ids = ids[:-1]
        if len(ids) > positions - new_tokens:
            kept = ids[:1] if ids[0] == tokenizer.bos_token_id else []
            ids = kept + ids[len(kept) - (positions - new_tokens) :]
        made = model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=new_tokens, do_sample=False
        )
        answered.append(tokenizer.decode(made[0, len(ids) :], skip_special_tokens=True))
    return answered


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, tokenizer):
    """A random Llama with an EOS token that it generates early, and a random OPT."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for number, name in enumerate(("llama-grouped-query", "opt")):
        model = build(name, seed=number, vocab_size=VOCABULARY, max_position_embeddings=POSITIONS)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    llama = folder / "llama-grouped-query"
    model = models.load_model(llama)
    ids = torch.tensor([tokenizer(choice_rows()[0]["prompt"].rstrip())["input_ids"]])
    fond = model.generate(ids, max_new_tokens=5, do_sample=False)[0, -1].item()
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, fond]
    model.generation_config.save_pretrained(llama)
    return {"llama": llama, "opt": folder / "opt"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two evaluation sets and the ids of a part of the first."""
    folder = tmp_path_factory.mktemp("sets")
    part = folder / "part.csv"
    part.write_text("dataset,id\ntools,tool-4\ntools,tool-1\n", encoding="utf-8")
    return {
        "tools": write_parquet(folder / "tools.parquet", choice_rows()),
        "sums": write_parquet(folder / "sums.parquet", open_rows()),
        "part": part,
    }


# What is evaluated ----------------------------------------------------------------------------------------------------

ORDER = [("opt", "sums"), ("llama", "tools"), ("llama", "sums"), ("opt", "tools"), ("llama", "part")]


@pytest.fixture(scope="module")
def done(opencompass, checkpoints, files, tmp_path_factory):
    """Two checkpoints on three sets in one process; the work folder has old predictions of another model."""
    home = tmp_path_factory.mktemp("evaluation")
    for stale in (home / "work" / "checkpoints" / number / name for number in "01" for name in ("tools", "sums")):
        for kind, content in {
            "predictions": {str(n): {"origin_prompt": "x", "prediction": "B. ruler"} for n in range(6)},
            "results": {"accuracy": 100.0},
        }.items():
            path = stale / "0" / kind / "checkpoint" / f"{stale.name}.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(content), encoding="utf-8")
    answer = evaluate(
        opencompass,
        home,
        evaluate=[(run, checkpoints[run], name) for run, name in ORDER],
        set=[("tools", files["tools"]), ("sums", files["sums"]), ("part", files["tools"], files["part"])],
        batch_size=8,
    )
    assert answer.returncode == 0, (home / "log.txt").read_text(encoding="utf-8")
    return home


def test_rows_stand_in_the_order_asked_for(done):
    assert [(row["run"], row["set"]) for row in read(done / "scores.csv")] == ORDER
    items = read(done / "items.csv")
    assert list(dict.fromkeys((row["run"], row["set"]) for row in items)) == ORDER
    assert [row["id"] for row in items if row["set"] == "part"] == ["tool-1", "tool-4"]
    assert {row["model"] for row in items} == {"tiny"}


@pytest.mark.parametrize("run", ["llama", "opt"])
def test_predictions_are_those_of_greedy_decoding(done, checkpoints, run):
    for name, rows in (("tools", choice_rows()), ("sums", open_rows())):
        wanted = greedy(checkpoints[run], [row["prompt"] for row in rows], NEW_TOKENS, POSITIONS)
        found = [row for row in read(done / "items.csv") if (row["run"], row["set"]) == (run, name)]
        assert [row["prediction"] for row in found] == wanted
        assert [row["gold"] for row in found] == [row["answer"] for row in rows]


def test_an_answer_ends_at_the_models_own_end_of_sequence(done, checkpoints):
    (first,) = [
        row for row in read(done / "items.csv") if (row["run"], row["set"], row["id"]) == ("llama", "tools", "tool-0")
    ]
    assert [first["prediction"]] == greedy(checkpoints["llama"], [choice_rows()[0]["prompt"]], 5, POSITIONS)


def test_scores_are_those_of_the_items(done):
    items = read(done / "items.csv")
    gold = {"tools": choice_rows(), "part": choice_rows(), "sums": open_rows()}
    for row in read(done / "scores.csv"):
        own = [item for item in items if (item["run"], item["set"]) == (row["run"], row["set"])]
        choices = TOOLS if row["set"] != "sums" else ()
        for item in own:
            found = answers.read(item["prediction"], item["gold"], choices)
            assert item["answer"] == (found or "")
            assert item["parsed"] == str(int(found is not None))
            assert item["correct"] == str(int(found == answers.canonical(item["gold"], choices)))
        correct = sum(int(item["correct"]) for item in own)
        assert len(own) == int(row["items"]) == (2 if row["set"] == "part" else len(gold[row["set"]]))
        assert int(row["correct"]) == correct
        assert int(row["unparsed"]) == sum(item["parsed"] == "0" for item in own)
        assert int(row["cut"]) == (1 if row["set"] == "sums" else 0)
        assert float(row["accuracy"]) == pytest.approx(correct / len(own))
        assert (float(row["low"]), float(row["high"])) == pytest.approx(wilson(correct, len(own)))


def likelihoods_of(checkpoint, rows, before=""):
    """Nats and tokens of the gold response with EOS and of each option, by plain transformers, one text at a time."""
    tokenizer, model = models.load_tokenizer(checkpoint), models.load_model(checkpoint)

    def taken(prompt, response, end):
        start = len(tokenizer(prompt.rstrip())["input_ids"])
        ids = tokenizer(prompt + response)["input_ids"] + [tokenizer.eos_token_id] * end
        with torch.no_grad():
            logs = model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
        return -sum(logs[n - 1, ids[n]].item() for n in range(start, len(ids))), len(ids) - start

    for row in rows:
        prompt = before + row["prompt"]
        options = [f"{letter}. {text}" for letter, text in zip("ABCD", row.get("choices", []), strict=False)]
        yield taken(prompt, row["response"], True), [taken(prompt, option, False) for option in options]


def assert_likelihoods(items, checkpoint, rows, before=""):
    """Compare cells of items.csv with plain transformers."""
    for item, (gold, options) in zip(items, likelihoods_of(checkpoint, rows, before), strict=True):
        assert (float(item["nll"]), int(item["tokens"])) == (pytest.approx(gold[0], rel=1e-4), gold[1])
        wanted = ["", ""]
        if options:
            wanted[0] = "ABCD"[min(range(4), key=lambda place: options[place][0])]
            wanted[1] = "ABCD"[min(range(4), key=lambda place: options[place][0] / options[place][1])]
        assert [item["likeliest"], item["likeliest_per_token"]] == wanted


@pytest.mark.parametrize("run", ["llama", "opt"])
def test_likelihoods_are_those_of_single_texts(done, checkpoints, run):
    for name, rows in (("tools", choice_rows()), ("sums", open_rows())):
        items = [row for row in read(done / "items.csv") if (row["run"], row["set"]) == (run, name)]
        kept = [place for place, row in enumerate(rows) if row["id"] != "long"]
        assert_likelihoods([items[place] for place in kept], checkpoints[run], [rows[place] for place in kept])
        (scored,) = [row for row in read(done / "scores.csv") if (row["run"], row["set"]) == (run, name)]
        mean = sum(float(item["nll"]) / int(item["tokens"]) for item in items) / len(items)
        assert float(scored["nll"]) == pytest.approx(mean)
        for column in ("likeliest", "likeliest_per_token"):
            share = sum(item[column] == item["gold"] for item in items) / len(items)
            assert scored[column] == "" if name == "sums" else float(scored[column]) == pytest.approx(share)


EXAMPLES = [
    {"id": f"train-{n}", "prompt": f"{n} - 1 = ", "response": f"{n - 1}.", "answer": str(n - 1)} for n in (7, 30, 4)
]
BEFORE = "7 - 1 = 6.\n\n30 - 1 = 29.\n\n"


@pytest.fixture(scope="module")
def chosen(opencompass, checkpoints, files, tmp_path_factory):
    """Two examples before each prompt, options chosen by likelihood, one text at a time; one set has no answers."""
    home = tmp_path_factory.mktemp("chosen")
    mixed = write_parquet(home / "mixed.parquet", [*choice_rows(3), *open_rows()])
    tales = write_parquet(
        home / "tales.parquet", [{"id": str(n), "prompt": "Tell me: ", "response": f"tale {n}."} for n in range(3)]
    )
    train = write_parquet(home / "train.parquet", EXAMPLES)
    names = ("tools", "mixed", "tales")
    answer = evaluate(
        opencompass,
        home,
        evaluate=[("opt", checkpoints["opt"], name) for name in names],
        set=[("tools", files["tools"]), ("mixed", mixed), ("tales", tales)],
        scored=("tools=likelihood", "mixed=likelihood"),
        lenient="tales",
        shots=2,
        examples=tuple(f"{name}={train}" for name in names),
        batch_size=1,
        token_budget=1,
    )
    assert answer.returncode == 0, (home / "log.txt").read_text(encoding="utf-8")
    return home


def test_options_are_chosen_by_their_likelihood_per_token(chosen, checkpoints):
    items = [row for row in read(chosen / "items.csv") if row["set"] == "tools"]
    assert_likelihoods(items, checkpoints["opt"], choice_rows(), BEFORE)
    for item in items:
        assert item["answer"] == item["likeliest_per_token"]
        assert item["prediction"] == TOOLS["ABCD".index(item["answer"])]
        assert (item["parsed"], item["correct"]) == ("1", str(int(item["answer"] == "B")))
    (scored,) = [row for row in read(chosen / "scores.csv") if row["set"] == "tools"]
    correct = sum(item["correct"] == "1" for item in items)
    assert (int(scored["correct"]), scored["unparsed"], scored["cut"]) == (correct, "0", "0")
    assert float(scored["accuracy"]) == pytest.approx(float(scored["likeliest_per_token"]))


def test_items_without_options_are_generated_behind_the_examples(chosen, checkpoints):
    items = [row for row in read(chosen / "items.csv") if row["set"] == "mixed"]
    assert [item["prediction"] for item in items[:3]] == [TOOLS["ABCD".index(item["answer"])] for item in items[:3]]
    rows = open_rows()
    # The prompt that is too long loses the examples first.
    asked = [("" if row["id"] == "long" else BEFORE) + row["prompt"] for row in rows]
    assert [item["prediction"] for item in items[3:]] == greedy(checkpoints["opt"], asked, NEW_TOKENS, POSITIONS)
    (scored,) = [row for row in read(chosen / "scores.csv") if row["set"] == "mixed"]
    assert scored["cut"] == "1" and int(scored["items"]) == 3 + len(rows)


def test_a_set_without_gold_answers_has_likelihoods_alone(chosen, checkpoints):
    items = [row for row in read(chosen / "items.csv") if row["set"] == "tales"]
    rows = [{"prompt": "Tell me: ", "response": f"tale {n}."} for n in range(3)]
    assert_likelihoods(items, checkpoints["opt"], rows, BEFORE)
    unknown = ("gold", "prediction", "answer", "parsed", "correct")
    assert all([item[name] for name in unknown] == [""] * 5 for item in items)
    (scored,) = [row for row in read(chosen / "scores.csv") if row["set"] == "tales"]
    assert [scored[name] for name in ("items", "correct", "unparsed", "accuracy", "low", "high")] == ["3", *[""] * 5]
    assert float(scored["nll"]) > 0


def test_nothing_else_is_written(done):
    assert sorted(path.name for path in done.iterdir()) == ["items.csv", "log.txt", "scores.csv"]


def test_right_answers_are_counted_by_opencompass_too(opencompass, tokenizer, tmp_path):
    """Half of the gold answers are the model's own answers, so that only these items are correct."""
    model = build("opt", vocab_size=VOCABULARY, max_position_embeddings=POSITIONS)
    model.save_pretrained(tmp_path / "opt")
    tokenizer.save_pretrained(tmp_path / "opt")
    rows = open_rows()
    said = greedy(tmp_path / "opt", [row["prompt"] for row in rows], NEW_TOKENS, POSITIONS)
    # Every second gold answer is the model's own, if an answer can be read from its text.
    golds = [answers.read(text, "word") or "nothing" if n % 2 else "another" for n, text in enumerate(said)]
    rows = [{**row, "answer": gold} for row, gold in zip(rows, golds, strict=True)]
    data = write_parquet(tmp_path / "said.parquet", rows)
    answer = evaluate(
        opencompass, tmp_path, evaluate=[("base", tmp_path / "opt", "said")], set=[("said", data)], batch_size=1
    )
    assert answer.returncode == 0, (tmp_path / "log.txt").read_text(encoding="utf-8")
    marks = [row["correct"] for row in read(tmp_path / "items.csv")]
    assert marks == ["1" if n % 2 and golds[n] != "nothing" else "0" for n in range(len(rows))]
    assert "1" in marks
    assert read(tmp_path / "scores.csv")[0]["correct"] == str(marks.count("1"))


@pytest.fixture(scope="module")
def builtin_data(real, tmp_path_factory):
    """A folder whose `data/` holds the first rows of two of OpenCompass's own datasets."""
    folder = tmp_path_factory.mktemp("opencompass-data")
    for target, source, count in (
        ("ARC/ARC-c/ARC-Challenge-Dev.jsonl", "arc/ARC-Challenge/ARC-Challenge-Dev.jsonl", 10),
        ("gsm8k/train.jsonl", "gsm8k/train.jsonl", 4),
        ("gsm8k/test.jsonl", "gsm8k/test.jsonl", 4),
    ):
        lines = (real / "realdata" / source).read_text(encoding="utf-8").splitlines(keepends=True)
        path = folder / "data" / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines[:count]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def real_run(opencompass, real, builtin_data, tmp_path_factory):
    """The real model on real rows of MMLU and on two of OpenCompass's own datasets."""
    home = tmp_path_factory.mktemp("real-evaluation")
    mmlu = real / "realdata" / "mmlu"
    scripts.run(
        "prepare_instructions",
        dataset="mmlu",
        adapter="mmlu",
        train_files=mmlu / "val" / "college_physics_val.csv",
        probe_files=mmlu / "test" / "college_physics_test.csv",
        probe_samples=16,
        seed=0,
        output=home / "mmlu",
    )
    model = real / "realmodels" / "stories260K"
    before = {path.name for path in home.iterdir()}
    answer = evaluate(
        opencompass,
        home,
        evaluate=[("base", model, name) for name in ("physics", "arc", "gsm8k")],
        set=[("physics", home / "mmlu" / "probe.parquet")],
        builtin=[("arc", "ARC"), ("gsm8k", "gsm8k/gsm8k_gen_1d7fe4")],
        opencompass_data=builtin_data,
        max_new_tokens=24,
    )
    assert answer.returncode == 0, (home / "log.txt").read_text(encoding="utf-8")
    assert {path.name for path in home.iterdir()} - before == {"items.csv", "log.txt", "scores.csv"}
    return home, model


def test_a_real_model_on_real_questions_answers_as_greedy_decoding_does(real_run):
    home, model = real_run
    rows = pyarrow.parquet.read_table(home / "mmlu" / "probe.parquet").to_pylist()
    wanted = greedy(model, [row["prompt"] for row in rows], 24, 512)
    items = [row for row in read(home / "items.csv") if row["set"] == "physics"]
    assert [row["id"] for row in items] == [row["id"] for row in rows]
    assert [row["prediction"] for row in items] == wanted


def test_the_datasets_that_opencompass_brings_along(real_run):
    home, _ = real_run
    scores_of = {row["set"]: row for row in read(home / "scores.csv")}
    items = read(home / "items.csv")
    arc = [row for row in items if row["set"] == "arc"]
    assert [row["id"] for row in arc] == [str(n) for n in range(len(arc))]
    assert int(scores_of["arc"]["items"]) == len(arc) > 0
    assert {row["gold"] for row in arc} <= set("ABCD")
    assert {(row["parsed"], row["correct"]) for row in arc} == {("", "")}
    assert scores_of["arc"]["unparsed"] == ""
    gsm8k = [row for row in items if row["set"] == "gsm8k"]
    assert [row["correct"] for row in gsm8k].count("1") == int(scores_of["gsm8k"]["correct"])
    assert all(row["gold"].rpartition("#### ")[2].strip().isdecimal() for row in gsm8k)
    # Its prompt with four worked examples is longer than the model can read.
    assert scores_of["gsm8k"]["cut"] == scores_of["gsm8k"]["items"] == "4"


def test_a_task_that_fails_makes_the_job_fail(opencompass, tokenizer, files, tmp_path):
    """The tokenizer has tokens that the model has no embedding for."""
    build("opt", max_position_embeddings=POSITIONS).save_pretrained(tmp_path / "opt")
    tokenizer.save_pretrained(tmp_path / "opt")
    answer = evaluate(opencompass, tmp_path, evaluate=[("base", tmp_path / "opt", "t")], set=[("t", files["tools"])])
    assert answer.returncode != 0
    assert answer.stderr.startswith("evaluate: ")
    assert not (tmp_path / "scores.csv").exists()


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.fixture
def refused(capfd, monkeypatch, tmp_path, checkpoints, files):
    """A function that returns the sentence of a refusal in this process, before OpenCompass is needed."""

    def of(evaluate=None, sets=None, **options):
        words = ["--model", "tiny", "--work-folder", tmp_path / "work"]
        words += ["--output", tmp_path / "scores.csv", "--items-output", tmp_path / "items.csv"]
        for given in evaluate or [("base", checkpoints["opt"], "tools")]:
            words += ["--evaluate", *given]
        for given in sets or [("tools", files["tools"])]:
            words += ["--set", *given]
        monkeypatch.setattr(scripts, "words", lambda **_: [*map(str, words), *words_of(**options)])
        line = scripts.refused(capfd, monkeypatch, "evaluate")
        assert not (tmp_path / "work").exists()
        return line

    words_of = scripts.words
    return of


def test_a_set_without_gold_answers(refused, tmp_path):
    path = write_parquet(tmp_path / "code.parquet", [{"id": "one", "prompt": "Write.", "response": "pass"}])
    line = refused(sets=[("tools", path)])
    assert str(path) in line
    assert "the item 'one' has no gold answer" in line


def test_a_gold_answer_that_is_no_option(refused, tmp_path):
    path = write_parquet(tmp_path / "tools.parquet", [*choice_rows(2), {**choice_rows(3)[2], "answer": "E"}])
    assert "the item 'tool-2' has the gold answer 'E', which is not one of its options" in refused(
        sets=[("tools", path)]
    )


def test_an_empty_set(refused, tmp_path, files):
    nobody = tmp_path / "nobody.csv"
    nobody.write_text("dataset,id\n", encoding="utf-8")
    assert f"{nobody} has no item" in refused(sets=[("tools", files["tools"], nobody)])


def test_ids_that_are_not_there(refused, tmp_path, files):
    ids = tmp_path / "ids.csv"
    ids.write_text("dataset,id\ntools,tool-1\ntools,other\n", encoding="utf-8")
    line = refused(sets=[("tools", files["tools"], ids)])
    assert f"{ids} names the id 'other' (and 0 more), but {files['tools']} does not have it" in line


def test_files_that_are_no_instructions(refused, tmp_path):
    assert "does not exist" in refused(sets=[("tools", tmp_path / "none.parquet")])
    text = tmp_path / "text.parquet"
    text.write_text("text", encoding="utf-8")
    assert "is not a readable parquet file" in refused(sets=[("tools", text)])
    other = tmp_path / "other.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"]}), other)
    assert f"{other} lacks the column 'prompt'" in refused(sets=[("tools", other)])


def test_a_response_beyond_the_positions_is_refused_before_anything_is_generated(opencompass, checkpoints, tmp_path):
    row = {**open_rows()[0], "response": "1 + " * 60}
    essays = write_parquet(tmp_path / "essays.parquet", [open_rows()[1], row])
    named = {"evaluate": ("base", checkpoints["opt"], "essays"), "set": ("essays", essays)}
    line = sentence(evaluate(opencompass, tmp_path / "home", imported=True, **named))
    assert "the set 'essays': the gold response of the item 'sum-0'" in line
    assert f"no room for a prompt in the model's {POSITIONS} positions" in line
    assert not (tmp_path / "home/work/checkpoints").exists()


def test_sets_by_wrong_names(refused, checkpoints, files):
    opt, tools = checkpoints["opt"], files["tools"]
    assert "unknown set 'tool' (did you mean tools?)" in refused([("base", opt, "tool")])
    assert "the set 'tools' is defined twice" in refused(sets=[("tools", tools), ("tools", tools)])
    assert "'a/b' cannot be a file name" in refused(sets=[("tools", tools), ("a/b", tools)])
    assert "--set tools: give NAME PARQUET" in refused(sets=[("tools",)])
    assert "the run base on the set tools twice" in refused([("base", opt, "tools")] * 2)


def test_a_folder_that_is_no_whole_checkpoint(refused, checkpoints, tmp_path):
    assert "does not exist" in refused([("base", tmp_path / "none", "tools")])
    folder = tmp_path / "opt"
    shutil.copytree(checkpoints["opt"], folder)
    (folder / "model.safetensors").rename(folder / "weights")
    assert f"{folder} is an incomplete checkpoint: it has no weights" in refused([("base", folder, "tools")])
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "m-1.safetensors"}}', encoding="utf-8")
    assert "its weights m-1.safetensors are missing" in refused([("base", folder, "tools")])
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert f"{folder} has no tokenizer" in refused([("base", folder, "tools")])
    (folder / "config.json").unlink()
    assert f"{folder} has no config.json" in refused([("base", folder, "tools")])


def test_numbers_below_one(refused):
    for option in ("batch_size", "max_new_tokens", "max_length", "threads"):
        assert f"--{option.replace('_', '-')} is 0: give 1 or more." in refused(**{option: 0})


def test_the_workflows_own_interpreter_has_no_opencompass(refused):
    assert "use the interpreter of its own environment, which `make opencompass` sets up" in refused()


def test_no_room_for_a_prompt(checkpoints):
    assert targets.longest_prompt(checkpoints["opt"], None, 12) == POSITIONS - 12
    assert targets.longest_prompt(checkpoints["opt"], 40, 12) == 28
    for limit, new in ((None, POSITIONS), (20, 20)):
        with pytest.raises(ValueError, match=f"{new} new tokens leave no room for a prompt in {new} positions"):
            targets.longest_prompt(checkpoints["opt"], limit, new)


@pytest.fixture
def target(checkpoints, files):
    """The options that every evaluation needs."""
    return {"evaluate": [("base", checkpoints["opt"], "tools")], "set": [("tools", files["tools"])]}


def test_a_gpu_that_is_not_there(opencompass, target, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "torch sees no GPU here" in sentence(evaluate(opencompass, tmp_path, imported=True, **target, device="cuda"))


def test_a_built_in_configuration_that_does_not_exist(opencompass, target, tmp_path):
    named = {"builtin": ("arc", "ARC_c/ARC_c_gen_1e0de"), "opencompass_data": "below"}
    done = evaluate(opencompass, tmp_path, imported=True, **target, **named)
    assert "no built-in configuration 'ARC_c/ARC_c_gen_1e0de': did you mean ARC_c/ARC_c_gen_1e0de5?" in sentence(done)


def test_short_names_are_configurations_that_generate(opencompass, tmp_path):
    """Checks all of them in the installed OpenCompass, without their data."""
    program = (
        f"import os, sys; sys.path.append({str(scripts.FOLDER)!r})\n"
        "from headpatterns.evaluation import builtins\n"
        "for name in builtins.SHORT_NAMES: print(name, len(builtins.definitions(builtins.full_name(name))))\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([opencompass, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {name: int(count) for name, count in (line.split() for line in done.stdout.splitlines()[-7:])}
    assert sorted(found) == ["ARC", "gsm8k", "hellaswag", "math", "mathbench", "mmlu", "winogrande"]
    assert found["mmlu"] == 57
    assert all(found.values())


def test_built_in_data_that_nobody_names(refused):
    assert "--builtin arc needs --opencompass-data" in refused(builtin=("arc", "ARC_c/ARC_c_gen_1e0de5"))


def test_built_in_data_that_are_not_there(opencompass, target, tmp_path):
    named = {"builtin": ("arc", "ARC_c/ARC_c_gen_1e0de5"), "opencompass_data": "below"}
    done = evaluate(opencompass, tmp_path, imported=True, **target, **named)
    line = sentence(done)
    assert str(tmp_path / "below" / "data" / "ARC" / "ARC-c" / "ARC-Challenge-Dev.jsonl") in line
    assert "download" not in (tmp_path / "log.txt").read_text(encoding="utf-8").lower()


def test_a_built_in_configuration_that_does_not_generate(opencompass, target, tmp_path):
    named = {"builtin": ("arc", "ARC_c/ARC_c_ppl_a450bd"), "opencompass_data": "below"}
    done = evaluate(opencompass, tmp_path, imported=True, **target, **named)
    assert "evaluates ARC-c with PPLInferencer, not by generating an answer" in sentence(done)


# Built-in sets, before any checkpoint exists --------------------------------------------------------------------------


def check_builtin(python, home, *builtin, **options):
    """Check built-in sets and write sets.csv in the folder `home`, which has files of another check."""
    (home / "work" / "home").mkdir(parents=True)
    files = {"work_folder": "work", "output": "sets.csv", "log": "log.txt"}
    done = launch(python, home, "check_builtin_sets", **{"builtin": list(builtin), **files, **options})
    assert not (home / "work").exists()
    assert (home / "sets.csv").exists() == (done.returncode == 0)
    return done


def test_built_in_sets_are_counted(opencompass, builtin_data, tmp_path):
    done = check_builtin(
        opencompass, tmp_path, ("sums", "gsm8k"), ("arc", "ARC_c/ARC_c_gen_1e0de5"), opencompass_data=builtin_data
    )
    assert done.returncode == 0, (tmp_path / "log.txt").read_text(encoding="utf-8")
    rows = (builtin_data / "data/ARC/ARC-c/ARC-Challenge-Dev.jsonl").read_text(encoding="utf-8").splitlines()
    # OpenCompass leaves out questions that do not have four options.
    four = sum(len(json.loads(row)["question"]["choices"]) == 4 for row in rows)
    assert [tuple(row.values()) for row in read(tmp_path / "sets.csv")] == [
        ("sums", "gsm8k", "4"),
        ("arc", "ARC-c", str(four)),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"log.txt", "sets.csv"}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("ARC_c/ARC_c_gen_1e0de", "no built-in configuration 'ARC_c/ARC_c_gen_1e0de': did you mean ARC_c/ARC_c_gen_1"),
        ("ARC_c/ARC_c_ppl_a450bd", "evaluates ARC-c with PPLInferencer, not by generating an answer"),
        ("ARC", "{home}/below/data/ARC/ARC-c/ARC-Challenge-Dev.jsonl: unpack the data there"),
        ("gsm8k", "cannot read the data of gsm8k at {home}/below/data/gsm8k/train.jsonl"),
    ],
)
def test_a_built_in_set_that_cannot_be_evaluated(opencompass, tmp_path, config, words):
    (tmp_path / "below/data/gsm8k").mkdir(parents=True)
    line = sentence(check_builtin(opencompass, tmp_path, ("one", config), imported=True, opencompass_data="below"))
    assert line.startswith("check_builtin_sets: ")
    assert words.format(home=tmp_path) in line


# The output of OpenCompass --------------------------------------------------------------------------------------------

ITEM = sets.Item("a", "2 + 2?", "4", ())
SUMS = sets.EvaluationSet([ITEM])
ANSWERED = {"origin_prompt": ITEM.prompt, "prediction": "4"}
LIKELIHOODS = [Likelihood(1.5, 3, (), shortened=False)]


def test_other_prompts_than_asked_for_are_noticed():
    output = scores.Output("sums", [{**ANSWERED, "origin_prompt": "2 + 3?"}], {"accuracy": 100.0}, 0)
    with pytest.raises(RuntimeError, match="are not those of the set sums"):
        scores.of_set("sums", SUMS, output, LIKELIHOODS)


def test_another_accuracy_than_that_of_the_items_is_noticed():
    with pytest.raises(RuntimeError, match="but 1 of 1 items are right"):
        scores.of_set("sums", SUMS, scores.Output("sums", [ANSWERED], {"accuracy": 0.0}, 0), LIKELIHOODS)


def test_an_accuracy_that_is_no_share_of_the_items_has_no_interval():
    row, _ = scores.of_builtin(scores.Output("sums", [ANSWERED, ANSWERED], {"accuracy": 33.3}, 1))
    assert row[:5] == (2, "", "", 1, pytest.approx(0.333))
    assert all(bound != bound for bound in row[5:7])
    assert row[7:] == ("", "", "")


def test_a_dataset_without_an_accuracy_is_refused():
    with pytest.raises(ValueError, match="by score, not by accuracy"):
        scores.of_builtin(scores.Output("sums", [ANSWERED], {"score": 1.0}, 0))


# The environment ------------------------------------------------------------------------------------------------------


def test_the_environment_is_checked(opencompass, tmp_path):
    scripts.run("check_opencompass", python=opencompass, output=tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["versions"]["opencompass"] == "0.5.4"
    assert set(found) == {"versions", "platform"}


def test_an_interpreter_without_opencompass(capfd, monkeypatch, tmp_path):
    for python, why in ((tmp_path / "none", "the Python interpreter"), (sys.executable, "No module named")):
        line = scripts.refused(capfd, monkeypatch, "check_opencompass", python=python, output=tmp_path / "found.json")
        assert why in line
        assert "`make opencompass` sets up the environment" in line
    assert not (tmp_path / "found.json").exists()


def test_an_evaluation_needs_nothing_that_its_environment_lacks():
    """Modules import without jaxtyping, which OpenCompass does not pin, and import torch only with a checkpoint."""
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('jaxtyping', 'snakemake', 'torch', 'opencompass')))\n"
        "from headpatterns.evaluation import checks, harness, run\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(scripts.FOLDER)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
