"""The function that other programs call for patterns: its inputs, batches and memory, and what it refuses."""

import doctest
import functools
import json
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import psutil
import pytest
import scripts
import torch
from test_attribution import make_samples, textbook
from tiny_models import VOCABULARY, build
from transformers import DataCollatorForSeq2Seq, DataCollatorWithFlattening, PreTrainedModel

import headpatterns
from headpatterns.attribution import activation_patterns, extraction, inputs, memory, passes
from headpatterns.data import batching
from headpatterns.data.tokens import IGNORED, TokenizedSample, tokenize
from headpatterns.errors import InputError
from headpatterns.models import independence, projection
from headpatterns.models import loading as models

LOGITS_OF_THEIR_OWN = ("cohere", "granite", "gemma2-soft-capping")


@pytest.fixture
def llama():
    return build("llama-grouped-query")


def waste(lengths, budget):
    """Padding tokens per real token over all batches, and the number of batches."""
    plan = list(batching.batches(lengths, budget))
    assert sorted(index for batch in plan for index in batch) == list(range(len(lengths)))
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in plan)
    return padded / sum(lengths) - 1, len(plan)


# Batches --------------------------------------------------------------------------------------------------------------


def test_batches_of_real_questions_are_padded_by_less_than_a_twentieth(real):
    tokenizer = models.load_tokenizer(real / "realmodels" / "stories260K")
    lines = (real / "realdata" / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{"prompt": row["question"], "response": row["answer"]} for row in map(json.loads, lines)]
    lengths = inputs.lengths(inputs.samples(rows, tokenizer))
    for budget in (2048, 8192, 2**17):
        padding, batches = waste(lengths, budget)
        assert padding <= 0.05
        assert batches <= sum(lengths) / budget + 1 + math.log(max(lengths) / min(lengths), 1.05)


@pytest.mark.parametrize("seed", range(20))
def test_batches_of_any_lengths_are_padded_by_less_than_a_twentieth(seed):
    draw = random.Random(seed)
    lengths = [int(draw.lognormvariate(4, draw.choice((0.1, 0.5, 1.5)))) + 1 for _ in range(draw.randrange(1, 300))]
    budget = draw.choice((1, 100, 4096, 10**6))
    assert waste(lengths, budget)[0] <= 0.05
    for batch in batching.batches(lengths, budget):
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


def test_the_vocabulary_is_projected_to_at_response_positions_alone(llama, monkeypatch):
    samples, seen, own = make_samples(), [], []
    project = projection.Head.project

    def watched(head, states, weight):
        seen.append(len(states))
        return project(head, states, weight)

    monkeypatch.setattr(projection.Head, "project", watched)
    llama.lm_head.register_forward_hook(lambda module, given, output: own.append(math.prod(output.shape[:-1])))
    activation_patterns(llama, samples, token_budget=1)
    # The model's own head gets all tokens of the longest sample, the few of a probe, and all again with another last
    # token. It gets no tokens in any batch.
    longest, probed = max(inputs.lengths(samples)), projection.PROBED
    assert own == [longest, probed, longest, *[0] * (1 + len(samples))]
    responses = [sample.response_tokens for sample in samples]
    # Once without the last position of the longest sample, after which no token is predicted.
    assert seen[:3] == [probed, probed, longest - 1]
    assert sorted(seen[3:]) == sorted(responses)
    seen.clear()
    activation_patterns(llama, [samples[0]] * 7, token_budget=10_000)
    # If samples share a batch, one sample is first read alone, and then with shorter and longer ones.
    short, middle, long = (length - 1 for length in independence.LENGTHS)
    assert seen[3:] == [middle, 2 * short + long + middle, 7 * responses[0]]


@pytest.mark.parametrize("name", [*LOGITS_OF_THEIR_OWN, "lm-head-pre-scaled"])
def test_what_a_model_does_to_its_logits_is_in_its_patterns(name, monkeypatch):
    """Also if the logits are computed a few at a time."""
    monkeypatch.setitem(projection.PIECE, "cpu", 7)
    if name in LOGITS_OF_THEIR_OWN:
        model = build(name)
    else:
        model = build("llama-grouped-query")
        model.lm_head.register_forward_pre_hook(lambda module, given: (given[0] / 3,))
    samples = make_samples()
    values, losses = textbook(model, samples, "abs_of_sum")
    found = activation_patterns(model, samples)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(found.values, values, atol=1e-5 * np.abs(values).max(), rtol=1e-4)


