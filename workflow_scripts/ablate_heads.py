"""Ablates the heads of a model, before and after each of its runs, and writes what the loss of samples changes by.

Heads are ablated on N samples of a run's rows, and patterns are taken on M others: on the same samples a pattern and
the effect that it is compared with would share the noise of sampling, and agree by it. N and M are --samples each;
rows that are fewer are halved. For each run a folder with, for phase in before (the model) and after (the run's last
checkpoint), on the same samples in both:

    PHASE.changes.npy   float32 [N, layers, heads]: loss with that head ablated − loss
    PHASE.groups.npy    float32 [2 + draws, sizes, N]: the same with as many heads ablated at once: those with the
                        largest patterns (their mean over the M), those with the smallest, and random ones, a row for
                        each draw
    PHASE.patterns.npy  float32 [3, M, layers, heads]: patterns (Eq. 2) of the others in the order of REDUCTIONS
    PHASE.json          ids and losses of the N, pattern_ids of the M, sizes of the groups, and where all of it comes
                        from
"""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headpatterns import cli as command_line
from headpatterns.errors import InputError
from headpatterns.io import IDENTITY, atomic_path, open_unfinished, remove, unfinished, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from headpatterns.data.tokens import TokenizedSample

BEFORE, AFTER = "before", "after"


class Chosen(NamedTuple):
    """The samples of a file whose loss is measured under ablation, others for the patterns, and what is said of it."""

    ablated: list["TokenizedSample"]
    patterned: list["TokenizedSample"]
    about: dict[str, Any]

    def ids(self) -> dict[str, list[str]]:
        """The ids of either."""
        return {
            "ids": [sample.id for sample in self.ablated],
            "pattern_ids": [sample.id for sample in self.patterned],
        }


class Unit(NamedTuple):
    """A run with the samples of its rows, and the folder at work."""

    run: Path
    chosen: Chosen
    workplace: Path


def main(arguments: argparse.Namespace) -> None:
    """Measure the model for all runs, then each run's last checkpoint.

    An interrupted job, started again, keeps what phases of its runs it had done, and starts over the one it was in.
    """
    command_line.check_counts(arguments, "max_length", "threads", "samples", "draws", "top")
    command_line.check_token_budget(arguments)
    arguments.top = sorted(set(arguments.top))
    if not len(arguments.run) == len(arguments.data) == len(arguments.output_folder):
        raise InputError("give as many --data and --output-folder as --run.")

    from headpatterns.data import samples
    from headpatterns.models import loading as models

    models.check_folder(arguments.model)
    rows = {data: samples.read(data) for data in dict.fromkeys(arguments.data)}

    import torch

    torch.set_num_threads(arguments.threads)
    models.check_device(arguments.device)
    tokenizer = models.load_tokenizer(arguments.model)
    prepared = {data: chosen(tokenizer, of_file, data, arguments) for data, of_file in rows.items()}
    units = [
        opened(run, prepared[data], arguments, folder)
        for run, data, folder in zip(arguments.run, arguments.data, arguments.output_folder, strict=True)
    ]
    measure(arguments.model, units, BEFORE, arguments)
    for unit in units:
        measure(unit.run / "final", [unit], AFTER, arguments)
    # Only now: what a failed job has put out, Snakemake removes.
    for folder in arguments.output_folder:
        remove(unfinished(folder) / IDENTITY)
        remove(folder)
        unfinished(folder).rename(folder)


def chosen(tokenizer: Any, rows: list[dict[str, str]], data: Path, arguments: argparse.Namespace) -> Chosen:
    """Two sets without a sample in common, by a seeded rank of their ids, each in the order of the file.

    Each has as many as asked for, or half of all there are. Those whose response lies beyond the maximum length are in
    neither.

    Raises:
        InputError: there are too few for two sets.
    """
    from headpatterns.data import samples
    from headpatterns.data.splitting import FEWEST_OF_TWO, rank, two_sets

    tokenized, _ = samples.tokenized(tokenizer, rows, arguments.max_length, data, skip=True)
    ranked = sorted(tokenized, key=lambda sample: rank(arguments.seed, sample.id))
    if len(ranked) < FEWEST_OF_TWO:
        raise InputError(
            f"{data} has {len(ranked)} samples within {arguments.max_length} tokens, but ablations and patterns need "
            f"{FEWEST_OF_TWO}, half of them each: give more rows, or raise the maximum length."
        )
    ablated, patterned = two_sets(len(ranked), arguments.samples)
    parts = ranked[:ablated], ranked[ablated : ablated + patterned]
    first, second = ({sample.id for sample in part} for part in parts)
    return Chosen(
        [sample for sample in tokenized if sample.id in first],
        [sample for sample in tokenized if sample.id in second],
        {"data": str(data), "data_sha256": samples.digest(data)},
    )


