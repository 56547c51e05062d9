"""Consistent variants, evaluations and coefficients of any size, for the tests of section 5."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scripts

from headpatterns.evaluation.intervals import wilson
from headpatterns.experiment import variants as evaluations
from headpatterns.experiment.variants import Variant
from headpatterns.io import write_csv
from headpatterns.studies.mixing.proportions import COEFFICIENT_COLUMNS, PICK_COLUMNS
from headpatterns.studies.selection import costs

MODELS = {"llama": "Llama_mini & co", "gemma": "Gemma-mini"}
DOMAINS = {"maths": "Mathematics", "law": "Law"}
SIZES = {"target": 60, "mmlu-maths": 80, "mmlu-law": 40}
# How much a variant adds to the base model's chance of a right answer.
GAINS = {"base": 0.0, "sft": 0.1, "random": 0.15, "ours": 0.35, "oracle": 0.4, "pattern": 0.3}
PARTS = ("math", "arc")
"""The tasks that make up the target, if they are known."""


def variants(
    models: dict = MODELS,
    domains: dict = DOMAINS,
    seeds: int = 2,
    draws: int = 3,
    budgets: tuple = (100, 300),
    oracle: bool = False,
) -> list[Variant]:
    """Both studies and a benchmark, in display order."""
    rows = []
    for model, label in models.items():
        for seed in range(seeds):
            mixing = [("base", "", "base"), ("sft", "", f"mixing.target.seed{seed}")]
            mixing += [("ours", "", f"mixing.ours.seed{seed}")]
            mixing += [("random", str(draw), f"mixing.random{draw}.seed{seed}") for draw in range(draws)]
            mixing += [("oracle", "", f"mixing.oracle.seed{seed}")] if oracle else []
            rows += [
                Variant("mixing", model, label, str(seed), kind, draw, "", "", "", run, "target")
                for kind, draw, run in mixing
            ]
            for domain, domain_label in domains.items():
                place = (domain, domain_label)
                name = f"mmlu-{domain}"
                rows.append(Variant("selection", model, label, str(seed), "base", "", "", *place, "base", name))
                for budget in map(str, budgets):
                    chosen = [(method, "", method) for method in ("pattern", "base-pattern", "nearest", "bm25")]
                    chosen += [("random", str(draw), f"random{draw}") for draw in range(draws)]
                    chosen += [("oracle", "", "oracle")] if oracle else []
                    rows += [
                        Variant("selection", model, label, str(seed), method, draw, budget, *place,
                                f"selection.{domain}-{task}-{budget}.seed{seed}", name)
                        for method, draw, task in chosen
                    ]  # fmt: skip
        rows.append(Variant("benchmarks", model, label, "0", "", "", "", "", "", "mixing.ours.seed0", "target"))
    return rows


def generated(rows: list[Variant]) -> dict[tuple[str, str, str], list[int]]:
    """Right and wrong answers. A variant with a larger gain has more right ones; an item is equally hard for all."""
    hardness = {name: np.random.default_rng(len(name)).uniform(size=size) for name, size in SIZES.items()}
    found = {}
    for place, row in enumerate(rows):
        luck = np.random.default_rng(place).normal(0, 0.05, SIZES[row.set])
        right = (hardness[row.set] < 0.3 + GAINS.get(row.variant, 0.2) + luck).astype(int).tolist()
        found.setdefault(row.evaluation, right)
    return found


ITEM_COLUMNS = (
    *("model", "run", "set", "id", "gold", "prediction", "answer", "parsed", "correct"),
    *("nll", "tokens", "likeliest", "likeliest_per_token"),
)


def tokens(item: int) -> int:
    """Tokens of an item's gold answer."""
    return 1 + item % 3


def of_marks(marks: list[int]) -> list[float]:
    """Default nats per token: 0.25 for a right answer and 1.25 for a wrong one."""
    return [1.25 - mark for mark in marks]