def test_a_model_without_a_vocabulary_is_refused(llama):
    with pytest.raises(InputError, match="LlamaModel has no projection to a vocabulary"):
        extraction.unrecorded(llama.model, make_samples())


def test_unrecorded_passes_have_the_same_losses(llama):
    samples = make_samples()
    found = extraction.unrecorded(llama, samples, token_budget=20)
    np.testing.assert_allclose(found, activation_patterns(llama, samples).losses, rtol=1e-6)
    assert llama.config._attn_implementation == "sdpa"
    assert all(parameter.requires_grad and parameter.grad is None for parameter in llama.parameters())


def test_bfloat16_accumulates_in_float32(real):
    """Weights and activations are rounded to 8 bits, by 2⁻⁹ each; sums over hundreds of them add no more rounding."""
    lines = (real / "realdata" / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:24]
    rows = [{"prompt": row["question"], "response": row["answer"]} for row in map(json.loads, lines)]
    folder = real / "realmodels" / "stories260K"
    samples = [one for one in inputs.samples(rows, models.load_tokenizer(folder)) if len(one.input_ids) <= 512]
    exact, rough = (activation_patterns(models.load_model(folder, dtype), samples) for dtype in ("float32", "bfloat16"))
    np.testing.assert_allclose(rough.losses, exact.losses, rtol=5e-3)
    difference = np.linalg.norm(rough.mean - exact.mean, axis=1) / np.linalg.norm(exact.mean, axis=1)
    assert difference.max() < 0.05


# What goes in ---------------------------------------------------------------------------------------------------------


def test_the_example_in_the_docstring():
    outcome = doctest.testmod(extraction)
    assert outcome.attempted > 3
    assert outcome.failed == 0


@pytest.mark.slow
def test_the_package_names_it_and_stays_light():
    code = (
        "import sys, headpatterns; assert 'torch' not in sys.modules; assert 'activation_patterns' in dir(headpatterns)"
        "\nfrom headpatterns import activation_patterns, Patterns, REDUCTIONS; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="module 'headpatterns' has no attribute 'patternz'"):
        headpatterns.patternz  # noqa: B018


@pytest.fixture
def reading():
    """A model that reads the tokens of the test tokenizer."""
    return build("llama-grouped-query", vocab_size=VOCABULARY, max_position_embeddings=256)


def assert_same(found, wanted):
    np.testing.assert_allclose(found.losses, wanted.losses, rtol=1e-5)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-4, atol=1e-6 * np.abs(wanted.values).max())


@pytest.fixture
def tokenized(rows, tokenizer):
    return [tokenize(tokenizer, **row, max_length=256) for row in rows]


def test_rows_of_text(reading, rows, tokenized, tokenizer):
    wanted = activation_patterns(reading, tokenized)
    assert_same(activation_patterns(reading, rows, tokenizer=tokenizer), wanted)
    nameless = ({"prompt": row["prompt"], "response": row["response"], "more": 1} for row in rows)
    assert_same(activation_patterns(reading, nameless, tokenizer=tokenizer), wanted)


@pytest.mark.parametrize("side", ["left", "right"])
def test_batches_of_a_collator(reading, tokenized, tokenizer, side):
    """A data loader, a single batch and plain features give the same patterns, with padding on either side."""
    collator = DataCollatorForSeq2Seq(tokenizer)
    tokenizer.padding_side = side
    features = [{"input_ids": one.input_ids, "labels": one.labels} for one in tokenized]
    wanted = activation_patterns(reading, tokenized)
    loader = torch.utils.data.DataLoader(features, batch_size=5, collate_fn=collator)
    assert_same(activation_patterns(reading, loader), wanted)
    whole = collator(features)
    assert (whole["attention_mask"] == 0).any()
    assert_same(activation_patterns(reading, whole), wanted)
    assert_same(activation_patterns(reading, features), wanted)
    arrays = {name: values.numpy() for name, values in whole.items()}
    mixed = activation_patterns(reading, [tokenized[0], arrays])
    np.testing.assert_allclose(mixed.losses[1:], wanted.losses, rtol=1e-5)


def test_labels_between_others_and_none_at_the_end(reading):
    """A batch may leave out any label; the loss is the mean over the other labels."""
    ids = torch.randint(3, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(0))
    labels = ids.masked_fill(torch.arange(12) % 3 != 0, IGNORED)
    found = activation_patterns(reading, {"input_ids": ids, "labels": labels})
    for row in range(2):
        loss = reading(input_ids=ids[row : row + 1], labels=labels[row : row + 1]).loss.item()
        assert found.losses[row] == pytest.approx(loss, rel=1e-5)


