"""`headpatterns ablate`: the change of the loss without each head."""

import argparse
from pathlib import Path

import headpatterns
from headpatterns.attribution.ablate import ABLATIONS, ZERO
from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.commands import options

EXAMPLE = "headpatterns ablate models/llama rows.jsonl --samples 32"
SHOWN = 10
"""Heads that are printed."""


def add(own: argparse.ArgumentParser) -> None:
    """Its options."""
    own.add_argument("model", help=options.MODEL)
    own.add_argument("data", type=Path, help=options.ROWS)
    own.add_argument("--output", type=Path, default=Path("ablation"), help="folder of tables and arrays")
    own.add_argument("--ablation", nargs="+", default=[ZERO], choices=ABLATIONS, help="ways to ablate a head")
    own.add_argument(
        "--top",
        type=int,
        nargs="+",
        metavar="N",
        default=[1],
        help="sizes of the groups of heads that are ablated together",
    )
    own.add_argument("--draws", type=int, metavar="N", default=10, help="random groups of each size")
    own.add_argument(
        "--reduction",
        default="abs_of_sum",
        choices=REDUCTIONS,
        help="reduction of the pattern (Eq. 2) that chooses the groups",
    )
    options.add_samples(own, every=False)
    options.add_reading(own)
    options.add_resamples(own)
    options.add_showing(own)


def run(arguments: argparse.Namespace) -> None:
    """Ablate the heads, and print those that matter most."""
    with options.working(arguments):
        found = headpatterns.ablate(
            arguments.model,
            arguments.data,
            arguments.output,
            samples=arguments.samples,
            ablation=arguments.ablation,
            top=arguments.top,
            draws=arguments.draws,
            reduction=arguments.reduction,
            resamples=arguments.resamples,
            seed=arguments.seed,
            **options.reading(arguments),
        )
    if arguments.json:
        options.print_json({"heads": options.records(found.heads), "agreement": options.records(found.agreement)})
        return
    order = found.heads["change"].abs().sort_values(ascending=False, kind="stable").index
    options.print_table(found.heads.loc[order[:SHOWN]])
    of_pattern = found.agreement[found.agreement["reduction"] == arguments.reduction]
    for row in of_pattern[of_pattern["over"] == "all_heads"].to_dict("records"):
        numbers = "{value:.2f} [{low:.2f}, {high:.2f}]".format_map(row)
        print(f"rank correlation of pattern and {row['change']} change over heads: {numbers}")
    options.print_files([("tables and arrays", found.folder)])
