"""An experiment that is killed again and again, or whose disk is full, ends with the results of an undisturbed one."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import kills
import pytest
from project import snakemake
from refusals import assert_refusal
from same_files import differences


class Undisturbed(NamedTuple):
    """A copy of the project with the finished experiment, its rules, and the CPU seconds of its jobs."""

    folder: Path
    rules: set[str]
    usual: dict[str, float]

    @property
    def results(self) -> Path:
        return self.folder / kills.RESULTS


@pytest.fixture(scope="module")
def undisturbed(clone: Callable[[str], Path], opencompass: Path) -> Undisturbed:
    folder = clone("undisturbed")
    log = folder.parent / "log"
    usual = kills.undisturbed(folder, log)
    return Undisturbed(folder, kills.rules_run(log.read_text()), usual)


def test_thirty_kills_that_hit_every_rule_change_nothing(clone, undisturbed):
    """During one experiment, single jobs, Snakemake and the whole process group get SIGKILL, SIGTERM and SIGINT."""
    assert len(undisturbed.rules) > 50
    folder = clone("killed-often")
    plan = kills.Plan(set(undisturbed.rules), random.Random(0), least=30)
    kills.disturbed(folder, plan, undisturbed.usual, folder.parent / "log")
    assert len(plan.kills) >= 30
    assert {rule for kill in plan.kills for rule in kill.hit} >= undisturbed.rules
    assert {(kill.target, kill.signal) for kill in plan.kills} >= {
        (target, number) for target in kills.TARGETS for number in kills.SIGNALS
    }
    assert differences(undisturbed.results, folder / kills.RESULTS) == []
    assert "Nothing to be done" in snakemake(folder, "all", "-n", *kills.CONFIG).stdout


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")


@pytest.fixture(scope="module")
def small(undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Another copy of the finished experiment, with its results on a separate small file system."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")
    folder = tmp_path_factory.mktemp("small-disk") / "project"
    shutil.copytree(undisturbed.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("results"))
    (folder / "results").mkdir()
    mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder / "results"))
    shutil.copytree(undisturbed.results, folder / kills.RESULTS)
    # The next run replaces this file by a shorter one, which would free space on the full disk.
    (folder / kills.RESULTS / "logs/jobs.ndjson").unlink()
    # With `check_disk`, fine-tuning would be refused before it starts.
    (folder / "unplanned.json").write_text('{"plan": {"check_disk": false}}')
    yield folder
    subprocess.run(["umount", folder / "results"], check=True)


def fill(folder: Path, kilobytes: int) -> Path:
    """Write a file into a folder that leaves only this much room on its file system."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(folder).free - kilobytes * 1024))
    return ballast


@pytest.mark.parametrize(
    ("target", "script", "kilobytes"),
    [
        # Most results come before their inputs: inputs that were made again first would make them stale.
        ("analysis/sensitivity.csv", "analyse", 24),
        ("evaluations/llama/competence.seed0.0.csv", "evaluate", 24),
        ("tokenized/embedded/sgsm/train", "tokenize_instructions", 24),
        ("checkpoints/llama/nlp.arc.seed0/final", "finetune", 40),
        ("checkpoints/llama/nlp.arc.seed0/final", "finetune", 500),
        ("patterns/llama/nlp.arc.seed0/arc", "extract_patterns", 40),
    ],
    ids=["table", "evaluation", "tokenization", "checkpoint", "state", "patterns"],
)
def test_a_full_disk_is_one_sentence_and_with_room_the_same_command_goes_on(
    small, undisturbed, target, script, kilobytes
):
    result = small / kills.RESULTS / target
    (shutil.rmtree if result.is_dir() else Path.unlink)(result)
    command = (str(kills.RESULTS / target), "--cores", "1", *kills.CONFIG, "unplanned.json")
    ballast = fill(small / kills.RESULTS, kilobytes)
    refused = snakemake(small, *command)
    ballast.unlink()
    assert refused.returncode != 0
    assert len([line for line in refused.stdout.splitlines() if line.startswith(f"{script}: ")]) == 1, refused.stdout
    hints = (f"{script}: {kills.RESULTS}/", "no space is left", "free space")
    assert_refusal(refused.stdout, str(small / "results"), hints)
    assert not result.exists()
    done = snakemake(small, *command)
    assert done.returncode == 0, done.stdout
    expected = undisturbed.results / target
    if result.is_dir():
        assert differences(expected, result) == []
    assert result.is_dir() or result.read_bytes() == expected.read_bytes()


def test_what_may_only_be_read_is_one_sentence_before_any_job(small):
    table = small / kills.RESULTS / "analysis/distribution.csv"
    table.unlink()
    log = Path(kills.RESULTS / "logs/analyse_distribution.log")
    words = [sys.executable, "workflow_scripts/analyse.py", "distribution", "--log", log]
    mount("-o", "remount,ro", str(small / "results"))
    command = (str(table.relative_to(small)), "--cores", "1", *kills.CONFIG)
    refused = snakemake(small, *command)
    by_hand = subprocess.run([*words, "--inputs", "{}", "--outputs", "{}", "--settings", "{}"], cwd=small,
                             capture_output=True, text=True)  # fmt: skip
    mount("-o", "remount,rw", str(small / "results"))
    state = str(small / ".snakemake")
    mount("--bind", state, state)
    mount("-o", "remount,ro,bind", state)
    without_state = snakemake(small, *command)
    subprocess.run(["umount", state], check=True)
    for answer, key in ((refused, kills.RESULTS), (by_hand, log), (without_state, ".snakemake/holders")):
        assert answer.returncode != 0
        text = answer.stdout + (answer.stderr or "")
        assert_refusal(text, str(key), ("mounted read-only", "mount it for writing"))
        assert "rule analyse_distribution" not in text


def test_what_faults_and_kills_have_left_is_made_good_by_the_next_run(small, undisturbed):
    """This includes a folder that was being removed, and a temporary folder that no job needs any more."""
    run = small / kills.RESULTS / "checkpoints/llama/nlp.arc.seed0"
    published = (run / "final/.snakemake_timestamp").stat().st_mtime
    for name in (".4711.removed.intermediate", "intermediate"):
        (run / name / "step-1").mkdir(parents=True)
        os.utime(run / name, (published, published))
    (small / kills.RESULTS / "figures/figure5.pdf").unlink()
    done = snakemake(small, "all", "--cores", "2", *kills.CONFIG)
    assert done.returncode == 0, done.stdout
    assert differences(undisturbed.results, small / kills.RESULTS) == []
