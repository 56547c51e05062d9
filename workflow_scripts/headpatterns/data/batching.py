"""The choice of samples for each batch: samples of similar length, up to a budget of tokens."""

from collections.abc import Iterator, Sequence

PADDING = 0.05
"""Largest number of padding tokens per real token of a batch."""


def batches(lengths: Sequence[int], token_budget: int, turn: int | None = None) -> Iterator[list[int]]:
    """Indices of samples, batch by batch: longest first, at most `token_budget` tokens per batch, padding included.

    A batch also ends before it would have more than `PADDING` tokens of padding for each real one, and at `turn`:
    samples with more than `turn` tokens do not share a batch with shorter ones. The longest come first, to show at once
    whether the budget fits into memory.
    """
    batch: list[int] = []
    real = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        padded = lengths[batch[0]] * (len(batch) + 1) if batch else 0
        turned = turn is not None and bool(batch) and lengths[batch[0]] > turn >= lengths[index]
        if turned or padded > token_budget or padded > (1 + PADDING) * (real + lengths[index]):
            yield batch
            batch, real = [], 0
        batch.append(index)
        real += lengths[index]
    if batch:
        yield batch
