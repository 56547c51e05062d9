"""`snakemake --profile slurm` on a real Slurm: what its jobs get, and what happens when one is stopped."""

import csv
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest
from pretend_slurm import FIRST, output, silent, wait_until
from refusals import assert_refusal
from submitting import CONFIG

RUN = "results/slurm/checkpoints/llama/nlp.{}.seed0"


@pytest.fixture(scope="module")
def finished(submitting):
    """The clone after a run to a table and a figure."""
    assert submitting.run("table1", "figure1", *CONFIG) == 0, submitting.said
    return submitting


@pytest.fixture
def overlay(submitting):
    """Write the config changes of a test; returns the config files for the command line."""

    def write(**changes):
        (submitting.folder / "overlay.json").write_text(json.dumps(changes))
        return (*CONFIG, "overlay.json")

    return write


def test_a_run_reaches_its_tables_and_figures(finished):
    results = finished.folder / "results/slurm"
    assert {file.suffix for file in results.glob("tables/table1.*")} == {".csv", ".md", ".tex"}
    assert {file.suffix for file in results.glob("figures/figure1.*")} == {".pdf", ".svg", ".png"}
    submitted = {job.rule.removeprefix("rule_").split("_wildcards_")[0] for job in finished.jobs()}
    assert {"pretrain", "prepare_instructions", "finetune_nlp_gsm8k", "analyse_distribution"} <= submitted
    assert not {"generate_corpus", "cut_training_set", "write_table1", "draw_figure1"} & submitted
    assert "GPU jobs ask Slurm for:" in finished.said


def test_the_status_is_asked_for_with_the_profile(finished):
    assert finished.run("status", "--quiet", *CONFIG) == 0, finished.said
    told = json.loads((finished.folder / "results/slurm/status.json").read_text())
    assert {job["state"] for job in told["jobs"]} == {"done"} and not told["at_work"]
    assert set(told["capacity"]) == {"jobs"}


def test_two_gpu_jobs_run_at_once_and_the_third_waits(finished):
    first, second, third = sorted(finished.jobs("finetune"), key=lambda job: job.started)
    assert second.started < first.ended
    assert third.submitted < min(first.ended, second.ended) <= third.started


def test_what_is_left_of_a_killed_snakemake_and_of_cancelled_jobs_makes_the_same_numbers(finished, overlay):
    """All jobs are cancelled. Then Snakemake is killed while two resubmitted jobs run and the third is held."""
    config = overlay(experiment="lost")
    finished.begin("lost", "slurm")
    earlier = {job.number for job in finished.jobs("finetune")}

    def trained(*states):
        return [job for job in finished.jobs("finetune", *states) if job.number not in earlier]

    process = finished.start("table1", "figure1", *config)
    wait_until(lambda: process.poll() is not None or len(trained("RUNNING")) == 2, "two run")
    wait_until(lambda: process.poll() is not None or len(trained()) == 3, "the third is submitted")
    subprocess.run(["scancel", "--user=root"], check=True)
    wait_until(lambda: len(trained("CANCELLED")) == 3 and len(trained()) == 6, "all are submitted again")
    *_, last = trained("PENDING")
    subprocess.run(["scontrol", "hold", last.number], check=True)
    wait_until(lambda: len(trained("RUNNING", "COMPLETED")) == 2, "the other two run")
    process.kill()
    process.wait()
    for task in ("gsm8k", "codesearchnet", "sgsm"):
        hint = (
            "(Slurm job ",
            "was cancelled",
            "(CANCELLED)",
            "it is submitted again, and continues from its last state",
        )
        assert_refusal(finished.said, f"finetune llama.nlp_{task}.seed0", hint)

    assert finished.run("--unlock", *config) == 0
    assert finished.run("table1", "figure1", *config) != 0
    assert_refusal(
        finished.said,
        f"{last.number} ({last.rule.removeprefix('rule_')}, PENDING)",
        ("Wait until they end", "`scancel "),
    )
    subprocess.run(["scancel", last.number], check=True)
    wait_until(lambda: not output("squeue", "-h"), "the others have ended")

    assert finished.run("table1", "figure1", *config) == 0, finished.said
    assert sorted(job.state for job in trained()) == ["CANCELLED"] * 4 + ["COMPLETED"] * 3
    assert {job.minutes for job in trained()} == {"20:00"}
    found, undisturbed = finished.numbers("lost"), finished.numbers("slurm")
    assert found.keys() == undisturbed.keys()
    assert [name for name in found if found[name] != undisturbed[name]] == []

    # Snakemake knows the parameters of jobs that ended while it did not run.
    assert finished.run("table1", "-n", *overlay(experiment="lost", finetuning={"learning_rate": 0.002})) == 0
    for task in ("gsm8k", "codesearchnet", "sgsm"):
        assert f"rule finetune_nlp_{task}:" in finished.said


