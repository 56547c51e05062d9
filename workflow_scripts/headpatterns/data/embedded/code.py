"""CodeSearchNet: Python functions with docstrings."""

import hashlib
import random
import re
from functools import partial
from pathlib import Path

from headpatterns.data.embedded import world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.functions import draw_function
from headpatterns.data.embedded.sampling import Row, draw_rows

# As in the original dataset, no repository has functions in both splits.
REPOSITORIES = {"train": ("ann/basket", "ben/garden", "mia/kitchen"), "test": ("leo/market", "sue/school")}
TOKEN = re.compile(r"[A-Za-z_]\w*|\d+|//|[=!<>+\-*/%]=|[^\w\s]")


def function_row(rng: random.Random, split: str) -> tuple[str, Row]:
    """A function in the upstream schema; its docstring is part of `code` but not of `code_tokens`."""
    function = draw_function(rng, world.THINGS)
    code = function.code(with_docstring=True)
    repository = rng.choice(REPOSITORIES[split])
    path = f"{repository.split('/')[1]}/{function.argument}.py"
    sha = hashlib.sha1(repository.encode()).hexdigest()
    start = rng.randint(1, 200)
    end = start + code.count("\n")
    return function.purpose, {
        "repo": repository,
        "path": path,
        "func_name": function.name,
        "original_string": code,
        "language": "python",
        "code": code,
        "code_tokens": TOKEN.findall(function.code(with_docstring=False)),
        "docstring": function.purpose,
        "docstring_tokens": TOKEN.findall(function.purpose),
        "sha": sha,
        "url": f"https://example.org/{repository}/blob/{sha}/{path}#L{start}-L{end}",
        "partition": split,
    }


def write_codesearchnet(folder: Path, train: int, test: int, seed: int) -> None:
    """`python/{train,test}.jsonl`."""
    for split, count in (("train", train), ("test", test)):
        rows = draw_rows(partial(function_row, split=split), count, seed, "codesearchnet", split)
        write_jsonl(folder / "python" / f"{split}.jsonl", rows)
