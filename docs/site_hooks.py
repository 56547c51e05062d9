"""What MkDocs does for this documentation beyond its own: files beside docs/, tables of CSV files, and notebooks.

Pages link to files of the project as they lie in it (`../config.yaml`), so that the links work in a checkout too. The
site is complete in itself: each such file becomes a page of code in it, or is copied, and the links lead there.
"""

import csv
import importlib
import json
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

PROJECT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Documents beside docs/ and the pages that stand for them."""

GENERATED = ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md")
"""Those that are pages themselves."""

CODE = {".yaml": "yaml", ".py": "python", ".def": "text", ".csv": "text", ".toml": "toml", "": "text"}
"""Files that are shown as a page of code, by the end of their names; others are copied."""

LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
NAMES = "<!-- names of headpatterns -->"
ROWS = re.compile(r"^<!-- rows of (\S+\.csv) -->$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the documents beside docs/, a page for each notebook, and every file of the project that a page links to.

    Args:
        files: those of docs/.
        config: the config of MkDocs.
    """
    folder = Path(config.docs_dir)
    documents = {"": [PROJECT / name for name in GENERATED], "docs": sorted(folder.glob("*.md"))}
    texts = {folder: [path.read_text(encoding="utf-8") for path in paths] for folder, paths in documents.items()}
    for name, text in zip(GENERATED, texts[""], strict=True):
        moved = LINK.sub(lambda link: _moved(link, ""), text)
        files.append(File.generated(config, PAGES[name], content=moved))
    for notebook in sorted(folder.glob("*.ipynb")):
        texts["docs"].append("\n\n".join(_cells(notebook)))
        files.append(File.generated(config, f"{notebook.stem}.md", content=texts["docs"][-1]))
    for place in sorted({*_linked(texts)}):
        files.append(_shown(place, config))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead into the site, and put in what a page names: rows of a CSV file, names of the API.

    Raises:
        PluginError: a page links to a file that the project does not have.
    """
    if page.file.src_uri.startswith("source/") or page.file.src_uri in [PAGES[name] for name in GENERATED]:
        return markdown
    text = LINK.sub(lambda link: _moved(link, "docs"), markdown)
    if NAMES in text:
        text = text.replace(NAMES, "\n\n".join(f"::: headpatterns.{name}" for name in _public_names()))
    return ROWS.sub(lambda found: "\n".join(_table(PROJECT / "docs" / found[1])), text)


def on_post_page(output: str, **_: Any) -> str:
    """Name the dialog of the search for those who hear the page; the theme leaves it without a name."""
    return output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )


def _public_names() -> list[str]:
    """`headpatterns.__all__` of this checkout, which the environment need not have installed."""
    sys.path.insert(0, str(PROJECT / "workflow_scripts"))
    return list(importlib.import_module("headpatterns").__all__)


def _moved(link: re.Match[str], folder: str) -> str:
    """A link of a document in a folder of the project, as a link between pages of the site."""
    place, anchor = posixpath.normpath(posixpath.join(folder, link[1])), link[2] or ""
    target = PROJECT / place
    if not target.exists():
        raise PluginError(f"{link[0]} leads to {place}, which the project does not have: fix the link.")
    if place.startswith("docs/"):
        return f"]({place.removeprefix('docs/')}{anchor})"
    if target.is_dir():
        return "](files.md)"
    return f"]({PAGES.get(place) or _address(place)}{anchor})"


def _address(place: str) -> str:
    return f"source/{place}.md" if _is_code(place) else f"source/{place}"


def _is_code(place: str) -> bool:
    return posixpath.splitext(place)[1] in CODE


def _linked(texts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Files beside docs/ that documents link to, as paths in the project; the documents by the folder they lie in."""
    for folder, of_folder in texts.items():
        for link in LINK.finditer("\n".join(of_folder)):
            place = posixpath.normpath(posixpath.join(folder, link[1]))
            if not place.startswith("docs/") and place not in PAGES and (PROJECT / place).is_file():
                yield place


def _shown(place: str, config: Any) -> File:
    """A file of the project in the site: a page that shows it, which the search passes over, or a copy."""
    if not _is_code(place):
        return File.generated(config, f"source/{place}", abs_src_path=str(PROJECT / place))
    text = (PROJECT / place).read_text(encoding="utf-8")
    language = CODE[posixpath.splitext(place)[1]]
    page = f"---\nsearch:\n  exclude: true\n---\n\n# {place}\n\n~~~~{language}\n{text}\n~~~~\n"
    return File.generated(config, f"source/{place}.md", content=page)


def _cells(path: Path) -> Iterator[str]:
    """The cells of a notebook as Markdown: texts, code, and what the code printed and drew."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        yield source if cell["cell_type"] == "markdown" else f"~~~~python\n{source}\n~~~~"
        for output in cell.get("outputs", ()):
            if "text" in output:
                yield f"~~~~text\n{''.join(output['text'])}\n~~~~"
            elif "image/png" in output.get("data", {}):
                picture = "".join(output["data"]["image/png"]).replace("\n", "")
                yield f'<img alt="What the cell above draws" src="data:image/png;base64,{picture}">'


def _table(path: Path) -> Iterator[str]:
    """The rows of a CSV file as a table in Markdown."""
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file)):
            yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
            if number == 0:
                yield "|---" * len(row) + "|"
