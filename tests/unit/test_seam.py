"""The seam between prompt and response, with tokenizers of all kinds."""

import pytest
from tokenizers.normalizers import NFC
from tokenizers.processors import ByteLevel
from tokenizers_of_all_kinds import BOS, BYTES, EOS, KINDS, Slow, fast

from headpatterns.attribution import inputs
from headpatterns.data import samples, seam, templates
from headpatterns.data.tokens import IGNORED, tokenize
from headpatterns.errors import InputError
from headpatterns.evaluation.harness import PromptEncoder
from headpatterns.models import loading as models

PAIRS = [
    ("Question: What is the capital of France?\nAnswer:", " Paris is the capital."),
    ("Question: What is it?\nAnswer:\n", "There it is."),
    ("def answer(question):\n", "    return question"),
    ("Where is it?", "\n\nThere."),
    ("Answer:", "  two answers"),
    ("", "There it is."),
]
ANY = [
    ("Question: 法国的首都？\nAnswer:", " 巴黎 😀"),
    ("Say 😀", "😀!"),
    ("巴黎\n", "巴"),
    ("naïve\tcafé:", " é"),
]
CASES = [(name, *pair) for name in KINDS for pair in [*PAIRS, *(ANY if name in BYTES else [])]]


def plain(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.fixture(scope="module")
def made():
    """Each tokenizer, trained once."""
    found = {}

    def make(name):
        if name not in found:
            found[name] = fast(name)
        return found[name]

    return make


@pytest.mark.parametrize(("name", "prompt", "response"), CASES)
def test_tokens_give_the_text_back_between_one_bos_and_one_eos(made, name, prompt, response):
    tokenizer = made(name)
    sample = tokenize(tokenizer, "a", prompt, response, 1000)
    ids = sample.input_ids
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert ids.count(tokenizer.bos_token_id) == ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(ids[1:-1]) == prompt + response
    assert ids[1:-1] == tokenizer(prompt + response, add_special_tokens=False)["input_ids"]
    start = sample.response_start
    assert sample.labels == [IGNORED] * start + ids[start:]
    if not sample.straddling:
        assert tokenizer.decode(ids[1:start]) == prompt
        assert seam.prompt_ids(tokenizer, prompt) == ids[:start]


@pytest.mark.parametrize(("prompt", "response"), [*PAIRS, *ANY, ("There i", "s"), ("There is", "\n  it")])
def test_offsets_without_blanks_give_the_same(made, prompt, response):
    trimmed, whole = (tokenize(made(name), "a", prompt, response, 1000) for name in ("trimmed", "gpt2"))
    assert trimmed == whole


@pytest.mark.parametrize("name", KINDS)
def test_a_text_that_brings_its_own_bos_and_eos_gets_no_second_one(made, name):
    tokenizer = made(name)
    sample = tokenize(tokenizer, "a", f"{BOS}Answer:", f" There.{EOS}", 1000)
    ids = sample.input_ids
    assert ids.count(tokenizer.bos_token_id) == ids.count(tokenizer.eos_token_id) == 1
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.decode(ids[1:-1]).strip() == "Answer: There."
    assert tokenizer.decode(ids[1 : sample.response_start]).strip() == "Answer:"


@pytest.mark.parametrize("name", KINDS)
def test_an_eos_that_ends_the_prompt_stays_there(made, name):
    """Conversations have such an EOS between their turns."""
    tokenizer = made(name)
    sample = tokenize(tokenizer, "a", f"Question?{EOS}", "There.", 1000)
    assert sample.input_ids[sample.response_start - 1] == tokenizer.eos_token_id
    assert tokenizer.decode(sample.input_ids[sample.response_start : -1]).strip() == "There."
    assert sample.input_ids[-1] == tokenizer.eos_token_id != sample.input_ids[-2]


@pytest.mark.parametrize("name", KINDS)
def test_blanks_at_the_end_of_a_prompt_belong_to_the_response(made, name):
    tokenizer = made(name)
    apart = tokenize(tokenizer, "a", "Answer: ", "There.", 1000)
    joined = tokenize(tokenizer, "a", "Answer:", " There.", 1000)
    assert apart == joined
    assert tokenizer.decode(apart.input_ids[1 : apart.response_start]) == "Answer:"
    assert seam.prompt_ids(tokenizer, "Answer: ") == apart.input_ids[: apart.response_start]


@pytest.mark.parametrize("name", KINDS)
def test_a_straddling_token_belongs_to_the_response(made, name):
    """Each tokenizer has one token for a blank and `is`. The prompt contains its blank and its `i`."""
    tokenizer = made(name)
    clean, straddling = (tokenize(tokenizer, "a", *pair, 1000) for pair in (("There", " is it"), ("There i", "s it")))
    assert (clean.straddling, straddling.straddling) == (False, True)
    assert straddling.input_ids == clean.input_ids
    assert (straddling.response_start, straddling.labels) == (clean.response_start, clean.labels)
    assert tokenizer.decode(straddling.input_ids[straddling.response_start]).strip() == "is"


def test_a_prompt_that_is_cut_otherwise_where_more_follows(made):
    """GPT-2's rule makes two line breaks one token at the end of a text, and two tokens before a word."""
    tokenizer = made("gpt2")
    alone, followed = plain(tokenizer, "There.\n\n"), plain(tokenizer, "There.\n\nThere")
    assert len(alone) == 3 and len(followed) == 5
    sample = tokenize(tokenizer, "a", "There.\n\n", "There", 1000)
    assert sample.input_ids[1:-1] == followed
    assert (sample.response_start, sample.straddling) == (5, False)


def test_offsets_of_normalised_text(made):
    """The accent of the response joins the prompt's last letter."""
    tokenizer = fast("gpt2")
    tokenizer.backend_tokenizer.normalizer = NFC()
    sample = tokenize(tokenizer, "a", "There is one", "\u0301 more", 1000)
    assert tokenizer.decode(sample.input_ids[1:-1]) == "There is on\u00e9 more"
    assert sample.straddling
    assert tokenizer.decode(sample.input_ids[1 : sample.response_start]) == "There is on"


def test_a_tokenizer_without_special_tokens_of_its_own(made):
    tokenizer = fast("gpt2")
    tokenizer.backend_tokenizer.post_processor = ByteLevel()
    sample = tokenize(tokenizer, "a", "Answer:", " There", 1000)
    assert sample.input_ids == [*plain(tokenizer, "Answer: There"), tokenizer.eos_token_id]
    assert tokenize(tokenizer, "a", f"{BOS}Answer:", " There", 1000).input_ids == [
        tokenizer.bos_token_id,
        *sample.input_ids,
    ]


def test_a_tokenizer_that_changes_the_text_beside_its_special_tokens_is_refused(monkeypatch):
    tokenizer = Slow()
    monkeypatch.setattr(tokenizer, "build_inputs_with_special_tokens", lambda ids, *_: [1])
    with pytest.raises(InputError, match="splits a text into different tokens when it adds special tokens"):
        tokenize(tokenizer, "a", "Answer:", " There", 1000)


# Tokenizers without offsets -------------------------------------------------------------------------------------------


def test_a_slow_tokenizer_is_decoded():
    tokenizer = Slow((b" T", b"is"))
    assert not tokenizer.is_fast
    clean, straddling = (tokenize(tokenizer, "a", *pair, 1000) for pair in (("It", " is"), ("It i", "s")))
    assert clean.input_ids == straddling.input_ids == [*b"It ", 257, tokenizer.eos_token_id]
    assert (clean.response_start, clean.straddling) == (2, False)
    assert (straddling.response_start, straddling.straddling) == (3, True)


def test_a_slow_tokenizer_with_tokens_of_parts_of_characters():
    """The last byte of the prompt and the first byte of the response, parts of characters, form one token or two."""
    prompt, response = "It: \u5df4", "\u9ece!"
    last, first = prompt.encode()[-1:], response.encode()[:1]
    apart, joined = (tokenize(Slow(pairs), "a", prompt, response, 1000) for pairs in ((), (last + first,)))
    assert (apart.response_start, apart.straddling) == (7, False)
    assert (joined.response_start, joined.straddling) == (6, True)
    assert joined.input_ids[6] == 256


def test_a_tokenizer_of_which_neither_offsets_nor_decoding_tells_is_refused():
    tokenizer = Slow((b"is",), lossy=True, name_or_path="models/lossy")
    assert tokenize(tokenizer, "a", "It", " is", 1000).response_start == 2  # the prompt's tokens show it
    with pytest.raises(InputError, match=r"models/lossy does not show where the response of sample 'row-7' begins"):
        tokenize(tokenizer, "row-7", "It i", "s there", 1000)


# The same tokens everywhere -------------------------------------------------------------------------------------------


def same_everywhere(tokenizer, row):
    """The sample that training and extraction read; without straddling, the prompt of evaluation is its beginning."""
    trained = tokenize(tokenizer, **row, max_length=1000)
    (probed,), _ = samples.tokenized(tokenizer, [row], 1000, "rows", skip=False)
    assert inputs.samples([row], tokenizer) == [probed] == [trained]
    batch = PromptEncoder(tokenizer, None)([row["prompt"]])
    alike = batch["input_ids"].tolist() == [trained.input_ids[: trained.response_start]]
    assert alike is not trained.straddling
    return trained


TEMPLATES = ["question", "alpaca", "{instruction}\n", "{instruction} \t", "{instruction}:{response}"]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", KINDS)
def test_training_extraction_and_evaluation_read_the_same_tokens(made, name, template):
    prompt, response = templates.apply(templates.resolve(template), "Where is it?", "There.")
    same_everywhere(made(name), {"id": "a", "prompt": prompt, "response": response})


@pytest.mark.real
def test_the_tokenizer_of_a_real_model(real):
    tokenizer = models.load_tokenizer(real / "realmodels" / "stories260K")
    prompt, response = templates.apply(templates.resolve("question"), "法国 😀?", "Paris, I think.")
    sample = same_everywhere(tokenizer, {"id": "a", "prompt": prompt, "response": response})
    assert not sample.straddling
    assert tokenizer.decode(sample.input_ids[1:-1]) == "Question: 法国 😀?\nAnswer: Paris, I think."
    assert tokenizer.convert_ids_to_tokens(sample.input_ids[sample.response_start])[0] == "▁"
    assert sample.input_ids.count(tokenizer.bos_token_id) == sample.input_ids.count(tokenizer.eos_token_id) == 1
    inside = tokenize(tokenizer, "a", f"{prompt} Onc", "e there was", 1000)
    assert inside.straddling
