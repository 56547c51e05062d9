"""Chat templates: tokens and labels of the formats that models are published with."""

import re

import pytest
from chat_formats import ANSWER, CONVERSATION, FORMATS, LAST, QUESTION, QWEN3, Format, tokenizer
from refusals import refusal

from headpatterns.data import chat, showing
from headpatterns.data.tokens import IGNORED, tokenize

CHATML = FORMATS["qwen2.5"]


def sample(made, messages, max_length=1000):
    return tokenize(made, "one", "", "", max_length, messages=messages)


def marked(made, one):
    """A sample as text, with ⟨ and ⟩ around the tokens that have a loss."""
    found, inside = "", False
    for id, label in zip([*one.input_ids, None], [*one.labels, IGNORED], strict=True):
        if inside != (label != IGNORED):
            found, inside = found + ("⟩" if inside else "⟨"), not inside
        found += "" if id is None else made.decode([id], clean_up_tokenization_spaces=False)
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_labels_are_those_written_out_by_hand_and_those_of_generation_masks(name):
    one = FORMATS[name]
    made = tokenizer(one)
    read = sample(made, one.conversation)
    assert marked(made, read) == one.expected
    marking = tokenizer(one, generation=True)
    # In templates that print the date, transformers would print today's.
    theirs = marking.apply_chat_template(
        list(one.conversation),
        chat_template=chat._on_one_day(marking.chat_template),
        return_assistant_tokens_mask=True,
        return_dict=True,
    )
    assert read.input_ids == theirs["input_ids"]
    ours = [int(label != IGNORED) for label in read.labels]
    assert ours == theirs["assistant_masks"]
    assert read.response_tokens == sum(ours)
    again = sample(marking, one.conversation)
    assert (again.input_ids, again.labels) == (read.input_ids, read.labels)


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_is_asked_with_the_tokens_that_training_shows(name):
    one = FORMATS[name]
    made = tokenizer(one)
    read = sample(made, one.conversation)
    asked = chat.prompt_ids(made, "one", one.conversation[:-1])
    assert asked == read.input_ids[: read.response_start]
    assert made.decode(read.input_ids[read.response_start :]).strip().startswith(LAST)
    ends = re.findall("<[^>⟨⟩]*>(?=⟩)", one.expected)
    assert made.convert_ids_to_tokens(chat.closing(made)) == ends[-1]
    text = made.decode(read.input_ids[read.response_start : read.turns[-1][1] - read.closing])
    assert text.strip() == LAST


def test_bos_stands_once_whether_the_template_prints_it_or_the_tokenizer_puts_it():
    silent = Format(CHATML.template, (*CHATML.tokens, "<s>"), "<s>", "<|im_end|>", "")
    made = tokenizer(silent._replace(tokens=CHATML.tokens))
    assert marked(made, sample(made, CONVERSATION)) == "<s>" + CHATML.expected
    for name in ("llama-3", "gemma", "vicuna"):
        one = FORMATS[name]
        made = tokenizer(one)
        assert sample(made, one.conversation).input_ids.count(made.bos_token_id) == 1


def test_the_system_turn_of_a_template_has_no_loss():
    made = tokenizer(CHATML)
    read = marked(made, sample(made, CONVERSATION[1:3]))
    assert read == (
        "<|im_start|>system\nYou are Qwen.<|im_end|>\n"
        f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n⟨{ANSWER}<|im_end|>⟩\n"
    )


def test_thoughts_that_a_template_leaves_out_of_earlier_turns_have_no_loss():
    made = tokenizer(Format(QWEN3, (*CHATML.tokens,), "", "<|im_end|>", ""))
    thinking = [
        message if message["role"] != "assistant" else
        {**message, "content": f"<think>\nHm, {message['content']}\n</think>\n\n{message['content']}"}
        for message in CONVERSATION[1:]
    ]  # fmt: skip
    head = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n⟨{ANSWER}<|im_end|>⟩\n"
    head += "<|im_start|>user\nAnd three more?<|im_end|>\n<|im_start|>assistant\n"
    assert marked(made, sample(made, thinking)) == (
        f"{head}⟨<think>\nHm, {LAST}\n</think>\n\n{LAST}<|im_end|>⟩\n"
    )  # fmt: skip
    # Without a thought the model has to write an empty one.
    assert marked(made, sample(made, CONVERSATION[1:])) == f"{head}⟨<think>\n\n</think>\n\n{LAST}<|im_end|>⟩\n"


