"""The progress of a run: its journal, the time to go worked out by hand, and reports on running and failed jobs."""

import json
import os
import subprocess
import sys

import pytest
from experiments import config_of
from project import PROJECT
from refusals import refusal

from headpatterns.experiment.jobs import Job
from headpatterns.planning.estimates import Estimate
from headpatterns.status import ahead, journal, report
from headpatterns.status.journal import Listed, Run

BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
TINY = "tests/config/tiny.yaml"
HERE = {"pid": os.getpid(), "created": 0.0, "host": "another machine"}


def job(rule, name=""):
    """A job whose name is its dataset."""
    return Job(rule, name, f"{rule}/{name}.tsv" if name else f"{rule}.tsv", "", {"dataset": name} if name else {})


def listed(number, rule, name="", needs=(), to_run=True, log=""):
    return Listed(number, job(rule, name), log, needs, to_run)


def test_a_journal_tells_the_last_that_became_of_each_job(tmp_path):
    path = tmp_path / "logs/jobs.ndjson"
    jobs = [listed(number, "prepare_instructions", f"d{number}", to_run=number > 0) for number in range(5)]
    journal.begin(path, {"experiment": "x"}, jobs, {"cores": 2})
    for what, number in (("started", 1), ("finished", 1), ("started", 2), ("failed", 2), ("started", 2),
                         ("started", 3), ("failed", 3)):  # fmt: skip
        journal.note(path, what, number)
    with path.open("a") as file:
        file.write('{"at": 1, "what": "finished", "by": "1@elsewhere", "number": 2}\n5\n')  # another run in parallel
        file.write('{"at": 1, "wha')  # a line that is still being written
    run = journal.read(path)
    assert run.goes_on and run.is_here and run.capacity == {"cores": 2} and run.listed == tuple(jobs)
    assert [run.state(one) for one in jobs] == ["done", "done", "running", "failed", "left"]
    path.write_text(path.read_text().rpartition("\n")[0] + "\n")
    journal.note(path, "ended")
    run = journal.read(path)
    assert not run.goes_on and [run.state(one) for one in jobs] == ["done", "done", "left", "failed", "left"]


def test_a_run_whose_process_is_gone_was_killed(tmp_path):
    code = (
        "import os, pathlib, signal, sys\nfrom headpatterns.status import journal\n"
        "journal.begin(pathlib.Path(sys.argv[1]), {}, [], {'cores': 1})\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "journal"], cwd=PROJECT / "workflow_scripts")
    run = journal.read(tmp_path / "journal")
    assert run.is_here and not run.goes_on
    assert "killed after" in report.headline(run, run.started + 60)


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Writes a squeue that is a shell script with the given body."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(body):
        (tmp_path / "squeue").write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "squeue").chmod(0o755)

    return write


COMMENT = "rule_finetune_nlp_arc_wildcards_llama_0"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (f"12|tiny_0f8fad5b|{COMMENT}|PENDING|{{here}}|0:00", ("queued", 900.0, 500.0)),
        (f"12|tiny_0f8fad5b|{COMMENT}|RUNNING|{{here}}|1:40", ("running", 800.0, 900.0)),
        (f"12|tiny_0f8fad5b|{COMMENT}|RUNNING|{{here}}|1-00:00:00", ("running", 0.0, -85400.0)),
        (f"12|tiny_0f8fad5b|{COMMENT}|RUNNING|{{here}}|INVALID", ("running", 400.0, 500.0)),
        (f"12|mini_0f8fad5b|{COMMENT}|PENDING|{{here}}|0:00", ("running", 400.0, 500.0)),
        (f"12|tiny_0f8fad5b|{COMMENT}|PENDING|/elsewhere|0:00", ("running", 400.0, 500.0)),
    ],
)
def test_a_job_at_slurm_waits_or_has_run_since_it_started_on_its_node(tmp_path, monkeypatch, squeue, row, expected):
    """The report finds jobs by the comment of Snakemake's plugin, and only those of this folder and this experiment.

    A job that Slurm does not have runs locally or has just ended. Its start comes from the journal.
    """
    train = Job("finetune", "llama.nlp_arc.seed0", "", "nlp_arc", {"model": "llama", "seed": "0"})
    jobs = [Listed(number, one, "", (), True) for number, one in enumerate([train, job("draw_figure1")])]
    run = Run({}, tuple(jobs), {"jobs": 9}, HERE, 0.0, changes={0: ("started", 500.0), 1: ("started", 990.0)})
    monkeypatch.chdir(tmp_path)
    squeue(f"echo '{row.format(here=tmp_path)}'")
    queue = report.at_slurm("tiny")
    submitted, local = (
        report.standing(run, one, Estimate(one.job, 0, 1, 900.0), ahead.Pace({}, 1.0, 0), 1000.0, queue) for one in jobs
    )
    assert (submitted.state, submitted.seconds, submitted.since) == expected
    assert (local.state, local.seconds, local.since) == ("running", 890.0, 990.0)


