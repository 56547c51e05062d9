"""Verdicts of claims: a registry with effects made by hand, the competence gate, families, and omitted claims."""

import csv
import math

import numpy as np
import pandas as pd
import pytest
import scripts
from refusals import refusal

from headpatterns.claims import answers as answered
from headpatterns.claims import collecting, competence, gates, judging, measured
from headpatterns.claims.competence import Competence, Learnt
from headpatterns.claims.registry import Claim
from headpatterns.evaluation.sets import Item
from headpatterns.io import write_csv
from headpatterns.statistics.effects import Component, Effect
from headpatterns.studies import effects
from headpatterns.studies.effects import Measured

INFINITE = math.inf
NOBODY = Competence({}, [])
LEARNT, NOT_LEARNT = Learnt(True, "accuracy", "0.5"), Learnt(False, "accuracy", "0.1")


def claim(**changes):
    given = {
        "id": "rises", "section": "4.1", "where": "Figure 2", "statement": "It rises.", "effect": "rise", "bound": 0,
        "direction": "above", "unit": "nats", "computed": "After minus before.", "smallest": 0.5, "chosen": "by hand",
        "test": "t", "reads": "patterns",
    }  # fmt: skip
    return Claim.model_validate({**given, **changes})


def effect(estimate, error=1.0, sources=("seeds", "samples"), **exact):
    parts = tuple(Component(source, error**2 / len(sources), INFINITE) for source in sources)
    return Effect(estimate, estimate, parts, **exact)


def found(*of):
    return measured.of(Measured(name, model, about, one) for name, model, about, one in of)


def judge(claims, effects_of_study, able=NOBODY, stands_for=None):
    return judging.judge({"study": claims}, {"study": effects_of_study}, able, stands_for or {})


def rows_of(judged):
    return [dict(zip(judging.COLUMNS, one.row, strict=True)) for one in judged]


def verdicts_of(judged):
    return {(row["claim"], row["model"]): row["verdict"] for row in rows_of(judged)}


def test_effects_come_back_from_their_table_as_they_were(tmp_path):
    parts = (Component("seeds", 0.04, 2), Component("samples", 0.05, INFINITE))
    one = Measured("rise", "llama", "50", Effect(1.5, 1.6, parts, 0.01, 0.99, 0.005, 0.5, (-2.0, 2.0)))
    bare = Measured("share", "", "", Effect(0.5, 0.5))
    write_csv(tmp_path / "e.csv", effects.COLUMNS, effects.rows([one, bare]))
    first, second = measured.read(tmp_path / "e.csv")
    assert first[:3] == ("rise", "llama", "50") and first.effect.components == parts
    assert first.varies == "seeds 0.44; samples 0.56"
    assert first.effect.interval() == pytest.approx(one.effect.interval())
    assert first.effect == one.effect and first.effect.interval()[1] == 2
    assert second.effect.components == () and second.varies == "" and math.isnan(second.effect.p_above)


def test_a_faulty_table_of_effects_is_named(tmp_path):
    path, one = tmp_path / "e.csv", Measured("rise", "llama", "", effect(1))
    write_csv(path, effects.COLUMNS, effects.rows([one, one]))
    with refusal(f"{path}", ("row 2", "the effect rise of llama appears twice")):
        measured.read(path)
    path.write_text(path.read_text().replace(",1,1,", ",much,1,", 1))
    with refusal(f"{path}", ("row 1", "remove the file and run again")):
        measured.read(path)


def test_each_verdict_comes_out():
    claims = [claim(), claim(id="falls", effect="fall", direction="below", family="falls")]
    of = [
        ("rise", "sure", "", effect(5)),
        ("rise", "against", "", effect(-5)),
        ("rise", "tiny", "", effect(0.01, 0.01)),
        ("rise", "open", "", effect(1)),
        ("fall", "sure", "", effect(-5)),
        ("fall", "against", "", effect(5)),
        ("rise", "none", "", effect(math.nan)),
        ("rise", "certain", "", Effect(1.0, 1.0)),
    ]
    judged, left_out = judge(claims, found(*of))
    assert verdicts_of(judged) == {
        ("rises", "sure"): "holds",
        ("rises", "against"): "reversed",
        ("rises", "tiny"): "negligible",
        ("rises", "open"): "undecided",
        ("rises", "none"): "not testable",
        ("rises", "certain"): "not testable",
        ("falls", "sure"): "holds",
        ("falls", "against"): "reversed",
    }
    assert left_out == []
    reasons = {row["model"]: row["reason"] for row in rows_of(judged) if row["claim"] == "rises"}
    assert reasons["none"] == "the number is undefined here" and reasons["certain"].startswith("nothing varies")
    assert reasons["sure"] == ""