def test_equal_texts_in_a_conversation_are_not_taken_for_one_another():
    turns = [
        {"role": "user", "content": "Seven."},
        {"role": "assistant", "content": "Seven."},
        {"role": "user", "content": "assistant"},
        {"role": "assistant", "content": "  user\nSeven.\n"},
    ]
    made = tokenizer(CHATML)
    assert marked(made, sample(made, turns)).partition("Qwen.<|im_end|>\n")[2] == (
        "<|im_start|>user\nSeven.<|im_end|>\n<|im_start|>assistant\n⟨Seven.<|im_end|>⟩\n"
        "<|im_start|>user\nassistant<|im_end|>\n<|im_start|>assistant\n⟨  user\nSeven.\n<|im_end|>⟩\n"
    )
    trimming = tokenizer(FORMATS["llama-3"])
    assert marked(trimming, sample(trimming, turns)).endswith("\n\n⟨user\nSeven.<|eot_id|>⟩")


def test_a_cut_conversation_keeps_the_labels_of_what_is_left():
    made = tokenizer(CHATML)
    whole = sample(made, CONVERSATION)
    for length in (whole.turns[0][1], whole.turns[1][0] + 1, len(whole.input_ids)):
        cut = sample(made, CONVERSATION, length)
        assert (cut.input_ids, cut.labels) == (whole.input_ids[:length], whole.labels[:length])
        assert cut.truncated == (length < len(whole.input_ids))
        assert cut.response_tokens == sum(label != IGNORED for label in whole.labels[:length])
    assert sample(made, CONVERSATION, whole.turns[0][0]).response_tokens == 0


def test_a_sample_is_shown_with_every_turn():
    made = tokenizer(CHATML)
    shown = showing.shown(made, sample(made, CONVERSATION), colour=False)
    for said in (ANSWER, LAST):
        lossy = [f"⟨{made.decode([id])}⟩" for id in made.encode(f"{said}<|im_end|>", add_special_tokens=False)]
        assert "".join(lossy) in shown


def with_template(template, tokens=CHATML.tokens, eos="<|im_end|>"):
    return tokenizer(Format(template, tokens, "", eos, ""))


NO_PROMPT = CHATML.template.partition("{% if add_generation_prompt")[0]


@pytest.mark.parametrize(
    ("template", "messages", "wanted"),
    [
        ("", CONVERSATION, ("has no chat template", "models.NAME.chat_template")),
        ("{% for m in messages %}", CONVERSATION, ("is not valid", "line 1")),
        ("{{ messages[0].nothing.more }}", CONVERSATION, ("fails on sample 'one'", "models.NAME.chat_template")),
        (FORMATS["gemma"].written(), CONVERSATION, ("refuses the system turn of sample 'one'", "System role not")),
        ("{% for m in messages if m.role != 'system' %}{{ m.content }}<|im_end|>{% endfor %}", CONVERSATION,
         ("turn 1", "leaves it out", "system")),
        (NO_PROMPT.replace("⟦", "").replace("⟧", ""), CONVERSATION, ("add_generation_prompt", "assistant\\n")),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
         "{% if add_generation_prompt %}assistant: {% endif %}", CONVERSATION, ("not a single token", "EOS")),
        (CHATML.written() + "{% if add_generation_prompt %}<think>\n{% endif %}", CONVERSATION,
         ("turn 5", "when it asks a model for an answer", "<think>")),
        (CHATML.written() + "{{ messages[2].content }}", CONVERSATION, ("turn 3", "exactly once")),
        (CHATML.written().replace("m.content", "m.content.split('</think>')[-1]"),
         [*CONVERSATION[:4], {"role": "assistant", "content": "<think>Hm.</think>"}], ("turn 5", "does not print it")),
    ],
)  # fmt: skip
def test_templates_that_cannot_be_told_are_refused(template, messages, wanted):
    with refusal("TokenizersBackend", wanted):
        sample(with_template(template), messages)
