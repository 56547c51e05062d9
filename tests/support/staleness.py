"""What a change makes stale, according to docs/staleness.csv and to a dry run of Snakemake.

A row describes a change in words, and says `how` it is made. Its other columns are the stages that Snakemake runs again
(`rerun`), for the first time (`new`) and not again (`kept`). A stage is either in `rerun` or in `kept`, and it may also
be in `new`.
"""

import contextlib
import csv
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from project import PROJECT

STAGES = {
    "data": r"generate_\w+|fetch_\w+|prepare_instructions",
    "tokens": r"train_tokenizer|tokenize_instructions|cut_training_set",
    "base models": r"pretrain|convert_gguf",
    "fine-tuning": r"finetune_(?!trained_heads_).*",
    "patterns": r"extract_patterns_.*",
    "ablations": r"ablate_heads_.*",
    "transfer and transplants": r"transfer_losses|transplant_heads",
    "heads alone": r"choose_heads|finetune_trained_heads_.*|trained_losses_.*",
    "mixtures and selections": r"mix_basic_tasks|split_domain|read_candidates|select_samples",
    "evaluation": r"evaluate",
    "numbers": r"analyse_\w+|measure_\w+|collect_\w+|assess_answers",
    "figures": r"draw_\w+|write_table\d|write_competence|write_head_scores|write_transfer",
    "report": r"summarise_experiment|render_report",
}
"""Rules of each stage."""

LISTS = r"all|check_\w+|write_config|write_run_table|write_variant_table"
"""Rules that belong to no stage: they write lists or check something, which takes a second or two."""

Row = dict[str, str]


def rows() -> list[Row]:
    """The rows of the table."""
    with (PROJECT / "docs/staleness.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def of_any_experiment() -> list[Row]:
    """The rows whose change needs no file of the user's own."""
    return [row for row in rows() if not row["how"].startswith("own: ")]


def stages_in(cell: str) -> set[str]:
    """The stages of a cell."""
    return set(filter(None, cell.split("; ")))


def planned(folder: Path, output: str) -> tuple[set[str], set[str]]:
    """Stages in which a dry run would make files again, and stages in which it would make files for the first time."""
    rerun, new = set(), set()
    for text in re.split(r"\n(?=(?:local)?rule \S+:)", output)[1:]:
        rule = re.match(r"(?:local)?rule (\S+):", text)[1]
        if re.fullmatch(LISTS, rule):
            continue
        [stage] = [name for name, rules in STAGES.items() if re.fullmatch(rules, rule)]
        made = re.search(r"^    output: (.*)$", text, re.MULTILINE)[1].split(", ")
        (rerun if any((folder / path).exists() for path in made) else new).add(stage)
    return rerun, new


@contextlib.contextmanager
def changed(folder: Path, how: str) -> Iterator[list[str]]:
    """Make a change in a copy of the project inside the block; yields overlays for the command line."""
    kind, _, what = how.partition(": ")
    if kind == "config":
        overlay = folder.parent / "overlay.json"
        overlay.write_text(json.dumps(yaml.safe_load(what)))
        yield [str(overlay)]
        return
    file = folder / what
    before, told = file.read_bytes(), file.stat()
    file.write_text(reordered(before.decode()) if kind == "reorder" else f"{before.decode()}\n# More.\n")
    try:
        yield []
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))


def reordered(text: str) -> str:
    """A config with all keys in reverse order, and a comment."""
    return f"# A comment.\n{yaml.safe_dump(reverse(yaml.safe_load(text)), sort_keys=False, allow_unicode=True)}"


def reverse(value: object) -> object:
    """A value with the keys of all its mappings in reverse order."""
    if isinstance(value, dict):
        return {key: reverse(inner) for key, inner in reversed(value.items())}
    return [reverse(inner) for inner in value] if isinstance(value, list) else value
