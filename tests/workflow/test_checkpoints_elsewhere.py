"""Models that were trained elsewhere: the workflow gives the same results for them as for the runs themselves."""

import json
import re
import shutil
from pathlib import Path

import peft
import pytest
import tokenizers_of_all_kinds as kinds
import torch
import yaml
from gguf_files import model_of
from project import snakemake
from refusals import assert_refusal

from headpatterns.comparison.pair import checkpoint
from headpatterns.io import read_csv
from headpatterns.models import load_model
from headpatterns.studies.validity.measures import DIFFERENCE

TASKS = ("gsm8k", "arc")
TINY = ("--configfile", "tests/config/tiny.yaml")
COMMON = {
    "models": {"own": {"label": "Own", "source": {"path": "$ELSEWHERE/own"}}},
    "tokenization": {"max_length": 256},
    "finetuning": {
        "max_steps": 2,
        "checkpoint_steps": [],
        "per_device_batch_size": 4,
        "gradient_accumulation_steps": 1,
    },
    "patterns": {"also": []},
    "task_groups": {"single": {"tasks": list(TASKS)}},
    "studies": {
        "adaptation": {"models": [], "group": "single"},
        "composition": {"models": []},
        "dynamics": {"models": [], "changes_most": None},
        "competence": {"models": []},
        "validity": {"models": [], "tasks": None},
        "methods": {"models": [], "groups": []},
        "head_scores": {"models": []},
        "transfer": {"models": []},
        "transplant": {"models": [], "tasks": None},
        "trained_heads": {"models": [], "tasks": None},
        "mixing": {"models": []},
        "selection": {"models": []},
        "benchmarks": {"checkpoints": [], "sets": []},
    },
}
CHAIN = {
    "finetuned": {
        "sft": {"label": "SFT", "base": "own", "source": {"path": "$ELSEWHERE/given/sft"}},
        "tuned": {"label": "LoRA", "base": "own", "source": {"lora": {"path": "$ELSEWHERE/given/adapter"}}},
    },
    "studies": {
        "checkpoints": {
            "chains": {"own": {"label": "A chain", "models": ["own", "sft", "tuned"]}},
            "tasks": list(TASKS),
            "validity": True,
        }
    },
}


def overlay(folder: Path, experiment: str, *parts: dict) -> list[str]:
    """Write the overlays of an experiment into a folder; returns its options for the command line."""
    files = []
    for number, part in enumerate(({"experiment": experiment, "seeds": [0]}, COMMON, *parts)):
        files.append(f"{experiment}{number}.yaml")
        (folder / files[-1]).write_text(yaml.safe_dump(part))
    return [*TINY, *files]


def run(folder: Path, *arguments: str):
    return snakemake(folder, *arguments, ELSEWHERE=str(folder))


@pytest.fixture(scope="module")
def project(clone):
    """A clone with a base model and two models made from it elsewhere: a fine-tuned model and an adapter."""
    folder = clone("elsewhere")
    tokenizer = kinds.fast("gpt2")
    for saved in (model_of(len(tokenizer), max_position_embeddings=256), tokenizer):
        saved.save_pretrained(folder / "own")
    origin = overlay(folder, "origin", {"studies": {"adaptation": {"models": ["own"]}}})
    wanted = [f"results/origin/patterns/own/single.{task}.seed0/{task}" for task in TASKS]
    done = run(folder, *wanted, "--cores", "2", *origin)
    assert done.returncode == 0, done.stdout
    final, mark = folder / "results/origin/checkpoints/own/single.gsm8k.seed0/final", ".snakemake_timestamp"
    shutil.copytree(final, folder / "given/sft", ignore=shutil.ignore_patterns(mark))
    train_adapter(folder / "own", folder / "given/adapter")
    return folder