@pytest.mark.parametrize(("body", "said"), [("exit 1", "says 'status 1'"), ("exec sleep 60", "takes over 0.2 seconds")])
def test_where_slurm_does_not_answer_a_word_says_what_counts_as_running(monkeypatch, squeue, capsys, body, said):
    monkeypatch.setattr(report, "PATIENCE", 0.2)
    squeue(body)
    assert report.at_slurm("tiny") is None
    assert said in capsys.readouterr().err
    one = listed(1, "draw_figure1")
    run = Run({}, (one,), {"jobs": 9}, HERE, 0.0, changes={1: ("started", 10.0)})
    pace = ahead.Pace({}, 1.0, 0)
    found = report.standing(run, one, Estimate(one.job, 0, 1, 60.0), pace, 30.0, None)
    assert (found.state, found.seconds) == ("running", 60.0)
    told = "\n".join(report.sections("tiny", run, [found], 60.0, pace, 30.0, is_silent=True))
    assert "since its submission" in told and "Slurm did not answer" in told


def test_a_run_on_another_machine_goes_on_until_it_tells_its_end():
    run = Run({}, (), {"jobs": 100}, HERE, started=0.0)
    assert run.goes_on and not run.is_here
    said = report.headline(run, 7200.0)
    assert "at work for 2.0 h on a cluster, with at most 100 jobs at once, which cannot be checked from here" in said
    assert report.shared(Run({}, (), {"jobs": sys.maxsize}, HERE, 0.0)) == "a cluster, with any number of jobs at once"


@pytest.mark.parametrize(("now", "seconds"), [(30.0, 40.0), (100.0, 0.0)])
def test_what_a_job_has_run_already_is_not_to_go(now, seconds):
    one = listed(1, "draw_figure1")
    run = Run({}, (one,), {"cores": 2}, HERE, 0.0, changes={1: ("started", 10.0)})
    found = report.standing(run, one, Estimate(one.job, 0, 1, 60.0), ahead.Pace({}, 1.0, 0), now, {})
    assert (found.state, found.seconds) == ("running", seconds)


def test_without_a_journal_and_with_a_broken_one_a_sentence_says_what_to_do(tmp_path):
    with refusal(str(tmp_path / "jobs.ndjson"), "`snakemake plan` shows what is to be done"):
        journal.read(tmp_path / "jobs.ndjson")
    (tmp_path / "jobs.ndjson").write_text('{"config": {}}\n')
    with refusal(str(tmp_path / "jobs.ndjson"), "the next run writes a new one"):
        journal.read(tmp_path / "jobs.ndjson")


def task(number, seconds, needs=(), cores=1, running=False):
    return ahead.Task(number, seconds, {"cores": cores, "gpus": 0}, frozenset(needs), running)


@pytest.mark.parametrize(
    ("tasks", "cores", "expected"),
    [
        ([], 2, 0),
        ([task(1, 4), task(2, 3), task(3, 2)], 2, 5),  # 4 in parallel with 3 and 2
        ([task(1, 4), task(2, 3), task(3, 2)], 1, 9),
        ([task(1, 1, needs=[2]), task(2, 4), task(3, 2)], 2, 5),  # 4, then 1
        ([task(1, 3, cores=2), task(2, 3)], 2, 6),
        ([task(1, 3, cores=8)], 2, 3),  # Snakemake gives it the two cores that exist
        ([task(1, 1, running=True), task(2, 5, needs=[1, 99])], 1, 6),  # 99 is done, so it is no task
        ([task(1, 5), task(2, 2, running=True)], 1, 7),
    ],
)
def test_the_time_to_go_by_hand(tasks, cores, expected):
    assert ahead.makespan(tasks, {"cores": cores}) == expected


