"""Analysis tables of any size, computed from generated patterns, for the tests of drawings, tables and report."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.claims.competence import COLUMNS

TASKS = {
    "math": ("MATH", "maths and code"),
    "gsm8k": ("GSM8K", "maths and code"),
    "codesearchnet": ("CodeSearchNet", "maths and code"),
    "sgsm": ("SGSM", "maths and code"),
    "hellaswag": ("HellaSwag", "text reasoning"),
    "winogrande": ("Winogrande", "text reasoning"),
    "arc": ("ARC", "text reasoning"),
}
MODELS = {"llama": ("Llama_mini & co", 4, 6), "gemma": ("Gemma-mini", 4, 6), "opt": ("OPT-mini", 6, 4)}
STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 100)


def write(folder: Path, models: dict = MODELS, tasks: dict = TASKS, seeds: int = 2) -> Path:
    """Write runs.csv, claims.csv, data.csv and every analysis table for `models` × `tasks` × `seeds` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    rows = {name: [] for name in ("patterns", "distribution", "similarity", "composition", "dynamics", "level")}
    for model, (_, layers, heads) in models.items():
        base = random.lognormal(-9, 1.2, (layers, heads))
        blocks = {family: random.lognormal(0, 0.8, (layers, heads)) for _, family in tasks.values()}
        for seed in range(seeds):
            before = {task: base * random.lognormal(0, 0.4, base.shape) for task in tasks}
            after = {
                task: np.sqrt(before[task] * before[task].mean())
                * blocks[family]
                * random.lognormal(0, 0.3, base.shape)
                for task, (_, family) in tasks.items()
            }
            states = {
                "before": before,
                "after": after,
                "change": {task: after[task] - before[task] for task in tasks},
                "change_rate": {task: after[task] / before[task] - 1 for task in tasks},
            }
            for state, patterns in states.items():
                for task, pattern in patterns.items():
                    rows["patterns"] += [
                        (model, task, seed, state, layer, head, value, value - abs(value) / 9, value + abs(value) / 9)
                        for (layer, head), value in np.ndenumerate(pattern)
                    ]
                    if state in ("before", "after"):
                        rows["distribution"] += [
                            (model, task, seed, state, name, value, value * 0.9, value * 1.1)
                            for name, value in spread(pattern).items()
                        ]
                if state != "change":
                    flat = np.array([patterns[task].ravel() for task in tasks])
                    rows["similarity"] += matrix(model, seed, state, list(tasks), flat)
                if state == "change_rate":
                    ranks = flat.argsort(axis=1).argsort(axis=1)
                    rows["similarity"] += matrix(model, seed, "change_rate_spearman", list(tasks), ranks)
                    rows["similarity"] += matrix(model, seed, "log_ratio", list(tasks), np.log1p(flat))
            for of, state in {"change": "change", "base": "before", "partialled": "after"}.items():
                rows["composition"] += composition(model, seed, of, states[state], list(tasks)[-1])
            for task in tasks:
                for step in STEPS:
                    part = 1 - np.exp(-step / 20)
                    mixed = before[task] + part * (after[task] - before[task])
                    r = np.corrcoef(mixed.ravel(), before[task].ravel())[0, 1]
                    mse = ((mixed - before[task]) ** 2).mean()
                    rows["dynamics"].append(
                        (model, task, seed, step, "correlation", r, r - 0.1 * part, min(r + 0.05, 1))
                    )
                    rows["dynamics"].append((model, task, seed, step, "mse", mse, mse * 0.7, mse * 1.4))
                    loss, level = 4 - 3 * part, float(mixed.mean())
                    rows["level"].append((model, task, seed, step, loss, level, level / loss))
    columns = {
        "patterns": "model,task,seed,state,layer,head,value,low,high",
        "distribution": "model,task,seed,state,statistic,value,low,high",
        "similarity": "model,seed,matrix,task_a,task_b,value,low,high",
        "composition": "model,group,seed,complex,of,terms,size,r2,low,high,rank,null_mean,null_high,p_value,plain",
        "dynamics": "model,task,seed,step,statistic,value,low,high",
        "level": "model,task,seed,step,loss,level,level_over_loss",
    }
    tables = {name: pd.DataFrame(found, columns=columns[name].split(",")) for name, found in rows.items()}
    tables["distribution"] = with_change(tables["distribution"])
    tables["level_summary"] = pd.DataFrame(
        [
            (model, name, value, value - 0.1, value + 0.1)
            for model in models
            for name, value in (("r", 0.8), ("slope", 1.2))
        ],
        columns=["model", "statistic", "value", "low", "high"],
    )
    keys = ["model", "state", "statistic"]
    numbers = ["value", "low", "high"]
    tables["distribution_by_model"] = tables["distribution"].groupby(keys, sort=False)[numbers].mean().reset_index()
    tables["similarity_summary"] = summary(tables["similarity"])
    tables["composition_controls"] = controls(models, list(tasks))
    tables["runs"] = run_table(models, tasks, seeds)
    tables["claims"], tables["claims_left_out"] = claims(models), left_out()
    tables["data"] = pd.DataFrame(
        [(model, task, "train", 120, 3, 2, 100, 1, 0) for model in models for task in tasks],
        columns=["model", "dataset", "split", "rows_read", "rejected", "overlapping", "kept", "truncated", "dropped"],
    )
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def matrix(model: str, seed: int, name: str, tasks: list[str], flat: np.ndarray) -> list[tuple]:
    """Every cell of a correlation matrix of `flat` [tasks, heads]."""
    r = np.atleast_2d(np.corrcoef(flat))
    return [
        (model, seed, name, a, b, r[i, j], r[i, j] - 0.1, min(r[i, j] + 0.1, 1))
        for i, a in enumerate(tasks)
        for j, b in enumerate(tasks)
    ]


