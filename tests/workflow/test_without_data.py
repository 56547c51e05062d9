"""A user's own models and data may be missing: a dry run shows all jobs and what is missing; a real run is refused."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import scripts
import staleness
from project import snakemake
from refusals import assert_refusal
from tiny_models import VOCABULARY, build

SLURM = ("--profile", "slurm")
OWN = ("--configfile", "tests/config/tiny.yaml", "own.yaml")
PATTERNS = "results/own/patterns/own/alone.gsm8k.seed0/gsm8k"
MADE = ("results/own/tokenized/own/gsm8k/train", "results/own/tokenized/own/gsm8k/probe")
HEAD = "These jobs are not started, because files are missing:"


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    for variable in ("HEADPATTERNS_DATA", "OWN_DATA"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def fresh(clone):
    """A fresh clone, without data and results."""
    return clone("fresh")


def jobs(said):
    """Every job of a dry run, sorted: its rule with its input, output, wildcards, resources and threads."""
    shown = re.split(r"\n(?=(?:local)?rule )", said.split("\nJob stats:\n", 2)[1])[1:]
    kept = ("input", "output", "wildcards", "resources", "threads")
    return sorted((text.split(":")[0], *(re.findall(rf"^    {key}: .*$", text, re.MULTILINE) for key in kept))
                  for text in shown)  # fmt: skip


def lines_of(said):
    """The lines at the end of a dry run that say what is missing."""
    _, _, listed = said.partition(f"{HEAD}\n")
    return [line.strip() for line in listed.splitlines()]


def test_a_fresh_clone_shows_all_jobs_and_then_what_is_missing(fresh, tmp_path):
    answer = snakemake(fresh, *SLURM, "-n", "all")
    assert answer.returncode == 0, answer.stdout
    [line] = lines_of(answer.stdout)
    hints = ("HEADPATTERNS_DATA", "To get it: ", "hf download BAAI/Infinity-Instruct")
    assert_refusal(line, "datasets.infinity-law.train[0].path", hints)
    (tmp_path / "infinity_instruct").mkdir()
    with_data = snakemake(fresh, *SLURM, "-n", "all", HEADPATTERNS_DATA=str(tmp_path))
    assert with_data.returncode == 0 and HEAD not in with_data.stdout
    named = with_data.stdout.replace(str(tmp_path), "$HEADPATTERNS_DATA")
    assert len(jobs(named)) > 1500
    assert jobs(answer.stdout) == jobs(named)


@pytest.mark.parametrize("look", ["--dag", "--rulegraph", "--summary"])
def test_a_picture_or_a_list_is_whole_and_what_is_missing_stands_beside_it(fresh, look):
    command = [sys.executable, "-m", "snakemake", *SLURM, "figure4", look]
    answer = subprocess.run(command, cwd=fresh, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "prepare_instructions" in answer.stdout and "Missing" not in answer.stdout
    if look != "--summary":
        assert answer.stdout.startswith("digraph") and answer.stdout.rstrip().endswith("}")
    assert len(lines_of(answer.stderr)) == 1


def test_a_linter_and_a_list_of_rules_need_no_data(fresh):
    for look in ("--lint", "--list-rules"):
        assert snakemake(fresh, *SLURM, look).returncode == 0


def test_a_job_that_reads_none_of_it_is_told_nothing(fresh):
    answer = snakemake(fresh, *SLURM, "-n", "results/paper/raw/pinned/gsm8k")
    assert answer.returncode == 0 and "rule fetch_pinned:" in answer.stdout
    assert HEAD not in answer.stdout


def test_a_real_run_is_refused_before_anything_starts_with_the_same_list(fresh):
    chosen = ("--cores", "1", "--configfile", "config/paper.yaml")
    shown = snakemake(fresh, "-n", "figure4", *chosen)
    refused = snakemake(fresh, "figure4", *chosen)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stdout
    said = [line for line in refused.stdout.splitlines() if line.startswith("config key ")]
    assert said == lines_of(shown.stdout) and said
    assert not (fresh / "results").exists()


@pytest.fixture(scope="module")
def finished(clone, tmp_path_factory):
    """A clone with patterns of the user's own model on the user's own rows, and the folder of that model and data."""
    folder, place = clone("own"), tmp_path_factory.mktemp("place") / "data"
    (place / "train").mkdir(parents=True)
    for split, path in (("train", place / "train/rows.jsonl"), ("probe", place / "probe.jsonl")):
        rows = [{"question": f"{split}: {n} + {n}?", "answer": f"Twice {n}.\n#### {2 * n}"} for n in range(20)]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    scripts.run("generate_corpus", documents=300, seed=1, output=place / "corpus.jsonl")
    scripts.run("train_tokenizer", corpus=place / "corpus.jsonl", vocabulary=VOCABULARY, output=place / "model")
    build("llama-grouped-query", vocab_size=VOCABULARY, max_position_embeddings=256).save_pretrained(place / "model")
    sources = "train: [{path: $OWN_DATA/train}], probe: [{path: '${OWN_DATA}/p*.jsonl'}]"
    (folder / "own.yaml").write_text(
        "experiment: own\n"
        "models: {own: {label: Own, source: {path: $OWN_DATA/model}}}\n"
        f"datasets: {{gsm8k: {{{sources}, obtain: ask us.}}}}\n"
        "task_groups: {alone: {tasks: [gsm8k]}}\n"
        "studies:\n"
        "  adaptation: {models: [own], group: alone}\n"
        "  validity: {models: [], tasks: [gsm8k]}\n"
        "  transfer: {models: []}\n"
        "  transplant: {models: [], tasks: [gsm8k]}\n"
        "  trained_heads: {models: [], tasks: [gsm8k]}\n"
        "  composition: {models: [own], groups: [nlp]}\n"
        "  dynamics: {models: [own], changes_most: null}\n"
    )
    answer = snakemake(folder, *MADE, PATTERNS, "--cores", "1", *OWN, OWN_DATA=str(place))
    assert answer.returncode == 0, answer.stdout
    return folder, place


def of_ones_own(row):
    return row["how"].startswith("own: ")


@pytest.mark.parametrize("row", list(filter(of_ones_own, staleness.rows())), ids=lambda row: row["change"])
def test_content_makes_stale_and_times_do_not(finished, row):
    folder, place = finished
    kind, _, name = row["how"].removeprefix("own: ").partition(" ")
    file = place / name
    before, told = file.read_bytes(), file.stat()
    if kind == "exchange":
        file.write_bytes(before[:-4] + bytes(byte ^ 1 for byte in before[-4:]))
    later = told.st_mtime_ns + (10**9 if kind == "touch" else 0)
    os.utime(file, ns=(told.st_atime_ns, later))
    try:
        answer = snakemake(folder, PATTERNS, "-n", *OWN, OWN_DATA=str(place))
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert answer.returncode == 0, answer.stdout
    covered = {"data", "tokens", "fine-tuning", "patterns"}
    assert staleness.planned(folder, answer.stdout) == (staleness.stages_in(row["rerun"]) & covered, set())


@pytest.fixture(params=["variable", "files"])
def away(request, finished):
    """Functions that run Snakemake in the clone: with its data in place, and without the variable or the files."""
    folder, place = finished
    elsewhere = place.with_name("elsewhere")

    def with_data(*arguments):
        return snakemake(folder, *arguments, *OWN, OWN_DATA=str(place))

    def without(*arguments):
        if request.param == "variable":
            return snakemake(folder, *arguments, *OWN)
        shutil.move(place, elsewhere)
        try:
            return snakemake(folder, *arguments, *OWN, OWN_DATA=str(place))
        finally:
            shutil.move(elsewhere, place)

    return with_data, without


def test_nothing_is_stale_because_it_is_away(away):
    _, without = away
    for arguments in ((*MADE, "-n"), (*MADE, "--cores", "1")):
        answer = without(*arguments)
        assert answer.returncode == 0 and "Nothing to be done" in answer.stdout, answer.stdout
        assert HEAD not in answer.stdout


@pytest.mark.parametrize("arguments", [("all", "-n"), (*MADE, "-n", "--forceall")])
def test_the_same_jobs_are_to_run_as_with_it(away, arguments):
    with_data, without = away
    there, gone = with_data(*arguments), without(*arguments)
    assert there.returncode == gone.returncode == 0
    assert jobs(there.stdout) == jobs(gone.stdout) and jobs(there.stdout)
    assert HEAD not in there.stdout
    assert_refusal("\n".join(lines_of(gone.stdout)), "config key models.own.source.path", "the path")


def test_what_a_config_change_makes_stale_is_stale_without_it_too(away, finished):
    with_data, without = away
    folder, _ = finished
    before = (folder / "own.yaml").read_text()
    after = before.replace("obtain: ask us.", "obtain: ask us., options: {keep_calculator_marks: true}")
    (folder / "own.yaml").write_text(after)
    try:
        there, gone = with_data(*MADE, "-n"), without(*MADE, "-n")
        refused = without(*MADE, "--cores", "1")
    finally:
        (folder / "own.yaml").write_text(before)
    assert jobs(there.stdout) == jobs(gone.stdout)
    assert [job[0] for job in jobs(gone.stdout)] == ["rule prepare_instructions", *["rule tokenize_instructions"] * 2]
    assert_refusal("\n".join(lines_of(gone.stdout)), "config key datasets.gsm8k.train[0].path", "To get it: ask us.")
    assert refused.returncode != 0
    assert_refusal(refused.stdout, "config key datasets.gsm8k.probe[0].path", "To get it: ask us.")


def test_what_reads_none_of_it_runs_without_it(away):
    _, without = away
    answer = without("results/own/variants.csv", "--force", "--cores", "1")
    assert answer.returncode == 0, answer.stdout
    answer = without(*MADE, "-n")
    assert "Nothing to be done" in answer.stdout, answer.stdout


def test_a_wrong_target_is_no_traceback(fresh):
    answer = snakemake(fresh, *SLURM, "-n", "nonsense")
    assert answer.returncode != 0
    assert "Traceback" not in answer.stdout and "MissingRuleException" in answer.stdout
