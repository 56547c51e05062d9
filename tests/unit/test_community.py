"""Files for people outside the project: forms, citation, archive and CI, validated against published schemas."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import PROJECT

import headpatterns

FORMS = sorted(path for path in (PROJECT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
WORKFLOWS = sorted((PROJECT / ".github/workflows").glob("*.yml"))
CITATION = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
ZENODO = json.loads((PROJECT / ".zenodo.json").read_text(encoding="utf-8"))


def check(schema: str, *files: Path) -> subprocess.CompletedProcess[str]:
    """Validate files against a schema that comes with check-jsonschema."""
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", schema, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.citation-file-format", [PROJECT / "CITATION.cff"]),
        ("vendor.github-issue-forms", FORMS),
        ("vendor.github-issue-config", [PROJECT / ".github/ISSUE_TEMPLATE/config.yml"]),
        ("vendor.github-workflows", WORKFLOWS),
        ("custom.github-workflows-require-timeout", WORKFLOWS),
    ],
)
def test_files_are_what_their_readers_take(schema: str, files: list[Path]) -> None:
    assert files
    answer = check(schema, *files)
    assert answer.returncode == 0, answer.stdout


def test_a_file_of_another_form_is_noticed(tmp_path: Path) -> None:
    broken = tmp_path / "CITATION.cff"
    broken.write_text((PROJECT / "CITATION.cff").read_text(encoding="utf-8").replace("license: MIT", "license: free"))
    assert check("vendor.citation-file-format", broken).returncode == 1


def test_citation_and_archive_agree() -> None:
    """Zenodo reads only .zenodo.json if it exists; the version is that of the tag, unless the file has one."""
    assert ZENODO["title"] == CITATION["title"]
    assert ZENODO["description"] == CITATION["abstract"]
    assert ZENODO["license"] == CITATION["license"]
    assert ZENODO["keywords"] == CITATION["keywords"]
    assert [one["name"] for one in ZENODO["creators"]] == [one["name"] for one in CITATION["authors"]]
    assert ZENODO.get("version", headpatterns.__version__) == headpatterns.__version__ == CITATION["version"]


def test_the_paper_that_is_replicated_is_cited() -> None:
    identifiers = {one["value"] for reference in CITATION["references"] for one in reference.get("identifiers", ())}
    assert {one["identifier"] for one in ZENODO["related_identifiers"]} == identifiers == {"arXiv:2409.15820"}
    titles = {reference["title"] for reference in CITATION["references"]}
    shown = (PROJECT / "workflow_scripts/headpatterns/report/workflow.rst").read_text(encoding="utf-8")
    [named] = re.findall(r"\*(Supervised [^*]+)\*", shown)
    assert " ".join(named.split()) in titles


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_ci_may_do_little_and_runs_what_is_pinned(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"} and content["concurrency"]["cancel-in-progress"] is True
    steps = [step for job in content["jobs"].values() for step in job["steps"]]
    for step in steps:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]) if "uses" in step else step["run"], step
    for line in re.findall(r"uses: .*", path.read_text(encoding="utf-8")):
        assert re.search(r"# v\d+\.\d+\.\d+$", line), f"{line} says which version its commit is"


def test_ci_runs_targets_and_scripts_that_there_are() -> None:
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    runs = [run for path in WORKFLOWS for run in re.findall(r"run: (.*)", path.read_text(encoding="utf-8"))]
    made = {target for run in runs for target in re.findall(r"\bmake (?:--silent )?([\w-]+)", run)}
    assert made >= {"lint", "audit", "coverage", "coverage-summary", "docs"} and made <= targets
    assert any(".ci/run" in run for run in runs) and (PROJECT / ".ci/run").is_file()
    for name in re.findall(r"`make ([\w -]+)`", (PROJECT / "docs/releasing.md").read_text(encoding="utf-8")):
        assert set(name.split()) <= targets, name


def test_the_catalog_is_told_what_it_asks_for() -> None:
    """The list of standardized usage needs these keys, at least one way to deploy, and a text about the config."""
    usage = yaml.safe_load((PROJECT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    ways = usage["software-stack-deployment"]
    assert ways.pop("report") is True and any(ways.values())
    assert ways.keys() == {"conda", "apptainer", "apptainer+conda"}
    for link in re.findall(r"\]\(([^)]+)\)", (PROJECT / "config/README.md").read_text(encoding="utf-8")):
        assert (PROJECT / "config" / link).is_file(), link


def test_forms_ask_for_commands_that_there_are() -> None:
    """The rules and make targets that forms and templates name exist."""
    named = "\n".join(
        path.read_text(encoding="utf-8") for path in [*FORMS, PROJECT / ".github/PULL_REQUEST_TEMPLATE.md"]
    )
    rules = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "rules").glob("*.smk"))
    for rule in set(re.findall(r"snakemake (\w+)", named)) - {"all"}:
        assert re.search(rf"^rule {rule}:", rules, re.MULTILINE), rule
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([\w-]+)", named)) <= targets
