# Work before the first job and after the last one: checks before anything starts, and the table of jobs.

import atexit

from headpatterns.cluster import gpus, refusals, requests
from headpatterns.planning import disk


def as_job(job):
    """A job of Snakemake's as a row of the table of jobs."""
    name, kind = job.rule.name, kind_of(job.rule.name)
    benchmark = str(job.benchmark or "").removeprefix(f"{RESULTS}/benchmarks/")
    stem = (benchmark or str(next(iter(job.log), ""))).removeprefix(f"{RESULTS}/logs/").rpartition(".")[0]
    return jobs.Job(
        kind,
        name=stem.removeprefix(kind).removeprefix("/"),
        benchmark=benchmark,
        batch=name.removeprefix(f"{kind}_") if kind != name else "",
        wildcards=dict(job.wildcards_dict),
    )


def as_listed(job, to_run):
    """A job of Snakemake's as the journal lists it."""
    number, needs = workflow.dag.jobid, workflow.dag.dependencies[job]
    return journal.Listed(number(job), as_job(job), str(next(iter(job.log), "")), tuple(map(number, needs)), to_run)


def keep_journal():
    """Begin the journal of this run, which tells of each job when it starts and ends."""
    path, to_run = Path(RESULTS) / journal.FILE, set(jobs_to_run())
    listed = [as_listed(job, job in to_run) for job in jobs_of_target() if not job.rule.norun]
    here = {"gpus": len(gpus.visible())} if runs_here() and CONFIG.device == "cuda" else {}
    journal.begin(path, EXPERIMENT.given, listed, {**shared_by_jobs(), **here})
    tell_of_jobs(functools.partial(journal.note, path), journal.STARTED, journal.FINISHED, journal.FAILED)
    atexit.register(journal.note, path, journal.ENDED)


def requested(selected):
    """How many of some jobs of Snakemake ask a scheduler for the same."""
    groups = {f"finetune_{name}": batch.group for name, batch in BATCHES.items()}
    return Counter(resources.request(EXPERIMENT, job, groups.get(job.rule.name, "")) for job in selected)


def missing_for(selected):
    """What is missing of that which some jobs of Snakemake read, in sentences."""
    inputs = {str(file) for job in selected for file in job.input}
    return missing.sentences(EXPERIMENT, inputs, {kind_of(job.rule.name) for job in selected})


def check_files():
    """Refuse jobs that read files of your own which are not there."""
    if lines := missing_for(jobs_to_run()):
        raise WorkflowError("\n".join(lines))


def check_cluster():
    """Refuse what this Slurm cannot run, or what needs one that is not there.

    The plan and other targets of local rules alone need no Slurm with its profile either.
    """
    asked = requested(job for job in jobs_to_run() if not job.is_local or runs_here())
    if not submitted_with():
        shown = len(gpus.visible()) if runs_here() and CONFIG.device == "cuda" else None
        or_stop(refusals.check_without, asked, shown)
    elif asked:
        or_stop(refusals.check, asked, CONFIG.cluster.configured, submitted_with())
        comments = {site.comment(job.name, job.wildcards) for job in jobs_to_run() if not job.is_local}
        or_stop(refusals.check_queue, Path.cwd(), names_of_jobs(), comments)
        follow_jobs()
        print(requests.table(asked), file=sys.stderr)


def check_disk():
    """Refuse to train where the disk has no room for the planned peak."""
    if not CONFIG.plan.check_disk:
        return
    needed_now = {as_job(job) for job in jobs_to_run()}
    all_jobs = [as_job(job) for job in jobs_of_target()]
    if unknown := or_stop(disk.check, EXPERIMENT, RESULTS, all_jobs, needed_now):
        print(f"The check of the disk counts these unknown sizes as 0: {', '.join(unknown)}.", file=sys.stderr)


def before_the_first_job():
    """Everything that is refused before a job starts, and the table of all jobs of this target."""
    let_signals_in()
    if runs_here():
        without_rate_limit()
    elif all(job.is_local for job in jobs_to_run()):
        without_submission()
    else:
        holding.have_jobs_elsewhere(HOLDERS)
    if any(job.rule.name == "export" for job in jobs_of_target()):
        or_stop(published.check_target, PUBLISH_TO)
    or_stop(storage.check, Path(RESULTS))
    remove_what_a_kill_left()
    check_files()
    check_cluster()
    check_disk()
    # Plans and costs may be requested while another run is active; then this is the table of that run.
    if any(job.rule.name not in WITHOUT_BENCHMARK for job in jobs_of_target()):
        jobs.write(Path(RESULTS) / "jobs.csv", map(as_job, jobs_of_target()))
        missing.record(EXPERIMENT, Path(RESULTS) / OWN_FILES)
        keep_journal()


def without_a_hook():
    """What is left to do where Snakemake runs nothing and calls no hook."""
    if not knows_jobs():
        return
    if is_dry_run() and (wanted := jobs.asked_for()):
        jobs.write(wanted, map(as_job, jobs_of_target()))
    elif is_dry_run() or is_picture():
        tell(jobs_to_run(planned=True))
    elif not jobs_to_run(planned=True):
        missing.record(EXPERIMENT, Path(RESULTS) / OWN_FILES)


def tell(shown):
    """What the jobs of a dry-run would ask of Slurm, and what is missing for them.

    A picture or a list of jobs may be for another program: what is missing stands beside it.
    """
    if is_dry_run() and CONFIG.cluster.configured and (table := requests.table(requested(shown))):
        print(table)
    if lines := missing_for(shown):
        text = "\n  ".join(["These jobs are not started, because files are missing:", *lines])
        print(text, file=sys.stdout if is_dry_run() else sys.stderr)


if is_main():
    atexit.register(without_a_hook)


def farewell():
    """Where the results lie."""
    made = {name: Path(RESULTS) / place for name, place in
            {"report": "report.html", "figures": "figures", "tables": "tables"}.items()}  # fmt: skip
    lines = [f"  {name:8} {path.resolve()}" for name, path in made.items() if path.exists()]
    return "\n".join([f"\nExperiment {CONFIG.experiment}:", *lines])
