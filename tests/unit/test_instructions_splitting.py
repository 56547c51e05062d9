import random

import pytest

from headpatterns.data import templates
from headpatterns.data.records import Instruction
from headpatterns.data.splitting import (
    check_disjoint,
    deduplicate,
    hold_out,
    normalised,
    rank,
    sample,
    with_unique_ids,
    without_overlap,
)
from headpatterns.errors import InputError


def instruction(number: int, group: str = "", prompt: str = "", response: str = "r") -> Instruction:
    return Instruction(prompt or f"p{number}", response, id=f"id-{number}", group=group or f"id-{number}")


MANY = [instruction(number, group=f"g{number // 3}") for number in range(60)]


def shuffled(instructions):
    return random.Random(4).sample(instructions, len(instructions))


def test_normalised_levels_width_case_and_white_space():
    assert normalised("  Ｗｈｙ\n\tﬁsh？ ") == normalised("why FISH?")
    assert normalised("why fish!") != normalised("why fish?")


def test_rank_is_the_digest_of_seed_and_id():
    # printf '1:a' | sha256sum
    assert rank(1, "a") == "4162fddd39a3e4225e8e2392eced237fbeb34e6e218b5647d27bd4d2b9c0da24"


def test_sample_does_not_depend_on_the_order_of_rows():
    assert sample(MANY, 10, seed=1) == sample(shuffled(MANY), 10, seed=1)
    assert sample(MANY, 10, seed=1) != sample(MANY, 10, seed=2)


def test_smaller_samples_start_larger_ones():
    assert sample(MANY, 30, seed=1)[:10] == sample(MANY, 10, seed=1)
    assert sample(MANY, 1000, seed=1) == sample(MANY, None, seed=1)
    assert sorted(one.id for one in sample(MANY, None, seed=1)) == sorted(one.id for one in MANY)


def test_held_out_groups_stay_whole_and_suffice():
    rest, held = hold_out(MANY, 10, seed=1)
    assert len(held) == 12
    assert len(rest) + len(held) == len(MANY)
    assert not {one.group for one in rest} & {one.group for one in held}
    again = hold_out(shuffled(MANY), 10, seed=1)
    assert [{one.id for one in split} for split in again] == [{one.id for one in split} for split in (rest, held)]


def test_deduplicate_keeps_the_smallest_id_of_equal_prompt_and_response():
    twins = [
        instruction(2, prompt="Why?"),
        instruction(1, prompt="  why？"),
        instruction(3, prompt="Why?", response="s"),
    ]
    assert [one.id for one in deduplicate(twins)] == ["id-1", "id-3"]
    assert deduplicate(shuffled(twins)) == deduplicate(twins)


def test_training_rows_with_a_probe_prompt_go_whatever_their_response():
    train = [instruction(1, prompt="WHY?", response="other"), instruction(2)]
    assert without_overlap(train, [instruction(3, prompt="why?")]) == [train[1]]


def test_shared_ids_are_told_apart_by_content():
    train = [instruction(1), Instruction("a", "x", id="same"), Instruction("b", "x", id="same")]
    probe = [Instruction("c", "x", id="same")]
    new_train, new_probe = with_unique_ids(train, probe)
    ids = [one.id for one in [*new_train, *new_probe]]
    assert len(set(ids)) == 4
    assert ids[0] == "id-1"
    assert all(name.startswith("same~") for name in ids[1:])
    assert with_unique_ids(train[::-1], probe)[0][::-1] == new_train


@pytest.mark.parametrize(
    ("train", "probe", "sentence"),
    [
        ([instruction(1)], [instruction(1, prompt="other")], "The id id-1 occurs 2 times in toys"),
        ([instruction(1), instruction(1)], [instruction(2)], "The id id-1 occurs 2 times in toys"),
        (
            [instruction(1, prompt="Why?")],
            [instruction(2, prompt="WHY?")],
            "id-2 of toys has the prompt of the training",
        ),
    ],
)
def test_check_disjoint_names_what_is_shared(train, probe, sentence):
    with pytest.raises(InputError) as error:
        check_disjoint("toys", train, probe)
    assert sentence in str(error.value)


def test_check_disjoint_accepts_what_shares_nothing():
    assert check_disjoint("toys", MANY[:30], MANY[30:]) is None


def test_templates_keep_braces_of_the_instruction():
    text = r"Solve {x} = \frac{1}{2} with {instruction}, {response} and {0}"
    assert templates.apply(templates.resolve("question"), text, "{x}") == (f"Question: {text}\nAnswer:", " {x}")
    assert templates.apply(templates.resolve("<{}> {instruction}!"), "x", "y") == ("<{}> x!", " y")
    prompt, response = templates.apply(templates.resolve("alpaca"), "Sing.", "La.")
    assert prompt.endswith("### Instruction:\nSing.\n\n### Response:")
    assert response == "La."


@pytest.mark.parametrize(
    ("template", "prompt", "response"),
    [
        ("Q: {instruction}\nA:", "Q: Why?\nA:", " So."),
        ("Q: {instruction}\nA: ", "Q: Why?\nA:", " So."),
        ("Q: {instruction}\nA: \t{response}", "Q: Why?\nA:", " \tSo."),
        ("Q: {instruction}\nA:{response}", "Q: Why?\nA:", "So."),
        ("Q: {instruction}\nA:\n", "Q: Why?\nA:\n", "So."),
        ("Q: {instruction}\nA:\n{response}", "Q: Why?\nA:\n", "So."),
        ("问：{instruction}\n答：\u3000", "问：Why?\n答：", "\u3000So."),
        ("{instruction}", "Why?", " So."),
    ],
)
def test_what_separates_prompt_and_response(template, prompt, response):
    resolved = templates.resolve(template)
    assert templates.apply(resolved, "Why?", "So.") == (prompt, response)
    assert templates.resolve(resolved) == resolved
    assert prompt + response == resolved.replace("{instruction}", "Why?").replace("{response}", "So.")


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("qestion", "did you mean question?"),
        ("Q: {prompt}", "does not contain {instruction}"),
        ("{instruction} {instruction}", "contains {instruction} 2 times"),
        ("{instruction} {response}.", "has text after {response}"),
        ("{response} {instruction}", "has text after {response}"),
        ("{instruction} {response}{response}", "has text after {response}"),
    ],
)
def test_templates_without_exactly_one_field_are_refused(template, sentence):
    with pytest.raises(InputError) as error:
        templates.resolve(template)
    assert sentence in str(error.value)
