"""Published results: which files of an experiment are published, which are computed again, and which are refused."""

import json
import shutil

import numpy as np
import pytest
import scripts
from experiments import config_of, experiment_of, meaning
from project import PROJECT
from refusals import refusal

from headpatterns import __version__, load_patterns
from headpatterns.experiment import published
from headpatterns.report import export

TINY = "tests/config/tiny.yaml"
PATTERNS = "patterns/big/nlp.arc.seed0/arc"


ABOUT = {
    "model": "big",
    "data": "results/x/instructions/arc/probe.parquet",
    "ids": [f"arc-{number}" for number in range(40)],
    "losses": [1.5] * 40,
    "response_tokens": [2] * 40,
    "reduction": "abs_of_sum",
    "also": ["sum_of_abs"],
    "signed": ["abs_of_sum"],
}
"""The description of the patterns, without the folder of the model."""


@pytest.fixture
def results(tmp_path):
    """A part of an experiment: patterns of one step in two reductions, ablations, a table, and marks of Snakemake."""
    folder = tmp_path / "results"
    for name, shape in {
        f"{PATTERNS}/step-0.npy": (2, 3),
        f"{PATTERNS}/step-0.samples.npy": (40, 2, 3),
        f"{PATTERNS}/step-0.sum_of_abs.samples.npy": (40, 2, 3),
        "ablations/big/nlp.arc.seed0/after.changes.npy": (40, 2, 3),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / name, np.random.default_rng(len(name)).random(shape, np.float32))
    (folder / PATTERNS / "step-0.json").write_text(json.dumps({**ABOUT, "model": "/home/me/models/big"}))
    (folder / PATTERNS / ".snakemake_timestamp").touch()
    (folder / "analysis").mkdir()
    (folder / "analysis/level.csv").write_text("model,value\nbig,1\n")
    (folder / "config.yaml").write_text("seeds: [0]\n")
    return folder


def exported(results, most_mb=8.0, **options):
    paths = [results / name for name in (PATTERNS, "ablations/big/nlp.arc.seed0", "analysis/level.csv", "config.yaml")]
    target = results.parent / "published/big"
    scripts.run("export", results=results, paths=paths, most_mb=most_mb, output=target, **options)
    return target


def test_a_folder_is_published_with_checksums_and_read_again(results, capsys):
    folder = exported(results)
    assert "kept of the patterns: every-reduction" in capsys.readouterr().out
    found = published.opened(folder)
    assert set(found.files) == {
        *(f"{PATTERNS}/step-0{suffix}" for suffix in (".npy", ".samples.npy", ".sum_of_abs.samples.npy", ".json")),
        "ablations/big/nlp.arc.seed0/after.changes.npy",
        "analysis/level.csv",
        "config.yaml",
    }
    assert (found.kept, found.root) == (published.EVERY_REDUCTION, "results/published/big")
    assert published.config_of(found) == {"seeds": [0]}
    for name in found.files:
        same = (folder / name).read_bytes() == (results / name).read_bytes()
        assert same == (not name.endswith("step-0.json"))
    about = json.loads((folder / PATTERNS / "step-0.json").read_text())
    assert about == ABOUT
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["headpatterns"] == __version__ and manifest["commit"] and len(manifest["date"]) == 10


ONE_ARRAY = (128 + 40 * 2 * 3 * 4) / 1e6
"""The size of an array of samples with its header, in MB."""


@pytest.mark.parametrize(
    ("arrays", "kept", "names"),
    [
        (3.5, published.EVERY_REDUCTION, {"step-0", "step-0.samples", "step-0.sum_of_abs.samples", "after.changes"}),
        (2.5, published.ONE_REDUCTION, {"step-0", "step-0.samples", "after.changes"}),
        (1.5, published.MEANS, {"step-0"}),
    ],
)
def test_as_much_of_patterns_is_kept_as_is_small_enough(results, arrays, kept, names):
    folder = exported(results, most_mb=arrays * ONE_ARRAY)
    assert {path.stem for path in folder.rglob("*.npy")} == names
    assert published.opened(folder).kept == kept


@pytest.mark.parametrize(
    ("arrays", "reductions"), [(3.5, ["abs_of_sum", "sum_of_abs"]), (2.5, ["abs_of_sum"])], ids=["every", "one"]
)
def test_published_patterns_can_be_loaded(results, arrays, reductions):
    """Also those without the further reductions, which their description then leaves out."""
    folder = exported(results, most_mb=arrays * ONE_ARRAY)
    found = load_patterns(folder / PATTERNS, 0).patterns
    assert [found.reduction, *found.also] == reductions
    np.testing.assert_array_equal(found.sums["abs_of_sum"], np.load(results / PATTERNS / "step-0.samples.npy"))


def test_arrays_with_the_same_bytes_count_once(results):
    for step in (1, 2, 3):
        for file in (results / PATTERNS).glob("step-0.*npy"):
            shutil.copy(file, file.with_name(file.name.replace("step-0", f"step-{step}")))
    assert published.opened(exported(results, most_mb=3.5 * ONE_ARRAY)).kept == published.EVERY_REDUCTION


def test_no_more_is_promised_than_the_results_have(results):
    folder = exported(results, richest=published.ONE_REDUCTION)
    assert published.opened(folder).kept == published.ONE_REDUCTION


def test_what_was_published_before_is_replaced(results):
    (exported(results) / "analysis/old.csv").write_text("a\n")
    assert not (exported(results) / "analysis/old.csv").exists()


