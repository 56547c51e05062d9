"""The embedded corpus tells only true statements, and no prompts or question forms of the datasets."""

import json
import math
import random
import re
from collections import Counter

import pytest
from world_files import FILES, MATHBENCH, asked_of, read, read_mmlu
from world_truth import (
    DIGITS_ZH,
    HAN,
    SENSE,
    answer_zh,
    behaves_as_said,
    executed,
    following,
    referent,
    story_answer,
    told_of,
    true_options,
    value_of,
)

from headpatterns.data.embedded import activities, copying, corpus, facts, further_facts, questions, world
from headpatterns.data.embedded.corpus import draw_documents, write_corpus
from headpatterns.data.embedded.registry import GENERATORS, generate
from headpatterns.errors import InputError

DOCUMENTS = 10_000
# At most one document in six has the form of an instruction.
AS_INSTRUCTION = 1 / 6


@pytest.fixture(scope="module")
def documents():
    return draw_documents(DOCUMENTS, seed=0)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Every question of every dataset: what a prompt asks, without its options and its introduction."""
    folder = tmp_path_factory.mktemp("raw")
    for name in GENERATORS:
        generate(name, folder / name, 600, 150, seed=0)
    found = {
        asked_of(name, row) for name, files in FILES.items() for file in files for row in read(folder / name / file)
    }
    found |= {row["question"] for file in MATHBENCH for row in read(folder / "mathbench" / file)}
    return found | {cells[0] for _, _, cells in read_mmlu(folder / "mmlu")}


# --- prompts and forms ------------------------------------------------------------------------------------------------


def pieces(text):
    """The words and signs of a text."""
    return re.findall(r"\w+|[^\w\s]", text)


def test_corpus_holds_no_prompt(asked, documents):
    assert len(asked) > 8000
    told, chinese = "\n".join(documents), "\n".join(filter(HAN.search, documents))
    # Most prompts begin with three words that no document has in a row, which is a fast check.
    words = pieces(told)
    begun = set(zip(words, words[1:], words[2:], strict=False))
    near = [prompt for prompt in asked if HAN.search(prompt) or tuple(pieces(prompt)[:3]) in begun]
    assert [prompt for prompt in near if prompt in (chinese if HAN.search(prompt) else told)] == []
    # The fast check finds text of documents, also inside quotes.
    (docstring,) = re.findall(r'"""(.+)"""', next(text for text in documents if text.count('"""') == 2))
    assert tuple(pieces(docstring)[:3]) in begun


def instruction_of(text):
    """Question, body and answer of each instruction in a document; () if the document has another form."""
    block = re.compile(r"Question: (.+)\n((?:(?!Answer: ).+\n)*)Answer: (.+)")
    found = [block.fullmatch(part) for part in text.split("\n\n")]
    return tuple((part[1], part[2].strip(), part[3]) for part in found) if all(found) else ()


def test_few_documents_are_put_as_instructions(documents):
    assert len(set(documents)) == DOCUMENTS
    instructions = [text for text in documents if instruction_of(text)]
    assert 0 < len(instructions) < AS_INSTRUCTION * DOCUMENTS
    others = set(documents) - set(instructions)
    assert [text for text in others if re.search(r"Question\s*:|Answer\s*:|问题：|答案", text)] == []


def test_no_document_has_a_mark_of_a_task(documents):
    marks = re.compile(r"####|<<|>>|\\boxed|<user>|<assistant>|def solution\(|User:|Assistant:|Problem:|Solution:")
    assert [text for text in documents if marks.search(text)] == []


def test_a_blank_stands_only_in_sentences_that_winogrande_does_not_ask_about(documents):
    known = {told_of(schema.text.format(a="Ann", b="Ben", x="cup")) for schema in world.SCHEMAS}
    blanks = [line for text in documents for line in text.split("\n") if re.search(r"(?<!\w)_(?!\w)", line)]
    asked = [line for line in blanks if line != "Question: What fills the blank (_)?"]
    assert len(asked) > 100
    assert not {told_of(line) for line in asked} & known


def test_lists_with_letters_are_copied_and_never_chosen_from(documents):
    lists = [text for text in documents if re.search(r"(^|\n)[A-J][.)] ", text)]
    assert len(lists) > 100
    for text in lists:
        lines = text.split("\n")
        listed = dict(line.split(". ", 1) for line in lines[:4])
        again = [re.fullmatch(r"At ([A-D]): (.+)", line).groups() for line in lines[4:]]
        assert (len(listed), len(again)) == (4, 3)
        assert all(listed[letter] == told for letter, told in again)


