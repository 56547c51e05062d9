"""Gradients of single samples with respect to small linear modules, such as adapters: one backward pass per batch.

The gradient of a linear module's weight is Σ_t g_t x_tᵀ over tokens, where x is its input and g the gradient of its
output (Goodfellow 2015, "Efficient per-example gradient computations"). In a batch both are separate for every sample,
so the sum is computed sample by sample. The result is the same as with a backward pass for each sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from transformers import PreTrainedModel

from headpatterns.attribution import passes
from headpatterns.attribution.inputs import Sample
from headpatterns.errors import InputError
from headpatterns.models import projection

Gradients = Float[torch.Tensor, "batch weights"]


class PerSample:
    """The gradients of linear modules for each sample of a batch, with the modules concatenated.

    Attributes:
        size: number of weights of all modules.
    """

    def __init__(self, modules: Mapping[str, torch.nn.Linear]) -> None:
        """Take the modules by their names; they have no biases."""
        self.modules = modules
        self.places: dict[str, slice] = {}
        start = 0
        for name, module in modules.items():
            self.places[name] = slice(start, start + module.weight.numel())
            start = self.places[name].stop
        self.size = start
        self._found: torch.Tensor | None = None
        self._positions = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block, a backward pass accumulates the gradients that `of` returns."""
        handles = [module.register_forward_hook(self._hook(name)) for name, module in self.modules.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def of(self, model: PreTrainedModel, head: projection.Head, batch: Sequence[Sample]) -> Gradients:
        """Gradients [batch, size] in float32 of the mean loss of each sample's response tokens.

        `model` is frozen (`passes.frozen`) and has the modules; it is called inside `watching`.

        Raises:
            InputError: a loss or a gradient is not finite, or a module does not read every token.
        """
        self._positions = max(len(sample.input_ids) for sample in batch)
        self._found = torch.zeros(len(batch), self.size, device=model.device)
        passes.backward(model, head, batch)
        found, self._found = self._found, None
        for sample, row in zip(batch, found.isfinite().all(dim=1).tolist(), strict=True):
            if not row:
                raise InputError(f"the gradient of sample '{sample.id}' is not finite: set patterns.dtype to float32.")
        return found

    def _hook(self, name: str):  # type: ignore[no-untyped-def]  # torch accepts hooks with any arguments
        """A forward hook that computes the module's gradient when the gradient of its output arrives."""
        place = self.places[name]

        def hook(module: torch.nn.Linear, given: tuple[torch.Tensor], output: torch.Tensor) -> None:
            read, found = given[0].detach(), self._found
            if found is None or not output.requires_grad:
                return
            if read.shape[:-1].numel() != len(found) * self._positions:
                raise InputError(
                    f"{name} does not read every token of a batch, but the method less needs that: leave out the "
                    "method less."
                )

            def take(slope: torch.Tensor) -> None:
                # Some modules of OPT read the tokens of all samples as one sequence.
                back, into = (one.float().reshape(len(found), self._positions, -1) for one in (slope, read))
                found[:, place] += torch.bmm(back.transpose(1, 2), into).flatten(1)

            output.register_hook(take)

        return hook
