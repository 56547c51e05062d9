"""Models from GGUF files in the workflow: they are planned, then converted before other jobs, and refused if broken."""

import hashlib
import json
import re

import pytest
import scripts
import tokenizers_of_all_kinds as kinds
from gguf import GGMLQuantizationType as Kind
from gguf_files import model_of, write
from project import snakemake

CHOSEN = ("--configfile", "tests/config/tiny.yaml", "gguf.yaml")
OVERLAY = """
experiment: gguf
models:
  own: {label: Own folder, source: {path: $TINY_MODELS/own}}
  exact: {label: From F32, source: {gguf: $TINY_MODELS/tiny.F32.gguf}}
  rounded: {label: From Q8_0, source: {gguf: $TINY_MODELS/tiny.Q8_0.gguf}}
tokenization: {max_length: 256}
finetuning: {max_steps: 2, checkpoint_steps: [], per_device_batch_size: 4, gradient_accumulation_steps: 1}
patterns: {also: []}
task_groups: {single: {tasks: [gsm8k]}}
studies:
  adaptation: {models: [own, exact, rounded], group: single}
  validity: {models: [], tasks: null}
  transfer: {models: []}
  transplant: {models: [], tasks: null}
  trained_heads: {models: [], tasks: null}
  mixing: {models: []}
  selection: {models: []}
  competence: {models: []}
"""


@pytest.fixture(scope="module")
def project(clone):
    folder = clone("gguf")
    tokenizer = kinds.fast("gpt2")
    model = model_of(len(tokenizer), max_position_embeddings=256)
    for saved in (model, tokenizer):
        saved.save_pretrained(folder / "own")
    for kind in (Kind.F32, Kind.Q8_0):
        write(folder / f"tiny.{kind.name}.gguf", model, tokenizer, kind)
    (folder / "gguf.yaml").write_text(OVERLAY)
    return folder


def test_the_tokens_of_a_file_are_those_of_the_models_own_folder(project):
    """Snakemake converts the file first, and describes the conversion in a file for the report."""
    shards = [f"results/gguf/tokenized/{model}/gsm8k/train" for model in ("own", "exact")]
    done = snakemake(project, *shards, "--cores", "2", *CHOSEN, TINY_MODELS=str(project))
    assert done.returncode == 0, done.stdout
    own, exact = (scripts.contents(project / folder) for folder in shards)
    assert own == exact
    about = json.loads((project / "results/gguf/models/exact/gguf.json").read_text())
    checksum = hashlib.sha256((project / "tiny.F32.gguf").read_bytes()).hexdigest()
    assert (about["file"], about["quantization"], about["sha256"]) == ("tiny.F32.gguf", "F32", checksum)
    answer = snakemake(project, "all", "-n", "-p", *CHOSEN, TINY_MODELS=str(project))
    assert answer.returncode == 0, answer.stdout
    told = " ".join(f"{name}=results/gguf/models/{name}/gguf.json" for name in ("exact", "rounded"))
    assert f"--converted {told} " in answer.stdout
    assert re.findall(r"^rule convert_gguf:\n    input: .*/(.*)$", answer.stdout, re.MULTILINE) == ["tiny.Q8_0.gguf"]


def test_the_plan_knows_the_size_before_the_conversion(project):
    (project / "ahead.yaml").write_text(OVERLAY.replace("experiment: gguf", "experiment: ahead"))
    chosen = [*CHOSEN[:2], "ahead.yaml"]
    answer = snakemake(project, "plan", "--cores", "1", *chosen, TINY_MODELS=str(project))
    assert answer.returncode == 0, answer.stdout
    written = (project / "results/ahead/plan.md").read_text()
    row = re.search(r"^\| rounded +\| GGUF header +\|(.*)$", written, re.MULTILINE)[1]
    assert [cell.strip() for cell in row.split("|")][1:4] == ["2", "4", "64"]
    assert re.search(r"^\| convert_gguf +\| +2 ", answer.stdout, re.MULTILINE)
    answer = snakemake(project, "plan", "--cores", "1", *chosen, TINY_MODELS="/nowhere")
    assert answer.returncode == 0, answer.stdout
    assert "models.rounded.source.gguf; /nowhere/tiny.Q8_0.gguf does not exist yet." in answer.stdout


def test_a_broken_file_is_refused_before_anything_starts(project):
    (project / "broken").mkdir()
    content = (project / "tiny.Q8_0.gguf").read_bytes()
    (project / "broken/tiny.F32.gguf").write_bytes(content[: len(content) // 2])
    (project / "broken/tiny.Q8_0.gguf").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (project / "broken/own").symlink_to(project / "own")
    (project / "broken.yaml").write_text(OVERLAY.replace("experiment: gguf", "experiment: broken"))
    chosen = [*CHOSEN[:2], "broken.yaml"]
    answer = snakemake(project, "all", "--cores", "2", *chosen, TINY_MODELS=str(project / "broken"))
    assert answer.returncode != 0 and "Traceback" not in answer.stdout
    for model, said in (("exact", "tiny.F32.gguf is incomplete"), ("rounded", "tiny.Q8_0.gguf is a Git LFS pointer")):
        assert f"config key models.{model}.source.gguf leads to no model: {project}/broken/{said}" in answer.stdout
