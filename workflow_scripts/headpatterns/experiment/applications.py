"""What the applications of section 5 are made of: their runs, what is evaluated, and as what. Imported by the rules.

Mixing (Table 2) prepares a model for a target task with a mixture of basic tasks; selection (Table 3) trains it on the
samples of a pool that resemble a domain's. Both name their runs GROUP.TASK.seedN as all runs are named, with a group
of their own and the training set in the task's place: `mixing.ours.seed0`, `selection.maths-pattern-100.seed0`.
"""

from typing import Any

from headpatterns.experiment.runs import Run

Config = dict[str, Any]

MIXING, SELECTION, BENCHMARKS = "mixing", "selection", "benchmarks"
STUDIES = (MIXING, SELECTION)
TARGET, OURS, BASIC = "target", "ours", "basic"
PSEUDO_PRIVATE = "pseudo-private"
BASE = "base"
"""In the place of a run's name: the model before any run."""
TRAINING = "training"
"""In the place of a probe set's name: the training samples of the run itself."""


def study(config: Config, name: str) -> dict[str, Any]:
    """A study's settings."""
    return config["studies"][name]


def candidates(config: Config) -> list[str]:
    """Basic tasks that the target's change is composed of: those of the group, and those named besides."""
    mixing = study(config, MIXING)
    group = config["task_groups"][mixing["group"]]
    return [task for task in [*group["tasks"], *mixing["also"]] if task != group.get("complex")]


def candidate_runs(config: Config, model: str, seed: int) -> list[Run]:
    """The candidates' runs: of the group, and cut to its size, so that they are those of its other studies."""
    return [Run(model, study(config, MIXING)["group"], task, seed) for task in candidates(config)]


def mixtures(config: Config) -> list[str]:
    """Names of the mixtures: ours, then the random ones."""
    return [OURS, *(f"random{draw}" for draw in range(study(config, MIXING)["random_draws"]))]


def basic(mixture: str) -> str:
    """In the place of a task: the mixture itself, on which the model is trained before it is on the target."""
    return f"{mixture}-{BASIC}"


def mixture_runs(config: Config, model: str, seed: int) -> list[Run]:
    """For each mixture the run on it, and the run on the target that starts there."""
    return [Run(model, MIXING, task, seed) for mixture in mixtures(config) for task in (basic(mixture), mixture)]


def selections(config: Config) -> list[tuple[str, int | None, int]]:
    """Methods with their draw (of the random one) and budget: one training set each."""
    selection = study(config, SELECTION)
    draws = [*((method, None) for method in selection["methods"]),
             *(("random", draw) for draw in range(selection["random_draws"]))]  # fmt: skip
    return [(method, draw, budget) for budget in selection["budgets"] for method, draw in draws]


def selected(method: str, draw: int | None, budget: int) -> str:
    """File name of a selected training set, `pattern-100` or `random0-100`."""
    return f"{method}{'' if draw is None else draw}-{budget}"


def pseudo_private_run(model: str, domain: str, seed: int) -> Run:
    """The run that makes a domain's probe model."""
    return Run(model, SELECTION, f"{domain}-{PSEUDO_PRIVATE}", seed)


def selected_runs(config: Config, model: str, domain: str, seed: int) -> list[Run]:
    """The runs on the selected training sets of a domain."""
    return [Run(model, SELECTION, f"{domain}-{selected(*choice)}", seed) for choice in selections(config)]


def runs(config: Config) -> list[Run]:
    """Every run of both studies, those that others depend on first."""
    found = []
    for seed in config["seeds"]:
        for model in study(config, MIXING)["models"]:
            found += [*candidate_runs(config, model, seed), Run(model, MIXING, TARGET, seed)]
            found += mixture_runs(config, model, seed)
        for model in study(config, SELECTION)["models"]:
            for domain in study(config, SELECTION)["domains"]:
                found.append(pseudo_private_run(model, domain, seed))
            for domain in study(config, SELECTION)["domains"]:
                found += selected_runs(config, model, domain, seed)
    return found


def earlier(run: Run) -> Run | None:
    """The run that a run starts from, where it is not the base model: the target is trained after its mixture."""
    after_a_mixture = run.group == MIXING and run.task != TARGET and not run.task.endswith(f"-{BASIC}")
    return Run(run.model, MIXING, basic(run.task), run.seed) if after_a_mixture else None


def domain_of(config: Config, run: Run) -> str:
    """The domain of a run of the selection study; one domain's name may begin another's."""
    fitting = [domain for domain in study(config, SELECTION)["domains"] if run.task.startswith(f"{domain}-")]
    return max(fitting, key=len)


def is_first_stage(run: Run) -> bool:
    """Whether a training set of section 5 depends on the patterns of this run."""
    return run.group not in STUDIES or run.task == TARGET or run.task.endswith(f"-{PSEUDO_PRIVATE}")


def datasets(config: Config, run: Run) -> list[tuple[str, str]]:
    """Datasets and splits that the samples of a run may come from."""
    if run.group == MIXING:
        target = (study(config, MIXING)["target"], "train")
        return [(task, "train") for task in candidates(config)] if run.task.endswith(f"-{BASIC}") else [target]
    if run.group == SELECTION:
        split = "train" if run.task.endswith(f"-{PSEUDO_PRIVATE}") else "probe"
        return [(study(config, SELECTION)["dataset"], split)]
    return [(run.task, "train")]