IDS = torch.tensor([[5, 6, 7, 8]])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "the data is empty"),
        (iter(()), "the data is empty"),
        ([{"prompt": "a", "response": "b"}], r"row 1 of the samples is text, but there is no tokenizer"),
        ([{"prompt": "a"}], r"samples, row 1 has no text in the field 'response' \(fields there: prompt\)"),
        ({"prompt": "a", "response": " "}, "samples, row 1 has an empty response"),
        (["text"], "sample 1 is of the type str: give tokenized samples, rows"),
        ({"input_ids": IDS}, r"batch 1 has no labels \(it has input_ids\)"),
        (
            {"input_ids": IDS, "labels": IDS[:, 1:]},
            r"batch 1 has tensors of different shapes \(input_ids \[1, 4\], labels \[1, 3\]\)",
        ),
        (
            {"input_ids": IDS, "labels": IDS, "attention_mask": torch.tensor([[1, 0, 1, 1]])},
            "row 1 of batch 1 has several samples or gaps",
        ),
        (
            {"input_ids": [[5, 6, 7], [8]], "labels": IDS},
            r"input_ids of batch 1 cannot be made a tensor \(expected sequence",
        ),
        (
            {"input_ids": [["a"]], "labels": IDS},
            r"input_ids of batch 1 cannot be made a tensor \(.*str.*\): give numbers, with",
        ),
        (
            {"input_ids": IDS, "labels": IDS, "position_ids": torch.arange(8).view(2, 4)},
            r"batch 1 has tensors of different shapes \(input_ids \[1, 4\], labels \[1, 4\], position_ids \[2, 4\]\)",
        ),
        ({"input_ids": IDS, "labels": None}, "batch 1 has no labels"),
        (
            {"input_ids": IDS, "labels": IDS, "position_ids": torch.zeros(3, 1, 4)},
            r"batch 1 has tensors of different shapes \(.*, position_ids \[3, 1, 4\]\)",
        ),
        (
            {"input_ids": torch.zeros(0, 4, dtype=torch.long), "labels": torch.zeros(0, 4, dtype=torch.long)},
            "the data is empty",
        ),
        (
            {"input_ids": IDS, "labels": torch.full_like(IDS, IGNORED)},
            "sample 'batch 1, row 1' has no response token within its 4 tokens",
        ),
        ({"input_ids": IDS - 6, "labels": IDS}, "sample 'batch 1, row 1' has the token id -1"),
        ({"input_ids": IDS, "labels": IDS + 99}, "sample 'batch 1, row 1' has the token id 107"),
        ([TokenizedSample("cut", [5, 6, 7], 3, True)], "sample 'cut' has no response token within its 3 tokens"),
    ],
)
def test_input_that_cannot_be_used(llama, given, sentence):
    with pytest.raises(InputError, match=sentence):
        activation_patterns(llama, given)


def test_positions_of_one_row_stand_for_all(reading):
    batch = {"input_ids": torch.tensor([[5, 6, 7, 8], [8, 7, 6, 5]]), "labels": torch.tensor([[-100, 6, 7, 8]] * 2)}
    found = activation_patterns(reading, {**batch, "position_ids": torch.arange(4)[None]})
    assert_same(found, activation_patterns(reading, batch))


def test_packed_batches_are_refused(llama):
    features = [{"input_ids": [5, 6, 7], "labels": [5, 6, 7]}, {"input_ids": [8, 9], "labels": [8, 9]}]
    packed = DataCollatorWithFlattening()(features)
    with pytest.raises(InputError, match="row 1 of batch 1 has several samples"):
        activation_patterns(llama, packed)


def test_gradients_that_are_infinite_name_layer_and_sample(llama):
    """Only the gradients of the second sample of a batch are infinite."""
    samples = [TokenizedSample(name, [5, 6, 7, 8, 9], 2, False) for name in ("whole", "broken", "also")]

    def spoil(module, given, output):
        if output.requires_grad and len(output) == 3:
            second = torch.tensor([False, True, False])[:, None, None]
            output.register_hook(lambda gradient: gradient.masked_fill(second, math.inf))

    llama.model.layers[1].self_attn.o_proj.register_forward_hook(spoil)
    with pytest.raises(InputError, match="gradient of layer 1 for sample 'broken' is not finite"):
        activation_patterns(llama, samples, token_budget=10_000)


