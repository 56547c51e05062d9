"""Splitting a dataset by domain: which rows belong where, and that no item of the target stays in the pool."""

import csv
import json
import re
import unicodedata

import pyarrow
import pyarrow.parquet
import pytest
import scripts

from headpatterns.data import deduplication
from headpatterns.data.adapters.mmlu import DOMAINS
from headpatterns.data.preparation import prepare, write
from headpatterns.errors import InputError
from headpatterns.studies.selection import domains
from headpatterns.studies.selection import scores as selection

FILES = ["pool.csv", "pseudo_private.csv", "report.json", "target.csv"]


def question(id, tag, text, choices=("one", "two", "three", "four"), before="Question: ", after="\nAnswer: "):
    lettered = [f"{letter}. {choice}" for letter, choice in zip("ABCD", choices, strict=False)]
    prompt = before + "\n".join([text, *lettered]) + after
    return {"id": id, "prompt": prompt, "response": "A", "tags": [tag], "choices": list(choices), "answer": "A"}


def parquet(path, rows, **changed):
    strings = pyarrow.list_(pyarrow.string())
    names = {name: strings if name in ("tags", "choices") else pyarrow.string() for name in rows[0]}
    schema = pyarrow.schema(names | changed)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)
    return path


TRAIN = [
    question("t1", "algebra", "What is a ring?"),
    question("t2", "law", "What is a tort?"),
    question("t3", "statistics", "What is a mean?"),
]
PROBE = [
    question("p1", "law", "What is a contract?"),
    question("p2", "algebra", "What is a group?"),
    question("p3", "history", "Who won the war?"),
    question("p4", "statistics", "What is a median?"),
    question("p5", "law", "What is a crime?"),
]


@pytest.fixture
def files(tmp_path):
    return {
        "dataset": "mmlu",
        "domain": "maths",
        "tags": ["algebra", "statistics"],
        "train": parquet(tmp_path / "train.parquet", TRAIN),
        "probe": parquet(tmp_path / "probe.parquet", PROBE),
        "output": tmp_path / "maths",
    }


def split(files):
    """Ids of each part, and the report."""
    scripts.run("split_domain", **files)
    folder = files["output"]
    assert sorted(path.name for path in folder.iterdir()) == FILES
    parts = {}
    for name in ("pseudo_private", "pool", "target"):
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["dataset"] for row in rows} == {files["dataset"]}
        parts[name] = [row["id"] for row in rows]
    return parts, json.loads((folder / "report.json").read_text())


def test_rows_go_where_their_tags_say_in_the_order_of_the_files(files):
    parts, report = split(files)
    assert parts == {"pseudo_private": ["t1", "t3"], "pool": ["p1", "p3", "p5"], "target": ["p2", "p4"]}
    assert (files["output"] / "pool.csv").read_text() == "dataset,id\nmmlu,p1\nmmlu,p3\nmmlu,p5\n"
    assert report == {
        "dataset": "mmlu",
        "domain": "maths",
        "tags": ["algebra", "statistics"],
        "samples": {"pseudo_private": 2, "pool": 3, "target": 2},
        "outside_domain": 3,
        "left_out_as_target": {"samples": 0, "same_as": {}},
        "left_out_as_pseudo_private": {"samples": 0, "same_as": {}},
    }


def test_a_row_with_several_tags_belongs_to_the_domain_by_one_of_them(files, tmp_path):
    mixed = {**question("p6", "law", "What is odd?"), "tags": ["law", "algebra"]}
    tagless = {**question("p7", "law", "What is even?"), "tags": None}
    parts, _ = split({**files, "probe": parquet(tmp_path / "more.parquet", [*PROBE, mixed, tagless])})
    assert parts["target"] == ["p2", "p4", "p6"]
    assert parts["pool"] == ["p1", "p3", "p5", "p7"]


SAME = {
    "exactly": question("x", "law", "What is a group?"),
    "case and space": question("x", "law", "WHAT is  a\ngroup ?"),
    "punctuation": question("x", "law", "“What is — a group”"),
    "compatibility forms": question("x", "law", "Ｗhat is a ｇroup？"),
    "an invisible character": question("x", "law", "What is a gro\u200bup?"),
    "order of options": question("x", "law", "What is a group?", ("four", "three", "one", "two")),
    "order and spelling": question("x", "law", "What is a GROUP", ("Four.", "three", "ONE", "two")),
}
OTHER = {
    "another option": question("x", "law", "What is a group?", ("one", "two", "three", "five")),
    "an option more": question("x", "law", "What is a group?", ("one", "two", "three")),
    "an option twice": question("x", "law", "What is a group?", ("one", "two", "three", "three")),
    "another word": question("x", "law", "What is a groupoid?"),
    "another sign": question("x", "law", "What is a group +?"),
}


