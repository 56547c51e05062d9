"""Losses of tokens from logits of a few tokens at a time: exact for every kind of logits, and never all at once."""

import math

import pytest
import torch
from test_attribution import make_samples
from tiny_models import build
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from headpatterns.attribution import activation_patterns
from headpatterns.data.tokens import IGNORED, TokenizedSample
from headpatterns.models import projection
from headpatterns.models.projection import Head
from headpatterns.models.token_losses import weighed

TOKENS, HIDDEN, VOCABULARY = 23, 12, 60


class Largest(TorchDispatchMode):
    """The size of the largest tensor that is made inside, and the shapes of all tensors that are made."""

    def __init__(self):
        super().__init__()
        self.numbers, self.shapes = 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
                self.shapes.add(tuple(tensor.shape))
        return made


@pytest.fixture
def given():
    """States, W and b that require gradients, targets and weights."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(TOKENS, HIDDEN, generator=generator)
    linear = torch.nn.Linear(HIDDEN, VOCABULARY)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    targets = torch.randint(0, VOCABULARY, [TOKENS], generator=generator)
    return states.requires_grad_(), linear, targets, torch.rand(TOKENS, generator=generator)


def textbook(states, linear, targets, weights, scale, cap):
    logits = linear(states.double()) * scale
    if cap:
        logits = cap * torch.tanh(logits / cap)
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none"), weights.double()


@pytest.mark.parametrize("tokens", [1, 4, 10, 22, 23, 1000])
@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.3, None), (1.0, 3.0), (2.0, 30.0)])
def test_losses_and_gradients_are_those_of_all_logits_at_once(given, monkeypatch, tokens, scale, cap):
    """The test compares with double precision. Pieces of 4, 10 or 22 do not divide 23 tokens evenly."""
    monkeypatch.setitem(projection.PIECE, "cpu", tokens)
    states, linear, targets, weights = given
    total, losses = weighed(Head(linear, scale, cap), states, targets, weights)
    assert not losses.requires_grad
    inputs = [states, *linear.parameters()]
    found = torch.autograd.grad(3 * total, inputs)
    exact = torch.nn.Linear(HIDDEN, VOCABULARY, dtype=torch.float64)
    exact.load_state_dict(linear.state_dict())
    doubled = states.detach().double().requires_grad_()
    wanted, factors = textbook(doubled, exact, targets, weights, scale, cap)
    torch.testing.assert_close(losses.double(), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(total.double(), (wanted * factors).sum(), rtol=1e-6, atol=0)
    gradients = torch.autograd.grad(3 * (wanted * factors).sum(), [doubled, *exact.parameters()])
    for one, other in zip(found, gradients, strict=True):
        assert (one - other).abs().max() <= 1e-6 * other.abs().max()


def test_logits_that_a_model_makes_itself_are_left_as_they_are(given, monkeypatch):
    monkeypatch.setitem(projection.PIECE, "cpu", 4)
    states, linear, targets, weights = given
    logits = linear(states).detach().requires_grad_()
    before = logits.detach().clone()
    total, losses = weighed(Head(), logits, targets, weights)
    assert torch.equal(logits, before)
    wanted = torch.nn.functional.cross_entropy(logits.double(), targets, reduction="none")
    torch.testing.assert_close(losses.double(), wanted, rtol=1e-6, atol=1e-6)
    found, gradient = (torch.autograd.grad(one, logits)[0] for one in (total, (wanted * weights).sum()))
    assert (found - gradient).abs().max() <= 1e-6 * gradient.abs().max()


def test_pieces_are_about_as_large_as_each_other_and_no_larger_than_they_may_be(monkeypatch):
    head = Head(torch.nn.Linear(2, 100))
    monkeypatch.setitem(projection.PIECE, "cpu", 10)
    for tokens in range(1, 60):
        places = head.places(torch.zeros(tokens, 2))
        sizes = [place.stop - place.start for place in places]
        assert sum(sizes) == tokens and max(sizes) <= 10 and len(sizes) == math.ceil(tokens / 10)
        assert [place.start for place in places] == [sum(sizes[:number]) for number in range(len(sizes))]
    assert head.places(torch.zeros(0, 2)) == [slice(0, 0)]


def test_no_token_gives_no_loss_and_gradients_of_zeros(given):
    _, linear, targets, weights = given
    states = torch.zeros(0, HIDDEN, requires_grad=True)
    total, losses = weighed(Head(linear), states, targets[:0], weights[:0])
    assert (total.item(), losses.shape) == (0.0, (0,))
    found = torch.autograd.grad(total, [states, *linear.parameters()])
    assert [one.shape for one in found] == [(0, HIDDEN), (VOCABULARY, HIDDEN), (VOCABULARY,)]
    assert not any(one.any() for one in found)


def test_without_gradients_none_are_made(given):
    """Either the weights are frozen, or all gradients are disabled. Then no gradient of the weights is made."""
    states, linear, targets, weights = given
    gradient = (VOCABULARY, HIDDEN)
    with Largest() as made:
        whole, losses = weighed(Head(linear), states, targets, weights)
    assert gradient in made.shapes and whole.requires_grad
    for frozen in (True, False):
        linear.requires_grad_(not frozen)
        with Largest() as made, torch.set_grad_enabled(frozen):
            total, alike = weighed(Head(linear), states, targets, weights)
        assert gradient not in made.shapes and total.requires_grad == frozen
        assert torch.equal(losses, alike) and torch.equal(whole, total)


def test_shares_of_a_weight_are_added_up_in_float32(given, monkeypatch):
    """The weight is in bfloat16. Sums in bfloat16 would lose what one token adds to the sum over many."""
    _, linear, targets, _ = given
    linear = linear.to(torch.bfloat16)
    many = 600
    states = torch.ones(many, HIDDEN, dtype=torch.bfloat16)
    monkeypatch.setitem(projection.PIECE, "cpu", 1)
    total, _ = weighed(Head(linear), states, targets[:1].expand(many), torch.ones(many))
    (found,) = torch.autograd.grad(total, [linear.weight])
    probabilities = linear(states[:1])[0].float().softmax(dim=-1)
    probabilities[targets[0]] -= 1
    wanted = many * probabilities.bfloat16().float()[:, None].expand(-1, HIDDEN)
    torch.testing.assert_close(found.float(), wanted, rtol=2**-7, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "scale", "cap"),
    [
        ("llama-grouped-query", 1, None),
        ("gemma-multi-query", 1, None),
        ("gemma2-soft-capping", 1, 3.0),
        ("opt", 1, None),
        ("gpt2", 1, None),
        ("qwen3", 1, None),
        ("cohere", 0.0625, None),
        ("granite", 1 / 8, None),
    ],
)
def test_what_stands_before_logits_is_known(name, scale, cap):
    model = build(name)
    before = torch.get_rng_state()
    head = projection.head_of(model.train())
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert head.projection is model.get_output_embeddings()
    assert (head.scale, head.cap) == (scale, cap)


def test_a_cap_that_no_config_tells_is_noticed_although_logits_are_small():
    model = build("llama-grouped-query")
    with torch.no_grad():
        model.lm_head.weight.mul_(1e-3)
    assert projection.head_of(model).projection is not None
    model.register_forward_hook(
        lambda module, given, output: output.__setitem__("logits", 30 * (output.logits / 30).tanh())
    )
    assert projection.head_of(model) == Head()


def test_the_logits_of_a_batch_are_never_there_at_once(monkeypatch):
    """The test measures the largest tensor of an extraction with a large vocabulary."""
    model = build("llama-grouped-query", vocab_size=5000)
    samples = [TokenizedSample(f"s{number}", [5, 6, 7, 8] * 10, 5, False) for number in range(6)]
    found = {}
    for tokens in (10**6, 11):
        monkeypatch.setitem(projection.PIECE, "cpu", tokens)
        with Largest() as made:
            values = activation_patterns(model, samples, token_budget=10_000).values
        found[tokens] = made.numbers, values
    responses = sum(sample.response_tokens for sample in samples)
    assert found[10**6][0] == responses * 5000
    # The weights of the projection, and the comparison of the logits of one sample, are larger than a piece.
    assert found[11][0] == 40 * 5000
    torch.testing.assert_close(*(torch.from_numpy(values) for _, values in found.values()), rtol=1e-4, atol=1e-7)


def test_samples_with_and_without_prompts_in_pieces_have_the_losses_of_their_own(monkeypatch):
    model, samples = build("gemma2-soft-capping"), make_samples()
    monkeypatch.setitem(projection.PIECE, "cpu", 5)
    losses = activation_patterns(model, samples, token_budget=1000).losses
    for sample, loss in zip(samples, losses, strict=True):
        labels = torch.tensor([sample.labels])
        assert (labels != IGNORED).any()
        own = model(input_ids=torch.tensor([sample.input_ids]), labels=labels).loss.item()
        assert loss == pytest.approx(own, rel=1e-5)
