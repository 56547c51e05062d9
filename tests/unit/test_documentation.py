"""The documentation site builds without warnings, needs no other site, and lets readers find what they look for."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from project import PROJECT

import headpatterns

LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
"""Elements whose address a browser loads without a click."""

SOUGHT = {
    "add a dataset": ("add-dataset.html", "How to add a dataset"),
    "what a verdict means": ("verdicts.html", "What a verdict means"),
    "cut the disk": ("disk.html", "How to cut the disk a run needs"),
    "read npy": ("read-patterns.html", "How to read a pattern file (.npy)"),
}


class Page(HTMLParser):
    """The addresses and anchors of a page, the links of its navigation, and its title.

    Attributes:
        loaded: addresses that a browser loads without a click.
        links: addresses of links.
        navigation: addresses of links in the navigation.
        anchors: the ids of elements.
        title: the title of the page.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded, self.links, self.navigation, self.anchors = [], [], [], set()
        self.title = ""
        self._within = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if "id" in given:
            self.anchors.add(given["id"])
        if tag in LOADED and given.get(LOADED[tag]) and given.get("rel") not in ("prev", "next", "canonical"):
            self.loaded.append(given[LOADED[tag]])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
            if "md-nav__link" in (given.get("class") or ""):
                self.navigation.append(given["href"])
        if tag == "h1":
            self._within = tag

    def handle_endtag(self, tag):
        if tag == "h1":
            self._within = ""

    def handle_data(self, data):
        if self._within and data != "¶":
            self.title += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    answer = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """The pages of the site, by their path in it."""
    return {str(path.relative_to(site)): Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def elsewhere(address: str) -> bool:
    return bool(urlsplit(address).scheme or urlsplit(address).netloc)


def targets(place: str, addresses: list[str]) -> Iterator[tuple[str, str]]:
    """Files of the site and anchors that the addresses of a page lead to."""
    for address in addresses:
        if not elsewhere(address):
            parts = urlsplit(address)
            path = os.path.normpath(Path(place).parent / unquote(parts.path)) if parts.path else place
            yield ("index.html" if path == "." else path), unquote(parts.fragment)


def test_every_link_and_picture_leads_to_something(site, pages):
    for place, page in pages.items():
        for target, anchor in targets(place, page.links + page.loaded):
            assert (site / target).is_file(), f"{place}: {target}"
            if anchor and target in pages:
                assert anchor in pages[target].anchors | {"__top"}, f"{place}: {target}#{anchor}"


def test_a_browser_asks_nothing_of_other_addresses(site, pages):
    for place, page in pages.items():
        asked = [address for address in page.loaded if not address.startswith("data:")]  # no pictures in the page
        assert asked and not [address for address in asked if elsewhere(address)], place
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        assert not re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//", style.read_text(encoding="utf-8")), style


def distances(pages: dict[str, Page], start: str) -> dict[str, int]:
    """Clicks from a page to each other page, over links of any kind."""
    found, front = {start: 0}, [start]
    while front:
        place = front.pop(0)
        for target, _ in targets(place, pages[place].links):
            if target in pages and target not in found:
                found[target] = found[place] + 1
                front.append(target)
    return found


def test_what_readers_look_for_is_a_page_of_the_navigation(pages):
    away = distances(pages, "index.html")
    navigation = {target for target, _ in targets("index.html", pages["index.html"].navigation)}
    for place, title in SOUGHT.values():
        assert pages[place].title.strip() == title
        assert place in navigation and away[place] <= 3
    assert max(away[place] for place in pages if not place.startswith("source/")) <= 3


def found_by_search(site: Path, words: str) -> list[str]:
    """Pages of the search index with all words in title or text; those with more words in the title come first."""
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    separator = re.compile(index["config"]["separator"])

    def tokens(text: str) -> set[str]:
        return {token.lower() for token in separator.split(re.sub(r"<[^>]+>", " ", text)) if token}

    asked, ranked = tokens(words), []
    for number, entry in enumerate(index["docs"]):
        title = tokens(entry["title"])
        if asked <= title | tokens(entry["text"]):
            ranked.append((-len(asked & title), number, entry["location"]))
    return [location for *_, location in sorted(ranked)]


@pytest.mark.parametrize("words", SOUGHT)
def test_what_readers_look_for_is_found_by_one_search(site, words):
    assert SOUGHT[words][0] in found_by_search(site, words)[:3]


def test_every_public_name_and_every_row_of_a_table_is_in_the_site(site, pages):
    text = (site / "config.html").read_text(encoding="utf-8")
    assert "<code>finetuning.keep_final_checkpoints</code>" in text
    anchors = pages["api.html"].anchors
    for name in headpatterns.__all__:
        assert any(anchor.endswith(f".{name}") for anchor in anchors), name
    for name in ("architectures", "licences"):
        rows = (PROJECT / f"docs/{name}.csv").read_text(encoding="utf-8").splitlines()[1:]
        page = (site / f"{name}.html").read_text(encoding="utf-8")
        assert not [row for row in rows if f"<td>{row.partition(',')[0]}</td>" not in page]


def test_files_of_the_project_that_pages_name_are_in_the_site(site, pages):
    shown = (site / "source/config.yaml.html").read_text(encoding="utf-8")
    assert "The embedded experiment" in shown
    assert (site / "source/published/smollm2-135m/figures/figure2.png").is_file()
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    assert not [entry for entry in index["docs"] if entry["location"].startswith("source/")]


def small_site(folder: Path, strict: bool) -> subprocess.CompletedProcess[str]:
    """Build a site from the documents in a folder, with the hooks of the project's site."""
    made = {"site_name": "a site", "strict": strict, "hooks": [str(PROJECT / "docs/site_hooks.py")]}
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(made | {"use_directory_urls": False}))
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", str(folder / "mkdocs.yml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_notebook_is_a_page_with_what_its_cells_made(tmp_path):
    drawn = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=\n", "text/plain": "<Figure>"}}
    printed = {"output_type": "stream", "text": ["two ", "words\n"]}
    cells = [
        {"cell_type": "markdown", "source": ["# A tour\n", "\n", "Of [config.yaml](../config.yaml)."]},
        {"cell_type": "code", "source": ["print(1 < 2)"], "outputs": [printed, drawn]},
    ]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# A page\n")
    (tmp_path / "docs/tour.ipynb").write_text(json.dumps({"cells": cells}))
    assert small_site(tmp_path, strict=False).returncode == 0
    page = (tmp_path / "site/tour.html").read_text(encoding="utf-8")
    assert '<h1 id="a-tour">A tour</h1>' in page and 'href="source/config.yaml.html"' in page
    assert "print(1 &lt; 2)" in page and "two words" in page
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in page and "&lt;Figure&gt;" not in page
    assert (tmp_path / "site/tour.ipynb").is_file()


def test_a_link_to_nothing_ends_the_build(tmp_path):
    """A small site has one page with such a link, and the error names the link."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# A page\n\n[a file](../nowhere.yaml)\n")
    answer = small_site(tmp_path, strict=True)
    assert answer.returncode != 0
    assert "nowhere.yaml, which the project does not have: fix the link" in answer.stderr