def test_budgets_dtypes_and_devices_that_are_none(llama, model_folder, monkeypatch):
    # The annotations do not allow some of these types.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    for wrong in (0, -5, 2.5, True, "many", None):
        with pytest.raises(InputError, match=r"the token budget is .*: give a whole number of 1 or more, or 'auto'"):
            activation_patterns(llama, make_samples(), token_budget=wrong)
    with pytest.raises(InputError, match="unknown dtype 'float8': use one of float32, bfloat16, float16"):
        models.load_model(model_folder, "float8")
    with pytest.raises(InputError, match="unknown device 'tpu': use cpu, cuda, cuda:N or mps"):
        models.load_model(model_folder, device="tpu")
    with pytest.raises(InputError, match="the device is 'cuda:99', but torch sees"):
        models.load_model(model_folder, device="cuda:99")
    if not torch.backends.mps.is_available():
        with pytest.raises(InputError, match="the device is 'mps', but torch sees no GPU here"):
            models.load_model(model_folder, device="mps")


# Memory ---------------------------------------------------------------------------------------------------------------


def test_patterns_do_not_depend_on_the_budget(llama):
    samples = make_samples() * 3
    wanted = activation_patterns(llama, samples, token_budget=1)
    for budget in (30, 2048, "auto"):
        assert_same(activation_patterns(llama, samples, token_budget=budget), wanted)


def test_the_budget_that_finds_itself_follows_free_memory_and_cost(monkeypatch):
    samples = make_samples()
    budgets = {}
    for width in (32, 512):
        model = build("llama-grouped-query", intermediate_size=width)
        for free in (2**17, 2**22, 2**23, 2**60):
            monkeypatch.setattr(memory, "free", lambda device, free=free: free)
            run = functools.partial(passes.backward, model, projection.head_of(model))
            budgets[width, free] = memory.token_budget("auto", model, samples, run)
    assert budgets[32, 2**60] == budgets[512, 2**60] == memory.MOST_TOKENS["cpu"]
    assert budgets[32, 2**23] == 2 * budgets[32, 2**22]
    assert 1 <= budgets[32, 2**17] < budgets[32, 2**22]
    assert budgets[512, 2**22] < budgets[32, 2**22]
    assert all(budget.bit_count() == 1 for budget in budgets.values())


