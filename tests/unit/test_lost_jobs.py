"""Jobs that Slurm ends: when they count as lost, what their next attempt asks for, and the messages about them."""

import getpass

import pytest
from refusals import assert_refusal, refusal

from headpatterns.cluster import lost, refusals, site

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def lost_job(state, then=None, rule="finetune", **more):
    asked = {"mem_mb": 2500, "runtime": 20}
    return lost.Lost(rule, "llama.nlp_gsm8k.seed0", "12", state, asked, None if then is None else asked | then, **more)


def test_a_job_that_is_still_being_ended_is_not_lost_yet():
    """Its last processes may be writing a state that the next attempt continues from."""
    assert lost.settled({"1": "CANCELLED by 1000"}, {"1": "COMPLETING"}) == {"1": "COMPLETING"}
    assert lost.settled({"1": "CANCELLED by 1000"}, {}) == {"1": "CANCELLED"}


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL"])
def test_a_job_that_slurm_queues_again_is_not_lost(state):
    assert lost.settled({"1": state, "2": state}, {"1": "PENDING"}) == {"1": "PENDING", "2": state}


def test_a_job_that_is_done_is_done():
    assert lost.settled({"1": "COMPLETED", "2": "RUNNING"}, {"1": "COMPLETING"}) == {"1": "COMPLETED", "2": "RUNNING"}


def test_only_a_job_that_has_run_is_queued_again():
    before = {"1": "RUNNING", "2": "PENDING", "3": "CONFIGURING", "4": "COMPLETING"}
    assert lost.queued_again(before, dict.fromkeys("12345", "PENDING")) == {"1", "4"}
    assert lost.queued_again(before, {"1": "COMPLETED"}) == set()


def test_the_next_attempt_asks_for_more_of_what_the_job_was_short_of():
    shortages, one, other = lost.Shortages(), ("finetune_nlp", "llama", "0"), ("finetune_nlp", "llama", "1")
    for state in ("TIMEOUT", "CANCELLED", "NODE_FAIL", "PREEMPTED", "TIMEOUT", "OUT_OF_MEMORY"):
        shortages.count(one, state)
    assert [shortages.times(one, name) for name in ("runtime", "mem_mb")] == [3, 2]
    assert [shortages.times(other, name) for name in ("runtime", "mem_mb")] == [1, 1]
    shortages.count(other, "FAILED")  # the state of a job that the kernel has killed for its memory
    assert [shortages.times(other, name) for name in ("runtime", "mem_mb")] == [1, 2]


@pytest.mark.parametrize("state", lost.WHY)
def test_every_state_is_one_sentence_with_what_happens_now(state):
    said = lost.sentence(lost_job(state, {}))
    assert "\n" not in said
    hint = (f"({state})", "it is submitted again, and continues from its last state.")
    assert_refusal(said, "finetune llama.nlp_gsm8k.seed0 (Slurm job 12)", hint)
    last = lost.sentence(lost_job(state))
    assert_refusal(
        last, "finetune llama.nlp_gsm8k.seed0 (Slurm job 12)", ("start Snakemake again", "; it continues from")
    )


@pytest.mark.parametrize(
    ("job", "hints"),
    [
        (lost_job("TIMEOUT", {"runtime": 40}), ("after its 20 minutes", "again with 40 minutes")),
        (lost_job("TIMEOUT"), ("raise resources.finetune.runtime", "set cpu_partition to one with more time")),
        (lost_job("TIMEOUT", gpu=True), ("or set gpu_partition to one with more time in slurm/config.yaml",)),
        (lost_job("OUT_OF_MEMORY", {"mem_mb": 5000}), ("than its 2500 MB", "again with 5000 MB")),
        (lost_job("OUT_OF_MEMORY"), ("raise resources.finetune.mem_mb",)),
        (
            lost_job("FAILED", logs=("results/a.log",)),
            ("see results/a.log", "fix the problem that it shows, and start"),
        ),
        (lost_job("CANCELLED", {}, rule="evaluate"), ("again, and starts over.",)),
        (lost_job("NODE_FAIL", {}, rule="extract_patterns"), ("continues with the samples that are missing.",)),
    ],
)
def test_a_lost_job_says_what_it_was_short_of_and_what_to_do(job, hints):
    assert_refusal(lost.sentence(job), f"{job.rule} llama.nlp_gsm8k.seed0", hints)


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Writes a squeue that prints given rows for the current user. The PATH holds only it and what it needs."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(*rows):
        command = tmp_path / "squeue"
        lines = "".join(f"echo '{row}'\n" for row in rows)
        command.write_text(f'#!/bin/sh\ncase "$*" in *--user={getpass.getuser()}*) ;; *) exit 1;; esac\n{lines}')
        command.chmod(0o755)

    return write


COMMENT = site.comment("finetune_nlp_gsm8k", ["llama", "0"])


def test_a_comment_is_that_of_the_plugin():
    assert COMMENT == "rule_finetune_nlp_gsm8k_wildcards_llama_0"
    assert site.comment("analyse_distribution", []) == "rule_analyse_distribution"


def test_jobs_of_an_earlier_snakemake_are_refused_by_their_numbers(squeue, tmp_path):
    squeue(f"12|paper_{UUID}|{COMMENT}|RUNNING|{tmp_path}|1:00", f"13|paper_{UUID}|{COMMENT}|PENDING|{tmp_path}|0:00")
    shown = "12 (finetune_nlp_gsm8k_wildcards_llama_0, RUNNING)"
    with refusal(shown, ("13 (finetune", "`scancel 12 13`", "Wait until they end")):
        refusals.check_queue(str(tmp_path), "paper_", {COMMENT})


@pytest.mark.parametrize(
    "row",
    [
        f"12|paper_two_{UUID}|{COMMENT}|RUNNING|{{folder}}|1:00",
        f"12|other|{COMMENT}|RUNNING|{{folder}}|1:00",
        f"12|paper_{UUID}|rule_evaluate|RUNNING|{{folder}}|1:00",
        f"12|paper_{UUID}|{COMMENT}|RUNNING|{{folder}}/elsewhere|1:00",
    ],
)
def test_other_jobs_may_run(squeue, tmp_path, row):
    """Jobs of another experiment, another program, other files, and another clone."""
    squeue(row.format(folder=tmp_path))
    assert len(site.queued()) == 1
    refusals.check_queue(str(tmp_path), "paper_", {COMMENT})
