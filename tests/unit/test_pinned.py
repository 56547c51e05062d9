"""The table of pinned datasets: the rows that config/paper.yaml needs, and the messages about wrong rows."""

import re

import pytest
import scripts
from experiments import config_of, meaning
from project import config_in
from refusals import refusal

from headpatterns.data import pinned
from headpatterns.experiment import arguments, needed, written
from headpatterns.experiment.sources import RowsPinned

HEADER = ",".join(pinned.COLUMNS)
COMMIT = "0123456789" * 4
ROW = {
    "dataset": "maths",
    "version": COMMIT,
    "source": "primary",
    "address": "https://huggingface.co/datasets/org/maths",
    "files": "train-*.parquet",
    "checksum": "",
    "licence": "MIT",
    "note": "",
}
ZIP = {"version": "v1", "address": "http://host/datasets/data/maths.zip", "checksum": f"md5:{'0' * 32}"}


def table(tmp_path, *rows, header=HEADER):
    lines = [header, *(",".join({**ROW, **row}[name] for name in pinned.COLUMNS) for row in rows)]
    path = tmp_path / "datasets.csv"
    path.write_text("\n".join(lines) + "\n")
    return pinned.read(path)


def test_every_dataset_of_the_paper_has_a_row_with_a_licence_and_a_commit():
    """Only Infinity-Instruct is read from the disk, because the user chooses its release."""
    sources = pinned.read()
    for name, dataset in config_in("config/paper.yaml")["datasets"].items():
        rows = [*dataset["train"], *dataset.get("probe", [])]
        if name.startswith("infinity-"):
            assert rows == [{"path": "$HEADPATTERNS_DATA/infinity_instruct"}]
            assert sources["infinity-instruct"]["primary"].address.endswith("/BAAI/Infinity-Instruct")
            assert "BAAI/Infinity-Instruct" in dataset["obtain"]
            continue
        assert rows and all(row["files"] in sources[row["pinned"]]["primary"].files for row in rows), name
        assert {row["pinned"] for row in rows} == {name}
        used = {row["files"] for row in rows}
        assert used == set(sources[name]["primary"].files), "what nobody reads is not downloaded"


def test_rows_of_the_table():
    for name, sources in pinned.read().items():
        for source in sources.values():
            assert source.address.startswith("https://") or source.checksum
            if source.repository:
                assert re.fullmatch("[0-9a-f]{40}", source.version) and not source.checksum
            elif name != "infinity-instruct":
                assert source.checksum and source.version
        assert len({source.version for source in sources.values()}) == 1, "a mirror has the same commit"
    mathbench = pinned.read()["mathbench"]["primary"]
    assert mathbench.checksum == "md5:50257a910ca43d1f61a610a79fdb16b5"


def test_mathbench_is_as_opencompass_has_it(opencompass):
    """Compares address and checksum with the OpenCompass package that the other environment pins."""
    [listed] = opencompass.parents[1].glob("lib/python*/site-packages/opencompass/utils/datasets_info.py")
    source = pinned.read()["mathbench"]["primary"]
    said = re.search(r'"/mathbench_v1/": \{\s*"url":\s*"(.+)",\s*"md5": "(.+)",', listed.read_text())
    assert (source.address, source.checksum) == (said[1], f"md5:{said[2]}")


@pytest.mark.parametrize(
    ("row", "hints"),
    [
        ({"dataset": ""}, "has no dataset: fill it in"),
        ({"licence": ""}, "has no licence: fill it in"),
        ({"files": ""}, "has no files: fill it in"),
        ({"source": "archive"}, ("the source 'archive'", "write primary or mirror")),
        ({"version": "main"}, ("the version 'main' of a repository", "40 hexadecimal digits of a commit")),
        ({"address": "hub.example/maths"}, ("the address 'hub.example/maths'", "write https://")),
        ({"address": "https://me:secret@hub.example/datasets/o/maths"}, "and no login"),
        ({"address": "http://hub.example/datasets/o/maths"}, "can change: write https://, or add its checksum"),
        ({"checksum": f"md5:{'0' * 32}"}, ("a checksum for a repository", "leave it empty")),
        ({**ZIP, "checksum": "50257a910ca43d1f61a610a79fdb16b5"}, ("the checksum '50257a91", "md5: or sha256:")),
        ({"note": "a, b"}, ("does not have 8 cells", "quotes")),
        ({"address": "https://hub.example/datasets/x/maths-0.5", "version": "main"}, "the version 'main' of a rep"),
        ({**ZIP, "address": "https://x.example/a.tar.gz"}, ("of one file", "the last part of the address")),
    ],
)
def test_a_wrong_row_is_one_sentence_with_its_line(tmp_path, row, hints):
    with refusal("config/datasets.csv, line 3,", hints):
        table(tmp_path, ZIP, row)


