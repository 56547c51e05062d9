"""Reads the files that the generators of the embedded world write, with code that belongs only to the tests."""

import csv
import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# dataset -> train and test file; MMLU has other files, and MathBench has no splits.
FILES = {
    "math": ("train.jsonl", "test.jsonl"),
    "gsm8k": ("train.jsonl", "test.jsonl"),
    "codesearchnet": ("python/train.jsonl", "python/test.jsonl"),
    "sgsm": ("sgsm_train.json", "sgsm_test.json"),
    "hellaswag": ("hellaswag_train.jsonl", "hellaswag_val.jsonl"),
    "winogrande": ("train_l.jsonl", "dev.jsonl"),
    "arc": ("ARC-Easy/ARC-Easy-Train.jsonl", "ARC-Easy/ARC-Easy-Test.jsonl"),
    "refgpt": ("refgpt.jsonl", "refgpt_test.jsonl"),
    "infinity_instruct": ("train.jsonl", "test.jsonl"),
}
MATHBENCH = ("mathbench_v1/primary/cloze_cn.jsonl", "mathbench_v1/middle/single_choice_cn.jsonl")


def read(path: Path) -> list[Row]:
    """The rows of a JSON file or of JSON lines."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def read_mmlu(folder: Path) -> list[tuple[str, str, list[str]]]:
    """Split, subject and the six cells of every row."""
    found = []
    for path in sorted(folder.rglob("*.csv")):
        split = path.parent.name
        with path.open(encoding="utf-8", newline="") as file:
            found += [(split, path.stem.removesuffix(f"_{split}"), cells) for cells in csv.reader(file)]
    return found


def prompt_of(name: str, row: Row) -> str:
    """The text that identifies a row: everything that is shown before the answer."""
    match name:
        case "math":
            return row["problem"]
        case "gsm8k":
            return row["question"]
        case "codesearchnet":
            return row["docstring"]
        case "sgsm":
            return row["output"].split("\nSolution:")[0].removeprefix("Question: ")
        case "hellaswag":
            return row["ctx"]
        case "winogrande":
            return row["sentence"]
        case "arc":
            return row["question"]["stem"]
        case "refgpt":
            return row["dialogue"].split("<assistant>")[0]
    return row["conversations"][0]["value"]


def asked_of(name: str, row: Row) -> str:
    """Only the question of a row, without options and without the person who asks it."""
    if name == "arc":
        return row["question"]["stem"].split(": ")[-1]
    if name == "refgpt":
        return row["dialogue"].split("\n")[0].removeprefix("<user> ")
    return prompt_of(name, row)