def spread(pattern: np.ndarray) -> dict[str, float]:
    """Statistics of one pattern; the coherence is made up."""
    x = pattern.ravel()
    return {
        "gini": float(np.abs(x[:, None] - x).sum() / (2 * x.size**2 * x.mean())),
        "cv": float(x.std() / x.mean()),
        "kurtosis": float(((x - x.mean()) ** 4).mean() / x.var() ** 2),
        "level": float(x.mean()),
        "coherence": float(x.min() / x.max()),
        "coherence_floor": 0.125,
    }


def with_change(table: pd.DataFrame) -> pd.DataFrame:
    """Add the state `change`."""
    wide = table.pivot(index=["model", "task", "seed", "statistic"], columns="state", values="value")
    change = (wide["after"] - wide["before"]).rename("value").reset_index()
    change = change[change["statistic"] != "coherence_floor"]
    shares = [change.assign(statistic=name, value=change["value"] / 2) for name in ("rising", "against_base")]
    change = pd.concat([change, *(share[change["statistic"] == "gini"] for share in shares)])
    change = change.assign(state="change", low=change["value"] - 0.01, high=change["value"] + 0.01)
    return pd.concat([table, change[table.columns]])


def composition(model: str, seed: int, of: str, changes: dict[str, np.ndarray], target: str) -> list[tuple]:
    """R² of every single task, every pair and the full set of tasks for `target`; `of` says what `changes` holds."""
    basic = [task for task in changes if task != target] or [target]
    y = changes[target].ravel()
    rows = []
    for size in sorted({1, 2, len(basic)}):
        for terms in combinations(basic, size):
            x = np.array([changes[task].ravel() for task in terms]).T
            r2 = 1 - ((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum() / ((y - y.mean()) ** 2).sum()
            interval = (r2, r2 - 0.1, min(r2 + 0.1, 1))
            rows.append((model, "nlp", seed, target, of, "+".join(terms), size, *interval, 1, 0.01, 0.12, 0.01, r2))
    return rows


def controls(models: dict, tasks: list[str]) -> pd.DataFrame:
    """Rank agreement of pairs of tasks; the table is empty if there are fewer than three pairs."""
    columns = ["model", "group", "complex", "control", "pairs", "spearman", "low", "high"]
    basic = tasks[:-1]
    pairs = ["+".join(pair) for pair in combinations(basic, 2)]
    rows = [
        (model, "nlp", tasks[-1], control, len(pairs), 0.9, 0.8, 0.95, pairs[0], pairs[-1])
        for model in models
        for control in ("base", "partialled")
        if len(pairs) > 2
    ]
    return pd.DataFrame(rows, columns=[*columns, "best_on_changes", "best_on_control"])


def summary(similarity: pd.DataFrame) -> pd.DataFrame:
    """Mean off-diagonal correlation of all pairs; a single task leaves it undefined."""
    off = similarity.assign(value=similarity["value"].where(similarity["task_a"] != similarity["task_b"]))
    means = off.groupby(["model", "matrix"], sort=False)["value"].mean().reset_index()
    return means.assign(pairs="all", low=means["value"] - 0.05, high=means["value"] + 0.05)


def run_table(models: dict, tasks: dict, seeds: int) -> pd.DataFrame:
    """One row for each study and run, in display order."""
    target = list(tasks)[-1]
    return pd.DataFrame(
        [
            {
                "study": study,
                "group": "nlp",
                "model": model,
                "model_label": models[model][0],
                "task": task,
                "task_label": label,
                "family": family,
                "role": "complex" if task == target else "basic",
                "seed": seed,
                "run": f"nlp.{task}.seed{seed}",
                "patterns": f"patterns/{model}/nlp.{task}.seed{seed}/{task}",
            }
            for study in ("adaptation", "composition", "dynamics")
            for model in models
            for task, (label, family) in tasks.items()
            for seed in range(seeds)
        ]
    )


def claims(models: dict) -> pd.DataFrame:
    """One claim with a number for each model, one with every other verdict, and one that compares models."""
    common = {"family": "", "unit": "nats & more", "plain": 0, "p": 0.01, "p_adjusted": 0.02, "held": "seeds; tasks"}
    common |= {"computed": "After minus before, <b> over tasks.", "about": "", "varies": "samples 1.00", "reason": "",
               "learnt": "6 of 7 tasks by accuracy"}  # fmt: skip
    even = {"claim": "gini_falls", "section": "4.1", "where": "Table 1", "statement": "Gini falls & patterns even out"}
    rows = [
        {**common, **even, "model": model, "paper": -0.17, "estimate": -0.1234 * (i + 1), "low": -0.2, "high": -0.05,
         "smallest": 0.085, "verdict": "holds", "reason": "without seed variance"}
        for i, model in enumerate(models)
    ]  # fmt: skip
    other = {"claim": "steep", "section": "4.3", "where": "Figure 5", "statement": "The first steps are steep."}
    verdicts = ("reversed", "negligible", "undecided", "not testable")
    rows += [
        {**common, **other, "model": next(iter(models)), "about": str(100 * (i + 1)), "paper": 0.0133,
         "estimate": 0.01 * i, "low": -0.02, "high": 0.04, "smallest": 0.0066, "power": 0.123, "paper_power": 0.0915,
         "verdict": verdict, "reason": "99% of the answers of base cannot be read" if verdict == "not testable" else ""}
        for i, verdict in enumerate(verdicts)
    ]  # fmt: skip
    between = {"claim": "similarity", "section": "4.1", "where": "Figure 2", "statement": "Correlations fall."}
    rows.append({**common, **between, "model": "", "estimate": -0.4321, "verdict": "holds", "varies": ""})
    columns = (
        "claim,family,section,where,statement,computed,model,about,unit,paper,estimate,plain,low,high,smallest,p,"
        "p_adjusted,power,paper_power,varies,held,learnt,verdict,reason"
    )
    return pd.DataFrame(rows, columns=columns.split(","))


def left_out() -> pd.DataFrame:
    """One claim that is not about these models."""
    row = ("changes_most", "Figure 5", "OPT changes most.", "no model of the experiment stands for OPT-6.7B")
    return pd.DataFrame([row], columns=["claim", "where", "statement", "reason"])


def competence() -> list[list]:
    """Rows of competence.csv: two models on ARC, where only one has learnt it, and one on code without gold answers."""
    arc = {"task": "arc", "chance": 0.25}
    rows = [
        {"model": "llama", **arc, "state": "before", "accuracy": 0.03, "nll": 1.2},
        {"model": "llama", **arc, "state": "after", "accuracy": 0.3, "low": 0.2, "high": 0.42, "nll": 0.35,
         "learnt": 0, "learnt_by": "accuracy"},
        {"model": "gemma", **arc, "state": "before", "accuracy": 0.54, "nll": 1.2},
        {"model": "gemma", **arc, "state": "after", "accuracy": 0.9, "low": 0.8, "high": 0.96, "nll": 0.35,
         "learnt": 1, "learnt_by": "accuracy"},
        {"model": "llama", "task": "codesearchnet", "state": "before", "nll": 2.0, "note": "no gold answers"},
        {"model": "llama", "task": "codesearchnet", "state": "after", "nll": 1.0, "note": "no gold answers",
         "learnt": 1, "learnt_by": "loss"},
    ]  # fmt: skip
    empty = dict.fromkeys(COLUMNS, np.nan) | dict.fromkeys(("learnt", "learnt_by", "note"), "") | {"seed": "all"}
    return [list((empty | row).values()) for row in rows]
