# The experiment of the config, and the functions for wildcards. There is no rule in this file.

import functools
import json
import sys
from collections import Counter
from pathlib import Path

from snakemake.io import report as in_report
from snakemake.utils import update_config

from headpatterns.cluster import commands, resources
from headpatterns.data.embedded import registry
from headpatterns.experiment import (
    arguments,
    batches,
    checks,
    jobs,
    missing,
    needed,
    published,
    shown,
    sources,
    tables,
    written,
)
from headpatterns.experiment.experiment import OWN_FILES, Experiment
from headpatterns.experiment.own import of_model
from headpatterns.experiment.runs import HEADS, TRAINING
from headpatterns.presentation.elements import title_of
from headpatterns.report import quotes
from headpatterns.studies import load_studies
from headpatterns.studies.checkpoints import settings as checkpoints
from headpatterns.studies.descriptions import reading
from headpatterns.studies.mixing import settings as mixing
from headpatterns.studies.selection import settings as selection
from headpatterns.studies.trained_heads import settings as trained_heads
from headpatterns.studies.transfer import settings as transfer
from headpatterns.studies.transplant import settings as transplant
from headpatterns.studies.head_scores import settings as head_scores
from headpatterns.studies.validity import settings as validity

commands.put_python_first()


say_what_keeps_from_writing()
leave_locks_of_others()
remove_folders_at_once()
ask_every_job()
if is_main():
    or_stop(go_on_after_a_kill)
else:
    # The Snakemake of one job, which is useless without the one that started it.
    starter.end_with()
starter.become()

# With `--config from=FOLDER`, a published result instead of an experiment that is run; None without it.
PUBLISHED = or_stop(published.asked, config, overlay())
PUBLISH_TO = str(config.pop("to", ""))
SHOW = str(config.pop("show", ""))
KEY = str(config.pop("key", ""))
WITH = config.pop("with", [])
COMPARED = [str(folder) for folder in (WITH if isinstance(WITH, list) else [WITH])]
if PUBLISHED:
    theirs, ours = or_stop(published.config_of, PUBLISHED), dict(config)
    config.clear()
    # The first file gives the order of the keys, and the last one the values, as Snakemake does with --configfile.
    for layer in (theirs, ours, theirs):
        update_config(config, layer)


def runs():
    """Whether jobs run; it is known once Snakemake makes out the jobs."""
    return not (is_dry_run() or is_picture())


def meaning():
    """The experiment, once nothing about it is refused."""
    made = Experiment(config, load_studies(), recall=True, root=PUBLISHED and PUBLISHED.root, reads=runs)
    checks.check(made)
    return made


EXPERIMENT = or_stop(published.explained, meaning, PUBLISHED)
if is_main():
    take_for_there(missing.away(EXPERIMENT))

PATHS, RESULTS = EXPERIMENT.paths, EXPERIMENT.paths.root
CONFIG, BATCHES = EXPERIMENT.config, EXPERIMENT.batches
MIXING, SELECTION = EXPERIMENT.settings("mixing"), EXPERIMENT.settings("selection")
HUB_ROWS, PINNED = needed.hub_rows(CONFIG), needed.pinned(CONFIG)
TRAINING_SETS = {cut.name: cut for cut in map(PATHS.cut, EXPERIMENT.runs) if cut}


# Limit the number of jobs that fill the disk to the planned number, on all machines: fine-tunings, and jobs that read
# checkpoints which are removed afterwards. Readers have the higher priority. So the place of a finished fine-tuning
# goes to the readers of its checkpoints, and another fine-tuning starts only if none of them waits. A job keeps its
# place while it runs and waits for no other job, so there is no deadlock.
limit("runs_on_disk", CONFIG.plan.parallel_jobs)


def is_computed(calculation):
    """Whether an analysis or effects are computed here; else their tables are those of a published result."""
    return not PUBLISHED or published.is_computed(EXPERIMENT, calculation, PUBLISHED.kept)


def one_of(names):
    """A wildcard constraint that matches exactly these names."""
    return "|".join(map(re.escape, names)) or "none"


def of_kind(kind):
    """A wildcard constraint that matches the models with one kind of source: what makes their folders differs.

    Those that were fine-tuned elsewhere are among them.
    """
    return one_of([name for name in (*CONFIG.models, *CONFIG.finetuned) if isinstance(CONFIG.source(name), kind)])


wildcard_constraints:
    model=one_of([*CONFIG.models, *CONFIG.finetuned]),
    finetuned=one_of(CONFIG.finetuned),
    tokenizer=one_of(["embedded", *CONFIG.models]),
    dataset=one_of(CONFIG.datasets),
    run=one_of(TRAINING_SETS),
    seed=r"\d+",
    domain=one_of(SELECTION.domains),
    base=one_of({base for _, base in EXPERIMENT.bases}),
    batch=one_of({batch for _, batch in EXPERIMENT.evaluation_batches}),
    rows=one_of(HUB_ROWS),
    pinned=one_of(PINNED),
    split="train|probe",
    generator=one_of(registry.GENERATORS),
    pretraining=one_of(CONFIG.pretraining),


def as_is(value):
    """A parameter that holds braces: Snakemake fills in those of plain text."""
    return lambda wildcards: value


def unless_kept(output, kind):
    """Weights are temporary unless the config keeps them: at full scale they are terabytes."""
    return output if getattr(CONFIG.finetuning, f"keep_{kind}_checkpoints") else temp(output)


def on_disk(*kinds):
    """The place that a reader of checkpoints takes of `runs_on_disk`: one where any of their kinds is not kept."""
    return int(not all(getattr(CONFIG.finetuning, f"keep_{kind}_checkpoints") for kind in kinds))


def opencompass_python():
    """Its interpreter: that of the conda environment where Snakemake makes one, else the one that the config names."""
    return "python" if conda_is_used() else PATHS.own.path("python", CONFIG.evaluation.python)


def captioned(paths, study, category):
    """Outputs as Snakemake's own report shows them: by study, with the same title and caption as in ours."""
    folder = Path(workflow.basedir) / "workflow_scripts/headpatterns/studies" / study
    shows = {path: {"shows": title_of(Path(path).stem), "format": Path(path).suffix} for path in paths}
    return [
        in_report(path, caption=str(folder / f"{Path(path).stem}.rst"), category=category,
                  subcategory=study.replace("_", " "), labels=shows[path])
        for path in paths
    ]  # fmt: skip
