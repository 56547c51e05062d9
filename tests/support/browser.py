"""Opens the report in a headless offline Chromium: records its requests and console messages, and reads its content."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = (1280, 900), (390, 844)
PATIENCE = 120_000
"""Milliseconds within which a chart must be drawn, even on a busy machine."""

FAULTS = ("serious", "critical")
COMPLAINING = ("error", "warning")
"""Types of console messages that none of our pages may write."""


@dataclass
class Opened:
    """An open page.

    Attributes:
        page: the page of Playwright.
        requests: addresses that it has requested, except its own.
        complaints: errors and warnings on its console, and uncaught errors.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def said(self, chart: str) -> list[str]:
        """The accessible labels of a chart's marks, in order."""
        marks = self.page.locator(f"#{chart} .role-mark [role=graphics-symbol]")
        labels: list[str] = marks.evaluate_all("marks => marks.map(mark => mark.getAttribute('aria-label'))")
        return labels

    def shows(self, chart: str, text: str) -> None:
        """Wait until a chart contains a text."""
        expect(self.page.locator(f"#{chart} svg text", has_text=text).first).to_be_attached(timeout=PATIENCE)

    def overflow(self) -> float:
        """Pixels by which the page is wider than its window."""
        return float(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def faults(self) -> list[str]:
        """The serious and critical faults that axe-core finds."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in FAULTS]


@contextlib.contextmanager
def started() -> Iterator[Browser]:
    """Start a headless Chromium; only one can run at a time."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not program:
        pytest.skip("no Chromium here: install the package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(
    browser: Browser, path: Path, size: tuple[int, int] = WIDE, policy: bool = True, scripts: bool = True
) -> Iterator[Opened]:
    """Open a page and wait until its charts are drawn.

    Args:
        browser: the browser of `started`.
        path: the file of the page.
        size: width and height of the window, in pixels.
        policy: whether the page's content security policy applies; it forbids the script of axe-core.
        scripts: whether the browser runs scripts.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, bypass_csp=not policy, java_script_enabled=scripts
    )
    found, own = Opened(context.new_page()), path.resolve().as_uri()

    def answer(route: Route) -> None:
        if route.request.url.split("#")[0] == own:
            route.continue_()
        else:
            found.requests.append(route.request.url)
            route.abort()

    context.route("**/*", answer)
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("console", lambda said: found.complaints.append(said.text) if said.type in COMPLAINING else None)
    found.page.goto(own)
    if scripts:
        charts = found.page.locator(".chart")
        expect(found.page.locator(".chart[data-drawn]")).to_have_count(charts.count(), timeout=PATIENCE)
    yield found
    context.close()