def write(
    folder: Path,
    rows: list[Variant],
    correct: dict[tuple[str, str, str], list[int]],
    item_id: Callable[[str, int], str] = "{}-{}".format,
    losses: dict[tuple[str, str, str], list[float]] | None = None,
) -> Path:
    """Write variants.csv, and for each model batch.csv, batch.items.csv, and the coefficients and picks of two seeds.

    `losses` are nats per token of each item's gold answer. The default is 0.25 for a right answer and 1.25 for a wrong
    one.
    """
    write_variants(folder / "variants.csv", rows)
    for model in dict.fromkeys(row.model for row in rows):
        own = {key: marks for key, marks in correct.items() if key[0] == model}
        place = folder / "evaluations" / model
        write_csv(place / "batch.csv", evaluations.SCORE_COLUMNS, [score(key, marks) for key, marks in own.items()])
        write_csv(
            place / "batch.items.csv",
            ITEM_COLUMNS,
            [
                (
                    *key,
                    item_id(key[2], item),
                    "A",
                    "The answer,\nI think, is A" if mark else "",
                    "A" * mark,
                    mark,
                    mark,
                    tokens(item) * ((losses or {}).get(key) or of_marks(marks))[item],
                    tokens(item),
                    "",
                    "",
                )
                for key, marks in own.items()
                for item, mark in enumerate(marks)
            ],
        )
        for seed in range(2):
            write_csv(
                folder / "mixtures" / model / f"seed{seed}" / "coefficients.csv",
                COEFFICIENT_COLUMNS,
                [
                    (model, seed, "math", 0.6, 0.5, 0.7, 0.9, 1, 0.75, 75, 0.61, 0.5, 1, 0.1, 0),
                    (model, seed, "refgpt", 0.2, 0.1, 0.3, 0.9, 1, 0.25, 25, 0.21, 0.1, 0, 0.3, 1),
                    (model, seed, "arc", -0.1234, -0.2, 0.1, 0.9, 0, 0, 0, -0.12, 0.3, 1, 0.2, 1),
                ],
            )
            write_csv(
                folder / "mixtures" / model / f"seed{seed}" / "picks.csv",
                PICK_COLUMNS,
                [
                    (model, seed, of, tasks, share, int(tasks == kept), 1 / 3)
                    for of, kept in {"change": "math+refgpt", "base": "math+arc", "partialled": "refgpt+arc"}.items()
                    for tasks, share in {"math+refgpt": 0.8, "math+arc": 0.2, "refgpt+arc": 0}.items()
                ],
            )
    return folder


def write_variants(path: Path, rows: list[Variant]) -> Path:
    """Write variants.csv."""
    write_csv(path, evaluations.COLUMNS, [[getattr(row, column) for column in evaluations.COLUMNS] for row in rows])
    return path


