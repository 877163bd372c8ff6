"""Headless Chromium on pages of MLflow and of reports."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 180.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SIZE = (1920, 1087)  # of the window, on a screen of 1920 x 1080


def open_browser(console: bool = False) -> Any:
    """A browser with a new profile, without stored settings. console: record the messages of its console."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    options.add_argument(f"--window-size={SIZE[0]},{SIZE[1]}")
    if console:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=Service(DRIVER))
    browser.set_script_timeout(PATIENCE_S)  # a page that is drawn on a busy machine answers late
    return browser


def until(browser: Any, found: Callable[[], Any], what: str) -> Any:
    """Wait until `found()` is true, and return it. Fails with the page's text."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"no {what} on {browser.current_url}:\n{text_of(browser)[:3000]}")


def visit(browser: Any, address: str) -> None:
    """Load a page. A change after the # alone would load nothing."""
    browser.get("about:blank")
    browser.get(address)


def text_of(browser: Any) -> str:
    return str(browser.execute_script("return document.body.innerText"))


def rows_of(browser: Any) -> list[dict[str, str]]:
    """Rows of MLflow's table of runs, from top to bottom: the text of each cell by column id."""
    cells = browser.execute_script(
        "return [...document.querySelectorAll('.ag-cell')].map(cell =>"
        " [Number(cell.closest('.ag-row').getAttribute('row-index')), cell.getAttribute('col-id'), cell.innerText])"
    )
    rows: dict[int, dict[str, str]] = {}
    for index, column, text in cells:
        rows.setdefault(index, {})[column] = text.strip()
    return [rows[index] for index in sorted(rows)]


def axes_of(browser: Any) -> list[str]:
    """Names of the axes of the parallel coordinates."""
    labels = "return [...document.querySelectorAll('.parcoords .label')].map(label => label.textContent)"
    return list(browser.execute_script(labels))


def drawn_lines(browser: Any) -> list[int]:
    """Number of lines in each chart of curves, from top to bottom."""
    return list(
        browser.execute_script(
            "return [...document.querySelectorAll('.js-plotly-plot')]"
            ".map(chart => chart.querySelectorAll('.scatterlayer .trace').length).filter(lines => lines)"
        )
    )


def drawn_bars(browser: Any) -> int:
    return int(browser.execute_script("return document.querySelectorAll('.js-plotly-plot .bars .point').length"))


def drawn_pixels(browser: Any) -> int:
    """Number of non-empty pixels of the parallel coordinates, a canvas without elements for its lines."""
    return int(
        browser.execute_script(
            "const canvas = document.querySelector('.parcoords canvas.foreground'); if (!canvas) return 0;"
            "return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter(x => x).length"
        )
    )
