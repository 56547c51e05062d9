"""The whole workflow at the smallest size, run as a user runs it."""

import csv
import fcntl
import hashlib
import html.parser
import json
import os
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import browser
import golden
import numpy as np
import pytest
import scipy.stats
import staleness
import yaml
from project import snakemake
from refusals import assert_refusal
from safetensors.numpy import load_file

from headpatterns.report import origins

TINY = ("--configfile", "tests/config/tiny.yaml")
TWO_SEEDS = (*TINY, "tests/config/two-seeds.yaml", "lean.yaml")
RUN = "checkpoints/llama/nlp.gsm8k.seed0"
TASKS = ("gsm8k", "codesearchnet", "sgsm", "arc")
SECTION_4 = [
    *(f"nlp.{task}.seed0" for task in TASKS),
    *(f"infinity.infinity-{task}.seed0" for task in ("reasoning", "programming", "reasoning-programming")),
]
# Runs whose checkpoints have patterns: those of the dynamics, and those whose methods are compared at the same loss.
FOLLOWED = {*(f"nlp.{task}.seed0" for task in TASKS), "adapters.gsm8k.seed0", "adapters.arc.seed0"}
FIGURES = (
    "figure1",
    "figure2",
    "figure4",
    "figure5",
    "figure_level",
    "figure_validity",
    "figure_methods",
    "figure_transplant",
    "figure_trained_heads",
    "figure_sensitivity",
)


@pytest.fixture(scope="module")
def finished(clone, opencompass) -> Path:
    """A copy of the project in which `all` was built."""
    folder = clone("tiny")
    before = files_of(folder)
    done = snakemake(folder, "all", "--cores", "2", "--scheduler", "ilp", *TINY, PYTHONHASHSEED="0")
    assert done.returncode == 0, done.stdout
    assert f"report   {folder}/results/tiny/report.html" in done.stdout
    written = {path for path in files_of(folder) - before if path.parts[0] not in {".snakemake", "results"}}
    assert {path for path in written if "__pycache__" not in path.parts} == set()
    return folder


@pytest.fixture(scope="module")
def again(clone: Callable[[str], Path], opencompass: Path) -> Iterator[Path]:
    """A second copy, in which `all` was built with two seeds and without keeping the weights of fine-tunings.

    Jobs run in another order, more of them at a time, and Python orders its sets differently.
    """
    folder = clone("again")
    (folder / "lean.yaml").write_text("finetuning: {keep_final_checkpoints: false}\n")
    done = snakemake(folder, "all", "--cores", "3", "--scheduler", "greedy", *TWO_SEEDS, PYTHONHASHSEED="20240915")
    assert done.returncode == 0, done.stdout
    yield folder
    shutil.rmtree(folder)