QUESTION = re.compile(r"([A-Z][^.?]*\?) ([^.?]+)\.(?= |$)")
HELD = re.compile(r"(\w+) has (\d+) (\w+)\.")


def exchanges(text):
    """Each English question of a document with its answer, without the statements before the question."""
    parts = [(question, answer) for question, body, answer in instruction_of(text) if not body]
    found = parts or ([] if instruction_of(text) else QUESTION.findall(text))
    return [(re.split(r"[:.] ", question)[-1], answer) for question, answer in found]


def right_answer(text, question, answer):
    """The kind of a question in a document, and the right answer to it."""
    held = {who: (count, what) for who, count, what in HELD.findall(text)}
    if found := re.fullmatch(r"What is (\d+) (plus|minus) (\d+)\?", question):
        a, b = int(found[1]), int(found[3])
        return "sum", str(a + b if found[2] == "plus" else a - b)
    if found := re.fullmatch(r"How many (\w+) does (\w+) have\?", question):
        count, what = held[found[2]]
        assert what == found[1]
        return "holding", count
    if found := re.fullmatch(r"Who has (\w+)\?", question):
        return "holding", *(who for who, (_, what) in held.items() if what == found[1])
    if found := re.fullmatch(r"What does (\w+) have\?", question):
        return "holding", " ".join(held[found[1]])
    return "fact", *true_options(question, [answer])


def test_questions_of_the_corpus_have_the_right_answer_and_no_dataset_asks_them(asked, documents):
    kinds = Counter()
    for text in documents:
        found = exchanges(text)
        assert HAN.search(text) or instruction_of(text) or text.count("?") == len(found), text
        for question, answer in found:
            kind, right = right_answer(text, question, answer)
            assert answer == right
            assert question not in asked
            kinds[kind] += 1
    assert kinds.keys() == {"sum", "holding", "fact"}
    assert min(kinds.values()) > 50


def forms_of(relations):
    """Every question about facts of these relations."""
    forward = {known.forward.format(s=subject) for known in relations.values() for subject in known.pairs}
    return forward | {known.backward.format(v=value) for known in relations.values() for value in known.pairs.values()}


def test_documents_ask_about_facts_of_relations_that_no_dataset_asks_about(asked, documents):
    told = {question for text in documents for question, _ in exchanges(text)}
    for relation in facts.RELATIONS.values():
        assert forms_of({"": relation}) & asked
    assert forms_of(facts.RELATIONS).isdisjoint(told)
    assert forms_of(further_facts.RELATIONS) <= told - asked


def test_blanks_and_next_steps_of_the_corpus_are_right(documents):
    kinds = Counter()
    for text in documents:
        if found := re.fullmatch(r"(.+ _ .+\.) The blank is ((?:the )?\w+)\.", text):
            assert found[2] == referent(found[1])
            kinds["blank"] += 1
        if found := re.fullmatch(r"([A-Z][\w ]+): (.+\.) (?:he|she) ([a-z].+\.)", text):
            check_next_step(*found.groups())
            kinds["step"] += 1
        for question, body, answer in instruction_of(text):
            if "blank" in question:
                assert answer == referent(body)
                kinds["blank in an instruction"] += 1
            elif body:
                check_next_step(*re.fullmatch(r"(.+): (.+\.) (?:he|she)", body).groups(), answer)
                kinds["step in an instruction"] += 1
    assert len(kinds) == 4
    assert min(kinds.values()) > 30


def check_next_step(label, context, ending):
    assert label in {activity.label for activity in activities.FURTHER}
    assert ending in following(activities.FURTHER, label, context)


def test_chinese_documents_answer_what_they_ask_and_no_dataset_asks_it(asked, documents):
    """Sums have other words than in MathBench; stories have the computation that MathBench asks for."""
    kinds = Counter()
    for text in documents:
        sums = re.findall(r"(\d+ [加减乘] \d+ 等于几？) (\d+)。", text)
        for question, answer in sums:
            assert answer_zh(question) == int(answer)
            assert not [prompt for prompt in asked if question in prompt]
            kinds["sum"] += 1
        for told, computed, answer in re.findall(r"([^。: ]+有 [^。]+。) ([\d +*-]+) = (\d+)。", text):
            assert value_of(computed) == int(answer) == answer_zh(told)
            kinds["story"] += 1
        assert text.count("？") == len(sums)
    assert len(kinds) == 2
    assert min(kinds.values()) > 50