def test_p_values_are_corrected_within_a_family_and_not_beyond_it():
    """The two-sided p of z = 2.2 is 0.0278, which is below 5 %; as the smaller of two, it becomes 0.0556."""
    single = found(("rise", "a", "", effect(2.2)))
    assert rows_of(judge([claim()], single)[0])[0]["verdict"] == "holds"
    both = found(("rise", "a", "", effect(2.2)), ("rise", "b", "", effect(0.3)))
    first, second = rows_of(judge([claim()], both)[0])
    assert first["p"] == pytest.approx(0.02780690) and first["p_adjusted"] == pytest.approx(0.05561379)
    assert second["p_adjusted"] == second["p"] == pytest.approx(0.76417715)
    assert first["verdict"] == "undecided"
    other = found(("rise", "a", "", effect(2.2)), ("fall", "a", "", effect(0.3)))
    apart = rows_of(judge([claim(), claim(id="falls", effect="fall")], other)[0])
    assert apart[0]["p_adjusted"] == pytest.approx(0.02780690) and apart[0]["family"] == "rises"
    joined = [claim(family="both"), claim(id="falls", effect="fall", family="both")]
    assert rows_of(judge(joined, other)[0])[0]["p_adjusted"] == pytest.approx(0.05561379)


def test_what_is_not_testable_takes_no_part_in_the_correction():
    able = Competence({"b": {"arc": NOT_LEARNT}}, [])
    both = found(("rise", "a", "", effect(2.2)), ("rise", "b", "", effect(2.2)))
    first, second = rows_of(judge([claim(gate=["learnt"])], both, able)[0])
    assert first["p_adjusted"] == pytest.approx(0.02780690) and first["verdict"] == "holds"
    assert second["verdict"] == "not testable" and math.isnan(second["p"]) and math.isnan(second["p_adjusted"])


def test_an_exact_test_gives_the_p_value_where_a_claim_asks_for_one():
    """2 of 35 splits are at least as good; p is the larger of 2/35 and the interval's p on the same side."""
    exact = found(("rise", "a", "", effect(9, p_above=2 / 35, p_below=34 / 35)))
    asked, ignored = claim(test="exact permutation"), claim()
    assert rows_of(judge([asked], exact)[0])[0]["p"] == pytest.approx(2 / 35)
    assert rows_of(judge([asked], exact)[0])[0]["verdict"] == "undecided"
    assert rows_of(judge([ignored], exact)[0])[0]["verdict"] == "holds"
    only_exact = found(("rise", "a", "", Effect(9, 9, (), 0.01, 0.99)))
    assert rows_of(judge([asked], only_exact)[0])[0]["p"] == pytest.approx(0.01)


def test_the_papers_value_stands_beside_ours_and_decides_what_matters():
    values = [{"model": "Llama3-8B", "value": 2.0}, {"model": "OPT-6.7B", "value": 4.0}]
    stated = claim(paper=values).model_dump(exclude_unset=True, exclude={"smallest", "chosen"})
    given = Claim.model_validate(stated)
    of = found(("rise", "llama", "", effect(3)), ("rise", "other", "", effect(3)))
    first, second = rows_of(judge([given], of, stands_for={"llama": "OPT-6.7B"})[0])
    assert (first["paper"], first["smallest"], first["unit"]) == (4.0, 2.0, "nats")
    assert math.isnan(second["paper"]) and second["smallest"] == 1.0


