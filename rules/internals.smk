# All uses of undocumented features of Snakemake, with their purpose; apart from slurm.smk, no other file uses them.
#
# Snakemake has no defaults for logs, benchmarks, environments, threads and resources. They are added here, when a
# statement becomes a rule. Only `workflow` knows the jobs of a target and how they are run.
# tests/workflow/test_rules.py states the version of Snakemake that this fits.

import re
import sys
import threading
from itertools import chain
from pathlib import Path

import snakemake.io
from snakemake import benchmark as sampling
from snakemake.dag import DAG
from snakemake.exceptions import ProtectedOutputException
from snakemake.io import IOCache, Mtime, is_flagged
from snakemake.jobs import Job
from snakemake.persistence.file import FilePersistence
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake_interface_executor_plugins.settings import DeploymentMethod

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from headpatterns import storage
from headpatterns.cluster.resources import OF_STUDIES, SEVERAL_RUNS
from headpatterns.experiment.timings import SAMPLED_SECONDS
from headpatterns.io import remove, remove_leftovers
from headpatterns.processes import holding, starter
from headpatterns.status import journal

# For its benchmark files, Snakemake samples each job twice per second, 31 times, and then every 30 seconds. Each sample
# reads all pages of the job's processes, which takes 25 ms of processor time with torch. With a longer interval, the
# first minutes of a job are sampled rather than its first 15 seconds.
sampling.BENCHMARK_INTERVAL_SHORT = SAMPLED_SECONDS


def is_main():
    """Whether this is the process that the user started, and not one of its jobs."""
    return workflow.is_main_process


HOLDERS = Path(".snakemake/holders")


def go_on_after_a_kill():
    """Let the same command continue after a Snakemake that was killed.

    Its locks are removed, and unfinished outputs are made again, as with --unlock and --rerun-incomplete.
    """
    plain = DAG.check_incomplete

    async def made_again(dag):
        dag.workflow.dag_settings.force_incomplete = True
        await plain(dag)

    DAG.check_incomplete = made_again
    with storage.written(HOLDERS.parent):
        removed = holding.join(HOLDERS, Path(".snakemake/locks"))
    if removed:
        print("The run before this one was killed: this run continues where it stopped.", file=sys.stderr)


def leave_locks_of_others():
    """Let a Snakemake that ends remove only its own locks, not those of a running one; `--unlock` removes all."""
    plain = FilePersistence._delete_locks

    def own(store):
        for path in store._lockfile.values():
            Path(path).unlink(missing_ok=True)
        store._lockfile.clear()

    FilePersistence._delete_locks, FilePersistence.cleanup_locks = own, plain


def ask_every_job():
    """Check for every job that does not run for another reason whether its own parameters have changed.

    Snakemake does not check the jobs after a job that will run, because they usually run as well. An `ancient` file
    between them does not make them run: such a job would be left out although its parameters have changed.
    """
    plain = DAG.update_needrun

    async def asked(dag, *given, **named):
        dag.bfs = jobs_run_by
        try:
            await plain(dag, *given, **named)
        finally:
            del dag.bfs

    DAG.update_needrun = asked


def jobs_run_by(depending, job):
    """A job and the jobs that run because it runs; `depending` has the jobs after each job, with the files between."""
    found, waiting = {job}, [job]
    while waiting:
        behind = depending[waiting.pop()].items()
        new = {after for after, files in behind if not all(file.is_ancient for file in files)} - found
        found |= new
        waiting += new
    return found


def say_what_keeps_from_writing():
    """Let Snakemake say how to write outputs that it finds write-protected because of their file system."""
    plain = Job.check_protected_output

    async def checked(job):
        try:
            await plain(job)
        except ProtectedOutputException:
            or_stop(storage.check, Path(RESULTS))
            raise

    Job.check_protected_output = checked


def remove_folders_at_once():
    """Let Snakemake rename a folder before it removes it, so that a kill leaves no incomplete folder."""
    plain = snakemake.io.remove

    async def at_once(file, remove_non_empty_dir=False, only_local=False):
        if remove_non_empty_dir and Path(file).is_dir():
            remove(Path(file))
        else:
            await plain(file, remove_non_empty_dir, only_local)

    snakemake.io.remove = at_once


def remove_what_a_kill_left():
    """Remove folders whose removal a kill interrupted, and temporary outputs whose readers are all done."""
    dag, to_run = workflow.dag, set(jobs_to_run())
    for job in jobs_of_target():
        temporary = [file for file in job.output if is_flagged(file, "temp")]
        for file in job.output if job in to_run else temporary:
            remove_leftovers(Path(file))
        for file in temporary:
            readers = [reader for reader, files in dag.depending[job].items() if file in files]
            if readers and not to_run.intersection([job, *readers]) and not dag.is_needed_tempfile(job, file):
                remove(Path(file))


def limit(name, most):
    """Limit how much of a resource all jobs together take, wherever they run."""
    workflow.register_resource(name, most)


def conda_is_used():
    """Whether Snakemake makes the environments of rules with conda."""
    return DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def overlay():
    """The settings that the command line and its files make in the config."""
    return workflow.config_settings.overwrite_config


def overlay_files():
    """The config files that the command line adds."""
    return workflow.config_settings.configfiles


def is_dry_run():
    """Whether nothing is run."""
    return workflow.dryrun


def is_picture():
    """Whether the jobs are only shown or listed, for example by --dag, --rulegraph or --summary."""
    return workflow.executor_plugin is None


def knows_jobs():
    """Whether Snakemake has determined its jobs, and did not stop before."""
    return workflow.dag is not None and bool(workflow.dag.jobs)


