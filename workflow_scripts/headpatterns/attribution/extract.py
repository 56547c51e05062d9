"""Activation patterns of a model, or of all checkpoints of runs, from files to files.

Finished samples are in a folder `{output}.unfinished` until all are finished. An interrupted extraction that is started
again continues with the missing samples. Several processes, one per device, share the samples of each checkpoint.
Torch is imported late, after all checks that do not need it.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns import provenance
from headpatterns.attribution import files, probes
from headpatterns.attribution.parts import Parts
from headpatterns.attribution.patterns import REDUCTIONS, SIGNED, Patterns
from headpatterns.attribution.probes import Probe, Probed
from headpatterns.io import IDENTITY, open_unfinished, remove, unfinished, write_text
from headpatterns.models import loading as models
from headpatterns.models.loading import checkpoints
from headpatterns.processes import group as processes
from headpatterns.processes import memory


@dataclass(frozen=True)
class Settings:
    """How patterns are computed.

    Attributes:
        model: folder of the model that runs started from.
        reduction: of the mean that is written, one of `REDUCTIONS`.
        also: further reductions, computed in the same passes.
        max_length: tokens at which a sample is cut.
        skip_truncated: whether samples whose whole response lies beyond that are left out rather than refused.
        token_budget: as in `activation_patterns`.
        device: cpu, cuda, cuda:N or mps.
        devices: processes that share the samples.
        dtype: float32, bfloat16 or float16.
        threads: processor threads of all processes on a machine together.
        save_seconds: seconds after which finished samples are written to disk.
    """

    model: Path
    reduction: str
    also: Sequence[str]
    max_length: int
    skip_truncated: bool
    token_budget: int | str
    device: str
    devices: int
    dtype: str
    threads: int
    save_seconds: float

    @classmethod
    def of_call(
        cls, model: Path, *, reductions: Sequence[str] = REDUCTIONS[:1], max_length: int, token_budget: int | str,
        device: str, dtype: str, threads: int | None,
    ) -> "Settings":  # fmt: skip
        """The settings of a call outside the workflow, in one process; without `threads`, on all processors.

        The first of `reductions` is the one of the mean that is written.
        """
        reduction, *also = dict.fromkeys(reductions)
        return cls(
            model=model,
            reduction=reduction,
            also=also,
            max_length=max_length,
            skip_truncated=True,
            token_budget=token_budget,
            device=device,
            devices=1,
            dtype=dtype,
            threads=threads or os.cpu_count() or 1,
            save_seconds=60,
        )

    @property
    def reductions(self) -> list[str]:
        """All reductions."""
        return [self.reduction, *self.also]


@dataclass(frozen=True)
class Target:
    """A run, its probe, and the folder for its patterns."""

    run: Path
    probe: Probe
    output_folder: Path


def of_model(probe: Probe, output: Path, settings: Settings) -> None:
    """Extract the patterns of one model into `output` (.npy) and its companions, as `files.write` writes them.

    Raises:
        InputError: a file, a sample, the model or the device cannot be used, or another process is writing there.
        Interrupted: SIGTERM came; what is finished is kept.
    """
    with _prepared([probe], [output], settings) as probed:
        samples, workplace = probed[probe], unfinished(output)
        if processes.is_first():
            open_unfinished(output, identity(samples, settings, *models.files(settings.model)))
        processes.barrier()
        complete = False
        try:
            _extract(settings.model, samples, output, workplace / "parts", settings)
            complete = True
        finally:
            # After a failure of this process, other processes may still write there.
            alone = processes.count() == 1
            if processes.is_first() and (complete or alone) and not (workplace / "parts").is_dir():
                remove(workplace)


def what_is_missing(probe: Probe, probed: Probed, output: Path, settings: Settings) -> None:
    """`of_model`, unless an earlier call has left the patterns of the same model, samples, options and versions there.

    Args:
        probe: the samples.
        probed: the same samples, tokenized by the model's tokenizer.
        output: as there; a file of its name with the suffix `.identity` says what the patterns were computed from.
        settings: as there.

    Raises:
        InputError: as there.
        Interrupted: as there.
    """
    mark, wanted = output.with_suffix(".identity"), identity(probed, settings, *models.files(settings.model))
    if mark.is_file() and mark.read_text(encoding="utf-8") == wanted:
        return
    remove(mark)
    of_model(probe, output, settings)
    write_text(mark, wanted)


def of_runs(targets: Sequence[Target], settings: Settings) -> None:
    """Extract the patterns of the model, as step 0, and of every checkpoint of runs that started from it.

    Runs that are probed with the same samples share the patterns of the model.

    Raises:
        InputError: as `of_model`, or a folder is not a run.
        Interrupted: as there.
    """
    for target in targets:
        for folder in checkpoints(target.run).values():
            models.check_folder(folder)
    folders = [target.output_folder for target in targets]
    with _prepared([target.probe for target in targets], folders, settings) as probed:
        starting: dict[str, Path] = {}
        for target in targets:
            _extract_run(target, probed[target.probe], starting, settings)
        # Files are moved only now, because Snakemake removes the output of a failed job.
        for folder in folders if processes.is_first() else ():
            remove(unfinished(folder) / IDENTITY)
            remove(folder)
            unfinished(folder).rename(folder)


@contextmanager
def _prepared(probes_: Sequence[Probe], outputs: Sequence[Path], settings: Settings) -> Iterator[dict[Probe, Probed]]:
    """Yields the samples of each probe.

    Within the block the processes can communicate, and no other extraction writes to the outputs.
    """
    models.check_folder(settings.model)
    rows = {probe: probes.read(probe) for probe in dict.fromkeys(probes_)}

    memory.load("headpatterns.attribution.interruptible")
    models.compute_on(settings.device, processes.own_threads(settings.threads))
    tokenizer = models.load_tokenizer(settings.model)
    probed = {
        probe: probes.tokenized(probe, of_probe, tokenizer, settings.max_length, skip=settings.skip_truncated)
        for probe, of_probe in rows.items()
    }
    with processes.joined(settings.devices, settings.device, "pytorch"), ExitStack() as locks:
        for output in outputs:
            workplace = unfinished(output)
            lock = workplace.with_name(f"{workplace.name}.lock")
            locks.enter_context(processes.exclusive_lock(lock, str(output), "extracting"))
        yield probed


def identity(probed: Probed, settings: Settings, *model: Path) -> str:
    """Fingerprint of the samples, the files of the model (`model`), the options, the versions and the kind of device.

    It leaves out threads and the choice and number of GPUs. They change patterns by rounding alone, so an extraction
    may continue with others.
    """
    import torch

    ids = "\n".join(sample.id for sample in probed.samples)
    # The fingerprint includes whether the sign is stored, because an earlier version stored absolute values.
    stored = [f"{reduction}{' with its sign' * (reduction in SIGNED)}" for reduction in settings.reductions]
    options = [*stored, str(settings.max_length), settings.dtype, torch.device(settings.device).type]
    versions = json.dumps(provenance.versions())
    return provenance.fingerprint(*model, provenance.fingerprint(probed.about["data_sha256"], ids, *options, versions))


def _extract_run(target: Target, probed: Probed, starting: dict[str, Path], settings: Settings) -> None:
    """Extract the patterns of the model and of every checkpoint of its run, except those of an earlier job.

    `starting` keeps the paths of the patterns of the model itself, by the samples that they were computed on.
    """
    folders = checkpoints(target.run)
    samples, workplace = identity(probed, settings), unfinished(target.output_folder)
    if processes.is_first():
        # run.json identifies the model, the data and the recipe of the checkpoints.
        open_unfinished(target.output_folder, identity(probed, settings, target.run / "run.json"))
    for step, folder in {0: settings.model, **folders}.items():
        if processes.broadcast((workplace / f"step-{step}.json").is_file()):
            continue
        if step == 0 and samples in starting:
            for suffix in files.suffixes(settings.also) if processes.is_first() else ():
                shutil.copy2(starting[samples] / f"step-0{suffix}", workplace / f"step-0{suffix}")
            continue
        of_step = Probed(probed.samples, {**probed.about, "step": step})
        _extract(folder, of_step, workplace / f"step-{step}.npy", workplace / f"step-{step}.parts", settings)
        models.free_memory(settings.device)
    starting.setdefault(samples, workplace)


def _extract(folder: Path, probed: Probed, output: Path, parts: Path, settings: Settings) -> None:
    """Write the files of one model. Until then, finished samples are in the folder `parts`.

    Each of several processes computes its share of the batches, and the first one joins them.
    """
    from headpatterns.attribution import interruptible

    started = time.perf_counter()
    model = models.load_model(folder, settings.dtype, str(processes.own_device(settings.device)))
    kept = Parts(parts, settings.save_seconds)
    budget = interruptible.extract(
        model,
        probed.samples,
        kept,
        str(folder),
        reductions=settings.reductions,
        token_budget=settings.token_budget,
    )
    if not processes.is_first():
        return
    if processes.count() > 1:
        kept = Parts(parts, settings.save_seconds)
    patterns = Patterns.stacked(settings.reductions, *kept.together(len(probed.samples)))
    seconds = time.perf_counter() - started
    layers = models.attention_layers(model)
    about = {"model": str(folder), **probed.about, "token_budget": budget, "layer_numbers": layers}
    files.write(output, patterns, {**about, **_details(probed, patterns, seconds, settings)})
    remove(parts)


def _details(probed: Probed, patterns: Patterns, seconds: float, settings: Settings) -> dict[str, Any]:
    """What the provenance of patterns says in addition to their inputs."""
    samples = probed.samples
    return {
        "reduction": settings.reduction,
        "also": list(settings.also),
        "signed": [reduction for reduction in settings.reductions if reduction in SIGNED],
        "max_length": settings.max_length,
        "dtype": settings.dtype,
        "device": settings.device,
        "devices": settings.devices,
        "layers": patterns.values.shape[1],
        "heads": patterns.values.shape[2],
        "samples": len(samples),
        "truncated": sum(sample.truncated for sample in samples),
        "straddling": sum(sample.straddling for sample in samples),
        "tokens": sum(len(sample.input_ids) for sample in samples),
        "response_tokens_in_all": sum(sample.response_tokens for sample in samples),
        "seconds": round(seconds, 3),
        **provenance.environment(),
        "ids": [sample.id for sample in samples],
        "losses": patterns.losses.tolist(),
        "response_tokens": [sample.response_tokens for sample in samples],
    }
