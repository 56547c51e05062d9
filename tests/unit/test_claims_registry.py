"""The registry of claims: what it accepts and refuses, and that its numbers are those of the paper's tables."""

import pytest
import yaml
from project import PROJECT
from refusals import refusal

from headpatterns.claims import registry
from headpatterns.experiment.fields import Section
from headpatterns.experiment.study import Effects, Study
from headpatterns.studies import load_studies

CLAIM = {
    "id": "level_rises",
    "section": "4.1",
    "where": "Figure 2",
    "statement": "Levels rise.",
    "effect": "level_change",
    "bound": 0,
    "direction": "above",
    "unit": "nats",
    "computed": "After minus before.",
    "paper": [{"model": "Llama3-8B", "value": 0.5}, {"model": "OPT-6.7B", "about": "100", "value": -0.2}],
    "test": "t",
    "reads": "patterns",
}
MEASURED = ("level_change", "gini_change")
STUDIES = PROJECT / "workflow_scripts/headpatterns/studies"


def without(*keys):
    return {key: value for key, value in CLAIM.items() if key not in keys}


def written(path, claims):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(claims if isinstance(claims, str) else yaml.safe_dump(claims))
    return path


def test_a_claim_has_its_keys_and_defaults(tmp_path):
    [claim] = registry.read(written(tmp_path / "claims.yaml", [CLAIM]), MEASURED)
    assert claim.above and claim.corrected_with == "level_rises"
    assert claim.models == claim.gate == claim.sides == []


def test_the_smallest_effect_is_half_of_the_papers_distance_from_the_bound(tmp_path):
    values = [
        {"model": "Llama3-8B", "value": 0.5},
        {"model": "OPT-6.7B", "about": "100", "value": 0.3},
        {"model": "OPT-6.7B", "about": "300", "value": -0.1},
    ]
    [claim] = registry.read(written(tmp_path / "c.yaml", [{**CLAIM, "bound": 0.4, "paper": values}]), MEASURED)
    assert claim.smallest_of("Llama3-8B", "anything") == pytest.approx(0.05)
    assert claim.smallest_of("OPT-6.7B", "300") == pytest.approx(0.25)
    assert claim.smallest_of("OPT-6.7B", "50") == pytest.approx(0.05)  # the smallest of that model
    assert claim.smallest_of("", "") == pytest.approx(0.05)  # the smallest of all models
    assert claim.of_paper("OPT-6.7B", "100").value == 0.3 and claim.of_paper("OPT-6.7B", "50") is None
    stated = {**CLAIM, "smallest": 0.7, "chosen": "by hand"}
    [claim] = registry.read(written(tmp_path / "c.yaml", [stated]), MEASURED)
    assert claim.smallest_of("Llama3-8B", "") == 0.7


def test_a_value_of_the_paper_may_be_that_of_all_models(tmp_path):
    [claim] = registry.read(
        written(tmp_path / "c.yaml", [{**CLAIM, "paper": [{"about": "nlp", "value": 0.97}]}]), MEASURED
    )
    assert claim.of_paper("Gemma-7B", "nlp").value == claim.of_paper("", "nlp").value == 0.97
    assert claim.of_paper("Gemma-7B", "infinity") is None


@pytest.mark.parametrize(
    ("claims", "place", "hint"),
    [
        ("- id: [", "", "cannot be read as YAML"),
        ("level_rises: 1", "", "is not a list of claims: start each claim with `- id:`."),
        ("- a\n- b", "", "is not a list of claims"),
        ([CLAIM, CLAIM], "level_rises", "the id appears twice: choose another."),
        ([without("id")], "1", "(top level) lacks 'id': add it."),
        ([{**CLAIM, "id": "Level rises"}], "Level rises", "does not match"),
        ([{**CLAIM, "effect": "level_changes"}], "level_rises", "does not measure; did you mean 'level_change'?"),
        ([{**CLAIM, "effect": "mean"}], "level_rises", "'mean', which its study does not measure; valid are: level_ch"),
        ([without("unit")], "level_rises", "paper has a value, but the claim has no unit: add a unit"),
        ([{**CLAIM, "test": "wilcoxon"}], "level_rises", "'wilcoxon' is not one of ['t', 'exact permutation', 'rank']"),
        ([{**CLAIM, "direction": "up"}], "level_rises", "'up' is not one of ['above', 'below']"),
        ([{**CLAIM, "gate": ["fluent"]}], "level_rises", "gate[0]: 'fluent' is not one of ['learnt', 'readable', 'abo"),
        ([{**CLAIM, "gate": ["readable"]}], "level_rises", "no sides: name the variants that are compared."),
        ([{**CLAIM, "models": ["Llama9"]}], "level_rises", "models[0]: 'Llama9' is not one of ['Llama3-8B', 'Gemma-7"),
        ([{**CLAIM, "paper": [{"model": "GPT", "value": 1}]}], "level_rises", "paper[0].model: 'GPT' is not one of"),
        ([{**CLAIM, "paper": [{"value": "0.5"}]}], "level_rises", "paper[0].value is '0.5': it must be of type number"),
        ([{**CLAIM, "paper": [{"value": 1}, {"value": 2}]}], "level_rises", "two values of the same model about the"),
        (
            [{**CLAIM, "paper": [{"value": 1, "better": 2}]}],
            "level_rises",
            "one of better and worse: give both numbers",
        ),
        ([without("paper")], "level_rises", "smallest is missing, and the paper has no value to take half of"),
        ([{**CLAIM, "paper": [{"value": 0}]}], "level_rises", "smallest is missing, and a value of the paper is at"),
        ([{**CLAIM, "smallest": 0.1}], "level_rises", "smallest and chosen belong together"),
        ([{**CLAIM, "chosen": "so"}], "level_rises", "smallest and chosen belong together"),
        ([{**CLAIM, "smallest": 0, "chosen": "so"}], "level_rises", "0 is less than or equal to the minimum of 0"),
        ([{**CLAIM, "fam": "x"}], "level_rises", "fam is unknown; did you mean 'family'?"),
    ],
)
def test_a_faulty_registry_is_refused_with_the_file_and_the_claim(tmp_path, claims, place, hint):
    path = written(tmp_path / "claims.yaml", claims)
    with refusal(str(path), (f"claim {place}" if place.isdecimal() else f"claim '{place}'" if place else "yaml", hint)):
        registry.read(path, MEASURED)


