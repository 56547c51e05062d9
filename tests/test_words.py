"""Plain words: present-day English everywhere, and short sentences in the documentation and in what the code says."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import said
from project import PROJECT

LONGEST = 25
"""The largest number of words in a sentence."""

DOCUMENTS = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((PROJECT / "docs").glob("*.md"))))

PLAIN = {
    "albeit": "although",
    "amongst": "among",
    "anew": "again",
    "betwixt": "between",
    "besides": "apart from, beside, or also",
    "forthwith": "at once",
    "henceforth": "from now on",
    "hitherto": "so far",
    "lest": "so that ... not",
    "mend(s|ed|ing)?": "fix",
    "nought|naught": "nothing",
    "reckon(s|ed|ing)?": "estimate, or count",
    "thence|thither|whither": "from there, or there",
    "there(of|in|upon|unto)": "of it, in it, on it",
    "unto|upon": "to, or on",
    "whence": "from where",
    "where(of|in|upon)": "of which, in which",
    "whilst": "while",
    "yonder": "there",
}
"""Outdated words, as regular expressions, and what to write instead."""

DIRECT = {
    "as yet": "so far",
    "but for": "except for",
    "(held|holds?|holding) (it |this |them )?against": "compare with",
    "in the place of": "instead of",
    "a (row|column|panel|line|bar) an? [a-z]+": "each row is a ...",
    "nobody": "what is unknown, or has not been done",
    "on the (left|right) (is|are|stands?)": "the left panel shows",
    "otherwise than": "differently from",
    "owes? to": "depends on",
    "seldom": "rarely",
    "shall": "should, will or must",
    "such (a|an) one": "it, or one of these",
    "taken? off": "removed, or corrected for",
    "wholly": "completely",
}
"""Phrases of documents, captions and configs that non-native readers must read twice, and what to write instead."""

NOT_PROSE = {"LICENSE", "tests/test_words.py"}
WRITTEN = {".cff", ".def", ".md", ".py", ".rst", ".smk", ".toml", ".txt", ".yaml", ".yml", ""}


def tracked() -> list[Path]:
    """The files of the repository that people write; in a copy without git, those outside of hidden folders."""
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True)
    if answer.returncode == 0:
        paths = [PROJECT / name for name in answer.stdout.split("\0") if name]
    else:
        found = (path.relative_to(PROJECT) for path in PROJECT.rglob("*"))
        paths = [PROJECT / path for path in found if not path.parts[0].startswith((".", "results"))]
    return [path for path in paths if path.suffix in WRITTEN and path.is_file()]


def test_no_word_of_another_century():
    found = []
    for path in tracked():
        name = str(path.relative_to(PROJECT))
        text = "" if name in NOT_PROSE else path.read_text(encoding="utf-8")
        for old, plain in PLAIN.items():
            for match in re.finditer(rf"\b({old})\b", text, re.IGNORECASE):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name}:{line}: '{match[0]}': write {plain}")
    assert not found, "\n".join(found)


def read_by_users() -> list[Path]:
    """Documents, captions and configs."""
    kinds = (".md", ".rst", ".yaml")
    return [path for path in tracked() if path.suffix in kinds and not path.is_relative_to(PROJECT / "tests")]


def test_no_turn_of_phrase_that_is_read_twice():
    found = []
    for path in read_by_users():
        text = path.read_text(encoding="utf-8")
        for old, plain in DIRECT.items():
            for match in re.finditer(rf"\b(?:{old})\b".replace(" ", r"\s+(?:#\s+)?"), text, re.IGNORECASE):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(PROJECT)}:{line}: '{' '.join(match[0].split())}': write {plain}")
    assert not found, "\n".join(found)


def prose(markdown: str) -> Iterator[str]:
    """Paragraphs, list items and headings of a text as plain words: no code, tables, pictures or addresses."""
    text = re.sub(r"^ *```.*?^ *```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(\||    |<).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(#+ .*|!\[.*)$", r"\n\1\n", text, flags=re.MULTILINE)
    text = re.sub(r"^(- |\d+\. |> )", r"\n", text, flags=re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "`code`", text)
    text = re.sub(r"https?://\S+", "", text)
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.strip():
            yield " ".join(paragraph.split())


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph: each ends with a punctuation mark and a blank, except after abbreviations."""
    return re.split(r"(?<!et al)(?<!Eq)(?<!e\.g)[.?!][)*\"]*\s+", paragraph)


