"""The loss from logits of a few labels at a time equals the model's own over all positions, as do its gradients."""

import sys

import pytest
import torch
from tiny_models import build
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from headpatterns.data.tokens import IGNORED
from headpatterns.errors import InputError
from headpatterns.models import projection
from headpatterns.training.batches import collator
from headpatterns.training.losses import PredictingTrainer

ARCHITECTURES = [
    *("llama-grouped-query", "gemma-multi-query", "gemma2-soft-capping", "opt", "gpt2", "phi", "qwen3"),
    *("cohere", "granite"),
]


def made(name):
    """A model with no dropout and weights of a usual size; Phi's projection to the vocabulary has a bias."""
    if name == "phi":
        size = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 6}
        model = build("llama", model_type="phi", **size, partial_rotary_factor=1.0)
    else:
        model = build(name, **({"dropout": 0.0} if name == "opt" else {}))
    dropouts = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    for module in dropouts:
        module.p = 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.div_(2.0)
    return model


def make_samples():
    """Samples of different lengths with masked prompts; one has a loss on every token, one on none."""
    generator = torch.Generator().manual_seed(0)
    lengths = [(9, 4), (17, 6), (1, 0), (5, 5), (12, 0), (23, 20), (7, 3), (8, 7)]
    rows = [(torch.randint(3, 50, [length], generator=generator).tolist(), prompt) for length, prompt in lengths]
    return [{"input_ids": row, "labels": [IGNORED] * prompt + row[prompt:]} for row, prompt in rows]


@pytest.fixture(scope="module")
def samples():
    return make_samples()


@pytest.fixture(autouse=True)
def pieces(monkeypatch):
    """Make logits of seven tokens at a time, so that the labels of a micro-batch come in pieces of different sizes."""
    monkeypatch.setitem(projection.PIECE, "cpu", 7)


class Watch(TrainerCallback):
    """Keeps the gradients of every step by parameter, and the numbers of tokens that the model made logits for."""

    def __init__(self, model):
        self.model, self.gradients, self.projected = model, [], []
        model.get_output_embeddings().register_forward_hook(
            lambda _, hidden, logits: self.projected.append(logits.shape[:-1].numel())
        )

    def on_pre_optimizer_step(self, args, state, control, **_):
        named = self.model.named_parameters()
        self.gradients.append({name: parameter.grad.clone() for name, parameter in named})


def trained(kind, name, samples, tokenizer, folder, padding_free=False, **settings):
    """Losses of two steps of four samples each, their gradients, and the numbers of projected tokens."""
    model = made(name)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=2,
        learning_rate=1e-12,  # a larger one would let Adam amplify rounding errors of zero gradients
        max_grad_norm=1e9,
        logging_steps=1,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **{"per_device_train_batch_size": 4, **settings},
    )
    collate, watch = collator(tokenizer, model, padding_free), Watch(model)
    trainer = kind(model=model, args=arguments, train_dataset=samples, data_collator=collate, callbacks=[watch])
    watch.projected.clear()  # drops the projections of the checks before training
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, watch.gradients, watch.projected


def check_same(name, samples, tokenizer, folder, tolerance=1e-6, **settings):
    expected = trained(Trainer, name, samples, tokenizer, folder, **settings)
    found = trained(PredictingTrainer, name, samples, tokenizer, folder, **settings)
    assert found[0] == pytest.approx(expected[0], rel=tolerance)
    assert len(found[1]) == len(expected[1]) == 2
    for step, of_step in zip(found[1], expected[1], strict=True):
        for parameter, gradient in of_step.items():
            largest = gradient.abs().max()
            assert (step[parameter] - gradient).abs().max() <= 5 * tolerance * largest + 1e-8, parameter
    assert sum(found[2]) == 0 < sum(expected[2])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_loss_and_the_gradients_are_the_models_own(name, samples, tokenizer, tmp_path):
    check_same(name, samples, tokenizer, tmp_path)


def test_a_model_with_logits_of_another_kind_makes_them_itself(samples, tokenizer, tmp_path, monkeypatch):
    """It makes them only where labels are predicted."""

    own = made

    def peculiar(name):
        model = own(name)
        model.lm_head.register_forward_hook(lambda module, hidden, logits: logits.abs())
        return model

    assert projection.head_of(peculiar("llama-grouped-query")).projection is None
    monkeypatch.setattr(sys.modules[__name__], "made", peculiar)
    expected, found = (
        trained(kind, "llama-grouped-query", samples, tokenizer, tmp_path) for kind in (Trainer, PredictingTrainer)
    )
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    for step, of_step in zip(found[1], expected[1], strict=True):
        for parameter, gradient in of_step.items():
            torch.testing.assert_close(step[parameter], gradient, rtol=1e-4, atol=5e-6 * float(gradient.abs().max()))
    labelled = sum(label != IGNORED for sample in samples for label in sample["labels"][1:])
    assert sum(found[2]) == labelled < sum(expected[2]) / 2


@pytest.mark.parametrize("name", ["llama-grouped-query", "opt"])
def test_micro_batches_of_a_step_count_by_their_labels(name, samples, tokenizer, tmp_path):
    """One of the micro-batches has no label at all."""
    halves = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    check_same(name, samples, tokenizer, tmp_path, **halves)


def test_checkpointed_gradients_and_rows_without_padding(samples, tokenizer, tmp_path):
    check_same("llama-grouped-query", samples, tokenizer, tmp_path, activation_checkpointing=True)
    for name in ("gpt2", "llama-grouped-query"):
        check_same(name, samples, tokenizer, tmp_path, padding_free=True)


def test_mixed_precision_rounds_alike(samples, tokenizer, tmp_path):
    check_same("llama-grouped-query", samples, tokenizer, tmp_path, tolerance=4e-3, bf16=True)


def test_models_with_another_loss_or_no_projection_are_refused(samples, tokenizer, tmp_path):
    model = made("llama-grouped-query")
    settings = {"args": TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")}
    with pytest.raises(InputError, match="LlamaModel has no projection to a vocabulary"):
        bare: PreTrainedModel = model.model
        PredictingTrainer(model=bare, **settings)
    model.config.output_router_logits = True
    with pytest.raises(
        InputError, match="LlamaForCausalLM adds the loss of its router to the loss: set output_router_logits"
    ):
        PredictingTrainer(model=model, **settings)


def test_a_model_that_chooses_among_its_hidden_states_itself_is_refused(samples, tokenizer, tmp_path):
    model = made("llama-grouped-query")
    model.lm_head.register_forward_hook(lambda module, hidden, logits: logits[:, 1:])
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True)
    trainer = PredictingTrainer(
        model=model, args=arguments, train_dataset=samples, data_collator=collator(tokenizer, model, False)
    )
    with pytest.raises(InputError, match="LlamaForCausalLM does not pass its hidden states to its output embeddings"):
        trainer.train()
