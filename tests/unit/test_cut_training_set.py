"""Training sets of equal size, drawn only by the seed and the ids."""

import csv
import re

import pytest
import scripts

from headpatterns.errors import InputError


def shards(folder, dataset, ids):
    """Write the part of the tokenized shards of a dataset that cutting reads."""
    path = folder / "tokenized" / dataset / "train"
    path.mkdir(parents=True, exist_ok=True)
    with (path / "samples.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "tokens", "response_tokens", "truncated"])
        writer.writerows([id, 9, 3, 0] for id in ids)
    return path


def cut(output, **options):
    scripts.run("cut_training_set", output=output, **options)
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["dataset"] for row in rows}) == 1
    return [row["id"] for row in rows]


@pytest.fixture
def group(tmp_path):
    return [
        shards(tmp_path, name, [f"{name}-{n}" for n in range(size)]) for name, size in (("a", 40), ("b", 15), ("c", 25))
    ]


def test_as_many_as_the_smallest_set_of_the_group(group, tmp_path):
    for folder in group:
        chosen = cut(tmp_path / "out.csv", tokenized=folder, group=group, seed=0)
        assert len(chosen) == len(set(chosen)) == 15
        assert all(id.startswith(f"{folder.parent.name}-") for id in chosen)
    assert sorted(cut(tmp_path / "out.csv", tokenized=group[1], group=group, seed=0)) == sorted(
        f"b-{n}" for n in range(15)
    )
    assert (tmp_path / "out.csv").read_text().startswith("dataset,id\nb,b-")


def test_without_a_group_all_are_chosen(group, tmp_path):
    assert len(cut(tmp_path / "out.csv", tokenized=group[0], seed=0)) == 40


def test_the_seed_draws(group, tmp_path):
    first, again = (cut(tmp_path / "out.csv", tokenized=group[0], group=group, seed=0) for _ in range(2))
    other = cut(tmp_path / "out.csv", tokenized=group[0], group=group, seed=1)
    assert first == again
    assert set(first) != set(other)
    assert first != sorted(first)


def test_every_sample_has_its_chance(group, tmp_path):
    drawn = [id for seed in range(60) for id in cut(tmp_path / "out.csv", tokenized=group[0], group=group, seed=seed)]
    counts = [drawn.count(f"a-{n}") for n in range(40)]
    assert min(counts) > 5 and max(counts) < 45  # 22.5 expected, standard deviation 3.8


def test_other_tasks_do_not_change_the_draw(group, tmp_path):
    """More samples of other tasks change nothing; a smaller smallest set keeps the first of the chosen samples."""
    before = cut(tmp_path / "out.csv", tokenized=group[0], group=group, seed=0)
    shards(tmp_path, "c", [f"c-{n}" for n in range(500)])
    assert cut(tmp_path / "out.csv", tokenized=group[0], group=group, seed=0) == before
    smaller = [*group, shards(tmp_path, "d", ["d-0", "d-1", "d-2"])]
    assert cut(tmp_path / "out.csv", tokenized=group[0], group=smaller, seed=0) == before[:3]
    shards(tmp_path, "a", [f"a-{n}" for n in reversed(range(40))])
    assert cut(tmp_path / "out.csv", tokenized=group[0], group=group, seed=0) == before


def test_an_empty_set_is_named(group, tmp_path):
    empty = shards(tmp_path, "d", [])
    with pytest.raises(InputError, match=f"{re.escape(str(empty))} has no samples"):
        scripts.run("cut_training_set", output=tmp_path / "out.csv", tokenized=group[0], group=[*group, empty], seed=0)
    assert not (tmp_path / "out.csv").exists()


def test_ids_with_commas_quotes_and_line_breaks(tmp_path):
    ids = ['a,"b"', "two\nlines", "数学", " spaced ", "tab\t"]
    folder = shards(tmp_path, "odd", ids)
    assert sorted(cut(tmp_path / "out.csv", tokenized=folder, seed=0)) == sorted(ids)


def test_a_limit_keeps_the_first_of_the_draw(tmp_path, group):
    out = tmp_path / "out.csv"
    every = cut(out, tokenized=group[0], group=group, seed=3)
    assert len(every) == 15
    assert cut(out, tokenized=group[0], group=group, seed=3, most=6) == every[:6]
    assert cut(out, tokenized=group[0], group=group, seed=3, most=99) == every
    with pytest.raises(InputError, match="most"):
        scripts.run("cut_training_set", output=out, tokenized=group[0], seed=3, most=0)
