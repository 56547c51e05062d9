# Everything that Snakemake does not document, and what it is used for; no other file uses such things.
#
# Snakemake has no defaults for logs, benchmarks, environments, threads and resources. They come in here, where a statement
# is made into a rule. The jobs of a target, and the way in which they are run, are known to `workflow` alone. The version
# that all of this belongs to is in tests/workflow/test_rules.py.

import asyncio
import re
import sys
import time
from itertools import chain
from pathlib import Path

import snakemake.io
from snakemake import benchmark as sampling
from snakemake.dag import DAG
from snakemake.exceptions import ProtectedOutputException
from snakemake.io import IOCache, Mtime, is_flagged
from snakemake.jobs import Job
from snakemake.persistence import PersistenceBase
from snakemake_interface_executor_plugins.settings import DeploymentMethod

sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from headpatterns import storage
from headpatterns.cluster.lost import Shortages
from headpatterns.cluster.resources import SEVERAL_RUNS
from headpatterns.cluster.site import IDENTIFIER
from headpatterns.experiment.timings import SAMPLED_SECONDS
from headpatterns.io import remove, remove_leftovers
from headpatterns.processes import holding, starter

# For its benchmark files Snakemake starts a timer twice a second for each job, 31 times, and then every 30 seconds. Each
# sample goes through all pages of the job's processes, 25 ms of a processor for one with torch. Less often, the first
# minutes of a job are sampled rather than its first 15 seconds.
sampling.BENCHMARK_INTERVAL_SHORT = SAMPLED_SECONDS


PAUSE = 5.0
"""Seconds until Slurm is asked again that has not answered."""


def is_main():
    """Whether this is the process that the user started, and not one of its jobs."""
    return workflow.is_main_process


HOLDERS = Path(".snakemake/holders")


def go_on_after_a_kill():
    """Let the same command go on after a Snakemake that was killed.

    Its locks are removed, and what it has not finished is made again, as --unlock and --rerun-incomplete would have it.
    """
    plain = DAG.check_incomplete

    async def made_again(dag):
        dag.workflow.dag_settings.force_incomplete = True
        await plain(dag)

    DAG.check_incomplete = made_again
    with storage.written(HOLDERS.parent):
        removed = holding.join(HOLDERS, Path(".snakemake/locks"))
    if removed:
        print("The run before this one was killed: this one goes on where it was.", file=sys.stderr)


def say_what_keeps_from_writing():
    """Let Snakemake say how outputs can be written where it finds them write-protected: they are on such a file system."""
    plain = Job.check_protected_output

    async def checked(job):
        try:
            await plain(job)
        except ProtectedOutputException:
            or_stop(storage.check, Path(RESULTS))
            raise

    Job.check_protected_output = checked


def remove_folders_at_once():
    """Let Snakemake move a folder out of the way before it removes it, so that a kill leaves no half of one."""
    plain = snakemake.io.remove

    async def at_once(file, remove_non_empty_dir=False, only_local=False):
        if remove_non_empty_dir and Path(file).is_dir():
            remove(Path(file))
        else:
            await plain(file, remove_non_empty_dir, only_local)

    snakemake.io.remove = at_once


def remove_what_a_kill_left():
    """Remove what was on its way out when a Snakemake was killed, and temporary outputs whose readers are all done."""
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
    """Let all jobs together take at most so much of a resource, wherever they run."""
    workflow.register_resource(name, most)


def conda_is_used():
    """Whether Snakemake makes the environments of rules with conda."""
    return DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def overlay():
    """What the command line and its files set in the config."""
    return workflow.config_settings.overwrite_config


def is_dry_run():
    """Whether nothing is run."""
    return workflow.dryrun


def is_picture():
    """Whether the jobs are only shown or listed, as by --dag, --rulegraph or --summary."""
    return workflow.executor_plugin is None


def knows_jobs():
    """Whether Snakemake has made out its jobs, rather than stopped before it."""
    return workflow.dag is not None and bool(workflow.dag.jobs)


def jobs_of_target():
    """Every job behind the target, done or not."""
    return workflow.dag.jobs


def jobs_to_run(planned=False):
    """The jobs that will run; once `planned`, those that would in a dry-run."""
    return list(workflow.dag.needrun_jobs(exclude_finished=not planned))


def take_for_there(files):
    """Let Snakemake take files that are away for old ones as it makes out the jobs, for which it needs no more of them.

    This fills what it remembers of files in that time. It forgets all of it before the first job.
    """
    plain = IOCache.__init__

    def filled(cache, *given):
        plain(cache, *given)
        cache.exists_local.update(dict.fromkeys(files, True))
        cache.mtime.update((file, Mtime(local=0)) for file in files)

    IOCache.__init__ = filled


def submitted_with():
    """The command by which Slurm's jobs are asked after; empty where jobs do not go to Slurm."""
    return workflow.executor_settings.status_command if workflow.executor_plugin.name == "slurm" else ""


