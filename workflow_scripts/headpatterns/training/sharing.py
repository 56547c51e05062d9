"""The order in which several processes read the samples of an epoch: that of one process alone."""

from collections.abc import Iterator, Sequence
from typing import Any

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import ConcatDataset, DataLoader, Sampler

from headpatterns.data.tokens import IGNORED
from headpatterns.training.batches import Sample
from headpatterns.training.losses import PredictingTrainer


def filled_up(samples: Sequence[Sample], tokenizer: Any) -> "ConcatDataset[Sample]":
    """The samples, and a last one that teaches nothing."""
    nothing = {"input_ids": [tokenizer.eos_token_id], "labels": [IGNORED]}
    parts: list[Any] = [samples, [nothing]]  # torch asks for no more than what sequences have
    return ConcatDataset(parts)


class SharingTrainer(PredictingTrainer):
    """A Trainer whose processes read the samples of an epoch in the order, and in the steps, of a process alone.

    The last sample of the training set is the one that fills up.
    """

    train_dataset: ConcatDataset[Sample]

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The Trainer's own, with another order put where accelerate looks for one to tell the epoch."""
        loader = super().get_train_dataloader()
        together = self.args.world_size * self.args.per_device_train_batch_size
        accelerated: Any = loader  # torch's own has no set_sampler
        accelerated.set_sampler(_FilledOrder(len(self.train_dataset) - 1, together, self.args.seed))
        return loader


class _FilledOrder(Sampler[int]):
    """Places of samples, shuffled again in each epoch, and then of one beyond them until micro-batches come out even.

    Otherwise accelerate would let samples from the epoch's beginning be read twice.
    """

    def __init__(self, samples: int, together: int, seed: int) -> None:
        self.shuffled = SeedableRandomSampler(range(samples), data_seed=seed)
        self.fill = [samples] * (-samples % together)

    def __len__(self) -> int:
        return len(self.shuffled) + len(self.fill)

    def __iter__(self) -> Iterator[int]:
        yield from self.shuffled
        yield from self.fill

    def set_epoch(self, epoch: int) -> None:
        self.shuffled.set_epoch(epoch)
