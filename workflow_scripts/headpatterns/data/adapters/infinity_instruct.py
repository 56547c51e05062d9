"""Infinity-Instruct: conversations with the abilities that they need; raw and hub rows have the same form."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from headpatterns.data.adapters import turns
from headpatterns.data.adapters.adapter import Adapter, Option
from headpatterns.data.records import Instruction, Row, RowError, Skipped, as_text, label, value
from headpatterns.data.texts import as_written, missing


def convert(row: Row, options: Mapping[str, Any]) -> Instruction | Skipped:
    """The first exchange of a conversation in the chosen language whose tags match the chosen ones.

    Options: `language` (as in `langdetect`, default en; "" for all); `tag_field`, the field of labels to use,
    cate_ability_en (categories, default) or ability_en (single abilities); `tags`, the requested tags (default: any
    row matches), and `match`: `exactly` these (default), `all` of these and perhaps others, or `any` of these. The
    comparison ignores case and white space. `turns`: see `turns.TURNS`.
    """
    if options["language"]:
        language = as_written(value(row, "langdetect"), "langdetect").strip() or "unknown"
        if language != options["language"]:
            return Skipped(f"its language is {language}")
    labels = value(row, "label") if options["tags"] else row.fields.get("label")
    found = (labels.get(options["tag_field"]) or []) if isinstance(labels, dict) else []
    if not isinstance(found, list):
        raise RowError(f"{options['tag_field']} is not a list")
    tags = [as_text(tag, "tag") for tag in found if not missing(tag)]
    if options["tags"] and not _fits(levelled(tags), levelled(options["tags"]), options["match"]):
        return Skipped("its tags are " + (" + ".join(sorted(levelled(tags))) or "none"))
    one = turns.instruction(row, _marked(value(row, "conversations")), options["turns"])
    name = label(row, "id")
    return replace(one, id=f"infinity-{name}" if name else "", tags=tuple(tags))


def _marked(conversation: Any) -> Any:
    """A conversation with its system turn marked as such: in 383 697 rows the release marks it as an answer (`gpt`).

    A first turn that is marked as an answer, with a question and its answer after it, is a system turn.
    """
    if not isinstance(conversation, list) or not all(isinstance(turn, dict) for turn in conversation):
        return conversation
    if [turn.get("from") for turn in conversation[:3]] != ["gpt", "human", "gpt"]:
        return conversation
    return [{**conversation[0], "from": "system"}, *conversation[1:]]


def levelled(tags: Iterable[str]) -> frozenset[str]:
    """Tags in the form in which they are compared."""
    return frozenset(" ".join(tag.casefold().split()) for tag in tags)


def _fits(tags: frozenset[str], asked: frozenset[str], match: str) -> bool:
    if match == "any":
        return bool(tags & asked)
    return tags >= asked if match == "all" else tags == asked


ADAPTER = Adapter(
    convert,
    options={
        **turns.TURNS,
        "language": Option("en", str),
        "tags": Option(None, list),
        "tag_field": Option("cate_ability_en", str, ("cate_ability_en", "ability_en")),
        "match": Option("exactly", str, ("exactly", "all", "any")),
    },
)