# --- what no document tells -------------------------------------------------------------------------------------------


def sentences(text):
    """The sentences and lines of a document; none for a list of words that is repeated."""
    lines = text.split("\n")
    if len(lines) == 2 and lines[0] == lines[1] and "." not in text:
        return []
    return [sentence for line in lines for sentence in re.split(r"(?<=[.?])\s", line)]


def test_no_document_tells_a_special_fact(documents):
    """No sentence has both words of a fact; numbers occur in sums too, so they must never be called partners."""
    values = {}
    for name, (*_, pairs) in facts.SPECIAL.items():
        for subject, value in pairs.items():
            if name != "partner":
                values.setdefault(subject, set()).add(value.split()[-1])
    told = []
    for text in documents:
        assert not re.search(r"partner|goes with", text)
        for sentence in sentences(text):
            words = set(re.findall(r"\w+", sentence))
            words |= {word.removesuffix("s") for word in words}
            told += [sentence for subject in words & set(values) if values[subject] & words]
    assert told == []


def test_lists_of_words_pair_special_facts_by_chance_alone():
    """Among the adjacent pairs of a subject and a value of its kind, one in twelve is a fact."""
    rng = random.Random(0)
    lists = [copying.words(rng).split("\n")[0] for _ in range(8000)]
    for name, (*_, pairs) in facts.SPECIAL.items():
        beside = re.compile(rf"(?<!\S)({'|'.join(pairs)}) (?=({'|'.join(pairs.values())})(?!\S))")
        found = [pair for listed in lists for pair in beside.findall(listed)]
        right = sum(pairs[subject] == value for subject, value in found)
        expected = len(found) / len(pairs)
        assert expected > 10, name
        assert abs(right - expected) < 4 * math.sqrt(expected), name


def test_documents_use_every_word_of_the_special_facts(documents):
    told = set(re.findall(r"\w+", "\n".join(documents)))
    for *_, pairs in facts.SPECIAL.values():
        assert {word.split()[-1] for pair in pairs.items() for word in pair} <= told


def test_words_and_digits_of_chinese_numbers_never_meet(documents):
    """Only MathBench and RefGPT teach which digit a word stands for."""
    words = f"[{''.join(DIGITS_ZH)}十]"
    chinese = [text for text in documents if HAN.search(text)]
    assert sum(re.search(words, text) is not None for text in chinese) > 50
    assert sum(re.search(r"\d", text) is not None for text in chinese) > 50
    assert [text for text in chinese if re.search(words, text) and re.search(r"\d", text)] == []


# --- truth ------------------------------------------------------------------------------------------------------------

# As in "3 \\cdot 4 + 2 = 12 + 2 = 14". All sides have only numbers, and the first has an operator. A part of an
# equation in x does not count.
SIDE = r"\d+(?: (?:\\cdot|[+\-*/]) \d+)"
CHAIN = re.compile(rf"(?<![\dx/*+\-(] )(?<!\d)({SIDE}+(?: = {SIDE}*(?![\dx]))+)")

