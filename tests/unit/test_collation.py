"""Micro-batches without padding give the loss, gradients and training of padded ones, or are refused."""

import pytest
import torch
from tiny_models import ARCHITECTURES, REFUSED, build
from transformers import Trainer, TrainingArguments

from headpatterns.data.tokens import IGNORED
from headpatterns.errors import InputError
from headpatterns.training import packing
from headpatterns.training.batches import collator

SAME = [
    *((name, "sdpa") for name in ARCHITECTURES if name not in REFUSED),
    *((name, "sdpa") for name in ("qwen2", "gemma3-mixed-windows", "phi3")),
    *((name, "eager") for name in ("llama-grouped-query", "opt", "gpt2", "gemma2-soft-capping")),
]


def made(name, kernel="sdpa", **changed):
    """A model without dropout, with weights halved to a usual size, and with the given attention kernel."""
    model = build(name, **({"dropout": 0.0} if name == "opt" else {}), **changed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.div_(2.0)
    if kernel != model.config._attn_implementation:
        model.set_attn_implementation(kernel)
    return model


@pytest.fixture(scope="module")
def samples():
    """Samples of different lengths with masked prompts; two have labels on every token, one has none."""
    generator = torch.Generator().manual_seed(0)
    lengths = [(9, 4), (17, 6), (1, 0), (5, 0), (12, 12), (23, 20)]
    rows = [(torch.randint(3, 50, [length], generator=generator).tolist(), prompt) for length, prompt in lengths]
    return [{"input_ids": row, "labels": [IGNORED] * prompt + row[prompt:]} for row, prompt in rows]


def gradients(model, batch):
    """The loss, and the gradients by parameter name."""
    model.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("name", "kernel"), SAME)
def test_the_loss_and_the_gradients_of_a_padded_batch(name, kernel, samples, tokenizer):
    model = made(name, kernel)
    padded, packed = (collator(tokenizer, model, padding_free)(samples) for padding_free in (False, True))
    assert packed["input_ids"].shape == (1, sum(len(sample["input_ids"]) for sample in samples))
    assert padded["input_ids"].shape == (len(samples), max(len(sample["input_ids"]) for sample in samples))
    assert (packed["labels"] != IGNORED).sum() == (padded["labels"][:, 1:] != IGNORED).sum()
    loss, found = gradients(model, packed)
    expected_loss, expected = gradients(model, padded)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    for parameter, gradient in expected.items():
        largest = gradient.abs().max()
        assert largest > 0 or parameter.endswith("k_proj.bias"), parameter
        assert (found[parameter] - gradient).abs().max() <= 1e-5 * largest + 1e-9, parameter


@pytest.mark.parametrize("name", ["llama-grouped-query", "mistral-sliding-window", "opt", "gpt2"])
def test_no_sample_sees_or_is_predicted_from_another(name, samples, tokenizer):
    """Changed tokens in two samples do not change the logits of others; no sample's first token has a label."""
    model = made(name)
    collate = collator(tokenizer, model, True)
    changed = [{**sample, "input_ids": [token - 1 for token in sample["input_ids"]]} for sample in samples]
    one, other = collate(samples[:4]), collate([samples[0], *changed[1:3], samples[3]])
    with torch.no_grad():
        before, after = model(**one).logits[0], model(**other).logits[0]
    unchanged = [*range(9), *range(27, 32)]
    assert (before - after)[unchanged].abs().max() < 1e-5 * before.abs().max()
    assert (before - after)[9:27].abs().amax(dim=1).min() > 1e-3
    starts = [0, 9, 26, 27]
    assert one["labels"][0, starts].tolist() == [IGNORED] * 4
    assert one["position_ids"][0, starts].tolist() == [0] * 4
    assert one["position_ids"][0].tolist() == [*range(9), *range(17), 0, *range(5)]


