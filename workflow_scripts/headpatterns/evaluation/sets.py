"""Evaluation sets: the items of an instructions file, their examples, and the scoring of their answers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headpatterns.data import conversations, training_sets
from headpatterns.data.adapters.choices import FORMS, LETTERS, written
from headpatterns.data.conversations import Message
from headpatterns.data.records import nearest
from headpatterns.data.texts import RowError, as_written, required
from headpatterns.errors import InputError
from headpatterns.evaluation import answers
from headpatterns.io import read_parquet

COLUMNS = ("id", "prompt", "response", "choices", "answer")
GENERATE, LIKELIHOOD = SCORINGS = ("generate", "likelihood")

Rows = list[dict[str, Any]]

Asking = str | tuple[Message, ...]
"""The context of an answer: a text, or the earlier turns of a conversation."""


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        id: id of the item.
        prompt: the exact prompt.
        gold: the gold answer as its dataset gives it; empty if it has none.
        choices: the texts of the options, () for an open question.
        response: the gold response, the whole text that training teaches, including the blanks before it.
        options: the response for each option if it were the correct one, in order; () for an open question, and if the
            responses of a set are not options in one of the forms of preparation.
        turns: in a conversation, all turns before the gold response; () if the prompt is a text.
    """

    id: str
    prompt: str
    gold: str
    choices: tuple[str, ...]
    response: str = ""
    options: tuple[str, ...] = ()
    turns: tuple[Message, ...] = ()

    @property
    def asked(self) -> Asking:
        """The question to a model: a text, or a conversation."""
        return self.turns or self.prompt

    @property
    def asked_as_text(self) -> str:
        """The question as text; a conversation is JSON."""
        return conversations.to_json(self.turns) or self.prompt


@dataclass(frozen=True)
class EvaluationSet:
    """The items of a set, all of them scored in the same way.

    Attributes:
        items: in order.
        examples: solved examples before every prompt: texts of prompt and response, or conversations.
        by_likelihood: whether items with options are answered by the likelihood of the options.
        lenient: whether all items may lack gold answers, and responses that are too long are cut at the end.
    """

    items: list[Item]
    examples: tuple[Asking, ...] = ()
    by_likelihood: bool = False
    lenient: bool = False

    @property
    def chat(self) -> bool:
        """Whether its items are conversations, which the tokenizer's chat template prints."""
        return bool(self.items[0].turns)

    @property
    def has_answers(self) -> bool:
        """Whether the items have gold answers: either all items of a set have one, or none."""
        return bool(self.items[0].gold)

    def is_generated(self, item: Item) -> bool:
        """Whether an answer to the item is generated, rather than chosen or left out."""
        return self.has_answers and not (self.by_likelihood and item.choices)


@dataclass(frozen=True)
class Asked:
    """Evaluation sets in the options of a command line.

    Attributes:
        given: NAME PARQUET and perhaps IDS_CSV of each.
        scoring: how items with options are scored, one of `SCORINGS`.
        scored: the same for single sets, by name; sets with `likelihood` must have options.
        shots: number of solved examples before each prompt.
        examples: the instructions files whose first rows are the examples, by the name of the set.
        lenient: names of sets that need no gold answers.
    """

    given: Sequence[Sequence[str]]
    scoring: str = GENERATE
    scored: Mapping[str, str] = field(default_factory=dict)
    shots: int = 0
    examples: Mapping[str, Path] = field(default_factory=dict)
    lenient: Collection[str] = ()


def read_all(asked: Asked) -> dict[str, EvaluationSet]:
    """The requested sets, by name.

    Raises:
        InputError: a set or a scoring is unknown, a set cannot be scored in the given way, there are too few rows for
            the examples, or as `read_given`.
    """
    names = [name for name, *_ in asked.given]
    for named in (*asked.scored, *asked.examples, *asked.lenient):
        if named not in names:
            raise InputError(f"no set has the name '{named}' ({nearest(named, names)}): define it with --set.")
    for scoring in (asked.scoring, *asked.scored.values()):
        if scoring not in SCORINGS:
            raise InputError(f"unknown scoring '{scoring}': use {' or '.join(SCORINGS)}.")
    return dict(_set(asked, given) for given in asked.given)


def read_given(given: Sequence[str], lenient: bool = False) -> tuple[str, list[Item]]:
    """Name and items of a set from the words of an option: NAME PARQUET, and perhaps an IDS_CSV.

    A `lenient` set needs no gold answers.

    Raises:
        InputError: the number of words is wrong, or as `read`.
    """
    if len(given) not in (2, 3):
        raise InputError(f"--set {' '.join(given)}: give NAME PARQUET or NAME PARQUET IDS_CSV.")
    name, *files = given
    return name, read(Path(files[0]), Path(files[1]) if len(files) > 1 else None, lenient)


