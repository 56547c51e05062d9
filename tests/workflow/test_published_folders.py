"""Every result that this repository ships: its figures are drawn, and its numbers computed, from what is there."""

import golden
from project import PROJECT, snakemake

FOLDERS = sorted(path.name for path in (PROJECT / "published").glob("*") if path.is_dir())


def test_every_figure_is_drawn_from_what_was_measured(clone):
    project = clone("published")
    for name in FOLDERS:
        done = snakemake(project, "all", "figures", "--cores", "2", "--config", f"from=published/{name}")
        assert done.returncode == 0, done.stdout
        published, made = project / "published" / name, project / "results/published" / name
        pictures = {path.stem for path in (published / "figures").iterdir()}
        for suffix in ("pdf", "svg", "png"):
            assert pictures == {path.stem for path in (made / "figures").glob(f"*.{suffix}")}
        theirs, ours = (golden.tables(folder / "analysis") for folder in (published, made))
        known = {claim for claim, *_ in theirs["claims_left_out.csv"]}
        # Claims of studies that have come since are left out as well.
        ours["claims_left_out.csv"] = [row for row in ours["claims_left_out.csv"] if row[0] in known]
        assert golden.differences(theirs, ours, exact=True) == []