def test_what_jobs_took_corrects_the_plan_by_rule():
    planned = {("a", "x"): 10.0, ("a", "y"): 30.0, ("b", ""): 60.0, ("c", ""): None, ("d", ""): 5.0}
    estimates = [Estimate(job(*key), 0, 1, seconds) for key, seconds in planned.items()]
    found = ahead.pace(estimates, {("a", "x"): 30.0, ("a", "y"): 50.0, ("b", ""): 20.0, ("c", ""): 7.0})
    assert found.of_rules == {"a": 2.0, "b": pytest.approx(1 / 3)}
    assert (found.overall, found.of("d"), found.jobs) == (1.0, 1.0, 3)
    assert ahead.pace(estimates, {}) == ({}, 1.0, 0)


@pytest.fixture
def results(tmp_path):
    """An experiment in which one dataset is prepared, one failed, one is running, and one is left."""
    log = tmp_path / "logs/prepare_instructions/sgsm.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(9)) + "0 %\r50 %\rthe row 3 is bad: fix it.\r\n\n")
    names = ("gsm8k", "sgsm", "arc", "mmlu")
    jobs = [listed(place, "prepare_instructions", name, log=str(log.with_name(f"{name}.log")))
            for place, name in enumerate(names)]  # fmt: skip
    jobs.append(listed(9, "draw_figure1", needs=(0, 1, 2, 3)))
    jobs.append(listed(10, "generate_corpus", to_run=False))
    journal.begin(tmp_path / journal.FILE, config_of(TINY), jobs, {"cores": 2})
    for what, number in (("started", 0), ("finished", 0), ("started", 1), ("failed", 1), ("started", 2)):
        journal.note(tmp_path / journal.FILE, what, number)
    file = tmp_path / "benchmarks/prepare_instructions/gsm8k.tsv"
    file.parent.mkdir(parents=True)
    file.write_text(f"{BENCHMARK}12.5\t0:00:12\t10\t10\t10\t10\t0\t0\t100\t12.5\n")
    return tmp_path


def test_everything_is_told_of_a_run(results, capsys):
    report.write(results)
    said = capsys.readouterr().out
    data = json.loads((results / "status.json").read_text())
    states = {(one["rule"], one["name"]): one["state"] for one in data["jobs"]}
    assert states == {
        ("prepare_instructions", "gsm8k"): "done",
        ("prepare_instructions", "sgsm"): "failed",
        ("prepare_instructions", "arc"): "running",
        ("prepare_instructions", "mmlu"): "left",
        ("draw_figure1", ""): "left",
        ("generate_corpus", ""): "done",
    }
    assert data["at_work"] and data["ended"] is None and data["seconds_to_go"] > 0
    row = next(line for line in said.splitlines() if line.startswith("| prepare_instructions "))
    assert [cell.strip() for cell in row.strip("|").split("|")][:5] == ["prepare_instructions", "1", "1", "1", "1"]
    end = said.partition("sgsm.log ends with")[2].partition("##")[0].split("\n")
    assert [line.strip() for line in end if line] == [*(f"line {n}" for n in range(5, 9)), "the row 3 is bad: fix it."]
    assert "| prepare_instructions arc" in said.partition("## Running")[2]
    assert "1 finished jobs took: by the ratio of each rule for prepare_instructions" in said


def test_jobs_that_are_left_take_as_many_times_their_plan_as_done_ones(results):
    def left():
        report.write(results)
        told = json.loads((results / "status.json").read_text())["jobs"]
        return {one["name"] or one["rule"]: one["seconds_to_go"] for one in told}

    before, file = left(), results / "benchmarks/prepare_instructions/gsm8k.tsv"
    file.write_text(file.read_text().replace("12.5\t0:00", "25\t0:00"))
    after = left()
    assert after["mmlu"] == pytest.approx(2 * before["mmlu"])
    assert after["gsm8k"] == after["generate_corpus"] == 0