def _set(asked: Asked, given: Sequence[str]) -> tuple[str, EvaluationSet]:
    lenient = given[0] in asked.lenient
    name, items = read_given(given, lenient)
    parquet = given[1]
    by_likelihood = asked.scored.get(name, asked.scoring) == LIKELIHOOD
    if asked.scored.get(name) == LIKELIHOOD and not any(item.choices for item in items):
        raise InputError(
            f"the set '{name}' is scored by likelihood, but no item of {parquet} has options: score it by generate."
        )
    if by_likelihood and (formless := [item for item in items if item.choices and not item.options]):
        raise InputError(
            f"{parquet}: the response of the item '{formless[0].id}' is not the right option in a form that all "
            f"items have ({', '.join(FORMS)}), so '{name}' cannot be scored by likelihood: score it by generate."
        )
    examples = _examples(asked, name) if asked.shots else ()
    return name, EvaluationSet(items, examples, by_likelihood, lenient)


def _examples(asked: Asked, name: str) -> tuple[Asking, ...]:
    """The first rows of the training split, whose order is seeded and random."""
    if name not in asked.examples:
        raise InputError(f"the set '{name}' has no rows to take {asked.shots} examples from: name them (--examples).")
    parquet = asked.examples[name]
    rows = _rows(parquet)
    if len(rows) < asked.shots:
        raise InputError(
            f"the set '{name}' is asked with {asked.shots} examples before each prompt, but {parquet} has {len(rows)} "
            "rows: lower evaluation.shots."
        )
    return tuple(row.get("messages") or row["prompt"] + row["response"] for row in rows[: asked.shots])


def read(parquet: Path, ids: Path | None = None, lenient: bool = False) -> list[Item]:
    """The items of an instructions file in its order, or those whose ids a CSV `dataset,id` names.

    Args:
        parquet: the instructions file.
        ids: the CSV.
        lenient: whether a set without any gold answer is accepted.

    Raises:
        InputError: the file does not exist or has another format, lacks an id, or has no item, or an item has no
            prompt, no response or no comparable gold answer.
    """
    rows = _rows(parquet)
    if ids:
        wanted = {id for _, id in training_sets.read(ids)}
        if missing := sorted(wanted - {row["id"] for row in rows}):
            raise InputError(
                f"{ids} names the id '{missing[0]}' (and {len(missing) - 1} more), but {parquet} does not have "
                "it: make both from the same instructions."
            )
        rows = [row for row in rows if row["id"] in wanted]
    if not rows:
        raise InputError(f"{ids or parquet} has no item to evaluate: give the evaluation set at least one.")
    needs_answers = not lenient or any(row["answer"] for row in rows)
    for row in rows:
        _check(row, parquet, needs_answers)
    form = _form(rows) if needs_answers else None
    return [_item(row, form) for row in rows]


def _rows(parquet: Path) -> Rows:
    if not parquet.is_file():
        raise InputError(f"the instructions file {parquet} does not exist: make it with prepare_instructions.py.")
    table = read_parquet(parquet)
    if missing := [column for column in COLUMNS if column not in table.column_names]:
        raise InputError(f"{parquet} lacks the column '{missing[0]}': an instructions file has {', '.join(COLUMNS)}.")
    columns = [*COLUMNS, *({"messages"} & set(table.column_names))]
    return [_texts(row, f"{parquet}, row {place}") for place, row in enumerate(table.select(columns).to_pylist(), 1)]


def _texts(row: dict[str, Any], place: str) -> dict[str, Any]:
    turns = row.pop("messages", None)
    try:
        texts: dict[str, Any] = {name: as_written(value, name) for name, value in row.items() if name != "choices"}
        said = {"messages": conversations.of(turns)} if turns else {}
        return {**texts, **said, "choices": [required(choice, "choice") for choice in row["choices"] or ()]}
    except RowError as error:
        raise InputError(f"{place} cannot be evaluated ({error}): fix that row.") from error


def _check(row: dict[str, Any], parquet: Path, needs_answer: bool) -> None:
    for name in ("prompt", "response"):
        if not row[name].strip():
            raise InputError(f"{parquet}: the item '{row['id']}' has no {name}: fix that row.")
    gold, choices = row["answer"], row["choices"]
    if needs_answer and answers.canonical(gold, choices) is None:
        what = f"the gold answer '{gold}', which is not one of its options" if gold and choices else "no gold answer"
        raise InputError(
            f"{parquet}: the item '{row['id']}' has {what}: evaluate only sets in which every item has a gold answer."
        )


def _form(rows: Iterable[dict[str, Any]]) -> str | None:
    """The common form of the responses of all items with options, None if there is none."""
    choices = [row for row in rows if row["choices"]]
    return next((form for form in FORMS if all(_is_written(row, form) for row in choices)), None)


def _is_written(row: dict[str, Any], form: str) -> bool:
    """Whether the response of an item is its correct option in the given form."""
    gold = LETTERS.index(str(answers.canonical(row["answer"], row["choices"])))
    return bool(written(form, row["choices"])[gold].strip() == row["response"].strip())


def _item(row: dict[str, Any], form: str | None) -> Item:
    response, choices = row["response"], row["choices"]
    before, after = response.partition(response.strip())[::2]  # blanks
    options = [f"{before}{option.strip()}{after}" for option in written(form, choices)] if form else []
    turns = tuple(row.get("messages", ())[:-1])
    return Item(row["id"], row["prompt"], row["answer"], tuple(choices), response, tuple(options), turns)