def test_a_sample_is_measured_once(llama):
    """The longest sample; a second one only if it has a larger share of response tokens."""
    samples = [TokenizedSample(f"s{length}", [5] * length, length // 3, False) for length in (12, 6)]
    seen, head = [], projection.head_of(llama)

    def run(batch):
        seen.append(batch)
        return passes.backward(llama, head, batch)

    memory.token_budget("auto", llama, samples, run)
    assert seen == [samples[:1]] * 2  # the first is a warm-up
    seen.clear()
    dense = [*samples, TokenizedSample("dense", [5] * 11, 1, False)]
    memory.token_budget("auto", llama, dense, run)
    assert [batch[0].id for batch in seen] == ["s12", "s12", "dense"]


def test_nothing_is_computed_where_nothing_is_left(llama):
    samples, passed = make_samples(), []
    llama.register_forward_pre_hook(lambda *given: passed.append(given))
    options = {"reductions": ["abs_of_sum"], "token_budget": "auto", "agree": passed.append}
    extraction.extract(llama, samples, passed.append, done=range(len(samples)), **options)
    assert passed == []


def test_a_model_beyond_a_device_s_memory_is_one_sentence(model_folder, monkeypatch):
    """The test raises the error of torch itself, because no device is too small here."""

    def full(model, device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(PreTrainedModel, "to", full)
    said = r"the model in .* cannot be put on cpu as float32 \(CUDA out of memory\. .*\): use a smaller dtype, or a dev"
    with pytest.raises(InputError, match=said):
        models.load_model(model_folder)


CONFINED = """
import json, random, resource, sys, warnings
from pathlib import Path
import numpy as np, psutil
from tiny_models import build
from headpatterns.attribution import activation_patterns, extraction, memory, passes
from headpatterns.errors import InputError
from headpatterns.data.tokens import TokenizedSample
from headpatterns.models import projection

size = {"hidden_size": 96, "intermediate_size": 256, "vocab_size": 3000, "max_position_embeddings": 512}
model, draw, found = build("llama-grouped-query", **size), random.Random(0), {}
samples = [TokenizedSample(f"s{n}", [draw.randrange(3, 3000) for _ in range(200 + n)], 60, False) for n in range(16)]
head = projection.head_of(model)
run = lambda batch: passes.backward(model, head, batch)

with passes.frozen(model):
    run(samples[:1])
    found["estimate"] = memory._bytes_per_token(model, samples[0], run) * 8 * 200
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # begins the count of the peak again
    run(samples[:1] * 8)
peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
found["peak"] = int(peak) * 1024 - before

free = activation_patterns(model, samples, token_budget=4096)


def confine(megabytes):
    most = psutil.Process().memory_info().vms + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


steps = []
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    confine(40)
    tight = activation_patterns(model, samples, token_budget=4096, progress=lambda *at: steps.append(at))
found["told"], found["steps"] = [str(one.message) for one in told], steps
for name in ("values", "losses"):
    wanted = getattr(free, name)
    found[name] = float(np.abs(getattr(tight, name) - wanted).max() / np.abs(wanted).max())
confine(1)
try:
    extraction.unrecorded(model, samples[:2], token_budget=4096)
except InputError as error:
    found["refused"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def confined():
    """The results of a process that measures its memory, and then runs with less and less of it.

    Large blocks go back to the system when they are free, so that the limit applies to the memory in use.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("RLIMIT_AS and the peak of a process that can start over are those of Linux")
    paths = f"{Path(scripts.__file__).parent}:{scripts.FOLDER}"
    settings = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", CONFINED]
    answer = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings})
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.slow
def test_the_cost_of_a_token_covers_what_a_pass_takes(confined):
    """The estimate from one sample is compared with the growth of the process in a batch of eight such samples."""
    assert 0.9 < confined["estimate"] / confined["peak"] < 4


@pytest.mark.slow
def test_where_memory_runs_out_batches_become_smaller(confined):
    assert "memory ran out in a batch of 3440 tokens: continuing with at most 1720" in confined["told"]
    assert len(confined["steps"]) > 1
    assert confined["steps"][-1] == [16, 16]
    assert confined["values"] < 1e-5
    assert confined["losses"] < 1e-5


@pytest.mark.slow
def test_a_sample_that_does_not_fit_alone_is_named(confined):
    wanted = (
        r"memory ran out for a batch of one sample, 's1', which has 201 tokens: lower the maximum length, use a smaller"
    )
    assert re.match(wanted, confined["refused"])


def test_other_errors_of_a_pass_are_no_lack_of_memory(llama):
    def broken(batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        memory.attempt(llama, make_samples(), broken)
    assert memory.ran_out(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert memory.ran_out(MemoryError())


def test_what_is_kept_stays_kept(llama):
    """If memory runs out in the third batch, the results of the first two are kept."""
    samples = make_samples() * 4
    kept, calls = [], []

    def run(batch):
        calls.append(len(batch))
        if len(calls) == 3 and len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return len(batch)

    plan = list(batching.batches(inputs.lengths(samples), 30))
    with pytest.warns(UserWarning, match="memory ran out in a batch of"):
        memory.each_batch(llama, samples, plan, run, lambda indices, found: kept.append(indices))
    assert kept[:2] == plan[:2]
    assert sorted(index for batch in kept for index in batch) == list(range(len(samples)))
    assert sum(calls) == len(samples) + calls[2]


@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_control_groups(tmp_path, version):
    limit, used = (memory.V1, ("memory.max", "memory.current"))[version - 1]
    root = tmp_path / "memory" if version == 1 else tmp_path
    for path, most, now, files in (("job", 1000, 700, 200), ("job/step", 600, 550, 30)):
        folder = root / path
        folder.mkdir(parents=True)
        (folder / limit).write_text(f"{most}\n")
        (folder / used).write_text(f"{now}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {files}\n")
    if version == 2:
        (tmp_path / "memory.max").write_text("max\n")
    own = tmp_path / "cgroup"
    own.write_text("5:cpu:/job\n4:memory:/job/step\n" if version == 1 else "0::/job/step\n")
    assert sorted(memory._cgroup_bytes(own, tmp_path)) == [80, 500]
    assert list(memory._cgroup_bytes(tmp_path / "none", tmp_path)) == []


def test_limits_of_slurm(monkeypatch):
    assert memory._slurm_bytes({}) is None
    assert memory._slurm_bytes({"SLURM_MEM_PER_NODE": "64"}) == 64 * 2**20
    assert memory._slurm_bytes({"SLURM_MEM_PER_NODE": "0"}) is None  # all memory of the machine
    assert memory._slurm_bytes({"SLURM_MEM_PER_CPU": "10", "SLURM_CPUS_ON_NODE": "3"}) == 30 * 2**20
    own = psutil.Process().memory_info().rss
    monkeypatch.setenv("SLURM_MEM_PER_NODE", str(own // 2**20 + 100))
    assert memory.free(torch.device("cpu")) <= 101 * 2**20
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.free(torch.device("cpu")) == 0
