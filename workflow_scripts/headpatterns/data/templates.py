"""Prompt templates: the text around an instruction, `{instruction}` standing for it."""

from headpatterns.data.records import nearest
from headpatterns.errors import InputError

FIELD = "{instruction}"

TEMPLATES = {
    "question": f"Question: {FIELD}\nAnswer: ",
    # The wording of Stanford Alpaca for instructions without an input, to the letter; the response follows the colon.
    "alpaca": (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        f"### Instruction:\n{FIELD}\n\n### Response:"
    ),
}


def resolve(template: str) -> str:
    """The template text: that of a name in TEMPLATES, or `template` itself where it holds `{instruction}` once.

    Raises:
        InputError: neither a known name nor a text with exactly one `{instruction}`.
    """
    if template in TEMPLATES:
        return TEMPLATES[template]
    times = template.count(FIELD)
    if times == 0:
        raise InputError(
            f"The template {template!r} is no known name ({nearest(template, TEMPLATES)}) and does not contain "
            f"{FIELD}: write {FIELD} where the instruction belongs."
        )
    if times > 1:
        raise InputError(f"The template {template!r} contains {FIELD} {times} times: write it exactly once.")
    return template


def apply(template: str, instruction: str) -> str:
    """The prompt that the model reads. Braces in the instruction stay as they are: nothing is formatted."""
    before, after = template.split(FIELD)
    return f"{before}{instruction}{after}"