def opened(run: Path, of_rows: Chosen, arguments: argparse.Namespace, output_folder: Path) -> Unit:
    """Open the workplace of a run, with what an interrupted job of the same run, samples and options left there."""
    from headpatterns.models.checkpoints import checkpoints
    from headpatterns.provenance import fingerprint

    checkpoints(run)  # refuses what is no run
    names = ("draws", "top", "seed", "reduction", "max_length", "dtype", "device", "threads")
    options = [str(getattr(arguments, name)) for name in names]
    ids = json.dumps(of_rows.ids())
    # run.json knows the model, the data and the recipe that the checkpoint comes from.
    identity = fingerprint(run / "run.json", of_rows.about["data_sha256"], ids, *options)
    return Unit(run, of_rows, open_unfinished(output_folder, identity))


def measure(folder: Path, units: list[Unit], phase: str, arguments: argparse.Namespace) -> None:
    """Write the files of a phase, for which one model serves, of those units that lack them."""
    from headpatterns.models import loading as models

    lacking = [unit for unit in units if not (unit.workplace / f"{phase}.json").is_file()]
    if not lacking:
        return
    model = models.load_model(folder, arguments.dtype, arguments.device)
    for unit in lacking:
        ablate(model, unit, phase, {"model": str(folder), **unit.chosen.about, "phase": phase}, arguments)
    del model
    models.free_memory(arguments.device)


def ablate(
    model: "PreTrainedModel", unit: Unit, phase: str, about: dict[str, Any], arguments: argparse.Namespace
) -> None:
    """Write the four files of a model on the two sets of samples of a run."""
    import numpy as np

    from headpatterns import provenance
    from headpatterns.attribution import REDUCTIONS, activation_patterns
    from headpatterns.attribution.ablation import ablations
    from headpatterns.models import loading as models

    started = time.perf_counter()
    layers, heads = models.heads_of(model)
    if arguments.top[-1] > layers * heads:
        raise InputError(
            f"--top has {arguments.top[-1]}, but {about['model']} has {layers} layers of {heads} heads: "
            f"give at most {layers * heads}."
        )
    budget = arguments.token_budget
    found = [
        activation_patterns(model, unit.chosen.patterned, reduction=reduction, token_budget=budget)
        for reduction in REDUCTIONS
    ]
    patterns = np.stack([one.values for one in found])
    ablated = ablations(
        model,
        unit.chosen.ablated,
        patterns[list(REDUCTIONS).index(arguments.reduction)].mean(axis=0, dtype=np.float64),
        arguments.top,
        arguments.draws,
        f"{arguments.seed}:{about['data_sha256']}",
        token_budget=budget,
        progress=lambda done, total: print(f"{about['model']}, {unit.run}: {done}/{total} passes", flush=True),
    )
    arrays = {"changes": ablated.changes, "patterns": patterns, "groups": ablated.groups}
    details = {
        **about,
        "reductions": list(REDUCTIONS),
        "reduction": arguments.reduction,
        "top": arguments.top,
        "draws": arguments.draws,
        "seed": arguments.seed,
        **{name: getattr(arguments, name) for name in ("max_length", "token_budget", "dtype", "device")},
        "layers": layers,
        "heads": heads,
        "samples": len(unit.chosen.ablated),
        "tokens": sum(len(sample.input_ids) for sample in unit.chosen.ablated),
        "seconds": round(time.perf_counter() - started, 3),
        **provenance.environment(),
        **unit.chosen.ids(),
        "losses": ablated.losses.tolist(),
    }
    # The JSON is written last: where it lies, the arrays beside it are whole and belong to it.
    for name, array in arrays.items():
        with atomic_path(unit.workplace / f"{phase}.{name}.npy") as temporary:
            np.save(temporary, array.astype(np.float32, order="C"))
    write_json(unit.workplace / f"{phase}.json", details)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="model folder in Hugging Face layout")
    made.add_argument("--run", type=Path, nargs="+", required=True, help="folder of a run that started from the model")
    made.add_argument(
        "--data", type=Path, nargs="+", required=True, help="for each run jsonl or parquet with prompt and response"
    )
    made.add_argument("--output-folder", type=Path, nargs="+", required=True, help="for each run a folder to write")
    made.add_argument("--samples", type=int, default=32, help="samples ablated on, and others for patterns")
    made.add_argument("--draws", type=int, default=10, help="random groups of each size")
    made.add_argument("--top", type=int, nargs="+", required=True, help="sizes of the groups of heads")
    made.add_argument("--seed", type=int, default=0, help="of the samples and the random groups")
    made.add_argument(
        "--reduction",
        default="abs_of_sum",
        choices=["abs_of_sum", "sum_of_abs", "abs_per_position"],
        help="the pattern (Eq. 2) that the groups are chosen by",
    )
    made.add_argument("--max-length", type=int, default=1024, help="tokens at which a sample is cut")
    command_line.add_token_budget(made)
    made.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps")
    made.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    made.add_argument("--threads", type=int, default=1, help="processor threads")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
