"""Skills for the embedded tasks: linear models of single words, trained and tested like the models, stay near chance.

A model of single words can learn which answers are frequent and which words occur with them. It cannot relate a word
of the question to a word of an option, calculate, or follow the order of events. The tasks are about these skills. The
model cannot write the answers of CodeSearchNet and Infinity-Instruct. RefGPT asks for a number of its text, so that a
single word, the number, does give the answer.
"""

import random
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from world_files import FILES, read
from world_truth import number_of, numbers_zh, parties

from headpatterns.data.adapters.math import boxed
from headpatterns.data.embedded import chinese, facts, subjects
from headpatterns.data.embedded.registry import generate
from headpatterns.data.embedded.sampling import number_options, split_of
from headpatterns.data.programs import value

TRAIN, TEST = 900, 450
# Tasks for which the world has fewer different test rows; their number is that of the experiment.
FEWER = {"math": 150}
# A word, a number (in digits or in Chinese), a Chinese character or a sign.
TOKEN = re.compile(r"[A-Za-z]+|\d+|[零一二三四五六七八九十]+|[\u4e00-\u9fff]|[^\w\s]|_")


@dataclass(frozen=True)
class Item:
    """A question, its options and the index of the right one."""

    question: str
    options: tuple[str, ...]
    right: int


def words(text):
    return TOKEN.findall(text)


def vectorizer():
    return CountVectorizer(analyzer=words, binary=True)


def classifier():
    return LogisticRegression(C=1.0, max_iter=2000)


def chance(items):
    """The accuracy of guessing, and this accuracy plus three standard errors."""
    guess = float(np.mean([1 / len(item.options) for item in items]))
    return guess, guess + 3 * (guess * (1 - guess) / len(items)) ** 0.5


# --- items ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Dataset -> its train and its test rows, as the workflow generates them."""
    folder = tmp_path_factory.mktemp("raw")
    names = ("math", "gsm8k", "sgsm", "hellaswag", "winogrande", "arc")
    for name in names:
        generate(name, folder / name, TRAIN, FEWER.get(name, TEST), seed=0)
    return {name: [read(folder / name / file) for file in FILES[name]] for name in names}


def of_row(name, row):
    match name:
        case "hellaswag":
            return Item(f"{row['activity_label']}: {row['ctx']}", tuple(row["endings"]), row["label"])
        case "winogrande":
            return Item(row["sentence"], (row["option1"], row["option2"]), int(row["answer"]) - 1)
    labels = [choice["label"] for choice in row["question"]["choices"]]
    texts = tuple(choice["text"] for choice in row["question"]["choices"])
    return Item(row["question"]["stem"], texts, labels.index(row["answerKey"]))


def drawn(draw, count, split):
    """Draw items for datasets with too few questions for the counts, or without splits; no item is in both splits."""
    rng, found = random.Random(f"skills:{split}"), []
    while len(found) < count:
        key, item = draw(rng)
        if split_of(key) == split:
            found.append(item)
    return found


def special(rng):
    """A question of MMLU about special facts, of a domain or of a twin; the facts of both splits are the same."""
    ask = subjects.of_special(rng.choice(list(facts.SPECIAL)), twin=rng.random() < 0.5)
    question, options, index = ask(rng)
    return f"{question} {options}", Item(question, tuple(options), index)


def numeric(rng):
    """A question of MMLU whose options are numbers."""
    ask = rng.choice((subjects.arithmetic, subjects.average, subjects.newton, subjects.speed, subjects.atoms))
    question, options, index = number_options(rng, ask)
    return question, Item(question, tuple(options), index)


def choice(rng):
    """A question of MathBench with options."""
    question, row = chinese.choice_row(rng)
    return question, Item(question, tuple(row["options"]), "ABCD".index(row["answer"]))


DRAWN = {"special facts of mmlu": special, "numbers of mmlu": numeric, "mathbench": choice}
CHOICES = ("hellaswag", "winogrande", "arc", *DRAWN)