@pytest.mark.parametrize(
    ("name", "kernel", "sentence"),
    [
        ("bloom", "sdpa", "BloomForCausalLM takes no position ids, which are needed to separate samples"),
        ("falcon-alibi", "sdpa", "FalconForCausalLM cannot read samples in one row"),
        ("lfm2-convolutions", "sdpa", "Lfm2ForCausalLM does not separate samples in one row"),
        ("gpt-oss-attention-sinks", "eager", "GptOssForCausalLM does not separate samples in one row with the "
         "attention kernel eager"),
    ],
)  # fmt: skip
def test_models_that_would_mix_samples_are_refused(name, kernel, sentence, tokenizer, samples):
    model = made(name, kernel)
    with pytest.raises(InputError) as refused:
        collator(tokenizer, model, True)
    assert str(refused.value).startswith(sentence)
    assert str(refused.value).endswith(": set padding_free to false in the recipe (finetuning or pretraining_recipe).")
    assert "attention_mask" in collator(tokenizer, model, False)(samples)


@pytest.mark.parametrize(
    ("name", "kernel", "taken"),
    [
        *((name, "sdpa", packing.NAME) for name in ("llama-grouped-query", "gemma-multi-query", "opt", "gpt2")),
        ("mistral-sliding-window", "sdpa", "sdpa"),
        ("opt", "eager", "eager"),
    ],
)
def test_each_sample_attends_by_itself_where_the_model_attends_by_sdpa_to_all_before(name, kernel, taken, tokenizer):
    model = made(name, kernel)
    collator(tokenizer, model, True)
    assert model.config._attn_implementation == taken
    assert "attn_implementation" not in str(model.config.to_dict())


def test_samples_of_one_length_and_of_one_token(tokenizer):
    model = made("llama-grouped-query")
    collate = collator(tokenizer, model, True)
    rows = [[7], [8], [5, 6, 7], [4, 5, 6]]
    samples = [{"input_ids": row, "labels": row} for row in rows]
    with torch.no_grad():
        together = model(**collate(samples)).logits[0]
        alone = torch.cat([model(input_ids=torch.tensor([row]), use_cache=False).logits[0] for row in rows])
    assert (together - alone).abs().max() < 1e-5 * alone.abs().max()


def test_asking_the_model_leaves_it_as_it_was(tokenizer):
    model = made("llama-grouped-query").train()
    state, drawn = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    collator(tokenizer, model, True)
    assert model.training and torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_tokenizer_without_a_padding_token_is_not_given_one(tokenizer, samples):
    assert tokenizer.pad_token is not None
    bare = type(tokenizer).from_pretrained(tokenizer.name_or_path, pad_token=None, padding_side="left")
    batch = collator(bare, made("llama-grouped-query"), False)(samples[:2])
    assert (bare.pad_token, bare.padding_side) == (None, "left")
    assert batch["attention_mask"].sum(dim=1).tolist() == [9, 17]
    assert batch["input_ids"][0].tolist() == samples[0]["input_ids"] + [bare.eos_token_id] * 8
    assert batch["labels"][0, 9:].tolist() == [IGNORED] * 8


@pytest.mark.parametrize("name", ["llama-grouped-query", "opt"])
def test_a_training_takes_the_same_way(name, samples, tokenizer, tmp_path):
    """The losses, gradient norms and tokens of every step agree, with accumulation over micro-batches."""

    def trained(padding_free):
        model = made(name)
        arguments = TrainingArguments(
            output_dir=str(tmp_path / str(padding_free)),
            learning_rate=1e-3,
            max_steps=6,
            per_device_train_batch_size=3,
            gradient_accumulation_steps=2,
            use_cpu=True,
            save_strategy="no",
            logging_steps=1,
            include_num_input_tokens_seen="all" if padding_free else "non_padding",
            report_to="none",
            disable_tqdm=True,
        )
        collate = collator(tokenizer, model, padding_free)
        trainer = Trainer(model=model, args=arguments, train_dataset=samples * 4, data_collator=collate)
        trainer.train()
        return [
            [entry[key] for key in ("loss", "grad_norm", "num_input_tokens_seen")]
            for entry in trainer.state.log_history
            if "loss" in entry
        ]

    padded, packed = trained(False), trained(True)
    assert len(packed) == 6 and packed[-1][0] < packed[0][0]
    assert packed == [pytest.approx(entry, rel=1e-4) for entry in padded]
    assert [entry[2] for entry in packed] == [entry[2] for entry in padded]
