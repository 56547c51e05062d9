"""Batches that fit into memory: a token budget from free memory and the cost of a token, halved if memory runs out."""

import gc
import os
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
from transformers import PreTrainedModel

from headpatterns.attribution.inputs import Sample, lengths
from headpatterns.data import batching
from headpatterns.errors import InputError
from headpatterns.models import independence

AUTO = "auto"
"""The token budget that is chosen automatically."""

MOST_TOKENS = {"cpu": 2048, "cuda": 2**17}
"""Tokens beyond which larger batches are no faster. Matrix products of a thousand rows keep a processor busy, and the
results of larger ones do not fit into its caches. Llamas of 0.3 to 40 million parameters were fastest between 512 and
2048 tokens. The number for GPUs is only an upper limit, which was not measured."""

PART = {"cpu": 0.5, "cuda": 0.8}
"""Share of the free memory that a batch may take. On a processor other programs use the memory too, and if it runs out,
the system kills the process without an error."""

TRANSIENT = 2.0
"""Peak bytes of a pass on a processor for each byte that autograd saves: temporary gradients need memory too."""

V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
"""Files of version 1 of control groups: the limit, which is huge if there is none, and the memory in use."""

S = TypeVar("S", bound=Sample)
T = TypeVar("T")


def token_budget(
    wanted: int | str, model: PreTrainedModel, samples: Sequence[Sample], run: Callable[[list[Sample]], Any]
) -> int:
    """Tokens that a batch may hold, padding included: `wanted` itself, or for `auto` what memory allows.

    For `auto` this is the free memory over the bytes per token of `run` (a forward and a backward pass). It is rounded
    down to a power of two, so that a small change of free memory gives the same batches. The cost per token is the
    larger one of two samples: the longest, and the one with the largest share of response tokens among those at least
    half as long. In a model that computes its logits in its own way, the logits cost most.

    Raises:
        InputError: `wanted` is neither a positive integer nor `auto`, or the longest sample does not fit.
    """
    if wanted != AUTO:
        if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
            raise InputError(f"the token budget is {wanted!r}: give a whole number of 1 or more, or '{AUTO}'.")
        return wanted
    longest = max(samples, key=lambda sample: len(sample.input_ids))
    densest = max(
        (sample for sample in samples if 2 * len(sample.input_ids) >= len(longest.input_ids)),
        key=lambda sample: sample.response_tokens / len(sample.input_ids),
    )
    attempt(model, [longest], run)  # permanent allocations of the first pass do not count as costs of tokens
    measured = [longest] if densest is longest else [longest, densest]
    cost = max(_bytes_per_token(model, sample, run) for sample in measured)
    kind = "cuda" if model.device.type == "cuda" else "cpu"
    fitting = int(PART[kind] * free(model.device) / cost)
    return min(MOST_TOKENS[kind], 1 << max(0, fitting.bit_length() - 1))


def _bytes_per_token(model: PreTrainedModel, sample: Sample, run: Callable[[list[Sample]], Any]) -> float:
    """Peak bytes of a pass, without the model, per token of a sample.

    On a GPU the allocator reports them. Elsewhere they are estimated from the tensors that autograd saves, with each
    storage counted once.
    """
    if model.device.type == "cuda":
        before = torch.cuda.memory_allocated(model.device)
        torch.cuda.reset_peak_memory_stats(model.device)
        attempt(model, [sample], run)
        return (torch.cuda.max_memory_allocated(model.device) - before) / len(sample.input_ids)
    weights = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    saved: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        attempt(model, [sample], run)
    return TRANSIENT * sum(saved.values()) / len(sample.input_ids)