def test_a_wrong_table(tmp_path):
    with refusal("config/datasets.csv", ("has the columns dataset, version", "write dataset, version, source")):
        table(tmp_path, header="dataset,version")
    with refusal("config/datasets.csv, line 3,", ("a second primary source of maths", "remove one")):
        table(tmp_path / "..", {}, {})
    other = tmp_path / "other"
    other.mkdir()
    with refusal("config/datasets.csv", ("maths needs a primary source", "the same files")):
        table(other, {}, {"source": "mirror", "files": "test-*.parquet"})
    with refusal("config/datasets.csv", ("cannot be read", "restore it")):
        pinned.read(tmp_path / "none.csv")


def test_patterns_stay_within_a_folder():
    names = ["a/train-0.parquet", "b/train-1.parquet", "a/b/train-0.parquet", "train-0.parquet", "a/test-0.parquet"]
    assert pinned.matching(names, "*/train-*.parquet") == names[:2]
    assert pinned.matching(names, "a/train-0.parquet") == names[:1]
    assert pinned.matching(names, "train-*") == ["train-0.parquet"]


@pytest.fixture
def paper():
    return config_of("config/paper.yaml")


def test_one_word_takes_the_mirrors_and_makes_nothing_stale(paper):
    """A dataset without a mirror is taken from its primary source. The dependencies of jobs do not change."""
    primary, mirrored = meaning(paper), meaning({**paper, "sources": "mirror"})
    sources = {experiment: {entry["dataset"]: entry for entry in arguments.hub_sources(experiment)
                            if entry["kind"] == "pinned"} for experiment in (primary, mirrored)}  # fmt: skip
    assert sources[primary].keys() == sources[mirrored].keys() == set(needed.pinned(primary.config))
    for name, entry in sources[primary].items():
        other = sources[mirrored][name]
        has_mirror = "mirror" in pinned.read()[name]
        assert (entry["source"], other["source"]) == ("primary", "mirror" if has_mirror else "primary")
        assert (entry["address"] != other["address"]) == has_mirror
        assert entry["output"] == other["output"]
    assert written.digest(primary.given) == written.digest(mirrored.given)
    told = arguments.provenance(primary)
    assert told == arguments.provenance(mirrored)
    assert told["pinned"]["sgsm"].endswith("/bryanchrist/SGSM at 376054a60c9ffb2c0281a2a21301df09ddd312eb")
    assert "pinned" not in arguments.provenance(meaning(config_of()))


def test_paths_of_pinned_rows(paper):
    experiment = meaning(paper)
    assert experiment.paths.rows("arc", "train") == [
        "results/paper/raw/pinned/arc/ARC-Easy/train-*.parquet",
        "results/paper/raw/pinned/arc/ARC-Challenge/train-*.parquet",
    ]
    assert experiment.paths.rows_input("arc", "train") == ["results/paper/raw/pinned/arc"]
    [source] = experiment.config.datasets["sgsm"].train
    assert source == RowsPinned(pinned="sgsm", files="sgsm.csv")


def test_instructions_are_made_of_pinned_files(paper, tmp_path, monkeypatch):
    """Calls the script as the workflow does, with file patterns below a dataset's folder: a table with a header."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/paper/raw/pinned/sgsm"
    folder.mkdir(parents=True)
    program = "def solution():\n    return {n}"
    lines = [f'What is {n} + 0?,"{program.format(n=n)}",{n}' for n in range(30)]
    (folder / "sgsm.csv").write_text("question,solution,answer\n" + "\n".join(lines) + "\n")
    asked = {"dataset": "sgsm", "adapter": "sgsm", "options": "{}", "template": "question", "seed": 0}
    asked |= {"train_files": meaning(paper).paths.rows("sgsm", "train"), "probe_samples": 5}
    scripts.run("prepare_instructions", **asked, output=tmp_path / "made")
    assert (tmp_path / "made/train.parquet").is_file()
    (folder / "sgsm.csv").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with refusal("results/paper/raw/pinned/sgsm/sgsm.csv", ("Git LFS pointer", "git lfs pull")):
        scripts.run("prepare_instructions", **asked, output=tmp_path / "made")
