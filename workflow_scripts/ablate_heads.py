"""Ablate the heads of a model, before and after each of its runs, and write the change of the loss of samples.

Heads are ablated on N samples of a run's rows, and patterns are computed on M others. On the same samples, a pattern
and the effect that it is compared with would share sampling noise, which would make them agree. N and M are --samples
each; fewer rows are halved. Each run gets a folder with these files, for phase in before (the model) and after (the
run's last checkpoint), on the same samples in both:

    PHASE.changes.npy   float32 [N, layers, heads]: loss with that head ablated − loss
    PHASE.groups.npy    float32 [2 + draws, sizes, N]: the same with several heads ablated at once: the heads with the
                        largest patterns (their mean over the M), those with the smallest, and random ones, with a row
                        for each draw
    PHASE.patterns.npy  float32 [3, M, layers, heads]: patterns (Eq. 2) of the M samples in the order of REDUCTIONS
    PHASE.json          ids and losses of the N, pattern_ids of the M, sizes of the groups, and the provenance

With --ablations there are further files, in which the output is not multiplied by 0:

    PHASE.mean.npy       mean: the output is its mean over positions and samples, as PHASE.changes.npy
    PHASE.resample.npy   resample: the output is that on another sample, with a row for each of --resample-draws
    PHASE.doses.npy      scale: the output is multiplied by 0, 1/4, 1/2, 3/4 and 1, with a row for each
    PHASE.slopes.npy     and the derivative of the loss by that factor

With --scores there is a file PHASE.score.NAME.npy for each, float32 [M, layers, heads] or [layers, heads].
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.attribution import ablate
from headpatterns.attribution import scores as registry
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Ablate the heads of the model and of the last checkpoint of each run."""
    command_line.check_counts(arguments, "max_length", "threads", "samples", "draws", "top", "resample_draws")
    command_line.check_token_budget(arguments)
    if not len(arguments.run) == len(arguments.data) == len(arguments.output_folder):
        raise InputError("give as many --data and --output-folder as --run.")
    settings = ablate.Settings(
        model=arguments.model,
        samples=arguments.samples,
        draws=arguments.draws,
        top=sorted(set(arguments.top)),
        seed=arguments.seed,
        reduction=arguments.reduction,
        max_length=arguments.max_length,
        token_budget=arguments.token_budget,
        device=arguments.device,
        dtype=arguments.dtype,
        threads=arguments.threads,
        ablations=arguments.ablations,
        resample_draws=arguments.resample_draws,
        scores=list(dict.fromkeys(arguments.scores)),
    )
    ablate.of_runs(list(map(ablate.Target, arguments.run, arguments.data, arguments.output_folder)), settings)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="model folder in Hugging Face layout")
    made.add_argument("--run", type=Path, nargs="+", required=True, help="folder of a run that started from that model")
    made.add_argument("--data", type=Path, nargs="+", required=True, help="for each run, rows with prompt and response")
    made.add_argument("--output-folder", type=Path, nargs="+", required=True, help="for each run, the folder to write")
    made.add_argument(
        "--samples", type=int, default=32, help="samples on which heads are ablated, and as many others for patterns"
    )
    made.add_argument("--draws", type=int, default=10, help="random groups of each size")
    made.add_argument("--top", type=int, nargs="+", required=True, help="sizes of the groups of heads")
    made.add_argument("--seed", type=int, default=0, help="seed of the choice of samples and of the random groups")
    made.add_argument(
        "--reduction",
        default="abs_of_sum",
        choices=["abs_of_sum", "sum_of_abs", "abs_per_position"],
        help="reduction of the pattern (Eq. 2) by which groups are chosen",
    )
    made.add_argument(
        "--ablations", nargs="+", default=["zero"], choices=ablate.ABLATIONS, help="ways to ablate a head"
    )
    made.add_argument(
        "--resample-draws", type=int, default=1, help="number of other samples whose outputs replace a head's own"
    )
    made.add_argument("--scores", nargs="+", default=[], help=f"scores of heads: {', '.join(registry.names())}")
    command_line.add_computing(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
