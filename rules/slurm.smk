# Jobs at Slurm: they are checked until they have really ended, lost jobs are reported, and their next attempts request
# more of the resource that they lacked. Like internals.smk, this uses undocumented features of Snakemake's plugin for
# Slurm; the tests state the versions of both.

import asyncio
import time

from snakemake.persistence import PersistenceBase

from headpatterns.cluster import lost as losses
from headpatterns.cluster import site

PAUSE = 5.0
"""Seconds until Slurm is asked again after it has not answered."""

AMOUNTS = ("mem_mb", "runtime")
"""The resources that a further attempt may increase."""

# The jobs of this Snakemake, by their number at Slurm: all of them, the plugin's records of those that it waits for,
# and the states at the last check.
SUBMITTED, WAITED_FOR, STATES = {}, {}, {}
SHORTAGES = losses.Shortages()
SILENT = set()  # not empty while Slurm does not answer


def executor():
    """The part of the plugin that submits jobs and waits for them."""
    return workflow.scheduler._executor


def names_of_jobs():
    """How the names of this Snakemake's jobs begin, all but its identifier; a prefix of the user's comes second."""
    return f"{CONFIG.experiment}_{executor().run_uuid[: -site.IDENTIFIER]}"


def follow_jobs():
    """Let the plugin wait for jobs as it should, and say why one is lost."""
    executor().run_uuid = f"{names_of_jobs()}{executor().run_uuid[-site.IDENTIFIER :]}"
    look_well()
    survive_silence()
    know_all_jobs()


def look_well():
    """Give the plugin states that it acts on, and let it look often enough.

    It takes jobs for running that are cancelled ("CANCELLED by 1000"), preempted or have lost their node, and submits
    jobs again that are still being ended. It looks ever less often, every three minutes in the end, for which nobody
    sees that a job has ended: at most twice the first pause is enough.
    """
    plugin = sys.modules[type(executor()).__module__]
    ask, longest = plugin.query_job_status, 2 * workflow.executor_settings.init_seconds_before_status_checks

    async def asked(command, logger):
        states, seconds = await ask(command, logger)
        return look_at(states or {}), seconds or 0.0

    async def sleep():
        await asyncio.sleep(min(executor().next_seconds_between_status_checks, longest))

    plugin.query_job_status, executor().sleep = asked, sleep


def survive_silence():
    """Wait until Slurm answers, before jobs are looked at or submitted.

    The plugin would forget its jobs after five questions, and use up the attempts of those to be submitted.
    """
    look, submit = executor().check_active_jobs, executor().run_job

    async def look_when_answered(infos):
        while executor().wait and in_queue() is None:
            await asyncio.sleep(PAUSE)
        async for info in look(infos):
            yield info

    def submit_when_answered(job):
        while executor().wait and in_queue() is None:
            time.sleep(PAUSE)
        submit(job)

    executor().check_active_jobs, executor().run_job = look_when_answered, submit_when_answered


def know_all_jobs():
    """Say why a job is lost, and cancel all that are there in an interruption.

    While the plugin looks at its jobs, it knows of none that it should cancel.
    """
    submitted, succeeded = executor().report_job_submission, executor().report_job_success
    failed, cancel = executor().report_job_error, executor().cancel_jobs

    def report_submission(info, register_job=True):
        SUBMITTED[info.external_jobid], WAITED_FOR[info.external_jobid] = info.job, info
        submitted(info, register_job)

    def report_success(info):
        WAITED_FOR.pop(info.external_jobid, None)
        succeeded(info)

    def report_error(info, msg=None, **more):
        known = WAITED_FOR.pop(info.external_jobid, None)
        failed(info, f"{what_is_lost(info.external_jobid, info.job)} " if known else msg, **more)

    def cancel_all(known):
        executor().wait = False
        cancel(list(WAITED_FOR.values()))

    executor().report_job_submission, executor().report_job_success = report_submission, report_success
    executor().report_job_error, executor().cancel_jobs = report_error, cancel_all


def in_queue():
    """States of the user's jobs that have not ended, by number; None where Slurm does not answer."""
    try:
        found = {job.number: job.state for job in site.queued()}
    except InputError:
        if not SILENT:
            print(
                "Slurm does not answer: no job is submitted until it does, and running jobs continue.", file=sys.stderr
            )
        SILENT.add(True)
        return None
    SILENT.clear()
    return found


def look_at(said):
    """States of jobs as the plugin should act on them, those that are sure; jobs that are queued again are told of."""
    if (listed := in_queue()) is None:
        return {}
    found = losses.settled(said, listed)
    for number in losses.queued_again(STATES, found) & SUBMITTED.keys():
        shown = as_job(SUBMITTED[number])
        print(losses.sentence_on_requeue(shown.rule, shown.name, number), file=sys.stderr)
    STATES.update(found)
    return {number: "FAILED" if state in losses.WHY else state for number, state in found.items()}


def what_is_lost(number, job):
    """The sentence on a job that Slurm has ended; the next attempt asks for more of what it was short of."""
    state, shown = STATES[number], as_job(job)
    asked = {name: job.resources[name] for name in AMOUNTS}
    SHORTAGES.count((job.rule.name, *job.wildcards), state)
    batch = BATCHES.get(shown.batch)
    growing = resources.resources(EXPERIMENT, shown.rule, batch and batch.group, times(job.rule.name))
    again = job.attempt <= job.restart_times
    then = {name: growing[name](job.wildcards, job.attempt + 1) for name in AMOUNTS} if again else None
    logs = tuple(map(str, job.log))
    return losses.sentence(losses.Lost(shown.rule, shown.name, number, state, asked, then, logs, "nodes" in growing))


def times(rule):
    """How many times as much as at first the next attempt of a rule's job asks for."""

    def of(wildcards, attempt, resource):
        return SHORTAGES.times((rule, *wildcards), resource) if is_main() and submitted_with() else attempt

    return of


def record_in_jobs():
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
    record_in_jobs()
