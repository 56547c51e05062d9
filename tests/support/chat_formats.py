"""Chat formats of published models, as templates of our own, and tokenizers with their special tokens.

A template here prints the same text as the published one; we wrote it from the documented format. `generation` tags
mark what the assistant writes, in the form that transformers reads.
"""

from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SYSTEM = "Be brief."
QUESTION, ANSWER, AGAIN, LAST = "What is two plus two?", "It is four.", "And three more?", "Seven."
CONVERSATION = (
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": ANSWER},
    {"role": "user", "content": AGAIN},
    {"role": "assistant", "content": LAST},
)
SENTENCES = [" ".join(message["content"] for message in CONVERSATION), "assistant user system model USER ASSISTANT"] * 4


class Format(NamedTuple):
    """A chat format.

    Attributes:
        template: the template in Jinja, with ⟦ and ⟧ where `{% generation %}` begins and ends.
        tokens: special tokens other than BOS and EOS.
        bos: BOS, empty if the format has none. The tokenizer does not put a BOS that is also in `tokens` before texts.
        eos: EOS.
        expected: the printed conversation; ⟨ and ⟩ enclose the text that has a loss.
        has_system: whether it prints a system turn.
    """

    template: str
    tokens: tuple[str, ...]
    bos: str
    eos: str
    expected: str
    has_system: bool = True

    @property
    def conversation(self) -> tuple[dict[str, str], ...]:
        """The conversation, without the system turn if the format has none."""
        return CONVERSATION if self.has_system else CONVERSATION[1:]

    def written(self, generation: bool = False) -> str:
        """The template, with or without the tags that mark generated text."""
        begin, end = ("{% generation %}", "{% endgeneration %}") if generation else ("", "")
        # Jinja removes the newline after a tag.
        lines = self.template.replace("⟧\n", "⟧{{ '\\n' }}")
        return lines.replace("⟦", begin).replace("⟧", end)


def chatml(own_system: str = "") -> str:
    """The ChatML template. It prints `own_system` as the system turn if the conversation has none."""
    own = f"{{% if messages[0].role != 'system' %}}<|im_start|>system\n{own_system}<|im_end|>\n{{% endif %}}"
    return (
        (own if own_system else "")
        + "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n⟦{{ m.content }}<|im_end|>⟧\n"
        "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


CHATML = (
    f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    f"⟨{ANSWER}<|im_end|>⟩\n<|im_start|>user\n{AGAIN}<|im_end|>\n<|im_start|>assistant\n⟨{LAST}<|im_end|>⟩\n"
)
IM = ("<|im_start|>", "<|im_end|>")

REFUSING = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"

QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% set thought = m.content.split('</think>')[0].split('<think>')[-1].strip() if '</think>' in m.content else '' %}"
    "{% set said = m.content.split('</think>')[-1].lstrip('\\n') %}"
    "{% if loop.index0 > ns.last %}<think>\n{{ thought }}\n</think>\n\n{% endif %}{{ said }}<|im_end|>\n"
    "{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