def test_power_stands_beside_what_is_undecided_alone():
    """At z = 1.96, an effect of 2.8 standard errors has a power of 80 %; a claim that holds leaves the full level."""
    of = found(("rise", "open", "", effect(1.5)), ("rise", "sure", "", effect(9)))
    first, second = rows_of(judge([claim(smallest=2.801585)], of)[0])
    assert first["verdict"] == "undecided" and first["power"] == pytest.approx(0.8, abs=1e-3)
    assert second["verdict"] == "holds" and math.isnan(second["power"])


def test_the_power_of_the_papers_own_comparison():
    """258 items at accuracies of 30 and 35 %; only one of the two models is right on 24.5 % of the items.

    This share is halfway between the possible limits of 5 % and .35 * .7 + .3 * .65 = 44 %.
    The better model wins 12.9 more items than it loses, with a standard deviation of sqrt(258 * (.245 - .05²)) = 7.9.
    The power is about Phi(12.9 / 7.9 - 1.96) = 0.37, and slightly less for the exact test.
    """
    paper = [{"model": "Llama-7B", "value": 0.1, "better": 0.40, "worse": 0.30}]
    given = claim(paper=paper, items=258, smallest=0.05)
    here, elsewhere = found(("rise", "a", "", effect(1)), ("rise", "b", "", effect(1)))
    [first], [second] = (judge([given], [one], stands_for={"a": "Llama-7B"})[0] for one in (here, elsewhere))
    assert rows_of([first])[0]["paper_power"] == pytest.approx(0.34, abs=0.04)
    assert math.isnan(rows_of([second])[0]["paper_power"])


def test_a_number_that_came_out_the_same_whatever_varied_is_marked():
    parts = (Component("seeds", 0.0, 2), Component("tasks", 0.0, 6))
    [row] = rows_of(judge([claim(bound=0.5)], found(("rise", "a", "", Effect(0.0, 0.0, parts))))[0])
    assert row["reason"].startswith("the number came out the same whatever varied") and row["verdict"] == "undecided"
    # Seven tasks on one side have p = 2/128. For three tasks p is at least 2/8, so no result could decide.
    for tasks, verdict, power in ((7, "reversed", math.nan), (3, "undecided", 0.0)):
        same = Effect(0.0, 0.0, parts, 1.0, 0.5**tasks, 0.5**tasks, 0.5)
        [row] = rows_of(judge([claim(bound=0.5, smallest=0.1)], found(("rise", "a", "", same)))[0])
        assert row["p"] == pytest.approx(2 / 2**tasks) and row["verdict"] == verdict
        assert row["power"] == pytest.approx(power, nan_ok=True) and row["reason"].endswith(
            "the exact test speaks alone"
        )


def test_the_power_is_that_of_the_level_that_its_family_leaves_and_of_its_test():
    """Two of three are undecided, so each is tested at 2.5 %, where 2.801585 standard errors have a power of 0.71."""
    of = [("rise", name, "", effect(z)) for name, z in (("a", 9), ("b", 1.5), ("c", 1.6))]
    _, second, third = rows_of(judge([claim(smallest=2.801585)], found(*of))[0])
    expected = 1 - 0.5 * math.erfc((2.801585 - 2.241403) / math.sqrt(2))
    assert second["power"] == third["power"] == pytest.approx(expected, abs=1e-4)
    # The p-value of a permutation of seven tasks is at least 1/35: enough for one claim, but not for a family of two.
    exact = effect(2.0, p_above=2 / 35, p_below=34 / 35, p_least=1 / 35)
    asked = claim(test="exact permutation", smallest=2.801585)
    [alone] = rows_of(judge([asked], found(("rise", "a", "", exact)))[0])
    assert alone["power"] == pytest.approx(1 - 0.5 * math.erfc((2.801585 - 1.644854) / math.sqrt(2)), abs=1e-4)
    both = rows_of(judge([asked], found(("rise", "a", "", exact), ("rise", "b", "", exact)))[0])
    assert [row["power"] for row in both] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("reads", "sources", "held", "reason"),
    [
        ("patterns", ("seeds", "samples"), "tasks", ""),
        ("patterns", ("seeds", "tasks"), "", ""),
        ("patterns", ("samples",), "seeds; tasks", "without seed variance"),
        ("answers", ("draws", "items"), "seeds", "without seed variance"),
        ("answers", ("seeds", "items"), "", ""),
        ("answers", ("items",), "seeds; draws", "without seed variance"),
    ],
)
def test_what_was_held_is_said_and_one_seed_is_marked_without_a_narrower_interval(reads, sources, held, reason):
    asked = claim(reads=reads, sides=["ours", "random"])
    [row] = rows_of(judge([asked], found(("rise", "a", "", effect(9, 2.0, sources))))[0])
    assert (row["held"], row["reason"], row["verdict"]) == (held, reason, "holds")
    assert (row["low"], row["high"]) == pytest.approx((9 - 1.959964 * 2, 9 + 1.959964 * 2))


