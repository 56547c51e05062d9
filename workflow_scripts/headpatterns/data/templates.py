"""Prompt templates: a text with `{instruction}` for the instruction and `{response}` for the response.

A template without `{response}` has it at its end, after the white space there or, without any, after one blank. Blanks
before the response belong to it, because tokenizers join them to its first word; line breaks belong to the prompt.
"""

from headpatterns.data import seam
from headpatterns.data.records import nearest
from headpatterns.errors import InputError

CHAT = "chat"
"""The name for the chat template of each model's tokenizer."""

FIELD = "{instruction}"
RESPONSE = "{response}"

TEMPLATES = {
    "question": f"Question: {FIELD}\nAnswer: {RESPONSE}",
    # The exact wording of Stanford Alpaca for instructions without an input, with nothing after the colon.
    "alpaca": (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        f"### Instruction:\n{FIELD}\n\n### Response:{RESPONSE}"
    ),
}


def resolve(template: str) -> str:
    """The template text, which ends in `{response}`: the text of a name in TEMPLATES, or `template` itself.

    `CHAT` is returned unchanged, because its text depends on the tokenizer.

    Raises:
        InputError: neither a known name nor a text with exactly one `{instruction}`, or text after `{response}`.
    """
    if template == CHAT:
        return CHAT
    if template in TEMPLATES:
        return TEMPLATES[template]
    times, names = template.count(FIELD), [*TEMPLATES, CHAT]
    if times == 0:
        raise InputError(
            f"The template {template!r} is not a known name ({nearest(template, names)}) and does not contain "
            f"{FIELD}: write {FIELD} where the instruction should be."
        )
    if times > 1:
        raise InputError(f"The template {template!r} contains {FIELD} {times} times: write it exactly once.")
    if RESPONSE not in template:
        return f"{template}{'' if template[-1].isspace() else ' '}{RESPONSE}"
    if template.partition(RESPONSE)[2]:
        raise InputError(
            f"The template {template!r} has text after {RESPONSE}: write {RESPONSE} at the end, or leave it out."
        )
    return template


def apply(template: str, instruction: str, response: str) -> tuple[str, str]:
    """Prompt and response from a template of `resolve`; joined, they are the text that the model reads.

    Braces in the instruction stay as they are.
    """
    before, after = template.removesuffix(RESPONSE).split(FIELD)
    return seam.parted(f"{before}{instruction}{after}", response)