FORMATS = {
    "qwen2.5": Format(chatml("You are Qwen."), IM, "", "<|im_end|>", CHATML),
    "smollm2": Format(chatml("You are SmolLM."), IM, "<|im_start|>", "<|im_end|>", CHATML),
    "llama-2": Format(
        "{% if messages[0].role == 'system' %}{% set sys = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}"
        "{% set rest = messages[1:] %}{% else %}{% set sys = '' %}{% set rest = messages %}{% endif %}"
        "{% for m in rest %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ sys if loop.first else '' }}"
        "{{ m.content.strip() }} [/INST]{% else %}⟦ {{ m.content.strip() }} {{ eos_token }}⟧{% endif %}{% endfor %}",
        (),
        "<s>",
        "</s>",
        f"<s>[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n{QUESTION} [/INST]⟨ {ANSWER} </s>⟩"
        f"<s>[INST] {AGAIN} [/INST]⟨ {LAST} </s>⟩",
    ),
    "llama-3": Format(
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{% if m.role == 'system' %}Today Date: {{ strftime_now('%d %b %Y') }}\n\n{% endif %}"
        "{% if m.role == 'assistant' %}⟦{{ m.content | trim }}<|eot_id|>⟧{% else %}{{ m.content | trim }}<|eot_id|>"
        "{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n"
        f"{SYSTEM}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{QUESTION}<|eot_id|>"
        f"<|start_header_id|>assistant<|end_header_id|>\n\n⟨{ANSWER}<|eot_id|>⟩<|start_header_id|>user<|end_header_id|>"
        f"\n\n{AGAIN}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n⟨{LAST}<|eot_id|>⟩",
    ),
    "mistral-v3": Format(  # the system turn is part of the last question
        "{{ bos_token }}{% set sys = messages[0].content + '\\n\\n' if messages[0].role == 'system' else '' %}"
        "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{% set ns = namespace(seen=0) %}"
        "{% for m in messages %}{% if m.role == 'user' %}{% set ns.seen = ns.seen + 1 %}"
        "[INST] {{ sys if ns.seen == users | length else '' }}{{ m.content }}[/INST]"
        "{% elif m.role == 'assistant' %}⟦ {{ m.content }}{{ eos_token }}⟧{% endif %}{% endfor %}",
        ("[INST]", "[/INST]"),
        "<s>",
        "</s>",
        f"<s>[INST] {QUESTION}[/INST]⟨ {ANSWER}</s>⟩[INST] {SYSTEM}\n\n{AGAIN}[/INST]⟨ {LAST}</s>⟩",
    ),
    "mistral-v7": Format(
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}"
        "[/SYSTEM_PROMPT]{% elif m.role == 'user' %}[INST]{{ m.content }}[/INST]{% else %}"
        "⟦{{ m.content }}{{ eos_token }}⟧{% endif %}{% endfor %}",
        ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]"),
        "<s>",
        "</s>",
        f"<s>[SYSTEM_PROMPT]{SYSTEM}[/SYSTEM_PROMPT][INST]{QUESTION}[/INST]⟨{ANSWER}</s>⟩[INST]{AGAIN}[/INST]"
        f"⟨{LAST}</s>⟩",
    ),
    "gemma": Format(
        "{{ bos_token }}" + REFUSING + "{% for m in messages %}{% if m.role == 'assistant' %}<start_of_turn>model\n"
        "⟦{{ m.content | trim }}<end_of_turn>⟧\n{% else %}<start_of_turn>{{ m.role }}\n"
        "{{ m.content | trim }}<end_of_turn>\n"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ("<start_of_turn>", "<end_of_turn>"),
        "<bos>",
        "<eos>",
        f"<bos><start_of_turn>user\n{QUESTION}<end_of_turn>\n<start_of_turn>model\n⟨{ANSWER}<end_of_turn>⟩\n"
        f"<start_of_turn>user\n{AGAIN}<end_of_turn>\n<start_of_turn>model\n⟨{LAST}<end_of_turn>⟩\n",
        has_system=False,
    ),
    "phi-3": Format(  # EOS follows the whole conversation
        "{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' %}⟦{{ m.content }}<|end|>⟧\n{% else %}"
        "{{ m.content }}<|end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}",
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "",
        "<|endoftext|>",
        f"<|system|>\n{SYSTEM}<|end|>\n<|user|>\n{QUESTION}<|end|>\n<|assistant|>\n⟨{ANSWER}<|end|>⟩\n"
        f"<|user|>\n{AGAIN}<|end|>\n<|assistant|>\n⟨{LAST}<|end|>⟩\n<|endoftext|>",
    ),
    "zephyr": Format(  # the role markers are plain text, not special tokens
        "{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' %}⟦{{ m.content }}{{ eos_token }}⟧\n"
        "{% else %}{{ m.content }}{{ eos_token }}\n{% endif %}"
        "{% if loop.last and add_generation_prompt %}<|assistant|>\n{% endif %}{% endfor %}",
        (),
        "",
        "</s>",
        f"<|system|>\n{SYSTEM}</s>\n<|user|>\n{QUESTION}</s>\n<|assistant|>\n⟨{ANSWER}</s>⟩\n"
        f"<|user|>\n{AGAIN}</s>\n<|assistant|>\n⟨{LAST}</s>⟩\n",
    ),
    "vicuna": Format(
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}"
        " USER: {{ m.content }} ASSISTANT:{% else %}⟦ {{ m.content }}{{ eos_token }}⟧{% endif %}{% endfor %}",
        (),
        "<s>",
        "</s>",
        f"<s>{SYSTEM} USER: {QUESTION} ASSISTANT:⟨ {ANSWER}</s>⟩ USER: {AGAIN} ASSISTANT:⟨ {LAST}</s>⟩",
    ),
    "deepseek": Format(
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}"
        "<｜User｜>{{ m.content }}{% else %}<｜Assistant｜>⟦{{ m.content.split('</think>')[-1] }}{{ eos_token }}⟧"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{% endif %}",
        ("<｜User｜>", "<｜Assistant｜>"),
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        f"<｜begin▁of▁sentence｜>{SYSTEM}<｜User｜>{QUESTION}<｜Assistant｜>⟨{ANSWER}<｜end▁of▁sentence｜>⟩"
        f"<｜User｜>{AGAIN}<｜Assistant｜>⟨{LAST}<｜end▁of▁sentence｜>⟩",
    ),
    "olmo-2": Format(  # a newline follows EOS, except in the last turn
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>\n"
        "⟦{{ m.content }}{{ eos_token }}⟧{{ '' if loop.last else '\\n' }}{% else %}<|{{ m.role }}|>\n{{ m.content }}\n"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        (),
        "<|endoftext|>",
        "<|endoftext|>",
        f"<|endoftext|><|system|>\n{SYSTEM}\n<|user|>\n{QUESTION}\n<|assistant|>\n⟨{ANSWER}<|endoftext|>⟩\n"
        f"<|user|>\n{AGAIN}\n<|assistant|>\n⟨{LAST}<|endoftext|>⟩",
    ),
    "command-r": Format(
        "{{ bos_token }}{% for m in messages %}<|START_OF_TURN_TOKEN|>{% if m.role == 'assistant' %}<|CHATBOT_TOKEN|>"
        "⟦{{ m.content }}<|END_OF_TURN_TOKEN|>⟧{% else %}<|{{ m.role | upper }}_TOKEN|>{{ m.content }}"
        "<|END_OF_TURN_TOKEN|>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}",
        (
            *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
            *("<|CHATBOT_TOKEN|>", "<|USER_TOKEN|>", "<|SYSTEM_TOKEN|>"),
        ),
        "<BOS_TOKEN>",
        "<EOS_TOKEN>",
        f"<BOS_TOKEN><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{SYSTEM}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|>"
        f"<|USER_TOKEN|>{QUESTION}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>⟨{ANSWER}"
        f"<|END_OF_TURN_TOKEN|>⟩<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{AGAIN}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|>"
        f"<|CHATBOT_TOKEN|>⟨{LAST}<|END_OF_TURN_TOKEN|>⟩",
    ),
}


def tokenizer(one: Format, generation: bool = False) -> Any:
    """A byte-level tokenizer with a format's special tokens. It puts BOS before texts, unless BOS is in `tokens`."""
    names = dict.fromkeys([*filter(None, (one.bos, one.eos)), *one.tokens])
    special = [AddedToken(name, special=True, normalized=False) for name in names]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    )
    made.add_special_tokens(special)
    # The tokenizer of SmolLM2 does not put its BOS, <|im_start|>, before texts.
    if one.bos and one.bos not in one.tokens:
        made.post_processor = processors.TemplateProcessing(
            single=f"{one.bos} $A", special_tokens=[(one.bos, made.token_to_id(one.bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=one.bos or None,
        eos_token=one.eos,
        additional_special_tokens=list(one.tokens),
        chat_template=one.written(generation),
    )