@pytest.fixture(scope="module")
def items(raw):
    """Choice task -> its train and its test items."""
    made = {}
    for name in CHOICES:
        if name in DRAWN:
            made[name] = [drawn(DRAWN[name], TRAIN, "train"), drawn(DRAWN[name], TEST, "test")]
        else:
            made[name] = [[of_row(name, row) for row in rows] for rows in raw[name]]
    return made


# --- choices ----------------------------------------------------------------------------------------------------------


def by_words_of_options(train, test):
    """Accuracy of a linear model that scores each option by the words of the question and of the option."""
    questions = vectorizer().fit(item.question for item in train)
    options = vectorizer().fit(option for item in train for option in item.options)

    def features(items):
        pairs = [(item.question, option) for item in items for option in item.options]
        asked, offered = zip(*pairs, strict=True)
        return hstack([questions.transform(asked), options.transform(offered)]).tocsr()

    right = [number == item.right for item in train for number in range(len(item.options))]
    scores = iter(classifier().fit(features(train), right).decision_function(features(test)))
    chosen = [int(np.argmax([next(scores) for _ in item.options])) for item in test]
    return np.mean([number == item.right for number, item in zip(chosen, test, strict=True)])


def by_words_and_positions(train, test):
    """Accuracy of a linear model that finds the right position from the words of the question and of each position."""
    questions = vectorizer().fit(item.question for item in train)
    most = max(len(item.options) for item in train)
    places = [vectorizer().fit(item.options[n] for item in train if n < len(item.options)) for n in range(most)]

    def features(items):
        offered = [[*item.options, *[""] * (most - len(item.options))] for item in items]
        at = [place.transform(listed) for place, listed in zip(places, zip(*offered, strict=True), strict=True)]
        return hstack([questions.transform(item.question for item in items), *at]).tocsr()

    model = classifier().fit(features(train), [item.right for item in train])
    return model.score(features(test), [item.right for item in test])


@pytest.mark.slow
@pytest.mark.parametrize("by", [by_words_of_options, by_words_and_positions])
@pytest.mark.parametrize("name", CHOICES)
def test_single_words_do_not_tell_the_right_option(items, name, by):
    train, test = items[name]
    guess, most = chance(test)
    found = by(train, test)
    print(f"{name}, {by.__name__}: {found:.3f}, chance {guess:.3f}, at most {most:.3f}")
    assert found < most


def test_these_models_find_what_single_words_tell():
    """They find the right option if a word of the option marks it, or if a word of the question tells its position."""
    rng = random.Random(0)
    marked, placed = [], []
    for number in range(400):
        options = rng.sample(["red cup", "red hat", "red pen", "blue egg"], 4)
        marked.append(Item(f"What is {number % 7}?", tuple(options), options.index("blue egg")))
        placed.append(Item("left" if number % 2 else "right", tuple(options), number % 2))
    assert by_words_of_options(marked[:300], marked[300:]) == 1
    assert by_words_and_positions(placed[:300], placed[300:]) == 1


def by_trigger(train, test):
    """Accuracy of the position that is most often right for a trigger, the words after Winogrande's blank."""
    counted = {}
    for item in train:
        counted.setdefault(item.question.split("_")[1], Counter())[item.right] += 1
    chosen = [counted[item.question.split("_")[1]].most_common(1)[0][0] for item in test]
    return np.mean([number == item.right for number, item in zip(chosen, test, strict=True)])


def by_party(train, test):
    """Accuracy of always choosing the party, first or second in the sentence, that is most often meant."""

    def meant(item):
        return parties(item.question).index(item.options[item.right])

    first, _ = Counter(map(meant, train)).most_common(1)[0]
    return np.mean([meant(item) == first for item in test])


