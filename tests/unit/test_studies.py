"""Studies are found by their folders, light to import and complete, and command lines run their parts by name."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import scripts

from headpatterns import studies
from headpatterns.errors import InputError
from headpatterns.experiment.study import load
from headpatterns.studies import commands, load_studies

HEAVY = ("numpy", "scipy", "pandas", "matplotlib", "torch", "pyarrow", "jinja2", "docutils")
PARTS = [
    part
    for study in load_studies()
    for part in (*study.analyses, *study.drawings, *study.tables, *study.effects, *study.views)
]


def test_the_studies_stand_in_their_order():
    names = [study.name for study in load_studies() if study.place % 10 == 0]  # new studies have places between these
    assert names == ["adaptation", "composition", "dynamics", "validity", "mixing", "selection", "benchmarks",
                     "sensitivity"]  # fmt: skip


def test_finding_the_studies_and_reading_tables_of_text_imports_nothing_heavy():
    code = (
        "import sys; from headpatterns.studies import load_studies; load_studies(); "
        "from headpatterns.experiment import run_table, variants; from headpatterns.studies import commands; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=scripts.FOLDER, check=True)
    assert done.stdout.strip() == "[]"


def references_of(study):
    """The functions that a study names."""
    references = [part.compute for part in study.analyses]
    references += [part.draw for part in study.drawings]
    references += [part.tabulate for part in study.tables]
    references += [part.measure for part in study.effects]
    references += [part.show for part in study.views]
    return references + ([study.section] if study.section else [])


def test_no_study_names_one_function_for_two_of_its_parts():
    """Two studies may share a function, such as for the validity of patterns around a fine-tuning made elsewhere."""
    for study in load_studies():
        assert len(references_of(study)) == len(set(references_of(study))) > 0, study.name


def test_every_reference_leads_to_a_function_with_an_explanation():
    references = {reference for study in load_studies() for reference in references_of(study)}
    assert len(references) > 20
    for reference in references:
        function = load(reference)
        assert function.__doc__, reference
        found = inspect.signature(function)
        assert all(one.annotation is not inspect.Parameter.empty for one in found.parameters.values()), reference
        assert found.return_annotation is not inspect.Signature.empty, reference


def test_names_of_parts_and_targets_are_taken_once():
    of_kind = [(type(part).__name__, part.name) for part in PARTS]
    assert len(of_kind) == len(set(of_kind))
    for study in load_studies():
        own = {part.name for part in (*study.drawings, *study.tables)}
        assert all(set(parts) <= own for parts in study.targets.values()), study.name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a study `chess`, which the package also finds."""
    place = tmp_path / "chess"
    place.mkdir()
    monkeypatch.setattr(studies, "__path__", [*studies.__path__, str(tmp_path)])
    load_studies.cache_clear()
    yield place
    load_studies.cache_clear()
    sys.modules.pop("headpatterns.studies.chess", None)


STUDY = """
from pydantic import BaseModel
from headpatterns.experiment.study import Study
STUDY = Study(name="{name}", place=36, settings=BaseModel)
"""


def test_a_new_folder_joins_at_its_place(folder):
    (folder / "__init__.py").write_text(STUDY.format(name="chess"))
    assert [study.name for study in load_studies()][4:7] == ["methods", "chess", "validity"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"chess defines no study: define STUDY as a Study in its __init__\.py\."),
        ("STUDY = 3", "chess defines no study"),
        (STUDY.format(name="draughts"), "defines a study with the name 'draughts': give both the same name"),
    ],
)
def test_a_folder_that_describes_no_study_is_named(folder, text, message):
    (folder / "__init__.py").write_text(text)
    with pytest.raises(InputError, match=message):
        load_studies()