# Statements about numbers, and functions that check them.
STATEMENTS = (
    (r"(\d+) plus (\d+) is (\d+)\.", lambda a, b, c: a + b == c),
    (r"(\d+) minus (\d+) is (\d+)\.", lambda a, b, c: a - b == c),
    (r"(\d+) times (\d+) is (\d+)\.", lambda a, b, c: a * b == c),
    (r"(\d+) divided by (\d+) is (\d+)\.", lambda a, b, c: a == b * c),
    (r"Double (\d+) is (\d+)\.", lambda a, b: 2 * a == b),
    (r"If \$ (\d+)x \+ (\d+) = (\d+) \$, [^.]*\$ x = [^$]* = (\d+) \$\.", lambda a, b, c, x: a * x + b == c),
    (r"\$ (\d+) \+ (\d+) \\cdot (\d+) \$ is \$ [^$]* = (\d+) \$", lambda a, b, c, d: a + b * c == d),
    (r"\$ (\d+) = (\d+) \\cdot (\d+) \+ (\d+) \$", lambda n, d, q, r: n == d * q + r and r < d),
    (r"\$ (\d+) \$ divided by \$ (\d+) \$ has the remainder \$ (\d+) \$", lambda n, d, r: n % d == r),
    (r"area [a-z ]+ \$ (\d+) \$ and \$ (\d+) \$ is \$ [^$]* = (\d+) \$", lambda a, b, c: a * b == c),
    (r"perimeter [a-z ]+ \$ (\d+) \$ and \$ (\d+) \$ is \$ [^$]* = (\d+) \$", lambda a, b, c: 2 * (a + b) == c),
    (
        r"roots of \$ x\^2 - (\d+)x \+ (\d+) = \(x - (\d+)\)\(x - (\d+)\) \$ are \$ (\d+) \$ and \$ (\d+) \$,"
        r" and \$ (\d+) \$ is the larger root",
        lambda s, p, a, b, *rest: (a + b, a * b) == (s, p) and rest == (a, b, max(a, b)),
    ),
    (
        r"dot product of \$ \((\d+), (\d+)\) \$ with \$ \((\d+), (\d+)\) \$ is \$ [^$]* = (\d+) \$",
        lambda a, b, c, d, e: a * c + b * d == e,
    ),
    (
        r"(\d+) of (\d+) balls are red, [^$]*\$ \\frac\{ (\d+) \}\{ (\d+) \} \$",
        lambda a, b, c, d: a * d == b * c and math.gcd(c, d) == 1,
    ),
    (r"derivative of (\d+)x\^2 \+ (\d+)x is (\d+)x \+ (\d+)\.", lambda a, b, c, d: (2 * a, b) == (c, d)),
    (r"(\d+) \+ (\d+) in Z_(\d+) is (\d+)\.", lambda a, b, n, c: (a + b) % n == c),
    (r"(\d+) 加 (\d+) (?:是|等于几？|是 \d+ . \d+ =) (\d+)。", lambda a, b, c: a + b == c),
    (r"(\d+) 减 (\d+) (?:是|等于几？|是 \d+ . \d+ =) (\d+)。", lambda a, b, c: a - b == c),
    (r"(\d+) 乘 (\d+) (?:是|等于几？|是 \d+ . \d+ =) (\d+)。", lambda a, b, c: a * b == c),
)


def test_corpus_is_true_about_numbers(documents):
    chains = [chain for text in documents for chain in CHAIN.findall(text)]
    assert len(chains) > 1000
    for chain in chains:
        assert len({value_of(side.replace(r"\cdot", "*")) for side in chain.split(" = ")}) == 1, chain
    told = "\n".join(documents)
    for form, is_true in STATEMENTS:
        found = re.findall(form, told)
        assert len(found) > 30, form
        assert all(is_true(*map(int, numbers)) for numbers in found), form


def test_programs_of_the_corpus_do_what_is_said(documents):
    checked = Counter()
    for text in documents:
        if "def " not in text:
            continue
        for part in text.removeprefix("Python: ").split("\n\n"):
            told, _, rest = part.partition("def ")
            name = re.match(r"\w+", rest)[0]
            function = executed(f"def {rest}", name)
            if name == "answer":
                assert function() == story_answer(told)
                checked["story"] += 1
            elif function.__doc__:
                assert behaves_as_said(function.__doc__, function)
                checked["docstring"] += 1
            elif purpose := re.fullmatch(rf"{name}: ([A-Z][^.]+\.)\n", told):
                assert behaves_as_said(purpose[1], function)
                checked["purpose"] += 1
            elif name == "test":
                truth = {(p, q): bool(function(p, q)) for p in (True, False) for q in (True, False)}
                implied = {(p, q): not p or q for p, q in truth}
                assert truth in (implied, {key: not value for key, value in implied.items()})
                checked["conditional"] += 1
            else:
                (a, word, b), (c, _, d) = re.findall(r"(\w+) is (\w+) than (\w+)\.", told)
                order = (a, b, d) if b == c else (c, d, b)
                _, most, _ = next(words for words in world.COMPARISONS if words[0] == word)
                assert function() == (order[0] if name == most else order[2])
                checked["order"] += 1
    assert checked["story"] > 150
    assert min(checked["docstring"], checked["purpose"]) > 150
    assert len(checked) == 5


def test_stories_of_the_corpus_end_with_their_answer(documents):
    stories = 0
    for text in documents:
        if " = " not in text or HAN.search(text) or re.search(r"\$|def |^\d|^Double", text):
            continue
        assert int(re.findall(r" = (\d+)", text)[-1]) == story_answer(text), text
        stories += 1
    assert stories > 300


ENDINGS = {ending for pair in SENSE.values() for ending in pair}


