"""GSM8K and SGSM: the same kinds of story, with marked steps or a program as the answer."""

import json
import random
from pathlib import Path

from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import Row, draw_rows
from headpatterns.data.embedded.stories import draw_story, marked_solution, program_solution

SGSM_INSTRUCTION = "Write a word problem about everyday things and a Python function that solves it."


def gsm8k_row(rng: random.Random) -> tuple[str, Row]:
    """A question and its solution with calculator marks."""
    story = draw_story(rng)
    return story.question, {"question": story.question, "answer": marked_solution(story)}


def sgsm_row(rng: random.Random) -> tuple[str, Row]:
    """A question followed by the program that answers it."""
    story = draw_story(rng)
    output = f"Question: {story.question}\nSolution:\n{program_solution(story)}"
    return story.question, {"output": output, "instruction": SGSM_INSTRUCTION, "input": ""}


def write_gsm8k(folder: Path, train: int, test: int, seed: int) -> None:
    """`{train,test}.jsonl`: question, answer."""
    for split, count in (("train", train), ("test", test)):
        write_jsonl(folder / f"{split}.jsonl", draw_rows(gsm8k_row, count, seed, "gsm8k", split))


def write_sgsm(folder: Path, train: int, test: int, seed: int) -> None:
    """`sgsm_{train,test}.json`, a list each: output, instruction, input."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", train), ("test", test)):
        rows = draw_rows(sgsm_row, count, seed, "sgsm", split)
        (folder / f"sgsm_{split}.json").write_text(json.dumps(rows, ensure_ascii=False) + "\n", encoding="utf-8")
