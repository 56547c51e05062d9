"""Arguments of evaluation jobs: a setting that changes results changes the command, which makes the job stale."""

import pytest
from experiments import checked, config_of
from refusals import assert_refusal

from headpatterns.errors import InputError
from headpatterns.experiment import arguments, needed

ROOT = "results/mini"
SETS = {"sums": {"dataset": "gsm8k"}, "choices": {"dataset": "arc", "scoring": "likelihood"}}
BENCHMARKS = {"checkpoints": [{"model": "llama", "run": "base"}], "sets": list(SETS)}


def experiment(**evaluation):
    written = {"sets": SETS, "scoring": "generate", **evaluation}
    return checked(config_of({"evaluation": written, "studies": {"benchmarks": BENCHMARKS}}))


def test_sets_say_how_they_are_scored():
    assert arguments.scoring(experiment(), SETS) == "--scoring generate  --scored choices=likelihood "
    given = arguments.scoring(experiment(scoring="likelihood", shots=3), SETS)
    rows = [f"{name}={ROOT}/instructions/{dataset}/train.parquet" for name, dataset in
            (("sums", "gsm8k"), ("choices", "arc"))]  # fmt: skip
    assert given.split() == ["--scoring", "likelihood", "--shots", "3", "--examples", *rows,
                             "--scored", "choices=likelihood"]  # fmt: skip


@pytest.mark.parametrize("changed", [{"scoring": "likelihood"}, {"shots": 1}])
def test_another_way_to_ask_or_score_is_another_command(changed):
    before, after = experiment(), experiment(**changed)
    (place,) = [(model, batch) for model, batch in before.evaluation_batches if batch.startswith("benchmarks")]
    assert arguments.evaluation(before, *place) != arguments.evaluation(after, *place)


def test_prompts_with_examples_may_be_as_long_as_the_model_reads():
    assert arguments.prompt_limit(experiment()) == "--max-length 256"
    assert arguments.prompt_limit(experiment(shots=1)) == ""


def test_sets_are_read_by_the_tokenizers_of_their_models():
    (reader,) = arguments.readers(experiment())
    assert reader[:2] == ("embedded", 512) and set(SETS) < set(reader[2])
    assert arguments.read_by(experiment()).startswith(f"--read-by {ROOT}/pretraining/tokenizer 512 ")
    hub = {"label": "Hub", "source": {"hub": "a/b", "revision": "0" * 40}}
    named = {"checkpoints": [{"model": "hub", "run": "base"}], "sets": ["sums"]}
    studies = {"benchmarks": named, "competence": {"models": []}}  # whose sets include GSM8K's probe rows
    overlay = {"models": {"hub": hub}, "evaluation": {"sets": SETS}, "studies": studies}
    made = checked(config_of(overlay))
    assert "sums" in {row["set"] for row in made.variants}
    assert "sums" not in {name for *_, names in arguments.readers(made) for name in names}


def test_a_study_may_bring_sets_without_answers():
    made = experiment()
    made.evaluation_sets["tales"] = needed.ItemSet(dataset="refgpt", answers_needed=False)
    assert arguments.scoring(made, ["sums", "tales"]).split() == ["--scoring", "generate", "--lenient", "tales"]


@pytest.mark.parametrize(
    ("described", "key", "words"),
    [
        (
            {"opencompass": "ARC", "scoring": "likelihood"},
            ".scoring",
            ("cannot be set for a configuration of OpenCompass",),
        ),
        ({"dataset": "arc", "scoring": "luck"}, ".scoring", ("generate", "likelihood")),
        ({"dataset": "arc", "opencompass": "ARC"}, "", ("exactly one of dataset and opencompass",)),
        ({"scoring": "generate"}, "", ("exactly one of dataset and opencompass",)),
    ],
)
def test_a_set_that_is_described_wrongly_is_refused(described, key, words):
    with pytest.raises(InputError) as refusal:
        checked(config_of({"evaluation": {"sets": {"x": described}}}))
    assert_refusal(str(refusal.value), f"evaluation.sets.x{key}", words)