def test_another_folder_is_left_alone(results, tmp_path):
    for name, hint in {"published/big": "not empty", "published/a b": "rename it", "": "to=published/NAME"}.items():
        if name:
            (tmp_path / name).mkdir(parents=True)
            (tmp_path / name / "mine.txt").write_text("mine")
        target = str(tmp_path / name) if name else ""
        with refusal(f"to={target}" if "big" in name else target or "`export`", hint):
            published.check_target(target)
    with refusal(f"to={tmp_path}/published/big", "not a published result"):
        exported(results)
    assert (tmp_path / "published/big/mine.txt").read_text() == "mine"


def damage(folder, what):
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    match what:
        case "nowhere":
            shutil.rmtree(folder)
        case "no manifest":
            manifest.unlink()
        case "no json":
            manifest.write_text("{")
        case "no manifest of ours":
            manifest.write_text("[]")
        case "format":
            manifest.write_text(json.dumps({"format": 2, "headpatterns": "9.1.0"}))
        case "changed":
            (folder / "analysis/level.csv").write_text("model,value\nbig,2\n")
        case "missing":
            (folder / "analysis/level.csv").unlink()
        case "patterns":
            manifest.write_text(json.dumps({**content, "patterns": "some"}))


@pytest.mark.parametrize(
    ("what", "start", "hint"),
    [
        ("nowhere", "from={folder}", ("is not a folder", "give the path")),
        ("no manifest", "{folder}", ("no manifest.json", "snakemake export")),
        ("no json", "{folder}/manifest.json", ("cannot be read", "git checkout")),
        ("no manifest of ours", "{folder}/manifest.json", ("cannot be read", "git checkout")),
        ("format", "{folder}", ("format 2 of headpatterns 9.1.0", f"headpatterns {__version__} reads")),
        ("patterns", "{folder}", "publish the experiment again"),
        ("changed", "{folder}/analysis/level.csv", ("checksum differs", "git checkout")),
        ("missing", "{folder}/analysis/level.csv", ("is missing", "git checkout")),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(results, what, start, hint):
    folder = exported(results)
    damage(folder, what)
    with refusal(start.format(folder=folder), hint):
        published.opened(folder)


def test_nothing_else_is_set_beside_a_published_result(results):
    folder = exported(results)
    config = {"from": str(folder), "seeds": [1]}
    with refusal(f"from={folder}", ("leave out", "seeds")):
        published.asked(config, {"from": str(folder), "seeds": [1]})
    config = {"from": str(folder), "seeds": [0]}
    assert published.asked(config, {"from": str(folder), "to": "elsewhere"}).folder == folder
    assert "from" not in config
    assert published.asked({"seeds": [0]}, {"seeds": [0]}) is None


def test_a_config_of_another_version_is_said_to_be_one(results):
    folder = published.opened(exported(results))
    given = {**config_of(TINY), "what_was_once_a_key": 1}
    with pytest.raises(published.InputError) as refused:
        published.explained(lambda: meaning(given), folder)
    assert str(refused.value).startswith(f"{folder.folder}/config.yaml does not fit headpatterns {__version__}")
    assert "config key what_was_once_a_key" in str(refused.value)


COMPUTED = {
    *("distribution", "similarity", "composition", "dynamics", "level", "validity", "transfer", "transplant"),
    *("trained_heads", "head_scores", "methods", "precision", "mixture", "selection_costs"),
}
"""Analyses and effects of tests/config/tiny.yaml that read only patterns, ablations and rankings."""


def test_what_reads_measured_files_alone_is_computed_again():
    experiment = experiment_of(TINY)
    of_patterns = COMPUTED | {"adaptation"}
    for kept, names in {
        published.EVERY_REDUCTION: of_patterns | {"sensitivity"},
        published.ONE_REDUCTION: of_patterns,
        published.MEANS: set(),
    }.items():
        found = [one for one in published.calculations(experiment) if published.is_computed(experiment, one, kept)]
        assert {one.name for one in found} == names
    places = {published.place(experiment, path) for path in published.measured(experiment)}
    assert places == set(published.MEASURED)


def test_the_rest_is_taken_and_what_the_folder_lacks_is_named():
    experiment = experiment_of(TINY)
    files = [published.relative(experiment, path) for path in published.measured(experiment)]
    tables = [f"analysis/{name}.csv" for one in published.calculations(experiment) for name in published.tables_of(one)]
    files += [*tables, *(published.relative(experiment, path) for path in published.accounts(experiment))]
    whole = published.Published(PROJECT / "published/tiny", published.EVERY_REDUCTION, dict.fromkeys(files, ""))
    taken = {published.relative(experiment, path) for path in published.taken(experiment, whole)}
    assert {"analysis/competence.csv", "analysis/mixing_effects.csv", "analysis/answers.csv", "provenance.json"} < taken
    assert not taken & {"analysis/similarity.csv", "analysis/claims.csv", "analysis/sensitivity.csv"}
    without = [name for name in files if name != "analysis/competence.csv"]
    with refusal("analysis/competence.csv", ("has no", "publish the experiment again")):
        published.taken(experiment, published.Published(whole.folder, whole.kept, dict.fromkeys(without, "")))


def test_files_and_folders_are_copied_to_their_places(results, tmp_path):
    found = published.opened(exported(results))
    published.copy(found, [PATTERNS, "analysis/level.csv"], tmp_path / "made")
    made = {str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").rglob("*") if path.is_file()}
    assert made == set(found.files) - {"config.yaml", "ablations/big/nlp.arc.seed0/after.changes.npy"}
    assert (tmp_path / "made/analysis/level.csv").read_text() == "model,value\nbig,1\n"


def test_a_missing_result_is_named(results):
    with refusal(str(results / "summary.md"), "to its end"):
        export.export(results, results.parent / "out", [results / "summary.md"], 1)