def named(first):
    """How the names of this Snakemake's jobs at Slurm begin, all but its identifier."""
    return f"{first}_{workflow.scheduler._executor.run_uuid[:-IDENTIFIER]}"


def follow(name, look, answers, noted, lost):
    """Tell of the jobs that Slurm runs, whose names begin with `name`, and let its plugin act on their states.

    The plugin takes jobs for running that are cancelled ("CANCELLED by 1000"), preempted or have lost their node, and
    submits jobs again that are still being ended. `look` makes states of these that it acts on, or None where there is no answer. Where Slurm does not
    answer, it forgets its jobs after five questions, and uses up the attempts of those to be submitted: both wait until
    Slurm `answers`. It looks ever less often, every three minutes in the end, for which the end of a job is not seen:
    at most twice the first pause is enough. While it looks, it knows of no job that an interruption should cancel. Of a
    lost job it does not say why: `noted` gets each job with its number at Slurm, and `lost` gives the sentence.
    """
    executor = workflow.scheduler._executor
    plugin = sys.modules[type(executor).__module__]
    ask, submit = plugin.query_job_status, executor.run_job
    submitted, failed = executor.report_job_submission, executor.report_job_error
    succeeded, cancel = executor.report_job_success, executor.cancel_jobs
    active = {}
    longest = 2 * workflow.executor_settings.init_seconds_before_status_checks

    async def sleep():
        await asyncio.sleep(min(executor.next_seconds_between_status_checks, longest))

    async def asked(command, logger):
        while executor.wait:
            states, seconds = await ask(command, logger)
            if (found := look(states)) is not None:
                return found, seconds
            await asyncio.sleep(PAUSE)
        return {}, 0.0

    def submit_when_answered(job):
        while executor.wait and not answers():
            time.sleep(PAUSE)
        submit(job)

    def report_submission(info, register_job=True):
        noted(info.external_jobid, info.job)
        active[info.external_jobid] = info
        submitted(info, register_job)

    def report_success(info):
        active.pop(info.external_jobid, None)
        succeeded(info)

    def report_error(info, msg=None, **more):
        active.pop(info.external_jobid, None)
        said = f"{lost(info.external_jobid, info.job)} " if info.external_jobid else msg
        failed(info, said, **more)

    def cancel_all(known):
        executor.wait = False
        cancel(list(active.values()))

    plugin.query_job_status, executor.sleep, executor.run_job = asked, sleep, submit_when_answered
    executor.report_job_submission, executor.report_job_error = report_submission, report_error
    executor.report_job_success, executor.cancel_jobs = report_success, cancel_all
    executor.run_uuid = f"{name}{executor.run_uuid[-IDENTIFIER:]}"


def comment_of(job):
    """What Slurm's plugin writes beside a job, by which `squeue` shows what it is for."""
    return f"rule_{'_wildcards_'.join([job.name, *filter(None, ['_'.join(job.wildcards).replace('/', '_')])])}"


def attempts_left(job):
    """How many attempts a job has after this one."""
    return job.restart_times - job.attempt + 1


def recording():
    """Let a job at Slurm record itself what its outputs were made of.

    It takes the mark from them that they are incomplete, and leaves the record to the Snakemake that has submitted it.
    Where that one is gone, nothing would know that the parameters of the outputs have changed since.
    """
    plain = PersistenceBase.finished

    async def finished(store, job):
        settings = store.dag.workflow.remote_execution_settings
        settings.immediate_submit = True
        await plain(store, job)
        settings.immediate_submit = False

    PersistenceBase.finished = finished


if workflow.remote_exec:
    recording()


def runs_here():
    """Whether jobs run on this machine."""
    return workflow.local_exec


def without_submission():
    """Leave the Slurm plugin out of a run whose jobs all run here.

    Its thread looks for submitted jobs, of which there are none, and sleeps for 40 seconds. Snakemake would wait for it
    to wake in the end; a sleeping one ends with the process.
    """
    workflow.scheduler._executor = workflow.scheduler._local_executor


def without_rate_limit():
    """Start jobs as soon as there is room for them.

    Snakemake limits how many start in a second, which is for schedulers of clusters. It arms a timer after each of its
    rounds and each timer makes a round, while jobs wait: every job that ends adds a chain of rounds without end.
    """
    workflow.scheduler.job_rate_limiter = None


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
)


def kind_of(name):
    """What the rules of all batches share, `finetune` of finetune_nlp_math, or the name itself."""
    return next((kind for kind in SEVERAL_RUNS if name.startswith(f"{kind}_")), name)


def kinds():
    """Those of everything that runs; batches of runs may be none of this experiment."""
    return {*SEVERAL_RUNS, *(kind_of(one.name) for one in workflow.rules if not one.norun)}


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


SHORTAGES = Shortages()


def times(rule):
    """How many times as much as at first the next attempt of a rule's job asks for."""

    def of(wildcards, attempt, resource):
        return SHORTAGES.times((rule, *wildcards), resource) if is_main() and submitted_with() else attempt

    return of


def with_defaults(made):
    """What a rule statement has collected, with the rest filled in."""
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