def test_what_is_about_no_model_or_task_of_the_experiment_is_left_out_by_name():
    about = [{"about": "100", "value": 1.0}, {"about": "300", "value": 1.0}]
    claims = [
        claim(id="whole"),
        claim(id="strong", models=["Llama2-7B", "Llama3-8B"]),
        claim(id="weak", models=["Llama-7B"]),
        claim(id="budgets", effect="gain", paper=about),
        claim(id="absent", effect="other"),
    ]
    of = found(("rise", "a", "", effect(1)), ("rise", "b", "", effect(1)), ("gain", "a", "300", effect(1)))
    judged, left_out = judge(claims, of, stands_for={"a": "Llama3-8B"})
    assert [(row["claim"], row["model"]) for row in rows_of(judged)] == [
        ("whole", "a"), ("whole", "b"), ("strong", "a"), ("budgets", "a")
    ]  # fmt: skip
    assert {one: reason for one, _, _, reason in left_out} == {
        "strong": "no model of the experiment stands for Llama2-7B",
        "weak": "the experiment has no model or task for Llama-7B on which rise is measured",
        "budgets": "the experiment has nothing to compare with Figure 2 at 100",
        "absent": "the experiment has no model or task on which other is measured",
    }
    assert judging.judge({"study": claims[:1]}, {}, NOBODY, {})[1][0][-1] == "the experiment leaves out the study study"


# Who is competent.

SIDES = ("ours", "base")


def answers(**changes):
    """A row of the table of answers: the variant ours, 100 items with four options, half of them correct."""
    row = {"study": "study", "model": "a", "task": "set", "variant": "ours", "budget": "", "runs": 3, "items": 100,
           "accuracy": 0.5, "low": 0.4, "high": 0.6, "chance": 0.25, "unreadable": 0.05}  # fmt: skip
    return {key: str(value) for key, value in {**row, **changes}.items()}


def gate(*rows, about="", tasks=None):
    able = Competence({"a": tasks} if tasks else {}, rows)
    asked = claim(gate=["readable", "above_chance", "learnt"], sides=list(SIDES), reads="answers")
    return gates.closed(asked, "study", "a", about, able)


def test_an_accuracy_needs_answers_that_can_be_read_and_one_side_above_chance():
    base = answers(variant="base", accuracy=0.25)
    assert gate(answers(), base) == ""
    assert gate(answers(), {**base, "unreadable": "0.2"}) == ""
    assert gate(answers(), {**base, "unreadable": "0.21"}) == "21% of the answers of base cannot be read"
    assert gate(answers(unreadable=1), base) == "100% of the answers of ours cannot be read"
    # Wilson's lower limit is 0.246 for 33 of 100, and 0.255 for 34 of 100.
    assert gate(answers(accuracy=0.34), base) == ""
    assert gate(answers(accuracy=0.33), base) == "neither ours nor base is above chance (0.25)"


def test_the_sets_of_a_variant_are_taken_together():
    """Half of the 300 answers of one set cannot be read, and all 700 of the other can: 15 % are unreadable."""
    rows = [answers(task="one", items=300, unreadable=0.5), answers(task="two", items=700, unreadable=0)]
    assert gate(*rows, answers(variant="base")) == ""


def test_a_budget_is_a_side_of_its_own():
    rows = [answers(budget="50", unreadable=0.9), answers(budget="150"), answers(variant="base")]
    assert gate(*rows, about="150") == ""
    assert gate(*rows, about="50") == "90% of the answers of ours 50 cannot be read"
    assert gate(*rows, about="") == "90% of the answers of ours 50 cannot be read"


