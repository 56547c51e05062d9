"""docs/tutorial.md: the test writes its files and runs its commands unchanged, with a tiny model of ours."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import scripts
from project import PROJECT
from tiny_models import VOCABULARY, build

from headpatterns.models import load_tokenizer

PAGE = (PROJECT / "docs/tutorial.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines()


def write_model(folder: Path, texts: Path) -> None:
    """Write a random Llama of 3 layers × 6 heads, with a tokenizer that is trained on texts."""
    scripts.run("train_tokenizer", corpus=texts, vocabulary=VOCABULARY, output=folder.parent / "tokenizer")
    load_tokenizer(folder.parent / "tokenizer").save_pretrained(folder)
    build("llama-grouped-query", vocab_size=VOCABULARY, max_position_embeddings=256).save_pretrained(folder)


def test_the_tutorial_works_as_it_stands(clone, tmp_path):
    project = clone("tutorial")
    assert list(FILES) == ["my_data.py", "first.yaml", "look.py"]
    for name, text in FILES.items():
        (project / name).write_text(text, encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": f"{PAGE} 0 1 2 3 4 5 6 7 8 9 + {PAGE.upper()}"}) + "\n")
    write_model(project / "models/my-model", tmp_path / "texts.jsonl")

    said = {}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in COMMANDS:
        answer = subprocess.run(
            ["bash", "-c", command], cwd=project, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert answer.returncode == 0, f"{command}\n{answer.stdout}{answer.stderr}"
        said[command.split(" --")[0]] = answer.stdout + answer.stderr

    assert "3 layers × 6 heads" in said["headpatterns check-model models/my-model"]
    assert '{"question": "What is ' in said["head -n 2 sums.jsonl capitals.jsonl"]
    assert "first is valid: 2 runs will be fine-tuned" in said["python workflow_scripts/check_config.py first.yaml"]
    assert "sampling.probe\n    samples per probe set\n" in said["snakemake config_reference"]
    assert "Not known" not in said["snakemake plan"] and "| peak " in said["snakemake plan"]
    made = project / "results/first"
    assert (made / "figures/figure1.png").stat().st_size > 10_000
    before, after = (np.load(made / f"patterns/my-model/mine.sums.seed0/sums/step-{step}.npy") for step in (0, 8))
    assert before.shape == after.shape == (3, 6) and (before != after).all()
    layer, head = np.unravel_index(np.abs(after - before).argmax(), before.shape)
    assert said["python look.py"].startswith(f"layer {layer}, head {head}: ")