@pytest.mark.parametrize(
    ("script", "options", "sentence"),
    [
        ("analyse", {"positional": ["similar"]}, "No study has the analysis 'similar': use one of competence, dis"),
        ("draw", {"positional": ["figure3"]}, "No study has the drawing 'figure3': use one of figure_com"),
        ("write_table", {"positional": ["table4"]}, "No study has the table 'table4': use one of competence, ta"),
        ("analyse", {"inputs": "{"}, "--inputs is not JSON ("),
        ("analyse", {"inputs": "[]"}, '--inputs is [], which is not a JSON object: write it like {"key": "value"}.'),
        ("analyse", {"settings": "7"}, "--settings is 7, which is not a JSON object"),
        ("analyse", {"outputs": {"similarity": "s.csv"}}, "--outputs of the analysis similarity: the key 'summary' is"),
        ("analyse", {"outputs": {"similarity": 3}}, "--outputs: 'similarity' is 3: give it as text."),
        ("analyse", {"inputs": {"run": "r.csv"}}, "of the analysis similarity: the key 'run' is unknown: use runs, re"),
        ("analyse", {"inputs": {}}, "of the analysis similarity: the key 'runs' is missing: give runs, resamples, s"),
        ("analyse", {"inputs": {"runs": ["r.csv"]}}, "'runs' of the analysis similarity is ['r.csv']: give a path."),
        ("analyse", {"inputs": {"runs": "r.csv", "seed": "0"}}, "both have the key 'seed': give it once."),
        ("analyse", {"positional": ["selection"], "inputs": {"variants": "v", "items": "i"},
                     "outputs": {"accuracy": "a", "differences": "d", "ranks": "r"}},
         "'items' of the analysis selection is 'i': give a list of paths."),
    ],
)  # fmt: skip
def test_a_wrong_name_key_or_json_gives_one_sentence(script, options, sentence, capfd, monkeypatch, tmp_path):
    if script == "analyse":
        usual = {"positional": ["similarity"], "inputs": {"runs": "r.csv"}, "settings": {"resamples": 9, "seed": 0},
                 "outputs": {"similarity": "s.csv", "summary": "u.csv"}}  # fmt: skip
    else:
        usual = {"inputs": {}, "output": tmp_path / "made"}
    given = {
        key: json.dumps(value) if isinstance(value, dict) else value for key, value in {**usual, **options}.items()
    }
    assert sentence in scripts.refused(capfd, monkeypatch, script, **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"positional": ["chess"]}, "No study has the effects 'chess': use one of adaptation, "),
        ({"reading": "[]"}, "--reading is [], which is not a JSON object"),
        ({"reading": {"change": "ratio"}}, "the reading of patterns has change 'ratio': give one of difference, rate,"),
        ({"reading": {"changes": "rate"}}, "a reading of patterns has no key 'changes': use reduction, normalis"),
        ({"inputs": {"run": "r.csv"}}, "of the effects composition: the key 'run' is unknown: use runs, resamples, s"),
        ({"settings": {"resamples": 9}}, "of the effects composition: the key 'seed' is missing: give runs, resampl"),
    ],
)
def test_wrong_effects_give_one_sentence(options, sentence, capfd, monkeypatch, tmp_path):
    usual = {"positional": ["composition"], "inputs": {"runs": "r.csv"}, "reading": {},
             "settings": {"resamples": 9, "seed": 0, "expected_pairs": {}}, "output": tmp_path / "e.csv"}  # fmt: skip
    given = {
        key: json.dumps(value) if isinstance(value, dict) else value for key, value in {**usual, **options}.items()
    }
    assert sentence in scripts.refused(capfd, monkeypatch, "measure", **given)
    assert not list(tmp_path.iterdir())


def test_effects_that_a_description_does_not_name_are_no_result(monkeypatch, tmp_path):
    from headpatterns.statistics.effects import Effect
    from headpatterns.studies.effects import Measured

    [part] = [part for study in load_studies() for part in study.effects if part.name == "selection"]
    monkeypatch.setattr(commands, "called", lambda *given, **more: [Measured("other", "", "", Effect(0, 0))])
    with pytest.raises(RuntimeError, match="does not name 'other' in `measures`"):
        commands.measured(part, {}, {}, {})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"effects": "chess=c.csv"}, "--effects: the key 'chess' is unknown: use adaptation, "),
        ({"effects": "adaptation"}, "--effects adaptation does not have the form NAME=PATH"),
        ({"effects": "adaptation=none.csv"}, "none.csv cannot be read"),
        ({"competence": "able.csv"}, "able.csv cannot be read"),
        ({"stands_for": ["a=Llama-7B", "a=Llama2-7B"]}, "--stands-for names a twice"),
    ],
)
def test_wrong_claims_give_one_sentence(options, sentence, capfd, monkeypatch, tmp_path):
    outputs = {"output": tmp_path / "claims.csv", "left_out_output": tmp_path / "left_out.csv"}
    given = {"effects": None, **outputs, **options}
    assert sentence in scripts.refused(capfd, monkeypatch, "collect_claims", **given)
    assert not list(tmp_path.iterdir())


def test_no_script_has_the_name_of_a_package():
    """A script's folder is the first place where Python looks for modules: tabulate.py would hide the library."""
    found = [place for place in map(Path, sys.path) if place != scripts.FOLDER and (place / "numpy").is_dir()]
    assert found
    for path in scripts.FOLDER.glob("*.py"):
        assert not any((place / path.name).is_file() or (place / path.stem).is_dir() for place in found), path.name


def test_selected_studies_keep_the_display_order():
    assert [study.name for study in commands.selected(["mixing", "adaptation"])] == ["adaptation", "mixing"]
