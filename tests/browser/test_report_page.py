"""The report of a sweep in a real browser: a file, without a server and without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.pages import CHROMIUM, DRIVER, open_browser, text_of, until
from tests.report.page.sweeps import store
from tuneexp import load_sweep

if not (CHROMIUM and DRIVER):
    pytest.skip("no Chromium with chromedriver here (Debian: apt-get install chromium chromium-driver)",
                allow_module_level=True)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Figures with a line, point, bar or contour each.
_DRAWN = """
const drawn = '.scatterlayer .trace, .barlayer .point, .contourlayer .contourlevel, .contour, .heatmaplayer image';
return [...document.querySelectorAll('.figure')].filter(one => one.querySelector(drawn)).length
"""


def test_a_browser_draws_every_figure_of_a_report_without_an_error(tmp_path: Path) -> None:
    for name in ("first", "second"):
        store(tmp_path, name)
    results = [load_sweep(name, tmp_path) for name in ("first", "second")]
    page = results[0].report(tmp_path / "page.html", results[1:])
    figures = page.read_text().count('class="figure"')
    browser = open_browser(console=True)
    try:
        browser.get(page.as_uri())
        until(browser, lambda: browser.execute_script(_DRAWN) == figures > 20, f"drawing in each of {figures} figures")
        assert browser.get_log("browser") == []
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
        assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []
        text = text_of(browser)
        assert "Comparison" in text
        assert "Rank stability" in text
    finally:
        browser.quit()