def length(sentence: str) -> int:
    """The number of words in a sentence; a piece of code counts as one word, and a sign as none."""
    return len([word for word in sentence.split() if re.search(rf"[^\W_]|{said.VALUE}", word)])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_sentences_are_short(name):
    paragraphs = prose((PROJECT / name).read_text(encoding="utf-8"))
    long = [sentence for paragraph in paragraphs for sentence in sentences(paragraph) if length(sentence) > LONGEST]
    assert not long, "\n\n".join(f"{length(sentence)} words: {sentence}" for sentence in long)


SPOKEN = {
    "(?<!there )(is|are|was|were) no (?!longer|key|default|partition)": "is not a",
    "holds? no": "has no",
    "(stands?|stood)(?! for)": "is",
    "(reads?|cuts?|prints?|comes?|gives?|elsewhere|and|or|none) otherwise(?! [\\w…])": "differently, or if not",
    "(is|are) of (the|a|an|other|its)": "has the, or belongs to",
    "beside": "next to, in the same folder, or with",
    "(go|goes|going) on": "continue",
    "told(?! apart)|tells? of": "shown, or says",
    "see to": "check",
    "(be|is|are) had": "be fetched",
    "likewise": "also",
    "nobody|anybody|somebody": "no one, anyone, or what is meant",
    "hence|thus|thereby|whichever|wherever": "therefore, or if",
    "whatever": "for every, or even if",
    "in vain|for want of|not once": "what happens, in plain words",
    "(nats|tokens|bytes|seconds|operations) an? (response )?[a-z]+": "per",
    "of (which|whom|whose)": "whose, or a sentence of its own",
    "what (stands|lies|follows|is reached)": "the text, the number or the score that is meant",
    "dry-run": "dry run",
    "teach it|take another|give another[.:;]": "add it, use another, or name what is given",
}
"""Phrases of messages, reports and captions that users must read twice, and what to write instead."""

AMERICAN = {
    "analyz(e|es|ed|ing)": "analyse",
    "artifacts?": "artefact",
    "behaviors?": "behaviour",
    "(center|color|favor|label)(s|ed|ing)?(?<!label)(?<!labels)": "centre, colour, favour, labelled",
    "gray": "grey",
    "licenses?": "licence",
    "(normali|summari|organi|recogni)z(e|es|ed|ing|ation)": "-ise, as in the documentation",
}

PUBLISHED = "the number came out the same whatever varied"
"""A reason in tables of published/. It cannot change, because the rules make these tables again byte for byte."""


def test_the_code_says_nothing_that_is_read_twice():
    found = []
    for text in said.said():
        words = text.words.replace(PUBLISHED, "")
        for old, plain in {**DIRECT, **SPOKEN, **AMERICAN}.items():
            for match in re.finditer(rf"(?<![-\w])(?:{old})(?!\w)", words, re.IGNORECASE):
                found.append(f"{text.path}:{text.line}: '{match[0]}': write {plain}")
    assert not found, "\n".join(found)


def test_what_the_code_says_is_read_in_one_go():
    """The parts before and after a colon or semicolon count as separate sentences, and text in brackets is left out."""
    found = []
    for text in said.said():
        plain = re.sub(r"\([^()]*\)", "", text.words)
        for sentence in (part for whole in sentences(plain) for part in re.split(r"[:;]\s+", whole)):
            if length(sentence) > LONGEST:
                found.append(f"{text.path}:{text.line}: {length(sentence)} words: {sentence}")
    assert not found, "\n".join(found)


def test_messages_are_found():
    """`said` finds each kind of text, so the tests above check something."""
    found = [text.words for text in said.said()]
    for known in (
        "the data is empty, so there is no activation pattern to compute: give at least one sample.",  # an error
        "studies.….sizes has …, but models.… has … heads in all: lower it.",  # a problem of a config
        "seed of the draw",  # a key's description
        "JSON object: values by keyword",  # an argument's help
        "Does fine-tuning live in the heads?",  # a title
    ):
        assert known in found
    for suffix in said.READERS:
        assert any(text.path.endswith(suffix) for text in said.said())