def test_a_model_must_have_learnt_the_task_that_a_claim_is_about():
    arc = Learnt(False, "accuracy", "accuracy 0.3 [0.2, 0.4], chance 0.25")
    tasks = {"gsm8k": LEARNT, "arc": arc, "code": Learnt(True, "loss", "")}
    assert gate(tasks=tasks, about="gsm8k") == gate(tasks=tasks, about="code") == ""
    assert gate(tasks=tasks, about="arc") == "has not learnt arc (accuracy 0.3 [0.2, 0.4], chance 0.25)"
    assert gate(tasks={"arc": arc}).startswith("has not learnt arc (")


def test_a_claim_about_several_tasks_needs_more_than_half_of_them():
    tasks = {"gsm8k": LEARNT, "arc": NOT_LEARNT}
    assert gate(tasks=tasks) == "has learnt 1 of 2 tasks by accuracy, not more than half"
    assert gate(tasks=tasks, about="a group") == gate(tasks=tasks)
    assert gate(tasks={**tasks, "code": Learnt(True, "loss", "")}) == ""
    assert gate(tasks={**tasks, "code": Learnt(False, "loss", "")}) == (
        "has learnt 1 of 3 tasks by accuracy or the fall of the loss, not more than half"
    )


def test_what_was_not_measured_closes_nothing():
    assert gate() == ""
    assert gate(answers(chance="nan", unreadable="nan"), answers(variant="base", chance="nan")) == ""


def test_what_says_that_a_model_has_learnt_stands_beside_the_verdict():
    able = Competence({"a": {"arc": LEARNT, "code": Learnt(True, "loss", "")}, "b": {"arc": NOT_LEARNT}}, [])
    of = found(("rise", "a", "", effect(9)), ("rise", "b", "", effect(9)), ("rise", "c", "", effect(9)))
    first, second, third = rows_of(judge([claim(gate=["learnt"])], of, able)[0])
    assert (first["learnt"], first["verdict"]) == ("2 of 2 tasks by accuracy or the fall of the loss", "holds")
    assert (second["learnt"], second["verdict"]) == ("0 of 1 task by accuracy", "not testable")
    assert (third["learnt"], third["verdict"]) == ("", "holds")
    assert rows_of(judge([claim()], of, able)[0])[0]["learnt"] == ""


@pytest.mark.parametrize(
    ("accuracy", "fall", "expected"),
    [
        ((0.4, 0.26, 0.6), (-1, -2, -0.5), (True, "accuracy")),
        ((0.4, 0.25, 0.6), (1, 0.5, 2), (False, "accuracy")),  # not above chance, so the loss does not count
        ((math.nan,) * 3, (1, 0.5, 2), (True, "loss")),
        ((math.nan,) * 3, (1, 0, 2), (False, "loss")),
        ((math.nan,) * 3, (0.1, math.nan, math.nan), (True, "loss")),
        ((math.nan,) * 3, (-0.1, math.nan, math.nan), (False, "loss")),
        ((math.nan,) * 3, (math.nan,) * 3, None),
    ],
)
def test_the_loss_decides_where_there_is_no_accuracy(accuracy, fall, expected):
    assert competence.is_learnt(accuracy, 0.25, fall) == expected


def test_chance_is_what_guessing_gets_or_one_answer_to_everything():
    four = ("w", "x", "y", "z")
    items = [
        Item("1", "?", "A", ("x", "y")),
        Item("2", "?", "B", four),
        Item("3", "?", "7", ()),
        Item("4", "?", "8", ()),
    ]
    # The answer A is right once in four; guessing gets (1/2 + 1/4) / 4.
    assert answered.chance_of(items) == pytest.approx(1 / 4)
    assert answered.chance_of([*items[2:], Item("5", "?", "8.0", ())]) == pytest.approx(2 / 3)
    assert answered.chance_of([Item(str(n), "?", letter, four) for n, letter in enumerate("ABCD")]) == 1 / 4
    assert answered.chance_of([Item(str(n), "?", letter, four) for n, letter in enumerate("AABCDABA")]) == 1 / 2
    assert math.isnan(answered.chance_of([Item("1", "?", "", ())]))