@pytest.mark.parametrize("how", SAME)
def test_items_of_the_target_are_left_out_of_the_pool(files, tmp_path, how):
    parts, report = split({**files, "probe": parquet(tmp_path / "more.parquet", [SAME[how], *PROBE])})
    assert parts["pool"] == ["p1", "p3", "p5"]
    assert report["left_out_as_target"] == {"samples": 1, "same_as": {"x": "p2"}}
    assert report["left_out_as_pseudo_private"]["samples"] == 0
    assert report["outside_domain"] == 4


@pytest.mark.parametrize("how", OTHER)
def test_items_that_only_resemble_the_target_stay(files, tmp_path, how):
    parts, report = split({**files, "probe": parquet(tmp_path / "more.parquet", [OTHER[how], *PROBE])})
    assert parts["pool"] == ["x", "p1", "p3", "p5"]
    assert report["left_out_as_target"]["samples"] == 0


def test_pseudo_private_items_are_left_out_too(files, tmp_path):
    rows = [question("x", "law", "what is a ring", ("four", "three", "two", "one")), *PROBE]
    parts, report = split({**files, "probe": parquet(tmp_path / "more.parquet", rows)})
    assert parts["pool"] == ["p1", "p3", "p5"]
    assert report["left_out_as_pseudo_private"] == {"samples": 1, "same_as": {"x": "t1"}}
    assert report["left_out_as_target"]["samples"] == 0


def test_items_of_another_template_and_open_questions(files, tmp_path):
    """The place of the options in the prompt does not matter. Without options, the whole prompt counts."""
    template = {"before": "### Instruction:\n", "after": "\n\n### Response:"}
    rows = [
        question("a", "algebra", "What is a group?", **template),
        question("b", "law", "What is a group?", ("two", "one", "four", "three"), **template),
        {**question("c", "algebra", "?"), "prompt": "Prove it.", "choices": []},
        {**question("d", "law", "?"), "prompt": "prove  it", "choices": None},
        {**question("e", "law", "?"), "prompt": "Prove them.", "choices": []},
        {**question("f", "algebra", "?"), "prompt": "!!", "choices": []},
        {**question("g", "law", "?"), "prompt": "??", "choices": []},
        question("statistics", "statistics", "What is a variance?"),
    ]
    parts, report = split({**files, "probe": parquet(tmp_path / "more.parquet", rows)})
    assert parts["pool"] == ["e", "g"]
    assert report["left_out_as_target"]["same_as"] == {"b": "a", "d": "c"}


def test_a_budget_beyond_the_pool_is_refused_before_anything_is_trained(files, capfd, monkeypatch):
    split({**files, "largest_budget": 3})
    sentence = scripts.refused(capfd, monkeypatch, "split_domain", **files, largest_budget=4)
    assert "The budget 4 is larger than the pool of the domain" in sentence
    assert "which has 3 samples: lower it in studies.selection.budgets" in sentence


def test_related_samples_are_those_of_the_pool_with_a_related_tag(files, tmp_path):
    """A copy of a target item is related by its tag, but is not in the pool."""
    rows = [question("copy", "law", "What is a group?"), *PROBE]
    given = {
        **files,
        "probe": parquet(tmp_path / "more.parquet", rows),
        "related": ["law", "history"],
        "largest_budget": 3,
    }
    scripts.run("split_domain", **given)
    folder = files["output"]
    assert (folder / "related.csv").read_text() == "dataset,id\nmmlu,p1\nmmlu,p3\nmmlu,p5\n"
    report = json.loads((folder / "report.json").read_text())
    assert report["samples"] == {"pseudo_private": 2, "pool": 3, "target": 2, "related": 3}
    scripts.run("split_domain", **{**given, "related": ["history"], "largest_budget": 1})
    assert (folder / "related.csv").read_text() == "dataset,id\nmmlu,p3\n"