def files_of(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def planned(folder: Path, *arguments: str) -> set[str]:
    """Rules that a dry run would run; all batches of runs have one name."""
    answer = snakemake(folder, *arguments, "-n", *TINY)
    assert answer.returncode == 0, answer.stdout
    return rules(answer.stdout)


def rules(output: str) -> set[str]:
    """Names of the rules that Snakemake says it runs."""
    names = re.findall(r"^(?:local)?rule ([\w-]+):", output, re.MULTILINE)
    return {re.sub(r"^(finetune|extract_patterns|ablate_heads|trained_losses)_.*", r"\1", name) for name in names}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_picture_and_table_is_there(finished):
    results = finished / "results/tiny"
    for name in (
        "figure2_clustered",
        "figure2_rates",
        "mixture",
        "precision",
        "figure_competence",
        "figure_transfer",
        "figure_head_scores",
        *FIGURES,
    ):
        assert (results / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (results / f"figures/{name}.svg").read_text()
    for name in ("table1", "table2", "table3", "competence", "head_scores", "transfer"):
        assert read_csv(results / f"tables/{name}.csv")
        assert "\\toprule" in (results / f"tables/{name}.tex").read_text()
        assert (results / f"tables/{name}.md").read_text().count("|") > 10


def test_the_numbers_are_the_golden_ones(finished: Path) -> None:
    """They agree within a millionth on their machine type, and elsewhere in shape (support/golden.py renews them)."""
    exact = golden.is_golden_machine()
    if not exact:
        warnings.warn("another machine type than in tests/golden/machine.json: shapes are compared alone", stacklevel=1)
    made = golden.tables(finished / "results/tiny/analysis")
    assert golden.differences(golden.tables(golden.GOLDEN), made, exact) == []


def test_the_report_is_self_contained(finished):
    page = (finished / "results/tiny/report.html").read_text(encoding="utf-8")
    sources = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            sources.extend(value for name, value in attributes if name == "src" or (tag == "link" and name == "href"))

    Reader().feed(page)
    assert all(source.startswith("data:") for source in sources)
    for word in (*(f"Figure {n}" for n in (1, 2, 4, 5)), *(f"Table {n}" for n in (1, 2, 3)), "transformers"):
        assert word in page
    assert "Do the patterns mean anything?" in page


def test_every_view_is_drawn_and_nobody_is_shut_out(finished):
    views = ["view-competence", "view-heads", "view-tasks", "view-sums", "view-table2", "view-table3"]
    page = finished / "results/tiny/report.html"
    with browser.started() as chromium:
        with browser.opened(chromium, page) as found:
            assert found.page.locator("section.view").evaluate_all("found => found.map(one => one.id)") == views
            base = next(row for row in read_csv(finished / "results/tiny/tables/table2.csv")
                        if (row["variant"], row["measure"]) == ("base", "nll"))  # fmt: skip
            found.page.select_option("#table2-measure", "nll")
            found.shows("table2-scores", "Negative log-likelihood")
            [said] = [
                text for text in found.said("table2-scores") if f"variant: Base; model: {base['model_label']}" in text
            ]
            assert float(re.search(r"value: ([\d.]+)", said)[1]) == pytest.approx(float(base["value"]), rel=1e-3)
            said = found.said("competence-shares")
            for row in read_csv(finished / "results/tiny/tables/competence.csv"):
                about = (f"task: {row['task_label']};", f"fine-tuning: {row['state']}")
                of_state = [one for one in said if all(part in one for part in about)]
                expected = [float(row["accuracy"]) * 100] if row["accuracy"] else []
                values = [float(re.search(r"per cent: ([\d.]+)", one)[1]) for one in of_state]
                assert values == pytest.approx(expected, rel=1e-2)
            assert found.requests == [] and found.complaints == []
        with browser.opened(chromium, page, browser.NARROW, policy=False) as found:
            assert found.overflow() <= 0
            assert found.faults() == []


def test_patterns_are_means_of_their_samples(finished):
    folders = [path.parent for path in (finished / "results/tiny/patterns").rglob("step-0.json")]
    # Section 4, the candidates, the targets, the probe models, and two tasks by adapters.
    assert len(folders) == 7 + 1 + 4 + 2 + 2 * 2 + 2
    for folder in folders:
        steps = sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.json"))
        for step in steps:
            samples = np.load(folder / f"step-{step}.samples.npy")
            mean = np.load(folder / f"step-{step}.npy")
            assert samples.shape[1:] == (2, 4)
            assert samples.dtype == mean.dtype == np.float32
            assert (samples > 0).any() and (samples < 0).any()
            np.testing.assert_allclose(mean, np.abs(samples.astype(np.float64)).mean(axis=0), rtol=1e-6)
            about = json.loads((folder / f"step-{step}.json").read_text())
            assert len(about["ids"]) == len(about["losses"]) == len(about["response_tokens"]) == len(samples)
            # By the triangle inequality.
            one, two = (np.load(folder / f"step-{step}.{name}.samples.npy") for name in about["also"])
            assert (np.abs(samples) <= one * (1 + 1e-5)).all() and (one <= two * (1 + 1e-5)).all()
        on_the_way = folder.parts[-3:-1] in {("llama", run) for run in FOLLOWED}
        assert steps == [0, 1, 3, 6] if on_the_way else len(steps) == 2


def test_step_0_is_the_same_model_for_every_run(finished):
    """Runs on different tasks start from one base model, so the patterns at step 0 must name that model."""
    about = json.loads((finished / "results/tiny/patterns/llama/nlp.gsm8k.seed0/gsm8k/step-0.json").read_text())
    assert about["model"] == "results/tiny/pretraining/llama/seed0/final"


def test_training_sets_are_cut_to_the_smallest(finished):
    results = finished / "results/tiny"
    for group in ("nlp", "infinity"):
        sets = [read_csv(path) for path in (results / "training_sets/embedded").glob(f"{group}.*.csv")]
        assert len(sets) == (5 if group == "nlp" else 3)
        kept = [len(read_csv(results / f"tokenized/embedded/{rows[0]['dataset']}/train/samples.csv")) for rows in sets]
        assert {len(rows) for rows in sets} == {min(kept)}


def test_train_and_probe_never_overlap(finished):
    import pyarrow.parquet

    for folder in (finished / "results/tiny/instructions").iterdir():
        train, probe = (
            pyarrow.parquet.read_table(folder / f"{split}.parquet", columns=["id", "prompt"]).to_pydict()
            for split in ("train", "probe")
        )
        assert not set(train["prompt"]) & set(probe["prompt"])
        assert not set(train["id"]) & set(probe["id"])


def test_intermediate_checkpoints_are_gone_and_the_last_is_kept(finished):
    run = finished / "results/tiny" / RUN
    assert json.loads((run / "run.json").read_text())["steps"] == [1, 3, 6]
    assert (run / "final/model.safetensors").is_file()
    assert not (run / "intermediate").exists()
    assert not run.with_name(run.name + ".unfinished").exists()
    assert [row["step"] for row in read_csv(run / "training.csv")] == [str(step) for step in range(1, 7)]


def test_adapters_are_stored_alone_and_read_merged(finished):
    """The adapter of a mixture is trained on top of another adapter, and OpenCompass evaluates both merged."""
    results = finished / "results/tiny"
    for run in ("infinity.infinity-programming.seed0", "mixing.ours-basic.seed0", "mixing.ours.seed0"):
        final = results / f"checkpoints/llama/{run}/final"
        assert (final / "adapter_model.safetensors").is_file() and not list(final.glob("model*.safetensors"))
    assert json.loads((final / "base.json").read_text())["base"] == "../../mixing.ours-basic.seed0/final"
    folder = results / "patterns/llama/infinity.infinity-programming.seed0/infinity-programming"
    before, after = (np.load(folder / f"step-{step}.npy") for step in (0, 6))
    assert before.shape == after.shape and not np.array_equal(before, after)
    scores = {row["variant"]: row["value"] for row in read_csv(results / "analysis/mixing.csv")
              if row["model"] == "llama" and row["measure"] == "nll"}  # fmt: skip
    assert float(scores["ours"]) != float(scores["base"])


def test_mixtures_are_what_the_runs_were_trained_on(finished):
    results = finished / "results/tiny"
    for model in ("llama-weak", "llama"):
        folder = results / f"mixtures/{model}/seed0"
        fitted = read_csv(folder / "coefficients.csv")
        assert [row["task"] for row in fitted] == ["gsm8k", "codesearchnet", "arc", "refgpt"]
        kept = {row["task"] for row in fitted if row["kept"] == "1"}
        positive = sorted((row for row in fitted if float(row["plain"]) > 0), key=lambda row: -float(row["plain"]))
        assert kept == {row["task"] for row in positive[:2]}
        planned_rows = read_csv(folder / "mixtures.csv")
        stated = {
            "oracle": {"gsm8k": 8, "refgpt": 8},
            "uniform": dict.fromkeys(("gsm8k", "codesearchnet", "arc", "refgpt"), 4),
        }
        for mixture in ("ours", "random0", "random1", "grid0", "grid1", *stated):
            counts = {row["task"]: int(row["instructions"]) for row in planned_rows if row["variant"] == mixture}
            assert counts == stated[mixture] if mixture in stated else counts.keys() == kept
            chosen = read_csv(folder / f"{mixture}-basic.csv")
            assert Counter(row["dataset"] for row in chosen) == Counter({k: n for k, n in counts.items() if n})
            assert sum(counts.values()) == len(chosen) == (16 if counts else 0)
            basic, after = (
                json.loads((results / f"checkpoints/{model}/mixing.{run}.seed0/run.json").read_text())
                for run in (f"{mixture}-basic", mixture)
            )
            assert (basic["samples"], after["samples"]) == (len(chosen), 16)


def test_selected_samples_are_those_whose_patterns_correlate_best(finished):
    import pyarrow.parquet

    results = finished / "results/tiny"
    probe = pyarrow.parquet.read_table(results / "instructions/mmlu/probe.parquet").to_pylist()
    subjects = {row["id"]: row["tags"][0] for row in probe}
    domains = yaml.safe_load((finished / "config.yaml").read_text())["domains"]
    for domain in ("physics", "biology"):
        pool, target = (
            {row["id"] for row in read_csv(results / f"domains/{domain}/{part}.csv")} for part in ("pool", "target")
        )
        assert {subjects[id] for id in target} == set(domains[domain]["tags"])
        assert not {subjects[id] for id in pool} & set(domains[domain]["tags"])
        run = results / f"patterns/llama/selection.{domain}-pseudo-private.seed0"
        step = max(int(path.stem.removeprefix("step-")) for path in (run / "mmlu").glob("step-*.json"))
        ids = json.loads((run / f"mmlu/step-{step}.json").read_text())["ids"]
        patterns = np.load(run / f"mmlu/step-{step}.samples.npy").reshape(len(ids), -1).astype(float)
        patterns = np.abs(patterns)
        reference = np.load(run / f"training/step-{step}.npy").ravel()
        scores = {id: np.corrcoef(row, reference)[0, 1] for id, row in zip(ids, patterns, strict=True) if id in pool}
        folder = results / f"selections/llama/{domain}.seed0"
        few, many = ([row["id"] for row in read_csv(folder / f"pattern-{n}.csv")] for n in (8, 16))
        assert many[:8] == few
        assert len(set(many)) == 16
        worst = min(scores[id] for id in many)
        assert all(scores[id] <= worst + 1e-6 for id in scores.keys() - set(many))
        related = {row["id"] for row in read_csv(results / f"domains/{domain}/related.csv")}
        assert {row["id"] for row in read_csv(folder / "oracle-16.csv")} <= related < pool
        found = read_csv(results / "analysis/precision.csv")
        for method in ("pattern", "bm25"):
            hits = len(related.intersection(row["id"] for row in read_csv(folder / f"{method}-16.csv")))
            [row] = [row for row in found if (row["domain"], row["method"], row["n"]) == (domain, method, "16")]
            assert float(row["value"]) == hits / 16
        for name in ("pattern-16", "random1-16", "bm25-8", "nearest-8", "base-pattern-16", "oracle-8"):
            chosen = {row["id"] for row in read_csv(folder / f"{name}.csv")}
            assert chosen <= pool
            trained = results / f"checkpoints/llama/selection.{domain}-{name}.seed0/run.json"
            assert json.loads(trained.read_text())["samples"] == len(chosen) == int(name.split("-")[-1])


def test_less_ranks_the_pools_and_its_cost_is_told(finished):
    results = finished / "results/tiny"
    about = json.loads((results / "candidates/llama/base.seed0/less.json").read_text())
    warmed_up = set(about["warm_up"])
    for domain in ("physics", "biology"):
        pool = {row["id"] for row in read_csv(results / f"domains/{domain}/pool.csv")}
        assert warmed_up and warmed_up <= pool <= set(about["ids"]["probe"])
        scores = [row for row in read_csv(results / f"selections/llama/{domain}.seed0/scores.csv")
                  if row["method"] == "less"]  # fmt: skip
        assert {row["id"] for row in scores} == pool and all(-1 <= float(row["score"]) <= 1 for row in scores)
    costs = {(row["method"], row["part"]): row for row in read_csv(results / "analysis/selection_costs.csv")}
    assert costs["less", "read"]["bytes"] == str(2 * 64 * 4) and costs["pattern", "read"]["bytes"] == str(2 * 4 * 4)
    assert all(float(row["seconds"]) > 0 for place, row in costs.items() if place[0] != "bm25")


def test_every_variant_has_its_score_and_every_item_its_prediction(finished):
    results = finished / "results/tiny"
    scores = read_csv(results / "analysis/scores.csv")
    variants = 2 * len(TASKS) + 2 * (2 + 8) + 2 * (1 + 2 * 7) + 2
    assert len(scores) == len(read_csv(results / "variants.csv")) == variants
    items = [row for path in (results / "evaluations").rglob("*.items.csv") for row in read_csv(path)]
    for row in read_csv(results / "analysis/mixing.csv"):
        if (row["measure"], row["variant"]) == ("nll", "oracle"):
            answered = [one for one in items if (one["model"], one["run"]) == (row["model"], "mixing.oracle.seed0")]
            assert float(row["value"]) == pytest.approx(
                np.mean([float(one["nll"]) / int(one["tokens"]) for one in answered])
            )
    by_pair = Counter((item["model"], item["run"], item["set"], item["correct"]) for item in items)
    for row in scores:
        pair = (row["model"], row["run"], row["set"])
        assert by_pair[(*pair, "1")] == int(row["correct"])
        assert by_pair[(*pair, "1")] + by_pair[(*pair, "0")] == int(row["items"])
        assert float(row["low"]) <= float(row["accuracy"]) <= float(row["high"])
    for item in items:
        assert float(item["nll"]) > 0 and int(item["tokens"]) > 0
        options = {item["likeliest"], item["likeliest_per_token"]}
        assert options == {""} if item["set"] == "gsm8k" else options <= {*"ABCD", ""}
    assert all(item["likeliest"] for item in items if item["set"].startswith("mmlu"))
    # Each subject has 9 test rows; a question that two subjects of a domain share counts once.
    targets = {domain: len(read_csv(results / f"domains/{domain}/target.csv")) for domain in ("physics", "biology")}
    assert 24 <= targets["physics"] <= 27 and 15 <= targets["biology"] <= 18
    assert {row["set"]: int(row["items"]) for row in scores} == {
        "mathbench": 24, **{f"mmlu-{domain}": count for domain, count in targets.items()}, **dict.fromkeys(TASKS, 8),
    }  # fmt: skip


def test_what_the_models_can_do_opens_the_report_and_decides_which_claims_are_tested(finished):
    results = finished / "results/tiny"
    rows = read_csv(results / "analysis/competence.csv")
    assert {(row["task"], row["seed"], row["state"]) for row in rows} == {
        (task, seed, state) for task in TASKS for seed in ("0", "all") for state in ("before", "after")
    }
    scores = {(row["run"], row["set"]): row for row in read_csv(results / "analysis/scores.csv")}
    for row in rows:
        run = "base.seed0" if row["state"] == "before" else f"nlp.{row['task']}.seed0"
        assert float(row["nll"]) == pytest.approx(float(scores[run, row["task"]]["nll"]), rel=1e-6)
        assert float(row["accuracy"]) == pytest.approx(float(scores[run, row["task"]]["accuracy"]))
    judged = {row["task"]: row["learnt_by"] for row in rows if row["learnt"]}
    assert judged == dict.fromkeys(TASKS, "accuracy")
    learnt = sum(row["learnt"] == "1" for row in rows)
    for claim in read_csv(results / "analysis/claims.csv"):
        if claim["claim"] == "gini_falls":
            assert claim["learnt"] == f"{learnt} of 4 tasks by accuracy"
            assert (learnt > 2) != claim["reason"].startswith("has learnt")
    for name, first, next_ in (("report.html", "Does the paper hold here?", 'class="view"'),
                               ("summary.md", "What the models can do", "Section 4.1 of the paper")):  # fmt: skip
        text = (results / name).read_text(encoding="utf-8")
        assert text.index(first) < text.index("pairs of model and task are learnt") < text.index(next_)


def test_the_claims_of_both_sections_are_held_against_the_data(finished):
    claims = read_csv(finished / "results/tiny/analysis/claims.csv")
    assert {"Table 1", "Figure 2", "Figure 5", "Table 2", "Table 3"} <= {row["where"] for row in claims}
    table3 = [row for row in claims if row["where"] == "Table 3"]
    assert len(table3) == 2 * 2 + 1  # two claims at each budget, and one that accuracy grows with the budget
    for row in claims:
        assert row["verdict"] in {"holds", "reversed", "negligible", "undecided", "not testable"}
        assert row["verdict"] != "undecided" or row["power"] != "nan" or "the same whatever varied" in row["reason"], (
            row
        )
        assert row["verdict"] != "not testable" or row["reason"]
        assert "without seed variance" in row["reason"] or row["verdict"] == "not testable"
    left_out = {row["claim"] for row in read_csv(finished / "results/tiny/analysis/claims_left_out.csv")}
    assert "changes_most" in left_out


ESTIMATES = ("beta", "r2", "spearman", "accuracy", "value", "estimate", "gain")
"""Columns that `low` and `high` bound: the first of these that a table has."""


def outside(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of the analyses whose interval does not contain the estimate, with the name of their table."""
    for path in sorted(folder.glob("*.csv")):
        rows = read_csv(path)
        columns = rows[0] if rows else {}
        parts = [(name, f"{name}_low", f"{name}_high") for name in columns if f"{name}_low" in columns]
        if "low" in columns:
            parts.append((next(name for name in ESTIMATES if name in columns), "low", "high"))
        for row in rows:
            for numbers in ([float(row[name] or "nan") for name in part] for part in parts):
                if numbers[0] < numbers[1] or numbers[0] > numbers[2]:
                    yield path.name, row


def test_no_interval_leaves_its_estimate_outside(finished: Path, again: Path) -> None:
    for folder in (finished, again):
        assert list(outside(folder / "results/tiny/analysis")) == []


def test_the_plan_fits_what_was_run(finished):
    """The plan knows the steps and checkpoints of every run, the bytes of patterns, and every job's benchmark file."""
    from experiments import meaning

    from headpatterns.experiment.written import read_config
    from headpatterns.planning import courses, disk, summaries
    from headpatterns.planning.sizes import Sizes

    results = finished / "results/tiny"
    answer = snakemake(finished, "costs", "--cores", "1", *TINY)
    assert answer.returncode == 0, answer.stdout
    experiment = meaning(read_config(results / "plan.yaml"))
    jobs = summaries.read_jobs(experiment, results / "costs.jobs.csv")
    for folder in (results, finished / "nowhere"):  # measured, and from the config alone
        sizes = Sizes(experiment, folder)
        for job in jobs:
            for run, course in courses.courses(sizes, job) if job.rule == "finetune" else ():
                about = json.loads((results / f"checkpoints/{run.model}/{run.name}/run.json").read_text())
                trained = about["samples"] > 0  # otherwise the mixture was empty
                assert not trained or [*course.kept, course.steps] == about["steps"]
        parts = {part.what: part.bytes for part in disk.parts(sizes, jobs)}
        header = 128
        stored = sum(path.stat().st_size - header for path in (results / "patterns").rglob("step-*.npy"))
        if folder == results:
            assert parts["patterns"] == stored
        else:  # the config does not say which questions two subjects of a domain share
            assert stored <= parts["patterns"] < 1.05 * stored
    written = {str(path.relative_to(results / "benchmarks")) for path in (results / "benchmarks").rglob("*.tsv")}
    assert written == {job.benchmark for job in jobs if job.benchmark}
    assert f"{len(written)} of {len(written)}" in answer.stdout
    rows = {row["rule"]: row for row in read_csv(results / "costs.csv")}
    assert all(row["done"] == row["jobs"] for row in rows.values())
    assert {row["rule"]: row["jobs"] for row in read_csv(results / "analysis/timings.csv")}.items() <= {
        rule: row["done"] for rule, row in rows.items()
    }.items()


def test_nothing_is_left_to_do(finished):
    assert planned(finished, "all") == set()


def test_patterns_are_held_against_ablations(finished):
    results = finished / "results/tiny"
    rows = read_csv(results / "analysis/validity.csv")
    keys = ("task", "seed", "phase", "reduction", "change", "over")
    values = {tuple(row[key] for key in keys): float(row["plain"]) for row in rows}
    assert len(values) == len(rows) == (2 + 2 + 1) * 3 * 3 * 2 * 2  # runs, means over seeds, the mean over tasks
    for task in ("gsm8k", "arc"):
        for phase in ("before", "after"):
            folder = results / f"ablations/llama/nlp.{task}.seed0"
            pattern = np.load(folder / f"{phase}.patterns.npy")[0].mean(axis=0, dtype=np.float64)
            change = np.abs(np.load(folder / f"{phase}.changes.npy")).mean(axis=0, dtype=np.float64)
            expected = scipy.stats.spearmanr(pattern.ravel(), change.ravel()).statistic
            assert values[task, "0", phase, "abs_of_sum", "absolute", "all_heads"] == pytest.approx(expected, abs=1e-9)
    curves = read_csv(results / "analysis/validity_groups.csv")
    kinds = [[row[key] for key in ("task", "seed", "phase", "change", "k")] for row in curves]
    everything = [
        row["value"] for row, kind in zip(curves, kinds, strict=True) if kind == ["arc", "0", "after", "signed", "8"]
    ]
    assert len(everything) == 3 and len(set(everything)) == 1  # if all heads are ablated, their ranking does not matter


def test_adapters_and_all_weights_are_held_against_each_other(finished):
    results = finished / "results/tiny"
    rows = read_csv(results / "analysis/methods.csv")
    (row,) = (
        row for row in rows if row["differ_in"] == "method" and row["task"] == "arc" and row["read_at"] == "end"
        and row["statistic"] == "correlation"
    )  # fmt: skip
    changes = []
    for group in ("nlp", "adapters"):
        folder = results / f"patterns/llama/{group}.arc.seed0/arc"
        before, after = (np.load(folder / f"step-{step}.npy").astype(float) for step in (0, 6))
        changes.append((after - before).ravel())
    assert np.abs(changes[1]).max() > 0
    assert float(row["plain"]) == pytest.approx(np.corrcoef(*changes)[0, 1], abs=1e-4)


def test_transfer_to_the_own_task_is_what_patterns_know(finished):
    results = finished / "results/tiny"
    rows = {(row["trained_on"], row["task"], row["seed"]): row for row in read_csv(results / "analysis/transfer.csv")}
    assert len(rows) == 4 * 4 * 2  # seed 0, and the row of all seeds
    for task in ("gsm8k", "arc"):
        folder = results / f"patterns/llama/nlp.{task}.seed0/{task}"
        losses = [np.mean(json.loads((folder / f"step-{step}.json").read_text())["losses"]) for step in (0, 6)]
        row = rows[task, task, "0"]
        assert [float(row["before"]), float(row["after"])] == pytest.approx(losses, rel=1e-5)


def test_without_heads_moved_losses_are_those_of_the_run(finished):
    results = finished / "results/tiny"
    by_id = {}
    for row in read_csv(results / "transfer/llama/nlp.arc.seed0.csv"):
        by_id[row["task"], row["id"]] = row
    none = [row for row in read_csv(results / "transplants/llama/nlp.arc.seed0.csv") if row["k"] == "0"]
    assert len(none) == 2 * 4
    for row in none:
        state = {"transplant": "before", "revert": "after"}[row["direction"]]
        assert float(row["loss"]) == pytest.approx(float(by_id["arc", row["id"]][state]), rel=1e-5)


def test_heads_that_are_trained_alone_leave_all_else_as_it_is(finished):
    """The model has two layers of four heads, and the size of a head is 16."""
    results = finished / "results/tiny"
    base = load_file(results / "pretraining/llama/seed0/final/model.safetensors")
    for choice, count in (("change-2", 2), ("effect-2", 2), ("random0-2", 2), ("random1-2", 2), ("all", 8)):
        name = f"trained_heads.arc-{choice}.seed0"
        heads = {(int(row["layer"]), int(row["head"])) for row in read_csv(results / f"heads/llama/{name}.csv")}
        assert len(heads) == count
        after = load_file(results / f"checkpoints/llama/{name}/final/model.safetensors")
        moved = {weight for weight, value in after.items() if not np.array_equal(value, base[weight])}
        assert moved and all(".self_attn." in weight for weight in moved)
        for layer in range(2):
            weight = f"model.layers.{layer}.self_attn.q_proj.weight"
            rows = np.flatnonzero((after[weight] != base[weight]).any(axis=1))
            assert set(rows // 16) == {head for of, head in heads if of == layer}


def test_heads_that_are_trained_alone_are_measured_on_samples_of_their_task(finished):
    results = finished / "results/tiny"
    known = {row["id"]: row for row in read_csv(results / "transfer/llama/nlp.arc.seed0.csv") if row["task"] == "arc"}
    whole = read_csv(results / "trained_heads/llama/nlp.arc.seed0.csv")
    assert len(whole) == 4
    for row in whole:
        for state in ("before", "after"):
            assert float(row[state]) == pytest.approx(float(known[row["id"]][state]), rel=1e-5)
    alone = read_csv(results / "trained_heads/llama/trained_heads.arc-all.seed0.csv")
    assert [row["id"] for row in alone] == [row["id"] for row in whole]
    gain, some = (np.mean([float(one["before"]) - float(other[key]) for one, other in zip(whole, rows, strict=True)])
                  for rows, key in ((whole, "after"), (alone, "loss")))  # fmt: skip
    table = read_csv(results / "analysis/trained_heads.csv")
    row = next(row for row in table if (row["task"], row["seed"], row["ranking"]) == ("arc", "0", "all heads"))
    assert float(row["gain"]) == pytest.approx(gain, rel=1e-6)
    assert row["plain"] == "" if gain <= 0 else float(row["plain"]) == pytest.approx(some / gain, rel=1e-6)


def test_one_figure_is_rebuilt_alone(finished):
    picture = finished / "results/tiny/figures/figure5.pdf"
    before = picture.read_bytes()
    picture.unlink()
    assert planned(finished, "results/tiny/figures/figure5.pdf") == {"draw_figure5"}
    assert snakemake(finished, "results/tiny/figures/figure5.pdf", "--cores", "1", *TINY).returncode == 0
    assert picture.read_bytes() == before


def test_named_targets(finished):
    targets = ["competence", "table1", "table2", "table3", "head_scores", "transfer", *FIGURES, "report"]
    assert planned(finished, *targets) <= set(targets)


def test_the_table_of_changes_names_every_stage_of_each():
    for row in staleness.rows():
        rerun, new, kept = (staleness.stages_in(row[column]) for column in ("rerun", "new", "kept"))
        assert rerun | kept == staleness.STAGES.keys() and not rerun & kept, row["change"]
        assert new <= staleness.STAGES.keys(), row["change"]


@pytest.mark.parametrize("row", staleness.of_any_experiment(), ids=lambda row: row["change"])
def test_what_a_change_makes_stale(finished: Path, row: staleness.Row) -> None:
    with staleness.changed(finished, row["how"]) as overlays:
        answer = snakemake(finished, "all", "-n", *TINY, *overlays)
    assert answer.returncode == 0, answer.stdout
    rerun, new = staleness.planned(finished, answer.stdout)
    assert (rerun, new) == (staleness.stages_in(row["rerun"]), staleness.stages_in(row["new"]))
    if not rerun | new:
        assert "Nothing to be done" in answer.stdout


def test_results_of_one_place_are_said_to_be_and_those_of_two_are_named(finished: Path, tmp_path: Path) -> None:
    """The test checks the files of a whole run, and copies of them in which two name another commit."""
    results = finished / "results/tiny"
    assert "Mixed origins" not in (results / "report.html").read_text(encoding="utf-8")
    assert origins.MIXED not in json.loads((results / "provenance.json").read_text())
    for file in [*results.glob("checkpoints/*/*/run.json"), *results.glob("patterns/*/*/*/step-*.json")]:
        copied = tmp_path / file.relative_to(results)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)
    logs = sorted(results.glob("logs/analyse_*.log"))
    assert all(origins.first_line(log)["commit"] for log in logs)

    def said() -> list[str]:
        runs = sorted(tmp_path.glob("checkpoints/*/*/run.json"))
        return origins.mixed(list(origins.parts(runs, {"patterns": sorted(tmp_path.glob("patterns/*/*/*"))}, logs)))

    assert said() == []
    for name in (f"{RUN}/run.json", "patterns/llama/nlp.arc.seed0/arc/step-0.json"):
        about = json.loads((tmp_path / name).read_text())
        (tmp_path / name).write_text(json.dumps({**about, "commit": "0123abc"}))
    [sentence] = said()
    assert "0123abc (checkpoints/llama/nlp.gsm8k.seed0, patterns/llama/nlp.arc.seed0/arc/step-0.json)" in sentence


def test_a_run_may_start_from_an_earlier_run(finished):
    overlay = finished / "two-stage.json"
    source = {"model": "llama", "run": "nlp.gsm8k.seed0"}
    overlay.write_text(json.dumps({"models": {"llama-after-gsm8k": {"label": "two stages", "source": source}},
                                   "studies": {"adaptation": {"models": ["llama-after-gsm8k"]}}}))  # fmt: skip
    patterns = "results/tiny/patterns/llama-after-gsm8k/nlp.arc.seed0/arc"
    answer = snakemake(finished, patterns, "--cores", "1", *TINY, overlay.name)
    assert answer.returncode == 0, answer.stdout
    assert rules(answer.stdout) == {"finetune", "extract_patterns"}
    about = json.loads((finished / patterns / "step-0.json").read_text())
    assert about["model"] == f"results/tiny/{RUN}/final"
    overlay.unlink()


def test_datasets_that_no_study_selects_can_be_prepared(finished):
    targets = [f"results/tiny/instructions/{name}/train.parquet" for name in ("math", "winogrande")]
    answer = snakemake(finished, *targets, "--cores", "2", *TINY)
    assert answer.returncode == 0, answer.stdout
    for target in targets:
        report = json.loads((finished / target).with_name("report.json").read_text())
        assert report["splits"]["train"]["kept"] > 0
        assert report["splits"]["probe"]["kept"] == 8


def test_snakemakes_own_report(finished):
    answer = snakemake(finished, "--report", "own.html", *TINY)
    assert answer.returncode == 0, answer.stdout
    page = (finished / "own.html").read_text()
    assert "Pearson correlation" in page and "supervised fine-tuning (SFT)" in page
    results = finished / "results/tiny"
    shown = {str(path.relative_to(finished)) for kind in ("figures", "tables") for path in (results / kind).iterdir()}
    categories, _ = json.JSONDecoder().raw_decode(page.partition("var categories = ")[2])
    assert set(categories) == {"Figures", "Tables"}
    listed = [path for studies in categories.values() for paths in studies.values() for path in paths]
    assert sorted(listed) == sorted(shown), "each once"
    assert "Other" not in {study for studies in categories.values() for study in studies}
    (finished / "own.html").unlink()


def status(folder: Path) -> tuple[str, dict]:
    answer = snakemake(folder, "status", "--cores", "1", *TINY)
    assert answer.returncode == 0, answer.stdout
    return answer.stdout, json.loads((folder / "results/tiny/status.json").read_text())


def test_the_status_tells_how_far_a_run_is_and_why_a_job_failed(finished: Path) -> None:
    """At first, another Snakemake holds a lock, which stays; later, a figure cannot be drawn."""
    results, held = finished / "results/tiny", finished / ".snakemake/locks/7.output.lock"
    held.parent.mkdir(exist_ok=True)
    held.write_text("results/tiny/report.html\n")
    with (finished / ".snakemake/holders").open() as holders:
        fcntl.flock(holders, fcntl.LOCK_SH)
        said, told = status(finished)
        assert held.is_file(), "the lock of another run is its own"
        assert snakemake(finished, "--unlock", *TINY).returncode == 0
        assert not held.exists(), "but for whoever asks to unlock the folder"
    jobs = {(row["rule"], row["name"]) for row in read_csv(results / "jobs.csv")} - {("all", "")}
    assert {(one["rule"], one["name"]) for one in told["jobs"]} == jobs
    assert {one["state"] for one in told["jobs"]} == {"done"}
    assert not told["at_work"] and "Time to go" not in said

    table = results / "analysis/dynamics.csv"
    kept, times = table.read_bytes(), table.stat()
    table.write_text("no,such,table\n")
    assert snakemake(finished, "figure5", "--cores", "1", *TINY).returncode == 1
    said, told = status(finished)
    states = {one["rule"]: one["state"] for one in told["jobs"]}
    assert states["draw_figure5"] == "failed" and states["finetune"] == states["analyse_dynamics"] == "done"
    assert "logs/draw_figure5.log ends with" in said and "analysis/dynamics.csv lacks" in said
    assert told["seconds_to_go"] > 0 and "once the run is started" in said
    table.write_bytes(kept)
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert snakemake(finished, "figure5", "--cores", "1", *TINY).returncode == 0


def test_experiments_are_compared_side_by_side(finished: Path) -> None:
    named = "with=[results/tiny, published/smollm2-135m]"
    answer = snakemake(finished, "compare", "--cores", "1", *TINY, "--config", named)
    assert answer.returncode == 0, answer.stdout
    made = finished / "results/comparisons/tiny-and-smollm2-135m"
    assert "Where the configs differ" in (made / "comparison.html").read_text(encoding="utf-8")
    assert {row["experiment"] for row in read_csv(made / "tables.csv")} == {"results/tiny", "published/smollm2-135m"}
    assert {row["table"] for row in read_csv(made / "tables.csv")} == {
        *("competence", "table1", "table2", "table3", "similarity_summary")
    }
    answer = snakemake(finished, "compare", "--cores", "1", *TINY, "--config", "with=[results/tiny, docs]")
    assert answer.returncode == 1 and "Traceback" not in answer.stdout
    assert_refusal(answer.stdout, "docs", "config.yaml")


def digests(folder: Path) -> dict[str, str]:
    """Checksums of the files that hold no times, by path."""
    results = folder / "results/tiny"
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in results.rglob("*")
        if path.suffix in {".safetensors", ".npy", ".parquet", ".arrow", ".svg", ".pdf", ".png", ".tex", ".jsonl"}
        or (path.suffix == ".csv" and path.stem not in {"training", "timings", "jobs", "costs", "selection_costs"})
        or path.name == "tokenizer.json"
    }


OF_ALL_RUNS = ("analysis", "figures", "tables")


@pytest.fixture(scope="module")
def shipped(finished: Path, clone: Callable[[str], Path]) -> Path:
    """Another clone that has only the published folder of that experiment, with new times, as after a checkout."""
    answer = snakemake(finished, "export", "--cores", "1", *TINY, "--config", "to=published/tiny")
    assert answer.returncode == 0, answer.stdout
    assert rules(answer.stdout) == {"export"} and "published/tiny: " in answer.stdout
    reader = clone("reader")
    for file in files_of(finished / "published"):
        (reader / "published" / file).parent.mkdir(parents=True, exist_ok=True)
        (reader / "published" / file).write_bytes((finished / "published" / file).read_bytes())
    shutil.rmtree(finished / "published")
    return reader


NEEDS_DATA_OR_MODELS = re.compile(
    r"generate|fetch|prepare|token|cut|train|pretrain|finetune|extract|ablate|mix_|split_|select_|evaluate|check_|assess|"
    r"collect_scores|summarise"
)
FROM = ("--config", "from=published/tiny")


def test_a_published_folder_is_small_and_has_no_text_of_the_data(finished: Path, shipped: Path) -> None:
    import pyarrow.parquet

    folder = shipped / "published/tiny"
    files = [folder / name for name in files_of(folder)]
    assert sum(path.stat().st_size for path in files) < 5e6
    assert {path.suffix for path in files} == {".csv", ".json", ".md", ".npy", ".png", ".tex", ".yaml"}
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix not in {".npy", ".png"}]
    whole = " ".join(" ".join(texts).replace("\\n", " ").split())
    rows = [
        row
        for path in (finished / "results/tiny/instructions").rglob("*.parquet")
        for row in pyarrow.parquet.read_table(path).to_pylist()
    ]
    lines = {" ".join(line.split()) for row in rows for key in ("prompt", "response") for line in row[key].splitlines()}
    items = {row["prediction"] for path in (finished / "results/tiny/evaluations").rglob("*.items.csv")
             for row in read_csv(path)}  # fmt: skip
    longer = {text for text in lines | items if len(text) >= 16}
    assert len(longer) > 500
    assert [text for text in sorted(longer) if text in whole] == []


def test_figures_and_numbers_of_a_published_folder_are_those_of_the_experiment(finished: Path, shipped: Path) -> None:
    planned_rules = snakemake(shipped, "figures", "-n", *FROM)
    assert planned_rules.returncode == 0, planned_rules.stdout
    assert rules(planned_rules.stdout) >= {
        "take_published",
        "analyse_similarity",
        "analyse_sensitivity",
        "draw_figure1",
    }
    assert not [name for name in rules(planned_rules.stdout) if NEEDS_DATA_OR_MODELS.match(name)]
    done = snakemake(shipped, "all", "--cores", "2", *FROM)
    assert done.returncode == 0, done.stdout
    assert not [name for name in rules(done.stdout) if NEEDS_DATA_OR_MODELS.match(name)]
    made, original = shipped / "results/published/tiny", finished / "results/tiny"
    for folder in ("figures", "tables", "analysis"):
        names = {path.name for path in (made / folder).iterdir()}
        assert names == {path.name for path in (original / folder).iterdir()} - {"quotes.csv"}
        assert [name for name in sorted(names) if (made / folder / name).read_bytes() !=
                (original / folder / name).read_bytes()] == []  # fmt: skip
    for name in ("summary.md", "report.html", "config.yaml"):
        assert (made / name).read_bytes() == (original / name).read_bytes()


def test_a_published_folder_may_be_published_again(shipped: Path) -> None:
    """This happens after a change of an analysis. The results of the previous test are still there."""
    done = snakemake(shipped, "export", "--cores", "2", *FROM, "to=published/again")
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in snakemake(shipped, "all", "-n", *FROM).stdout
    first, second = (
        json.loads((shipped / f"published/{name}/manifest.json").read_text()) for name in ("tiny", "again")
    )
    assert second["files"] == first["files"] and second["patterns"] == first["patterns"]


def test_a_published_folder_that_has_changed_is_refused(shipped: Path) -> None:
    table = shipped / "published/tiny/analysis/competence.csv"
    before = table.read_bytes()
    table.write_bytes(before + b"\n")
    answer = snakemake(shipped, "figures", "--cores", "1", *FROM)
    table.write_bytes(before)
    assert answer.returncode != 0
    assert_refusal(answer.stdout, "published/tiny/analysis/competence.csv", ("checksum differs", "git checkout"))
    answer = snakemake(shipped, "figures", "--cores", "1", *FROM, "seeds=[1]")
    assert answer.returncode != 0
    assert_refusal(answer.stdout, "from=published/tiny", ("leave out", "seeds"))
    answer = snakemake(shipped, "export", "--cores", "1", *FROM)
    assert answer.returncode != 0
    assert_refusal(answer.stdout, "`export`", "--config to=published/NAME")


def test_a_second_run_gives_the_same_bytes(finished: Path, again: Path) -> None:
    """The second run starts from nothing, in another folder and order, with one more seed; shared runs are equal."""
    first, second = digests(finished), digests(again)
    shared = {name for name in second if "/" in name and not name.startswith(OF_ALL_RUNS) and "seed1" not in name}
    assert shared <= first.keys()
    assert len(shared) > 100
    assert [name for name in sorted(shared) if first[name] != second[name]] == []


def test_analysis_gives_the_same_bytes_again(finished: Path) -> None:
    """Numbers, figures and tables are made again from the same patterns and scores."""
    results = finished / "results/tiny"
    before = {name: digest for name, digest in digests(finished).items() if name.startswith(OF_ALL_RUNS)}
    for folder in OF_ALL_RUNS:
        shutil.rmtree(results / folder)
    done = snakemake(finished, "all", "--cores", "2", *TINY)
    assert done.returncode == 0, done.stdout
    assert not rules(done.stdout) & {"finetune", "extract_patterns", "ablate_heads", "evaluate"}
    after = digests(finished)
    assert len(before) > 40
    assert [name for name in sorted(before) if before[name] != after[name]] == []


def test_a_lean_run_keeps_no_weights_and_has_nothing_left_to_do(again: Path) -> None:
    assert list((again / "results/tiny/checkpoints").rglob("run.json"))
    assert not list((again / "results/tiny/checkpoints").rglob("*.safetensors"))
    answer = snakemake(again, "all", "-n", *TWO_SEEDS)
    assert "Nothing to be done" in answer.stdout, answer.stdout


def test_two_seeds_are_in_tables_claims_and_report(again: Path) -> None:
    results = again / "results/tiny"
    seeds = Counter(row["seed"] for row in read_csv(results / "runs.csv"))
    # The studies of adaptation, composition, dynamics and methods.
    assert seeds == {"0": 4 + 7 + 4 + 4, "1": 4 + 7 + 4 + 4}
    spread = {name: {row["variant"]: row["spread"] for row in read_csv(results / f"tables/{name}.csv")}
              for name in ("table2", "table3")}  # fmt: skip
    assert all(spread["table2"].values())  # the base model also has two seeds
    assert {name for name, value in spread["table3"].items() if value} == {"random"}  # of one seed, but several draws
    variants = read_csv(results / "variants.csv")
    bases = {(row["study"], row["seed"], row["run"]) for row in variants if row["variant"] == "base"}
    assert bases == {("mixing", "0", "base.seed0"), ("mixing", "1", "base.seed1"), ("selection", "0", "base.seed0")}
    for seed in (0, 1):
        for folder in (
            f"patterns/llama/nlp.gsm8k.seed{seed}/gsm8k/step-0",
            f"ablations/llama/nlp.arc.seed{seed}/before",
        ):
            about = json.loads((results / f"{folder}.json").read_text())
            assert about["model"] == f"results/tiny/pretraining/llama/seed{seed}/final"
    first, second = (np.load(results / f"patterns/llama/nlp.arc.seed{seed}/arc/step-0.npy") for seed in (0, 1))
    assert not np.allclose(first, second)
    changes = [
        (row["seed"], float(row["value"]))
        for row in read_csv(results / "analysis/distribution.csv")
        if (row["state"], row["statistic"]) == ("change", "gini")
    ]
    of_seeds = [np.mean([value for seed, value in changes if seed == wanted]) for wanted in ("0", "1")]
    [claim] = [row for row in read_csv(results / "analysis/claims.csv") if row["claim"] == "gini_falls"]
    assert of_seeds[0] != of_seeds[1]
    assert float(claim["estimate"]) == pytest.approx(np.mean(of_seeds), abs=1e-9)
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "<td>GSM8K, CodeSearchNet, SGSM, ARC</td><td>0, 1</td>" in page
    assert "nlp.gsm8k.seed0" in page and "nlp.gsm8k.seed1" in page