def write_scores(path):
    columns = ("study", "model", "variant", "budget", "set", "items", "correct", "unparsed")
    rows = [
        ("mixing", "a", "ours", "", "target", 40, 20, 4),
        ("mixing", "a", "ours", "", "target", 40, 24, 0),
        ("mixing", "a", "base", "", "target", 40, 0, 40),
        ("benchmarks", "a", "", "", "mmlu", 40, "", ""),
        ("competence", "a", "after", "", "arc", 40, 40, 0),
    ]
    write_csv(path, columns, rows)


def test_the_table_of_answers_has_every_variant_but_those_that_have_a_table_of_their_own(tmp_path):
    write_scores(tmp_path / "scores.csv")
    options = ["x", "y", "z", "w"]
    rows = [
        {"id": str(i), "prompt": "?", "response": options[i], "choices": options, "answer": "ABCD"[i]} for i in range(4)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "target.parquet")
    scripts.run(
        "assess_answers",
        scores=tmp_path / "scores.csv",
        set=["target", tmp_path / "target.parquet"],
        output=tmp_path / "answers.csv",
    )
    with (tmp_path / "answers.csv").open() as file:
        ours, base, unknown = csv.DictReader(file)
    assert [float(ours[name]) for name in ("runs", "items", "accuracy", "chance", "unreadable")] == [
        2, 40, 0.55, 0.25, 0.05
    ]  # fmt: skip
    assert float(ours["low"]) == pytest.approx(0.3983, abs=1e-4)  # Wilson's lower limit for 22 of 40
    assert (float(base["accuracy"]), float(base["unreadable"])) == (0, 1)
    assert all(math.isnan(float(unknown[name])) for name in ("accuracy", "low", "chance", "unreadable"))
    able = competence.read(None, tmp_path / "answers.csv")
    assert [side.name for side in answered.sides(able.answers, "mixing", "a", "", ("ours", "base"))] == ["ours", "base"]


def test_what_was_learnt_is_read_with_what_says_so(tmp_path):
    def row(task, state, **columns):
        given = {"model": "a", "task": task, "seed": "all", "state": state, **columns}
        texts = ("learnt", "learnt_by", "note")
        return [given.get(name, "" if name in texts else math.nan) for name in competence.COLUMNS]

    arc = {"accuracy": 0.5, "low": 0.41, "high": 0.59, "chance": 0.25, "learnt": 1, "learnt_by": "accuracy"}
    code = {"loss_fall": -0.2, "loss_fall_low": -0.5, "loss_fall_high": 0.1, "learnt": 0, "learnt_by": "loss"}
    table = [row("arc", "before", accuracy=0.9), row("arc", "after", **arc), row("code", "after", **code)]
    write_csv(tmp_path / "able.csv", competence.COLUMNS, table)
    assert competence.read(tmp_path / "able.csv").tasks == {
        "a": {
            "arc": Learnt(True, "accuracy", "accuracy 0.5 [0.41, 0.59], chance 0.25"),
            "code": Learnt(False, "loss", "the loss falls by -0.2 [-0.5, 0.1]"),
        }
    }


def test_claims_are_collected_and_those_left_out_are_listed_and_printed(tmp_path, capsys):
    of = [Measured("rise", "llama", "", effect(9))]
    write_csv(tmp_path / "e.csv", effects.COLUMNS, effects.rows(of))
    registry = {"adaptation": [claim(), claim(id="weak", models=["Llama-7B"])]}
    paths = (NOBODY, {"llama": "Llama3-8B"}, tmp_path / "claims.csv", tmp_path / "left_out.csv")
    collecting.collect(registry, {"adaptation": [tmp_path / "e.csv"]}, *paths)
    [row] = csv.DictReader((tmp_path / "claims.csv").open())
    assert tuple(row) == judging.COLUMNS and row["verdict"] == "holds"
    [left] = csv.DictReader((tmp_path / "left_out.csv").open())
    assert (left["claim"], left["where"]) == ("weak", "Figure 2")
    assert "left out: weak: the experiment has no model or task for Llama-7B" in capsys.readouterr().err


def test_holm_is_that_of_the_textbook():
    from headpatterns.statistics import verdicts

    assert np.allclose(verdicts.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