def score(key: tuple[str, str, str], marks: list[int]) -> tuple:
    """A row of an evaluation: half of the wrong answers are unparsed, one prompt was cut, and there are no options."""
    items, right = len(marks), sum(marks)
    return (*key, items, right, (items - right) // 2, 1, right / items, *wilson(right, items), 1.5, "", "")


def items(folder: Path) -> list[Path]:
    """The files with the answers to single items."""
    return sorted(folder.glob("evaluations/*/*.items.csv"))


OUTPUTS = {
    "mixing": {
        "accuracy": "mixing",
        "differences": "mixing_differences",
        "ranks": "mixing_ranks",
        "mixture": "mixture",
        "picks": "mixture_picks",
        "parts": "mixture_parts",
        "grid": "mixture_grid",
    },
    "selection": {"accuracy": "selection", "differences": "selection_differences", "ranks": "selection_ranks"},
}


def analyse(
    study: str,
    folder: Path,
    output: Path | None = None,
    resamples: int = 200,
    seed: int = 3,
    parts: tuple[str, ...] = (),
    **inputs,
) -> None:
    """Run the analysis of a study on the files in `folder`; it writes its tables to `output`, or else to `folder`."""
    given = {"variants": folder / "variants.csv", "items": items(folder)}
    settings: dict = {"resamples": resamples, "seed": seed}
    if study == "mixing":
        settings |= {"parts": list(parts), "points": []}
        for name in ("coefficients", "picks"):
            given[name] = sorted(folder.glob(f"mixtures/*/*/{name}.csv"))
    outputs = {key: str((output or folder) / f"{name}.csv") for key, name in OUTPUTS[study].items()}
    scripts.run(
        "analyse",
        positional=[study],
        inputs=json.dumps({**given, **inputs}, default=str),
        outputs=json.dumps(outputs),
        settings=json.dumps(settings),
    )


def write_table(folder: Path, number: int, output: Path, analysis: Path | None = None) -> None:
    """Write Table 2 or 3 of the variants in `folder` to `output` with three suffixes; `analysis` holds the numbers."""
    study = {2: "mixing", 3: "selection"}[number]
    tables = {"variants": str(folder / "variants.csv"), study: str((analysis or folder) / f"{study}.csv")}
    scripts.run("write_table", positional=[f"table{number}"], inputs=json.dumps(tables), output=output)


def write_costs(path: Path) -> None:
    """Write the costs of two methods: one with a warm-up, and one with an unknown time."""
    rows = []
    for model in MODELS:
        for place, domain in enumerate(DOMAINS):
            own = [("less", "read", 64, 0.002 * (place + 1)), ("less", "warm_up", 0, 0.0005), ("less", "rank", 0, 1e-6),
                   ("bm25", "read", 0, "nan"), ("bm25", "rank", 0, 1e-6)]  # fmt: skip
            rows += [(model, domain, 0, *one) for one in own]
    write_csv(path, (*costs.KEY, *costs.COLUMNS), rows)


def write_rankings(folder: Path, related: int = 12, pool: int = 40, seeds: int = 2) -> list[dict]:
    """Write scores.csv, related.csv and the random draws of a selection for each model, domain and seed.

    `bm25` ranks the related samples first, `pattern` ranks them last, and the other methods rank at random. Returns the
    input of the analysis for each selection.
    """
    ids = [f"p{n}" for n in range(pool)]
    made = []
    for model in MODELS:
        for domain in DOMAINS:
            for seed in range(seeds):
                place = folder / "selections" / model / f"{domain}.seed{seed}"
                generator = np.random.default_rng([seed, len(domain)])
                orders = {"pattern": ids[::-1], "bm25": ids}
                orders |= {name: generator.permutation(ids).tolist() for name in ("base-pattern", "nearest")}
                rows = [
                    (id, name, 1 - n / pool, n) for name, own in orders.items() for n, id in enumerate(own, start=1)
                ]
                write_csv(place / "scores.csv", ("id", "method", "score", "rank"), rows)
                write_csv(
                    folder / "domains" / domain / "related.csv", ("dataset", "id"), [("x", i) for i in ids[:related]]
                )
                drawn = [place / f"random{draw}-20.csv" for draw in range(2)]
                for path in drawn:
                    write_csv(path, ("dataset", "id"), [("x", id) for id in generator.permutation(ids)[:20]])
                made.append({
                    "model": model, "domain": domain, "seed": seed, "scores": str(place / "scores.csv"),
                    "related": str(folder / "domains" / domain / "related.csv"), "drawn": list(map(str, drawn)),
                })  # fmt: skip
    return made


def precision(folder: Path, rankings: list[dict], budgets: tuple[int, ...] = (10, 20)) -> None:
    """Run the analysis of rankings; its tables go to `folder`."""
    outputs = {"precision": str(folder / "precision.csv"), "curve": str(folder / "precision_curve.csv")}
    settings = {"rankings": rankings, "budgets": list(budgets), "resamples": 100, "seed": 3}
    scripts.run(
        "analyse", positional=["precision"], inputs="{}", outputs=json.dumps(outputs), settings=json.dumps(settings)
    )