def jobs_of_target():
    """Every job that the target needs, done or not."""
    return workflow.dag.jobs


def jobs_to_run(planned=False):
    """The jobs that will run; once `planned`, the jobs that a dry-run would list."""
    return list(workflow.dag.needrun_jobs(exclude_finished=not planned))


def take_for_there(files):
    """Let Snakemake treat absent files as old files while it determines the jobs; it needs nothing else about them.

    This fills its cache of files for that time. Snakemake clears the cache before the first job.
    """
    plain = IOCache.__init__

    def filled(cache, *given):
        plain(cache, *given)
        cache.exists_local.update(dict.fromkeys(files, True))
        cache.mtime.update((file, Mtime(local=0)) for file in files)

    IOCache.__init__ = filled


def submitted_with():
    """The command that queries the state of Slurm's jobs; empty if jobs do not go to Slurm."""
    return workflow.executor_settings.status_command if workflow.executor_plugin.name == "slurm" else ""


def runs_here():
    """Whether jobs run on this machine."""
    return workflow.local_exec


def without_submission():
    """Leave the Slurm plugin out of a run whose jobs all run here.

    Its thread looks for submitted jobs (there are none) and sleeps for 40 seconds. Snakemake would wait at the end
    until the thread wakes. A sleeping thread ends with the process.
    """
    workflow.scheduler._executor = workflow.scheduler._local_executor


def without_rate_limit():
    """Start jobs as soon as resources are free.

    Snakemake limits how many jobs start per second; the limit is meant for schedulers of clusters. While jobs wait, it
    sets a timer after each round, and each timer starts a round. Every job that ends adds an endless chain of rounds.
    """
    workflow.scheduler.job_rate_limiter = None


def let_signals_in():
    """Allow a signal at any time.

    Snakemake's handler of Ctrl-C takes a lock that its own thread holds while it finishes jobs. It would wait forever.
    """
    workflow.scheduler._lock = threading.RLock()


def tell_of_jobs(note, started, finished, failed):
    """Call `note` with the outcome of a job and its number, whichever executor runs it."""
    starts, ends, fails = Job.log_info, DAG.finish, JobScheduler._handle_error

    def at_start(job, *given, **named):
        note(started, workflow.dag.jobid(job))
        starts(job, *given, **named)

    async def at_end(dag, job, *given, **named):
        note(finished, dag.jobid(job))
        await ends(dag, job, *given, **named)

    def at_failure(scheduler, job, *given, **named):
        note(failed, workflow.dag.jobid(job))
        fails(scheduler, job, *given, **named)

    Job.log_info, DAG.finish, JobScheduler._handle_error = at_start, at_end, at_failure


def shared_by_jobs():
    """The resource that jobs share: cores on this machine, or the number of simultaneous jobs at a scheduler."""
    if runs_here():
        return {"cores": workflow.resource_settings.cores}
    return {journal.AT_ONCE: workflow.resource_settings.nodes}


WITHOUT_BENCHMARK = (
    "write_run_table",
    "write_variant_table",
    "write_config",
    "write_plan_config",
    "plan",
    "costs",
    "publish",
    "export",
    "take_published",
    "show_sample",
    "config_reference",
    "status",
    "compare",
)


def kind_of(name):
    """What the rules of all batches share, `finetune` of finetune_nlp_math, or the name itself."""
    return next((kind for kind in SEVERAL_RUNS if name.startswith(f"{kind}_")), name)


def kinds():
    """Those of everything that runs; batches of runs and studies may be none of this experiment."""
    return {*SEVERAL_RUNS, *OF_STUDIES, *(kind_of(one.name) for one in workflow.rules if not one.norun)}


def stem_of(name, outputs):
    """Where a log is: the kind, then the wildcards of the output, with the batch after the first."""
    kind = kind_of(name)
    wildcards = dict.fromkeys(re.findall(r"\{(\w+)", str(next(iter(outputs)))))
    parts = [f"seed{{{wildcard}}}" if wildcard == "seed" else f"{{{wildcard}}}" for wildcard in wildcards]
    if kind != name:
        parts.insert(1, name.removeprefix(f"{kind}_"))
    return f"{kind}/{'.'.join(parts)}" if parts else kind


def flat(files):
    """Every path of outputs that may be lists."""
    return chain.from_iterable([file] if isinstance(file, str) else file for file in files)


def with_defaults(made):
    """The contents of a rule statement, completed with defaults."""
    name, kind = made.name, kind_of(made.name)
    group = BATCHES[name.removeprefix(f"{kind}_")].group if kind != name else None
    stem = stem_of(name, flat([*made.output.paths, *made.output.kwpaths.values()])) if made.output else name
    workflow.log(f"{RESULTS}/logs/{stem}.log")(made)
    if made.shellcmd is None:
        return
    if name not in WITHOUT_BENCHMARK:
        workflow.benchmark(f"{RESULTS}/benchmarks/{stem}.tsv")(made)
    if made.conda_env is None:
        workflow.conda("../envs/workflow.yaml")(made)
    workflow.threads(resources.threads(EXPERIMENT, kind))(made)
    _, own = made.resources or ((), {})
    workflow.resources(**{**resources.resources(EXPERIMENT, kind, group, times(name)), **own})(made)


def filling(statement):
    """`workflow.rule`, whose rules have the defaults; targets, which run nothing, need none."""

    def filled(name=None, *place, **where):
        def decorate(made):
            made.name = made.name or name
            if not made.norun:
                with_defaults(made)
            return statement(name, *place, **where)(made)

        return decorate

    return filled


workflow.rule = filling(workflow.rule)