def study_of(name, *measures):
    effects = Effects(name=name, measure="m:f", inputs=lambda experiment: {}, measures=measures)
    return Study(name=name, place=1, settings=Section, effects=(effects,))


def test_each_study_brings_its_own_registry_and_ids_are_taken_once(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "STUDIES", tmp_path)
    written(tmp_path / "first/claims.yaml", [CLAIM])
    second = written(tmp_path / "second/claims.yaml", [{**CLAIM, "effect": "gini_change", "id": "gini_falls"}])
    studies = [study_of("first", "level_change"), study_of("second", "gini_change"), study_of("third", "x")]
    found = registry.registry(studies)
    assert {study: [claim.id for claim in claims] for study, claims in found.items()} == {
        "first": ["level_rises"],
        "second": ["gini_falls"],
    }
    written(second, [{**CLAIM, "effect": "gini_change"}])
    with refusal(str(second), ("claim 'level_rises'", "has the same id: choose another.")):
        registry.registry(studies)


def own_claims():
    return {claim.id: claim for claims in registry.registry(load_studies()).values() for claim in claims}


def test_the_papers_numbers_are_those_of_its_tables():
    """Recomputed from Tables 1, 2 and 3 as the paper prints them."""
    claims = own_claims()
    table1 = {  # Gini, CV, kurtosis: before and after
        "Llama3-8B": ((0.50, 0.33), (1.19, 0.71), (95.37, 39.55)),
        "Gemma-7B": ((0.48, 0.38), (1.71, 1.23), (240.99, 130.82)),
        "OPT-6.7B": ((0.42, 0.38), (1.06, 0.819), (50.67, 24.23)),
    }
    table2 = {
        "Llama-7B": {"base": 28.68, "sft": 31.78, "random": 33.82, "ours": 36.82},
        "Llama2-7B": {"base": 29.07, "sft": 36.43, "random": 34.51, "ours": 40.70},
        "Llama3-8B": {"base": 50.39, "sft": 52.33, "random": 51.16, "ours": 55.03},
    }
    table3 = {  # the base model, then T and R at 100, 300 and 500
        "Llama-7B": (30.00, {"100": (31.66, 30.33), "300": (36.15, 32.81), "500": (39.09, 34.68)}),
        "Llama2-7B": (35.08, {"100": (39.05, 37.06), "300": (40.51, 37.62), "500": (40.70, 37.95)}),
        "Llama3-8B": (56.75, {"100": (57.39, 56.19), "300": (57.95, 56.37), "500": (57.51, 56.19)}),
    }
    for model, statistics in table1.items():
        for name, (before, after) in zip(("gini", "cv", "kurtosis"), statistics, strict=True):
            assert claims[f"{name}_falls"].of_paper(model, "").value == pytest.approx(after - before)
            assert claims[f"{name}_is_high_before"].of_paper(model, "").value == before
        assert claims["still_skewed_after"].of_paper(model, "").value == statistics[2][1]
    for model, row in table2.items():
        for name in ("mixing_beats_target_alone", "mixing_beats_random", "target_beats_base"):
            better, worse = claims[name].sides
            assert 100 * claims[name].of_paper(model, "").value == pytest.approx(row[better] - row[worse])
        weak = "random_helps_the_weak" if model == "Llama-7B" else "random_hurts_the_strong"
        assert 100 * claims[weak].of_paper(model, "").value == pytest.approx(row["random"] - row["sft"])
    for model, (base, budgets) in table3.items():
        for budget, (chosen, random) in budgets.items():
            value = claims["selection_beats_random"].of_paper(model, budget).value
            assert 100 * value == pytest.approx(chosen - random)
            assert 100 * claims["selection_beats_base"].of_paper(model, budget).value == pytest.approx(chosen - base)
        grown = budgets["500"][0] - budgets["100"][0]
        assert 100 * claims["selection_grows"].of_paper(model, "").value == pytest.approx(grown)
    for claim in claims.values():
        for one in claim.paper:
            assert one.better is None or one.value == pytest.approx(one.better - one.worse), claim.id


def test_every_value_of_the_paper_lies_on_the_side_of_its_statement():
    for claim in own_claims().values():
        assert claim.section and claim.unit and claim.computed.endswith(".") and claim.statement.endswith(".")
        for one in claim.paper:
            assert (one.value > claim.bound) == claim.above, claim.id


def test_every_accuracy_is_gated_and_compared_between_variants_that_exist():
    from headpatterns.experiment.variants import VARIANTS

    for study, claims in registry.registry(load_studies()).items():
        for claim in claims:
            if claim.reads == "answers":
                assert {"readable", "above_chance"} <= set(claim.gate)
                assert set(claim.sides) <= set(VARIANTS[study])