def free(device: torch.device) -> int:
    """Bytes that this process may still take on a device; processes on one machine share its memory equally."""
    if device.type == "cuda":
        unused: int = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        available: int = torch.cuda.mem_get_info(device)[0]
        return available + unused
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    left: list[int] = [psutil.virtual_memory().available // processes]
    if job := _slurm_bytes(os.environ):
        left.append(job // processes - psutil.Process().memory_info().rss)
    left += [bytes_left // processes for bytes_left in _cgroup_bytes(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))]
    return max(0, min(left))


def _slurm_bytes(environment: Mapping[str, str]) -> int | None:
    """Memory of this Slurm job on this machine, None outside of a job or if it has no limit."""
    if "SLURM_MEM_PER_NODE" in environment:
        return int(environment["SLURM_MEM_PER_NODE"]) * 2**20 or None
    if "SLURM_MEM_PER_CPU" in environment and "SLURM_CPUS_ON_NODE" in environment:
        return int(environment["SLURM_MEM_PER_CPU"]) * int(environment["SLURM_CPUS_ON_NODE"]) * 2**20
    return None


def _cgroup_bytes(own: Path, root: Path) -> Iterator[int]:
    """Bytes that are left of the limit of each control group of this process; reclaimable files count as free.

    `own` lists the groups (`/proc/self/cgroup`); `root` is where they are mounted, of version 1 or 2. In a container
    there may be only the mounted root.
    """
    for line in own.read_text().splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        mounted = root / controllers
        names = ("memory.max", "memory.current") if not controllers else V1
        group = mounted / path.lstrip("/")
        for folder in [group, *group.parents]:
            if folder.is_relative_to(mounted) and (folder / names[0]).is_file():
                limit = (folder / names[0]).read_text().strip()
                if limit.isdigit():
                    yield int(limit) - int((folder / names[1]).read_text()) + _reclaimable(folder / "memory.stat")


def _reclaimable(statistics: Path) -> int:
    """Bytes of cached files of a control group that the system frees when memory is needed."""
    fields = dict(line.split() for line in statistics.read_text().splitlines()) if statistics.is_file() else {}
    return int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


def plan(model: PreTrainedModel, samples: Sequence[Sample], budget: int) -> list[list[int]]:
    """Indices of the samples of each batch of at most `budget` tokens, padding included, as in `batching.batches`.

    Samples that a model reads in different ways do not share a batch.
    """
    return list(batching.batches(lengths(samples), budget, independence.turn(model.config)))


def left(planned: Iterable[list[int]], done: Collection[int], share: tuple[int, int] = (0, 1)) -> Iterator[list[int]]:
    """The batches of a plan that belong to a share, without finished samples; a share is (k, n), k from 0."""
    finished, (own, of) = set(done), share
    for number, batch in enumerate(planned):
        if number % of == own and (missing := [index for index in batch if index not in finished]):
            yield missing


def each_batch(
    model: PreTrainedModel,
    samples: Sequence[S],
    batches: Iterable[list[int]],
    run: Callable[[list[S]], T],
    keep: Callable[[list[int], T], None],
) -> None:
    """Call `run` with the samples of each batch, and `keep` with their indices and the results.

    If memory runs out, the remaining samples, including this batch, are read in batches of half the size, and so on.
    Results that were kept stay.

    Raises:
        InputError: a single sample does not fit.
    """
    waiting = deque(batches)
    while waiting:
        indices = waiting.popleft()
        result = attempt(model, [samples[index] for index in indices], run)
        if result is not None:
            keep(indices, result)
            continue
        sizes = lengths([samples[index] for index in indices])
        budget = len(sizes) * max(sizes) // 2
        warnings.warn(
            f"memory ran out in a batch of {2 * budget} tokens: continuing with at most {budget}", stacklevel=2
        )
        unread = [*indices, *(index for batch in waiting for index in batch)]
        smaller = plan(model, [samples[index] for index in unread], budget)
        waiting = deque([unread[place] for place in batch] for batch in smaller)


def attempt(model: PreTrainedModel, batch: list[S], run: Callable[[list[S]], T]) -> T | None:
    """The result of `run` for a batch, or None if memory ran out; the memory of the failed batch is freed.

    Raises:
        InputError: memory ran out for a single sample.
    """
    try:
        return run(batch)
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
    # Here the traceback is gone, and with it the tensors that its frames held.
    gc.collect()
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
    if len(batch) == 1:
        raise InputError(
            f"memory ran out for a batch of one sample, '{batch[0].id}', which has {len(batch[0].input_ids)} "
            "tokens: lower the maximum length, use a smaller dtype, or a machine with more memory."
        )
    return None


def attempt_one(model: PreTrainedModel, sample: S, run: Callable[[S], T]) -> T:
    """The result of `run` for a sample.

    Raises:
        InputError: memory ran out.
    """
    found = attempt(model, [sample], lambda batch: (run(batch[0]),))
    assert found is not None  # for a single sample, `attempt` raises instead
    return found[0]


def ran_out(error: BaseException) -> bool:
    """Whether memory ran out, according to the errors of the allocators of torch (GPU, CPU), C++ and Python."""
    words = ("out of memory", "can't allocate memory", "bad_alloc", "ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(word in str(error) for word in words)
