"""Each broken input of tests/bad_inputs makes the script that reads it print one sentence and change no file."""

import json
import re
import shutil
import sys

import pytest
import scripts
from bad_inputs import KINDS, cases, number
from broken_files import make
from broken_machines import lacking
from project import PROJECT
from refusals import assert_refusal
from torch.optim.optimizer import register_optimizer_step_pre_hook

FEWEST = 100

RECIPE = json.dumps({"learning_rate": 1e-3, "per_device_batch_size": 2, "global_batch_size": 2, "max_steps": 3})

ARCHITECTURE = json.dumps({"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
                           "intermediate_size": 8})  # fmt: skip


@pytest.fixture
def steps_of_training():
    """The optimizers that made a step."""
    seen = []
    handle = register_optimizer_step_pre_hook(lambda optimizer, *_: seen.append(optimizer))
    yield seen
    handle.remove()


def tree(folder):
    """Every path below a folder, with the content of files."""
    below = sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else path.is_symlink() for path in below}


@pytest.fixture(scope="module")
def sound(tmp_path_factory, model_folder, rows):
    """All inputs of a fine-tuning and an extraction, without faults."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    make(folder, [{"rows": {"file": "own.parquet", "values": {"id": "x"}}}])
    table = ["dataset,id", *(f"sums,{row['id']}" for row in rows)]
    (folder / "set.csv").write_text("\n".join(table) + "\n")
    instructions = folder / "sums.parquet"
    _write(instructions, rows)
    scripts.run(
        "tokenize_instructions", model=model_folder, instructions=instructions, max_length=64,
        output=folder / "sums" / "train",
    )  # fmt: skip
    shutil.copytree(model_folder, folder / "model")
    return folder


def _write(path, rows):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


@pytest.fixture
def command(tmp_path, sound):
    """A function from a case to its script and options; the options of the case replace the sound ones."""

    def finetune(**given):
        plain = {"model": sound / "model", "training_set": sound / "set.csv", "tokenized": sound / "sums" / "train",
                 "recipe": RECIPE, "output": tmp_path / "out"}  # fmt: skip
        return "finetune", {**plain, **given}

    def patterns(**given):
        return "extract_patterns", {"model": sound / "model", "data": sound / "rows.jsonl",
                                    "output": tmp_path / "out.npy", **given}  # fmt: skip

    def tokenize(**given):
        return "tokenize_instructions", {"model": sound / "model", "instructions": sound / "sums.parquet",
                                         "max_length": 64, "output": tmp_path / "out", **given}  # fmt: skip

    def prepare(files, adapter, options=None, output="out"):
        return "prepare_instructions", {"dataset": "own", "adapter": adapter, "train_files": files, "seed": 0,
                                        "options": json.dumps(options or {}), "probe_samples": 2,
                                        "output": tmp_path / output}  # fmt: skip

    def pretrain(corpus):
        return "pretrain", {"architecture": ARCHITECTURE, "tokenizer": sound / "model", "corpus": corpus,
                            "block_size": 4, "recipe": RECIPE, "output": tmp_path / "out"}  # fmt: skip

    def of(case, here):
        [(kind, value), *others] = case.run.items()
        path, given = here / str(value), dict(others)
        if kind == "prepare":
            return prepare(path, **{**given, **({"output": here / given["output"]} if "output" in given else {})})
        if kind == "patterns":
            is_model = case.kind == "models"
            log = {"log": here / given["log"]} if "log" in given else {}
            long = {"output": tmp_path / f"{'x' * given['long']}.npy"} if "long" in given else {}
            return patterns(**{"model" if is_model else "data": path}, **log, **long)
        return {
            "check_config": lambda: ("check_config", {"positional": [path]}),
            "corpus": lambda: pretrain(path),
            "finetune": lambda: finetune(model=path),
            "tokenize": lambda: tokenize(model=path),
            "instructions": lambda: tokenize(instructions=path),
            "training_set": lambda: finetune(training_set=path),
            "tokenized": lambda: finetune(tokenized=path),
            "recipe": lambda: finetune(recipe=value),
            "device": lambda: finetune(device=value),
            "run": lambda: patterns(run=path, output=None, output_folder=tmp_path / "out"),
            "gguf": lambda: ("convert_gguf", {"gguf": path, "output": tmp_path / "out"}),
            "hub": lambda: (
                "fetch_model",  # its option --hub has the name of a parameter of `scripts.launch`
                {"positional": ["--hub", value], "revision": "0" * 40, "output": tmp_path / "out"},
            ),
            "opencompass": lambda: (
                "check_opencompass",
                {"python": sys.executable if value == "python" else value.replace("{here}", str(here)),
                 "output": tmp_path / "out.json"},
            ),
        }[kind]()  # fmt: skip

    return of


@pytest.fixture
def here(tmp_path):
    """The folder for the broken input."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


ALL = [case for kind in KINDS for case in cases(kind)]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_a_broken_input_is_one_sentence(case, tmp_path, here, sound, command, steps_of_training, capfd, monkeypatch):
    if case.kind == "models":
        shutil.copytree(sound / "model", here / "model")
        shutil.copytree(sound / "sums", here / "shards")
    make(here, case.made)
    before = tree(tmp_path)
    script, options = command(case, here)
    if variables := case.machine.get("variables"):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        answer = scripts.launch(script, tmp_path, **options)
        assert answer.returncode == 2, answer.stderr
        said = answer.stderr
        assert len(said.splitlines()) == 1
    else:
        with lacking(here, case.machine, monkeypatch):
            said = scripts.refused(capfd, monkeypatch, script, **options)
    assert_refusal(said, case.named(here), case.hints(here))
    assert tree(tmp_path) == before
    assert not steps_of_training


def test_the_documentation_says_how_many_there_are():
    said = re.findall(r"(\d+) broken inputs", (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert said == [str(number())]
    assert number() >= FEWEST
    assert len({case.name for case in ALL}) == len(ALL)
