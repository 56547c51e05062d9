"""The plan has an estimate for every job that Snakemake runs, and a full disk stops a run before it starts."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
import scripts
import yaml
from experiments import config_of
from project import PROJECT, snakemake

from headpatterns.experiment import jobs, written

TINY = "tests/config/tiny.yaml"


@pytest.fixture(scope="module")
def project(clone) -> Path:
    folder = clone("plan")
    (folder / "seeds.yaml").write_text("seeds: [0]\nstudies: {validity: {models: [gemma-7b]}}\n")
    (folder / "other.yaml").write_text(
        "models: {after: {label: two stages, source: {model: gemma, run: nlp.gsm8k.seed3}}}\n"
        "studies:\n"
        "  adaptation: {models: [after]}\n"
        "  mixing: {models: []}\n"
        "  validity: {tasks: [arc, gsm8k], samples: 5}\n"
        "  benchmarks: {checkpoints: [{model: opt, run: infinity.infinity-law.seed7}], sets: [gsm8k]}\n"
        "evaluation: {sets: {gsm8k: {dataset: gsm8k}}}\n"
    )
    return folder


def counted(project, *chosen, **environment):
    """The number of jobs that a dry run of everything would run, by rule; all batches of runs have one name."""
    answer = snakemake(project, "all", "-n", "--quiet", "rules", *chosen, **environment)
    assert answer.returncode == 0, answer.stdout
    counts = dict(re.findall(r"^([\w-]+) +(\d+)$", answer.stdout, re.MULTILINE))
    total = int(counts.pop("total"))
    rules = Counter()
    for name, count in counts.items():
        rules[re.sub(r"^(finetune|extract_patterns|ablate_heads|trained_losses)_.*", r"\1", name)] += int(count)
    assert rules.total() == total
    return rules


def planned(path):
    """The number of jobs in the table of a plan, by rule; checks that every job has an estimate."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert not [row["rule"] for row in rows if int(row["unknown_jobs"])]
    return {row["rule"]: int(row["jobs"]) for row in rows}


@pytest.mark.parametrize(
    ("experiment", "overlays"),
    [
        ("mini", []),
        ("mini", ["other.yaml"]),
        ("tiny", [TINY]),
        ("tiny", [TINY, "tests/config/two-seeds.yaml"]),
        ("paper", ["config/paper.yaml"]),
        ("paper", ["config/paper.yaml", "seeds.yaml"]),
        ("desk", ["config/paper.yaml", "config/desk.yaml", "config/desk-gated.yaml"]),
        ("desk-cpu", ["config/paper.yaml", "config/desk-cpu.yaml"]),
        ("smollm2", ["config/desk-cpu.yaml", "config/smollm2.yaml"]),
    ],
)
def test_as_many_jobs_as_snakemake_runs(project, tmp_path, experiment, overlays):
    """The test makes the plan as the target `plan` does, for the jobs that the same dry run lists."""
    chosen = ["--configfile", *overlays] if overlays else []
    rules = counted(project, *chosen, **{jobs.VARIABLE: str(tmp_path / "jobs.csv")})
    config = config_of(*(yaml.safe_load((project / overlay).read_text(encoding="utf-8")) for overlay in overlays))
    written.write_config(tmp_path / "plan.yaml", config)
    files = {"config": tmp_path / "plan.yaml", "jobs": tmp_path / "jobs.csv", "output": tmp_path / "plan"}
    scripts.run("plan", results=project / "results" / experiment, **files)
    assert f"# Plan of the experiment {experiment}" in (tmp_path / "plan.md").read_text(encoding="utf-8")
    assert planned(tmp_path / "plan.csv") == rules


@pytest.mark.parametrize(("experiment", "overlays"), [("mini", []), ("tiny", [TINY, "tests/config/two-seeds.yaml"])])
def test_the_plan_is_a_target(project, experiment, overlays):
    chosen = ["--configfile", *overlays] if overlays else []
    answer = snakemake(project, "plan", "--cores", "1", *chosen)
    assert answer.returncode == 0, answer.stdout
    assert f"# Plan of the experiment {experiment}" in answer.stdout
    results = project / "results" / experiment
    assert not (results / "jobs.csv").exists()  # this file belongs to a run that is at work
    assert planned(results / "plan.csv") == counted(project, *chosen)


def test_the_readme_says_of_the_papers_llama_with_adapters_what_its_plan_does(project):
    chosen = ["--configfile", "config/paper.yaml", "config/paper-lora.yaml"]
    answer = snakemake(project, "plan", "--cores", "1", *chosen)
    assert answer.returncode == 0, answer.stdout

    def cell(row, place):
        [found] = re.findall(rf"^\| {row} +\|(.*)\|$", answer.stdout, re.MULTILINE)
        return found.split("|")[place].strip()

    hours, finetuning = cell(r"sum", 2), cell(r"finetune", 2)
    memory = [cell(f"{what} of llama3-8b.*?", 0) for what in ("Training adapters", "Taking the patterns")]
    said = " ".join((PROJECT / "docs/desk.md").read_text(encoding="utf-8").split())
    assert (
        f"says {float(hours.split()[0]):.0f} hours, of which fine-tuning takes {float(finetuning.split()[0]):.0f}"
        in said
    )
    assert f"and {float(cell('peak', 2).split()[0]):.0f} GB of disk" in said
    assert f"training takes {memory[0]} of the GPU, and patterns in float32 take {memory[1]}" in said
    assert "## What to check" not in answer.stdout