def train_adapter(base: Path, output: Path) -> None:
    """Train an adapter for a few steps of PEFT on one sample."""
    model = peft.get_peft_model(load_model(base), peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    ids = torch.arange(3, 35)[None]
    for _ in range(3):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(output)


@pytest.fixture(scope="module")
def finished(project):
    """The same clone after an experiment on a chain of checkpoints, in which nothing was fine-tuned."""
    done = run(project, "all", "--cores", "2", *overlay(project, "chains", CHAIN))
    assert done.returncode == 0, done.stdout
    assert not re.search(r"rule finetune", done.stdout)
    return project


def test_patterns_are_those_of_the_run_itself_byte_by_byte(finished):
    probed = finished / "results/chains/patterns/own/finetuned.sft"
    origin = finished / "results/origin/patterns/own"
    for suffix in (".npy", ".samples.npy"):
        for step, own in ((0, 0), (2, 1)):
            there = origin / f"single.gsm8k.seed0/gsm8k/step-{step}{suffix}"
            assert there.read_bytes() == (probed / f"gsm8k/step-{own}{suffix}").read_bytes()
        base = origin / f"single.arc.seed0/arc/step-0{suffix}"
        assert base.read_bytes() == (probed / f"arc/step-0{suffix}").read_bytes()
    assert (probed / "gsm8k/step-1.npy").read_bytes() != (probed / "gsm8k/step-0.npy").read_bytes()


def test_an_adapter_is_merged_and_has_patterns_of_its_own(finished):
    results = finished / "results/chains"
    about = json.loads((results / "models/tuned/lora.json").read_text())
    assert (about["adapter"], about["rank"]) == ("adapter", 2)
    merged = peft.PeftModel.from_pretrained(load_model(finished / "own"), finished / "given/adapter").merge_and_unload()
    own = load_model(results / "checkpoints/own/finetuned.tuned/final").state_dict()
    for name, weight in merged.state_dict().items():
        torch.testing.assert_close(own[name], weight)
    patterns = [results / f"patterns/own/finetuned.{name}/arc/step-1.npy" for name in ("sft", "tuned")]
    assert patterns[0].read_bytes() != patterns[1].read_bytes()


def test_every_stage_is_in_the_tables_and_on_the_page(finished):
    results = finished / "results/chains"
    rows = read_csv(results / "analysis/checkpoints.csv", ("stage", "since", "task", "statistic", "value"))
    places = {(row["stage"], row["since"]) for row in rows}
    assert places == {
        ("own", ""),
        ("finetuned.sft", ""),
        ("finetuned.tuned", ""),
        ("finetuned.sft", "own"),
        ("finetuned.tuned", "own"),
        ("finetuned.tuned", "finetuned.sft"),
    }
    assert {row["task"] for row in rows} == {*TASKS, "all"}
    phases = read_csv(results / "analysis/checkpoints_validity.csv", ("model", "task", "phase"))
    assert {(row["model"], row["phase"]) for row in phases} == {
        ("own", phase) for phase in ("before", "after", DIFFERENCE)
    }
    page = (results / "report.html").read_text(encoding="utf-8")
    assert all(word in page for word in ("Chains of checkpoints", "A chain", "SFT", "LoRA", "own/finetuned.tuned"))
    assert (results / "figures/checkpoints_heads.pdf").read_bytes().startswith(b"%PDF")


def test_the_weights_stay_where_they_were(finished):
    final = finished / "results/chains/checkpoints/own/finetuned.sft/final"
    links = [path for path in final.iterdir() if path.is_symlink()]
    assert {path.name for path in links} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert all(path.readlink() == finished / "given/sft" / path.name for path in links)
    assert not (finished / "given/sft/.snakemake_timestamp").exists()


def test_a_stage_is_compared_by_its_name(finished, monkeypatch):
    monkeypatch.chdir(finished)
    monkeypatch.setenv("ELSEWHERE", str(finished))
    named = checkpoint("own/finetuned.sft", Path("results/chains"), finished / "unused")
    assert named.folder.joinpath("model.safetensors").samefile(finished / "given/sft/model.safetensors")


def test_nothing_is_to_do_again_until_the_weights_are_others(finished):
    chosen = overlay(finished, "chains", CHAIN)
    again = run(finished, "all", "-n", *chosen)
    assert "Nothing to be done" in again.stdout
    weights = finished / "given/sft/model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        changed = run(finished, "all", "-n", *chosen)
    finally:
        weights.write_bytes(content)
    assert changed.returncode == 0, changed.stdout
    assert re.search(r"rule take_finetuned:\n.*finetuned\.sft|wildcards: model=own, finetuned=sft", changed.stdout)
    assert "merge_adapter" not in changed.stdout


def test_a_dry_run_needs_no_files_and_a_second_stage_goes_on_from_there(project):
    second = {
        "models": {"after": {"label": "After", "source": {"model": "own", "run": "finetuned.sft"}}},
        "finetuned": {"sft": {"source": {"path": "$AWAY/sft"}, "obtain": "ask its author."}},
        "studies": {"adaptation": {"models": ["after"]}},
    }
    answer = run(project, "all", "-n", *overlay(project, "second", CHAIN, second))
    assert answer.returncode == 0, answer.stdout
    assert "results/second/checkpoints/own/finetuned.sft/final" in answer.stdout
    assert_refusal(answer.stdout, "finetuned.sft.source.path", ("AWAY, which is not set", "ask its author."))


def test_the_plan_counts_what_is_taken(project):
    answer = run(project, "plan", "--cores", "1", *overlay(project, "ahead", CHAIN))
    assert answer.returncode == 0, answer.stdout
    for rule, count in (("take_finetuned", 2), ("merge_adapter", 1), ("extract_patterns", 1), ("ablate_heads", 1)):
        assert re.search(rf"^\| {rule} +\| +{count} ", answer.stdout, re.MULTILINE), rule


def test_a_model_of_another_base_is_refused_before_its_patterns_are_taken(project):
    """The architecture is the same here, so only the tokens show the difference."""
    other = project / "given/other"
    shutil.copytree(project / "given/sft", other)
    content = json.loads((other / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    one, two = sorted(vocabulary, key=vocabulary.get)[5:7]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (other / "tokenizer.json").write_text(json.dumps(content))
    foreign = {"finetuned": {"sft": {"source": {"path": "$ELSEWHERE/given/other"}}}}
    target = "results/foreign/patterns/own/finetuned.sft/gsm8k"
    answer = run(project, target, "--cores", "2", *overlay(project, "foreign", CHAIN, foreign))
    assert answer.returncode != 0
    assert_refusal(answer.stdout, str(other), ("vocabularies differ", "set base to the model"))
    assert "rule extract_patterns" not in answer.stdout