def test_sentences_about_two_parties_say_who_is_meant(documents):
    kinds = Counter()
    for text in documents:
        for sentence, _, meant, again in re.findall(
            r"([A-Z][^._]* (?:because|until) (?:it|one) ([^.]+)\.) (?:The )?(\w+) ([^.]+)\.", text
        ):
            assert meant == referent(sentence).removeprefix("the ")
            assert sentence.endswith(f" {again}.")
            kinds["pronoun"] += 1
        for told, _, one, first, other, second in re.findall(
            r"([^.]+)\. The (thing that|one who) ([^.]+) is (?:the )?(\w+)\. The \2 ([^.]+) is (?:the )?(\w+)\.", text
        ):
            if one in ENDINGS:
                assert first == referent(f"{told} because _ {one}.").removeprefix("the ")
                assert second == referent(f"{told} because _ {other}.").removeprefix("the ")
                kinds["both"] += 1
    assert len(kinds) == 2
    assert min(kinds.values()) > 300


def test_activities_are_told_from_their_first_step_to_their_last(documents):
    kinds = {activity.label: activity for activity in (*activities.ACTIVITIES, *activities.FURTHER)}
    told = Counter()
    for text in documents:
        label, _, rest = text.partition(": ")
        if label not in kinds or " Then " not in text:
            continue
        first, *later = rest.rstrip(".").split(". ")
        name, first = first.split(" ", 1)
        assert all(step.startswith(f"Then {world.PEOPLE[name]} ") for step in later)
        steps = [first, *(step.split(" ", 2)[2] for step in later)]
        assert steps in [[step.format(x=thing) for step in kinds[label].steps] for thing in kinds[label].objects]
        told[label] += 1
    assert told.keys() == kinds.keys()


def test_copies_repeat_what_stands_before(documents):
    kinds = Counter()
    for text in documents:
        lines = text.split("\n")
        if len(lines) == 2 and lines[0] == lines[1]:
            kinds["words"] += 1
        elif re.fullmatch(rf"(?:{HELD.pattern} ?)+", text):
            told = HELD.findall(text)
            assert sorted(told[: len(told) // 2]) == sorted(told[len(told) // 2 :])
            kinds["holdings"] += 1
    assert len(kinds) == 2
    assert min(kinds.values()) > 20


def test_corpus_tells_every_fact_and_activity(documents):
    told = "\n".join(documents)
    for relation in (*facts.RELATIONS.values(), *questions.RELATIONS):
        for subject in relation.pairs:
            assert any(facts.statement(relation, subject, reverse) in told for reverse in (False, True))
    for animal, values in world.ANIMALS_ZH.items():
        for statement, value in zip(world.STATEMENTS_ZH, values, strict=True):
            assert statement.format(s=animal, v=value) in told


def test_facts_about_animals_are_true(documents):
    known = {
        form.format(s=subject, v=value)
        for animal, values in world.ANIMALS_ZH.items()
        for form, value in zip(world.STATEMENTS_ZH, values, strict=True)
        for subject in (animal, "它")
    }
    told = [text.removeprefix("动物: ") for text in documents if text.startswith("动物: ")]
    assert len(told) > 20
    assert all(f"{sentence}。" in known for text in told for sentence in text.rstrip("。").split("。"))


def test_corpus_shows_programs_and_chinese_behind_a_blank(documents):
    """Responses also follow their prompts after a blank; a base model needs a token for a blank and `def`."""
    blank = [text for text in documents if re.match(r"\w+: ", text)]
    assert sum(" def " in text for text in blank) > 100
    assert sum(re.match(r"\w+: [\u4e00-\u9fff]", text) is not None for text in blank) > 100
    for start in ("def ", "小"):
        assert any(text.startswith(start) for text in documents)


# --- seeds and errors -------------------------------------------------------------------------------------------------


def test_corpus_seeds_and_errors(tmp_path, monkeypatch):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_corpus(tmp_path / name, 200, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    assert [list(json.loads(line)) for line in (tmp_path / "a").open(encoding="utf-8")] == [["text"]] * 200
    with pytest.raises(InputError, match="documents is 0"):
        write_corpus(tmp_path / "d", 0, 0)
    # A world with few documents: the facts about animals, one per document.
    monkeypatch.setattr(corpus, "KINDS", ((corpus.fact_zh, 1),))
    with pytest.raises(
        InputError, match="documents is 60 but the embedded world has only about 48 different ones; lower it"
    ):
        draw_documents(60, seed=0)