def test_a_full_disk_stops_a_run_before_it_starts(project):
    size = "{parameters: 1000000000000000, layers: 4, heads: 4, width: 64}"
    (project / "large.yaml").write_text(f"experiment: large\nmodels: {{llama: {{size: {size}}}}}\n")
    chosen = ["--configfile", TINY, "large.yaml"]
    answer = snakemake(project, "all", "--cores", "1", *chosen)
    assert answer.returncode != 0
    assert re.search(r"^the jobs to run need up to .*TB of disk, but /", answer.stdout, re.MULTILINE), answer.stdout
    assert "Traceback" not in answer.stdout
    assert not (project / "results/large").exists()
    assert snakemake(project, "all", "-n", *chosen).returncode == 0
    assert snakemake(project, "results/large/runs.csv", "--cores", "1", *chosen).returncode == 0


def test_the_plan_precedes_the_data(project):
    chosen = ["--configfile", "config/paper.yaml", "away.yaml"]
    own = "{label: Own, source: {path: $HEADPATTERNS_NOWHERE/model}}"
    (project / "away.yaml").write_text(
        f"experiment: away\nmodels: {{own: {own}}}\nstudies: {{adaptation: {{models: [own]}}}}\n"
    )
    answer = snakemake(project, "plan", "--cores", "1", *chosen, HEADPATTERNS_DATA="/nowhere")
    assert answer.returncode == 0, answer.stdout
    assert "models.own.source.path; $HEADPATTERNS_NOWHERE/model has no model yet." in answer.stdout


def test_where_jobs_go_is_no_part_of_the_written_config(project):
    path = "results/tiny/config.yaml"
    assert snakemake(project, path, "--cores", "1", "--configfile", TINY).returncode == 0
    config = written.read_config(project / path)
    assert config == written.decisive(config) and config["experiment"] == "tiny"
    (project / "elsewhere.yaml").write_text("cluster: {account: abc}\nplan: {parallel_jobs: 3}\n")
    answer = snakemake(project, path, "-n", "--configfile", path, "elsewhere.yaml")
    assert "Nothing to be done" in answer.stdout, answer.stdout


def test_the_plan_and_the_costs_share_no_file_with_all(project):
    """Otherwise, Snakemake's locks would refuse the plan and the costs while `all` runs."""
    of_all, others = listed(project, "all"), listed(project, "plan", "costs")
    assert "results/tiny/config.yaml" in of_all and "results/tiny/plan.yaml" in others
    assert not of_all & others


def listed(project, *targets):
    """Files that the jobs of some targets on tiny.yaml read or write, according to a dry run."""
    answer = snakemake(project, *targets, "-n", "--forceall", "--configfile", TINY)
    assert answer.returncode == 0, answer.stdout
    lines = re.findall(r"^    (?:input|output): (.+)$", answer.stdout, re.MULTILINE)
    return {file.strip() for line in lines for file in line.split(",")}


def places(project, *overlays):
    """By rule, how many jobs use the resource `runs_on_disk`, and the priorities of the jobs."""
    answer = snakemake(project, "all", "-n", "--configfile", TINY, *overlays)
    assert answer.returncode == 0, answer.stdout
    taken, priorities = Counter(), {}
    for job in re.split(r"\n(?=(?:local)?rule )", answer.stdout):
        if name := re.match(r"(?:local)?rule ([\w-]+):", job):
            rule = re.sub(r"^(finetune|extract_patterns|ablate_heads|trained_losses)_.*", r"\1", name[1])
            taken[rule] += "runs_on_disk=1" in job
            priority = re.search(r"^    priority: (\d+)$", job, re.MULTILINE)
            priorities.setdefault(rule, set()).add(int(priority[1]) if priority else 0)
    return taken, priorities


def test_readers_of_checkpoints_that_go_take_the_places_of_their_runs(project):
    rules = {
        *("finetune", "extract_patterns", "ablate_heads", "transfer_losses", "transplant_heads", "choose_heads"),
        *("trained_losses", "evaluate"),
    }
    kept, _ = places(project)  # final checkpoints are kept, and intermediate ones are removed
    assert {rule for rule, count in kept.items() if count} == {"finetune", "extract_patterns"}
    (project / "lean.yaml").write_text("finetuning: {keep_final_checkpoints: false}\n")
    lean, priorities = places(project, "lean.yaml")
    assert {rule for rule, count in lean.items() if count} == rules
    readers = set().union(*(priorities[rule] for rule in rules - {"finetune"}))
    assert min(readers) > max(priorities["finetune"]) == 1
    (project / "all.yaml").write_text("finetuning: {keep_intermediate_checkpoints: true}\n")
    assert {rule for rule, count in places(project, "all.yaml")[0].items() if count} == {"finetune"}
