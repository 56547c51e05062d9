"""Short Python functions whose one-line purpose says exactly what they do."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from headpatterns.data.embedded.sampling import LARGEST

OPERANDS = range(2, LARGEST + 1)


@dataclass(frozen=True)
class Function:
    """A function's name, its argument, its purpose as an imperative sentence and the lines of its body."""

    name: str
    argument: str
    purpose: str
    body: tuple[str, ...]

    def code(self, with_docstring: bool) -> str:
        """The source text."""
        docstring = (f'"""{self.purpose}"""',) if with_docstring else ()
        lines = (f"    {line}" for line in (*docstring, *self.body))
        return "\n".join([f"def {self.name}({self.argument}):", *lines])


def draw_function(rng: random.Random, nouns: dict[str, str], operands: Sequence[int] = OPERANDS) -> Function:
    """A function of a number or of a list of numbers, named by one of the nouns (singular -> plural)."""
    one, many = rng.choice(list(nouns.items()))
    k, j = rng.choice(operands), rng.choice(operands)
    word, sign = rng.choice((("above", ">"), ("below", "<")))
    # These are the steps of word problems, whose programs have the same names and operators.
    steps = (
        Function(
            f"add_{k}_take_{j}",
            many,
            f"Add {k} to the {many} and take {j} from the total.",
            (f"total = {many} + {k}", f"left = total - {j}", "return left"),
        ),
        Function(
            f"times_{k}_take_{j}",
            many,
            f"Multiply the {many} by {k} and take {j} from the total.",
            (f"total = {many} * {k}", f"left = total - {j}", "return left"),
        ),
        Function(
            f"add_{k}_share_{j}",
            many,
            f"Add {k} to the {many} and share the total among {j} children.",
            (f"total = {many} + {k}", f"each = total // {j}", "return each"),
        ),
        Function(
            f"add_{k}_and_sum",
            many,
            f"Add {k} to the {many} and sum both.",
            (f"other = {many} + {k}", f"total = {many} + other", "return total"),
        ),
        Function(
            f"times_{k}_and_sum",
            many,
            f"Multiply the {many} by {k} and sum both.",
            (f"other = {many} * {k}", f"total = {many} + other", "return total"),
        ),
    )
    kinds = (
        Function(f"add_{k}", many, f"Add {k} to the {many}.", (f"return {many} + {k}",)),
        Function(f"take_{k}", many, f"Take {k} from the {many}.", (f"return {many} - {k}",)),
        Function(f"times_{k}", many, f"Multiply the {many} by {k}.", (f"return {many} * {k}",)),
        Function(f"share_{k}", many, f"Share the {many} among {k} children.", (f"return {many} // {k}",)),
        Function(f"rest_{k}", many, f"Find the rest of the {many} divided by {k}.", (f"return {many} % {k}",)),
        Function(
            f"keep_{word}_{k}",
            many,
            f"Keep the {many} {word} {k}.",
            (f"return [{one} for {one} in {many} if {one} {sign} {k}]",),
        ),
        Function(
            f"sum_{word}_{k}",
            many,
            f"Sum the {many} {word} {k}.",
            (f"return sum({one} for {one} in {many} if {one} {sign} {k})",),
        ),
        Function(
            f"count_{word}_{k}",
            many,
            f"Count the {many} {word} {k}.",
            (
                "total = 0",
                f"for {one} in {many}:",
                f"    if {one} {sign} {k}:",
                "        total += 1",
                "return total",
            ),
        ),
        Function(
            f"any_{word}_{k}",
            many,
            f"Tell whether one of the {many} is {word} {k}.",
            (f"return any({one} {sign} {k} for {one} in {many})",),
        ),
        Function(f"first_{k}", many, f"Take the first {k} {many}.", (f"return {many}[:{k}]",)),
        Function(f"last_{k}", many, f"Take the last {k} {many}.", (f"return {many}[-{k}:]",)),
        Function(
            f"add_{k}_to_each", many, f"Add {k} to each of the {many}.", (f"return [{one} + {k} for {one} in {many}]",)
        ),
    )
    return rng.choice(steps if rng.random() < 0.5 else kinds)
