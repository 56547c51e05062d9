"""Values of a config reach the scripts unchanged, even if a shell would interpret them."""

import json
import os
import re
import subprocess

import yaml
from project import PROJECT, snakemake

SHELL = "'\"; touch PWNED; $(touch PWNED) `touch PWNED` & # > PWNED | {x} \\ %s\ntouch PWNED\n"
"""A text that makes the file PWNED if a shell interprets it."""

PYTHON = """#!/bin/bash
printf '%s\\0' "$@" >> words
"""


def test_a_shell_reads_no_value_of_a_config(tmp_path):
    rows = tmp_path / "rows of $(touch PWNED)'`touch PWNED`;.jsonl"
    rows.write_text('{"q": "a", "r": "b"}\n')
    template = f"{SHELL}{{instruction}}"
    columns = {"prompt": SHELL, "response": "$(touch PWNED)"}
    overlay = tmp_path / "overlay.yaml"
    own = {
        "label": f"own {SHELL}",
        "adapter": "generic",
        "options": {"columns": columns},
        "train": [{"path": str(rows)}],
    }
    content = {
        "prompt_template": template,
        "models": {"llama": {"label": f"model {SHELL}"}},
        "datasets": {"own": {**own, "train": [{"path": str(rows)}], "probe": []}},
        "task_groups": {"nlp": {"tasks": ["gsm8k", "codesearchnet", "sgsm", "arc", "own"]}},
    }
    overlay.write_text(yaml.safe_dump(content))
    tiny = str(PROJECT / "tests/config/tiny.yaml")
    answer = snakemake(PROJECT, "all", "-n", "--forceall", "--printshellcmds", "--configfile", tiny, str(overlay))
    assert answer.returncode == 0, answer.stdout[-2000:]
    commands = re.findall(r"^Shell command: (.*?)\n\n(?=\[|Job stats)", answer.stdout, re.MULTILINE | re.DOTALL)
    commands = [command for command in commands if command != "None"]
    assert len(commands) > 60
    shell = tmp_path / "shell"
    shell.mkdir()
    (shell / "python").write_text(PYTHON)
    (shell / "python").chmod(0o755)
    for command in commands:
        environment = {**os.environ, "PATH": f"{shell}:/usr/bin:/bin"}
        subprocess.run(["bash", "-c", command], cwd=shell, env=environment, capture_output=True)
    assert sorted(path.name for path in shell.iterdir()) == ["python", "words"]
    words = (shell / "words").read_text().split("\0")
    assert str(rows) in words and any(word.startswith(template) for word in words)
    for value in (own["label"], columns):
        assert any(json.dumps(value) in word for word in words), value
