"""The order in which several processes read the samples of an epoch: the same as in one process alone."""

from collections.abc import Iterator, Sequence
from typing import Any

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import ConcatDataset, DataLoader, Sampler

from headpatterns.data.tokens import IGNORED
from headpatterns.training.batches import Sample
from headpatterns.training.losses import PredictingTrainer


def filled_up(samples: Sequence[Sample], tokenizer: Any) -> "ConcatDataset[Sample]":
    """The samples, and a last one without effect on training."""
    nothing = {"input_ids": [tokenizer.eos_token_id], "labels": [IGNORED]}
    parts: list[Any] = [samples, [nothing]]  # torch needs only the methods of sequences
    return ConcatDataset(parts)


class SharingTrainer(PredictingTrainer):
    """A Trainer whose processes read the samples of an epoch in the same order and steps as one process alone.

    The last sample of the training set is the one that completes micro-batches.
    """

    train_dataset: ConcatDataset[Sample]

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The Trainer's own loader with another order, stored where accelerate expects an order to set its epoch."""
        loader = super().get_train_dataloader()
        together = self.args.world_size * self.args.per_device_train_batch_size
        accelerated: Any = loader  # torch's own loader has no set_sampler
        accelerated.set_sampler(_FilledOrder(len(self.train_dataset) - 1, together, self.args.seed))
        return loader


class _FilledOrder(Sampler[int]):
    """Indices of samples, shuffled again in each epoch, then the index after them until micro-batches are complete.

    Otherwise accelerate would read samples from the start of the epoch twice.
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