def test_a_job_over_its_memory_is_submitted_with_more(finished, overlay):
    """PyTorch alone needs more than 400 MB; the second or the third attempt has enough."""
    config = overlay(resources={"extract_patterns": {"mem_mb": 400}})
    earlier = finished.jobs("extract_patterns")
    target = "results/slurm/patterns/llama/nlp.gsm8k.seed0/gsm8k"
    assert finished.run(target, "--force", *config) == 0, finished.said
    *killed, done = finished.jobs("extract_patterns")[len(earlier) :]
    assert killed
    assert [job.memory for job in [*killed, done]] == ["400M", "800M", "1200M"][: len(killed) + 1]
    assert {job.minutes for job in [*killed, done]} == {"20:00"}
    assert "COMPLETED" not in {job.state for job in killed}
    named = f"extract_patterns llama.nlp_gsm8k.seed0 (Slurm job {killed[0].number})"
    assert_refusal(finished.said, named, (f"({killed[0].state})", "it is submitted again with 800 MB"))
    assert done.state == "COMPLETED"


def test_a_stopped_fine_tuning_goes_on_from_its_state(finished, overlay):
    """Its node goes down and Slurm queues it again; its time ends while Slurm does not answer; then it is preempted."""
    task = "gsm8k"
    config = overlay(finetuning={"max_steps": 400, "resume_every": 20, "checkpoint_steps": [1]})
    run = finished.folder / RUN.format(task)
    log = finished.folder / f"results/slurm/logs/finetune/llama.nlp_{task}.seed0.log"
    states = run.with_name(f"{run.name}.unfinished") / "state"
    process = finished.start(f"{RUN.format(task)}/final", *config)

    def trained_beyond(step):
        said = log.read_text() if log.exists() else ""
        return process.poll() is not None or any(reached > step for reached in steps(said))

    def state_after(step):
        found = [int(path.parent.name.split("-")[1]) for path in states.glob("checkpoint-*/trainer_state.json")]
        return process.poll() is not None or max(found, default=0) > step

    reached = [0]

    def hangs():
        processes = output("ps", "-e", "-ww", "-o", "stat,args").splitlines()
        return any(line.startswith("T") and "finetune.py" in line and RUN.format(task) in line for line in processes)

    def lose(command, meanwhile=lambda: None):
        """Suspend the job after more training, so that it cannot end before Slurm stops it; returns its number."""
        wait_until(lambda: state_after(0) and trained_beyond(reached[-1] + 20), "it is trained further")
        (job,) = finished.jobs("finetune", "RUNNING")
        subprocess.run(["scancel", "--signal=STOP", job.number], check=True)
        wait_until(hangs, "it hangs")
        meanwhile()
        subprocess.run(command.format(job.number).split(), check=True)
        wait_until(lambda: not finished.jobs("finetune", "RUNNING"), "it runs no more")
        left = rf"slurmstepd: \[{job.number}\."
        wait_until(lambda: not output("pgrep", "-f", left), "nothing of it is left on the node")
        reached.append(max(steps(log.read_text())))
        return job.number

    def ask_in_vain():
        with silent():
            wait_until(lambda: "Slurm does not answer" in finished.said, "that is said")

    first = lose(f"scontrol update NodeName={FIRST} State=DOWN Reason=lost")
    wait_until(lambda: "Slurm has queued it again" in finished.said, "that is said")
    subprocess.run(["scontrol", "update", f"NodeName={FIRST}", "State=RESUME"], check=True)
    subprocess.run(["scontrol", "update", f"JobId={first}", "StartTime=now"], check=True)  # instead of in two minutes
    assert lose("scontrol update JobId={} EndTime=now", ask_in_vain) == first  # Slurm checks that twice a minute
    second = lose("sbatch --partition=urgent --mem=12000 --output=/dev/null --wrap=true")
    assert process.wait() == 0, finished.said

    jobs = finished.jobs("finetune_nlp_gsm8k")[-3:]
    assert [job.number for job in jobs[:2]] == [first, second]
    assert [job.state for job in jobs] == ["TIMEOUT", "PREEMPTED", "COMPLETED"]
    assert [job.minutes for job in jobs[1:]] == ["40:00", "40:00"]
    assert {job.memory for job in jobs} == {"2500M"}
    again = "and it continues from its last state"
    named = "finetune llama.nlp_gsm8k.seed0 (Slurm job {})"
    assert_refusal(finished.said, named.format(first), ("lost its node: Slurm has queued it again", again))
    said = {first: ("20 minutes (TIMEOUT)", "with 40 minutes"), second: ("was preempted", "(PREEMPTED)")}
    for number, hint in said.items():
        assert_refusal(finished.said, named.format(number), (*hint, "it is submitted again", "continues from its last"))
    resumed = steps(log.read_text())
    assert min(resumed) > reached[-1]
    assert max(resumed) == 400

    # The same command, as Snakemake printed it, runs without interruption and writes to another folder.
    command = re.search(r"Shell command: exec (python workflow_scripts/finetune.py .*)", finished.said)[1]
    words = [word.replace(RUN.format(task), "undisturbed") for word in shlex.split(command)]
    words[words.index("--log") + 1] = "undisturbed.log"
    words[0] = sys.executable
    subprocess.run(words, cwd=finished.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    weights = "final/model.safetensors"
    assert (run / weights).read_bytes() == (finished.folder / "undisturbed" / weights).read_bytes()


def steps(log):
    """The steps that the log of a fine-tuning names."""
    return [int(step) for step in re.findall(r"^step (\d+)/", log, re.MULTILINE)]


def test_the_status_knows_what_waits_and_an_interruption_leaves_no_job_behind(finished, overlay):
    """Two of three jobs run until one is cancelled. It waits again, and the third has run only since then."""
    config = overlay(finetuning={"max_steps": 5000, "checkpoint_steps": [1]})
    earlier = {job.number for job in finished.jobs("finetune")}

    def trained(*states):
        return [job for job in finished.jobs("finetune", *states) if job.number not in earlier]

    targets = [f"{RUN.format(task)}/final" for task in ("gsm8k", "sgsm", "codesearchnet")]
    process = finished.start(*targets, *config)
    wait_until(lambda: process.poll() is not None or len(trained("RUNNING")) == 2, "two run")
    wait_until(lambda: process.poll() is not None or trained("PENDING"), "the third waits")
    (third,) = trained("PENDING")
    stopped, stays = trained("RUNNING")
    time.sleep(3)  # so that the third has waited longer than the resolution of Slurm's clock
    subprocess.run(["scancel", stopped.number], check=True)
    wait_until(lambda: process.poll() is not None or len(trained()) == 4, "one is submitted again")
    wait_until(lambda: process.poll() is not None or len(trained("RUNNING")) == 2, "the third runs")
    command = [sys.executable, "workflow_scripts/status.py", "--results", "results/slurm"]
    subprocess.run(command, cwd=finished.folder, check=True, stdout=subprocess.DEVNULL)
    told = json.loads((finished.folder / "results/slurm/status.json").read_text())
    assert told["at_work"] and not told["slurm_is_silent"]
    found = {job["name"]: job for job in told["jobs"] if job["rule"] == "finetune"}
    shown = [
        found[f"llama.{job.rule.partition('finetune_')[2].partition('_wildcards')[0]}.seed0"]
        for job in (stopped, stays, third)
    ]
    assert [job["state"] for job in shown] == ["queued", "running", "running"]
    begun = next(job.started for job in trained("RUNNING") if job.number == third.number)
    assert begun > third.submitted
    assert shown[-1]["since"] == pytest.approx(datetime.fromisoformat(begun).timestamp(), abs=2)

    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    wait_until(lambda: not output("squeue", "-h"), "no job is left")
    assert {job.state for job in trained()} == {"CANCELLED"}


def test_a_fine_tuning_runs_on_two_machines(finished, overlay):
    config = overlay(
        finetuning={"devices": 2, "nodes": 2, "gradient_accumulation_steps": 1},
        resources={"finetune": {"gpu": 0}},
    )
    target = f"{RUN.format('codesearchnet')}/final"
    assert finished.run(target, *config, "--retries", "0") == 0, finished.said
    run = finished.folder / RUN.format("codesearchnet")
    described = json.loads((run / "run.json").read_text())
    assert described["recipe"]["devices"] == 2
    # The steps are not read from the log, because it mixes the lines of two machines.
    with (run / "training.csv").open(newline="") as curve:
        assert [row["step"] for row in csv.DictReader(curve)] == ["1", "2", "3", "4", "5", "6"]
    number = finished.jobs("finetune_nlp_codesearchnet")[-1].number
    assert output("squeue", "-h", "--states=all", "-j", number, "-o", "%D|%N").strip() == "2|first,second"