def cut_run(run: Run) -> Run | None:
    """The run that names the training set of a run, where that is cut from one dataset; None where others select it.

    After its mixture, the target's own: whichever mixture, the run on the target has the same training set.
    """
    if run.group == MIXING:
        return None if run.task.endswith(f"-{BASIC}") else Run(run.model, run.group, TARGET, run.seed)
    return run if is_first_stage(run) else None


def probe_sets(config: Config, run: Run) -> list[str]:
    """Probe sets that a run's patterns are taken on: datasets (their probe split), or its own training samples.

    D_T is probed on its own instances, for the others are the test; the probe model of a domain also reads the pool.
    """
    if run.group not in STUDIES:
        return [run.task]
    if run.task == TARGET:
        return [TRAINING]
    return [TRAINING, study(config, SELECTION)["dataset"]] if is_first_stage(run) else []


def domain_set(config: Config, domain: str) -> str:
    """Name of the evaluation set of a domain's target items."""
    return f"{study(config, SELECTION)['dataset']}-{domain}"


def variants(config: Config) -> list[dict[str, Any]]:
    """Rows of variants.csv: what is evaluated, in display order."""
    rows = []
    for model in study(config, MIXING)["models"]:
        for seed in config["seeds"]:
            chosen = [("base", None, BASE), ("sft", None, Run(model, MIXING, TARGET, seed).name)]
            for mixture in mixtures(config):
                variant, draw = (OURS, None) if mixture == OURS else ("random", int(mixture.removeprefix("random")))
                chosen.append((variant, draw, Run(model, MIXING, mixture, seed).name))
            target = study(config, MIXING)["target"]
            rows += [_variant(config, MIXING, model, seed, variant, run, target, draw=draw)
                     for variant, draw, run in chosen]  # fmt: skip
    for model in study(config, SELECTION)["models"]:
        for seed in config["seeds"]:
            for domain in study(config, SELECTION)["domains"]:
                items = domain_set(config, domain)
                rows.append(_variant(config, SELECTION, model, seed, BASE, BASE, items, domain=domain))
                rows += [
                    _variant(config, SELECTION, model, seed, method, run.name, items, draw=draw, budget=budget,
                             domain=domain)
                    for (method, draw, budget), run in zip(
                        selections(config), selected_runs(config, model, domain, seed), strict=True
                    )
                ]  # fmt: skip
    for checkpoint in study(config, BENCHMARKS)["checkpoints"]:
        run = checkpoint["run"]
        seed = config["seeds"][0] if run == BASE else Run.named(checkpoint["model"], run).seed
        rows += [_variant(config, BENCHMARKS, checkpoint["model"], seed, "", run, name)
                 for name in study(config, BENCHMARKS)["sets"]]  # fmt: skip
    return rows


def _variant(
    config: Config, study: str, model: str, seed: int, variant: str, run: str, items: str, **others: Any
) -> dict[str, Any]:
    domain = others.get("domain") or ""
    return {
        "study": study,
        "model": model,
        "model_label": config["models"][model]["label"],
        "seed": seed,
        "variant": variant,
        "draw": "" if others.get("draw") is None else others["draw"],
        "budget": others.get("budget") or "",
        "domain": domain,
        "domain_label": domain and config["domains"][domain]["label"],
        "run": run,
        "set": items,
    }


def sheets(config: Config) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """What one evaluation job does, by model and the sheet's name: checkpoints (a run's name, or base) with their sets.

    A sheet belongs to one study and seed and holds at most `evaluation.checkpoints_per_job` pairs; a pair that several
    studies or seeds share is on the first one's sheet alone.
    """
    found: dict[tuple[str, str, int], list[tuple[str, str]]] = {}
    seen = set()
    for row in variants(config):
        pair = (row["run"], row["set"])
        if (row["model"], *pair) not in seen:
            seen.add((row["model"], *pair))
            found.setdefault((row["model"], row["study"], row["seed"]), []).append(pair)
    size = config["evaluation"]["checkpoints_per_job"]
    return {
        (model, f"{name}.seed{seed}.{place // size}"): pairs[place : place + size]
        for (model, name, seed), pairs in found.items()
        for place in range(0, len(pairs), size)
    }


def evaluation_sets(config: Config) -> dict[str, dict[str, Any]]:
    """Evaluation sets by name: a dataset's probe split, a domain's part of it, or a configuration of OpenCompass."""
    return {**config["evaluation"]["sets"], **application_sets(config)}


def application_sets(config: Config) -> dict[str, dict[str, Any]]:
    """The evaluation sets of section 5 alone."""
    mixing, selection = study(config, MIXING), study(config, SELECTION)
    found: dict[str, dict[str, Any]] = {}
    if mixing["models"]:
        found[mixing["target"]] = {"dataset": mixing["target"]}
    if selection["models"]:
        for domain in selection["domains"]:
            found[domain_set(config, domain)] = {"dataset": selection["dataset"], "domain": domain}
    return found