@pytest.mark.parametrize("by", [by_trigger, by_party])
def test_neither_the_trigger_alone_nor_the_order_of_the_parties_resolves_winogrande(items, by):
    train, test = items["winogrande"]
    found, (_, most) = by(train, test), chance(test)
    print(f"winogrande, {by.__name__}: {found:.3f}, at most {most:.3f}")
    assert found < most


def by_things(_, test):
    """Accuracy of guessing among the endings that share the most longer words with the context."""
    expected = []
    for item in test:
        shared = [len({w for w in words(option) if len(w) > 3} & set(words(item.question))) for option in item.options]
        best = [number for number, count in enumerate(shared) if count == max(shared)]
        expected.append((item.right in best) / len(best))
    return np.mean(expected)


def test_words_that_an_ending_shares_with_the_context_do_not_tell_that_it_follows(items):
    train, test = items["hellaswag"]
    found, (_, most) = by_things(train, test), chance(test)
    print(f"hellaswag, shared words: {found:.3f}, at most {most:.3f}")
    assert found < most


@pytest.mark.parametrize("name", ["mathbench", "numbers of mmlu"])
def test_the_size_of_a_number_among_the_options_does_not_tell_that_it_is_right(items, name):
    def rank(item):
        numbers = [number_of(numbers_zh(option)[-1]) for option in item.options]
        return sorted(numbers).index(numbers[item.right])

    train, test = items[name]
    likely, _ = Counter(map(rank, train)).most_common(1)[0]
    found, (_, most) = np.mean([rank(item) == likely for item in test]), chance(test)
    print(f"{name}, rank {likely}: {found:.3f}, at most {most:.3f}")
    assert found < most


# --- numbers ----------------------------------------------------------------------------------------------------------


def cloze(rng):
    question, row = chinese.cloze_row(rng)
    return question, (question, numbers_zh(row["answer"])[-1])


@pytest.fixture(scope="module")
def open_questions(raw):
    """Task -> pairs of question and answer, of train and of test rows."""

    def sgsm(row):
        question, program = row["output"].removeprefix("Question: ").split("\nSolution:\n")
        return question, str(value(program))

    convert = {
        "math": lambda row: (row["problem"], boxed(row["solution"])),
        "gsm8k": lambda row: (row["question"], row["answer"].split("#### ")[1]),
        "sgsm": sgsm,
    }
    made = {name: [[change(row) for row in rows] for rows in raw[name]] for name, change in convert.items()}
    made["mathbench"] = [drawn(cloze, TRAIN, "train"), drawn(cloze, TEST, "test")]
    return made


# How much more accurate than the most frequent answer a linear model of a question's words may be. Without its
# numbers, a question still tells its kind, and so which answers are likely. With its numbers, one step is almost
# possible: the model can look up a product of two factors from 2 to 5. The sum of a and b is the s with the largest
# s(a + b) - s²/2. This score is linear in the words of the question. Two steps need more.
KIND_TELLS = 0.08
NUMBERS_TELL = {"gsm8k": 0.15, "sgsm": 0.15, "math": 0.4, "mathbench": 0.4}


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("name", NUMBERS_TELL)
def test_words_and_numbers_of_a_question_do_not_tell_its_answer(open_questions, name, numbers):
    def read_of(questions):
        return questions if numbers else [re.sub("[0-9零一二三四五六七八九十]", "", text) for text in questions]

    train, test = open_questions[name]
    (questions, answers), (probes, wanted) = (zip(*pairs, strict=True) for pairs in (train, test))
    found = vectorizer().fit(read_of(questions))
    model = classifier().fit(found.transform(read_of(questions)), answers)
    accuracy = model.score(found.transform(read_of(probes)), wanted)
    frequent, _ = Counter(answers).most_common(1)[0]
    majority = wanted.count(frequent) / len(wanted)
    most = majority + (NUMBERS_TELL[name] if numbers else KIND_TELLS)
    print(f"{name}, {'with' if numbers else 'without'} numbers: {accuracy:.3f}, majority {majority:.3f}")
    assert majority < 0.2
    assert accuracy < most