def test_related_tags_that_find_too_little_are_refused_before_anything_is_trained(files, capfd, monkeypatch):
    def refused(**more):
        said = scripts.refused(capfd, monkeypatch, "split_domain", **files, **more)
        assert not files["output"].exists()
        return said

    said = refused(related=["law", "histroy"])
    assert "No sample of the pool of the domain maths" in said
    assert "has the tag 'histroy' of studies.selection.related.maths: did you mean history?" in said
    assert "has the tag 'algebra' of studies" in refused(related=["algebra"])
    said = refused(related=["law"], largest_budget=3)
    assert "The budget 3 is larger than the related part of the pool of the domain maths, which has 2 samples" in said
    assert "lower it in studies.selection.budgets, or add tags to studies.selection.related.maths" in said


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(files, tmp_path):
    probe = parquet(tmp_path / "more.parquet", [*PROBE, *({**SAME[how], "id": how} for how in SAME)])
    found = set()
    for seed in ("1", "2"):
        home = tmp_path / f"home{seed}"
        options = {**files, "probe": probe, "output": tmp_path / seed}
        assert scripts.launch("split_domain", home, **options).returncode == 0
        found.add(tuple(scripts.contents(tmp_path / seed).items()))
    assert len(found) == 1


def test_a_tag_that_no_row_has(files, capfd, monkeypatch):
    said = scripts.refused(capfd, monkeypatch, "split_domain", **{**files, "tags": ["algebra", "statistic"]})
    assert "the tag 'statistic' of the domain maths: did you mean statistics?" in said
    assert not files["output"].exists()


@pytest.mark.parametrize(
    ("tags", "train", "probe", "part", "culprit"),
    [
        (["history"], TRAIN, PROBE, "pseudo_private", "train.parquet"),
        (["algebra"], TRAIN, [row for row in PROBE if row["tags"] != ["algebra"]], "target", "probe.parquet"),
        (
            ["algebra", "law"],
            TRAIN,
            [row for row in PROBE if row["tags"][0] in ("algebra", "law")],
            "pool",
            "probe.parq",
        ),
        (["algebra"], TRAIN, [PROBE[1], SAME["punctuation"]], "pool", "probe.parquet"),
    ],
)
def test_an_empty_part_is_named(files, tmp_path, capfd, monkeypatch, tags, train, probe, part, culprit):
    parquet(files["train"], train)
    parquet(files["probe"], probe)
    said = scripts.refused(capfd, monkeypatch, "split_domain", **{**files, "tags": tags})
    assert f"{culprit}" in said and f"no row for the part {part} of the domain maths: give" in said


def test_files_that_cannot_be_used(files, tmp_path, capfd, monkeypatch):
    def refused(**changed):
        return scripts.refused(capfd, monkeypatch, "split_domain", **{**files, **changed})

    lacking = parquet(tmp_path / "a.parquet", [{name: row[name] for name in ("id", "prompt", "tags")} for row in TRAIN])
    assert f"{lacking} lacks the column 'choices': it must have id, prompt, tags, choices." in refused(train=lacking)
    untyped = parquet(tmp_path / "b.parquet", [{**row, "tags": "law"} for row in TRAIN], tags=pyarrow.string())
    assert f"{untyped} cannot be read as a parquet file of instructions" in refused(train=untyped)
    text = tmp_path / "c.parquet"
    text.write_text("id,prompt\n")
    assert f"{text} cannot be read as a parquet file of instructions" in refused(probe=text)
    assert "nowhere.parquet cannot be read" in refused(probe=tmp_path / "nowhere.parquet")
    nameless = parquet(tmp_path / "d.parquet", [TRAIN[0], {**TRAIN[1], "id": None}])
    assert f"{nameless}, row 2 has no id or no prompt" in refused(train=nameless)
    twice = parquet(tmp_path / "e.parquet", [*PROBE, PROBE[1]])
    assert f"{twice}: rows 2 and 6 have the same id p2" in refused(probe=twice)
    assert "The id p2 is in" in refused(train=files["probe"])


def test_the_final_check_finds_what_two_parts_share(files):
    names = ("dataset", "domain", "tags", "train", "probe")
    domain = domains.Domain(*(files[name] for name in names))
    parts = {"pseudo_private": deduplication.read(files["train"])}
    items = deduplication.read(files["probe"])
    domains.check_parts({**parts, "pool": items[:2], "target": items[2:]}, domain)
    copy = deduplication.Item("copy", frozenset(), items[0].keys)
    with pytest.raises(InputError, match="The pool sample p1 is the same as copy"):
        domains.check_parts({**parts, "pool": items[:2], "target": [*items[2:], copy]}, domain)
    with pytest.raises(InputError, match="The pool sample p1 is the same as copy"):
        domains.check_parts({"pseudo_private": [copy], "pool": items[:2], "target": items[2:]}, domain)


