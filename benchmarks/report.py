"""Measure the size of a report, and the time in which a browser draws its views and responds to the slider.

    python benchmarks/report.py PAGE

It needs the packages of envs/test.txt and Debian's chromium. The times are medians over a few openings of the page.
"""

import argparse
import shutil
import statistics
import time
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

OPENINGS = 5
PATIENCE = 120_000  # milliseconds


def drawn(browser: Browser, page: Path) -> tuple[float, float]:
    """Seconds until all charts of a page are drawn, and from a key on the slider to the new title of the heat map."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    start = time.perf_counter()
    opened.goto(page.resolve().as_uri())
    charts = opened.locator(".chart")
    expect(opened.locator(".chart[data-drawn]")).to_have_count(charts.count(), timeout=PATIENCE)
    ready = time.perf_counter()
    title = opened.locator("#heads-map .role-title-subtitle text")
    before = title.text_content(timeout=PATIENCE) or ""
    opened.locator("#heads-step").press("ArrowLeft")
    expect(title).not_to_have_text(before, timeout=PATIENCE)
    answered = time.perf_counter()
    opened.close()
    return ready - start, answered - ready


def main(page: Path) -> None:
    """Open the page a few times and print the medians."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        times = [drawn(browser, page) for _ in range(OPENINGS)]
        browser.close()
    ready, answered = (statistics.median(values) for values in zip(*times, strict=True))
    print(f"{page.stat().st_size / 1e6:.1f} MB, drawn after {ready:.2f} s, a step of the slider after {answered:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="report.html of an experiment with the view of heads")
    main(parser.parse_args().page)