@pytest.fixture(scope="module")
def mmlu(real, tmp_path_factory):
    """Real MMLU as instructions, and its rows by id."""
    raw = real / "realdata" / "mmlu"
    folder = tmp_path_factory.mktemp("mmlu") / "instructions"
    files = {"train_files": [raw / "dev", raw / "val"], "probe_files": [raw / "test"]}
    write(prepare(dataset="mmlu", adapter="mmlu", **files, probe_samples=1100, seed=0), folder)
    tables = [pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pylist() for name in ("train", "probe")]
    return folder, {row["id"]: row for rows in tables for row in rows}


def stripped(text):
    """Letters, digits and signs of a text."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in text if unicodedata.category(character)[0] in "LMNS")


def identity(row):
    """The question and the unordered options of a row of MMLU."""
    question = re.split(r"\nA\. ", row["prompt"].removeprefix("Question: "))[0]
    return stripped(question), frozenset(map(stripped, row["choices"]))


@pytest.mark.parametrize("domain", DOMAINS)
def test_real_domains_share_nothing(mmlu, tmp_path, domain):
    folder, rows = mmlu
    files = {"dataset": "mmlu", "domain": domain, "tags": DOMAINS[domain], "output": tmp_path / domain}
    parts, report = split({**files, "train": folder / "train.parquet", "probe": folder / "probe.parquet"})
    assert report["samples"] == {name: len(ids) for name, ids in parts.items()}
    left_out = {**report["left_out_as_target"]["same_as"], **report["left_out_as_pseudo_private"]["same_as"]}
    assert len(parts["pool"]) + len(parts["target"]) + len(left_out) == 1100
    assert {rows[id]["tags"][0] for id in parts["target"]} == set(DOMAINS[domain])
    assert {rows[id]["tags"][0] for id in parts["pseudo_private"]} == set(DOMAINS[domain])
    assert not {rows[id]["tags"][0] for id in parts["pool"]} & set(DOMAINS[domain])
    pool = {identity(rows[id]) for id in parts["pool"]}
    assert len(pool) > 0.9 * len(parts["pool"])
    for name in ("target", "pseudo_private"):
        assert not pool & {identity(rows[id]) for id in parts[name]}


def test_real_items_of_the_target_are_found_under_another_subject(mmlu, tmp_path):
    """Ten items of the target appear again as questions of law, with options in reverse order."""
    folder, _ = mmlu
    probe = pyarrow.parquet.read_table(folder / "probe.parquet").to_pylist()
    copies = []
    for row in [row for row in probe if row["tags"][0] in DOMAINS["biology"]][:10]:
        asked = row["prompt"].removeprefix("Question: ").split("\nA. ")[0]
        copies.append(question(f"copy of {row['id']}", "international_law", f"{asked.upper()} ", row["choices"][::-1]))
    files = {"dataset": "mmlu", "domain": "biology", "tags": DOMAINS["biology"], "output": tmp_path / "biology"}
    more = parquet(tmp_path / "more.parquet", [*copies, *probe])
    parts, report = split({**files, "train": folder / "train.parquet", "probe": more})
    found = report["left_out_as_target"]["same_as"]
    assert all(found[copy["id"]] == copy["id"].removeprefix("copy of ") for copy in copies)
    assert not [id for id in parts["pool"] if id.startswith("copy")]


def test_words_of_real_mathematics_find_subjects_that_calculate(mmlu):
    _, rows = mmlu
    pool = [row for row in rows.values() if "_test-" in row["id"] and row["tags"][0] not in DOMAINS["maths"]]
    private = [
        row["prompt"] for row in rows.values() if "_test-" not in row["id"] and row["tags"][0] in DOMAINS["maths"]
    ]
    scores = selection.bm25_scores(private, [row["prompt"] for row in pool])
    subject = {row["id"]: row["tags"][0] for row in pool}
    best = [subject[id] for id, _ in selection.ranking(scores, list(subject))[:100]]

    def share(subjects):
        return sum(bool(re.search("physics|chemistry|computer|econometrics|machine", one)) for one in subjects) / len(
            subjects
        )

    assert share(best) > 2 * share(list(subject.values()))
