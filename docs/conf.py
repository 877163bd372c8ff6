"""Settings of Sphinx for the site: `make docs`.

The site is made of README.md, CHANGELOG.md and the pages in docs/ as they are, so links are the same as on a git host.
The navigation is the table under "More" in the README.
"""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

project = "tuneexp"
html_title = "tuneexp"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md"]
exclude_patterns = [".*", "build", "runs", "checkpoints", "tuneexp", "tests", "benchmarks"]
html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
smartquotes = False  # they change `--option` and quoted values in tables
myst_heading_anchors = 4  # anchors of headings, as git hosts make them


def navigation(readme: str) -> str:
    """The pages that the table under "More" links to, as Sphinx's table of contents: a part for each row."""
    parts = []
    for caption, links in re.findall(r"^\| (\w[\w-]*) \| (.*) \|$", readme.partition("## More")[2], re.MULTILINE):
        pages = re.findall(r"\[([^]]+)\]\(([\w/]+)\.md\)", links)
        entries = "\n".join(f"{title[0].upper()}{title[1:]} <{page}>" for title, page in pages)
        parts.append(f"```{{toctree}}\n:hidden:\n:caption: {caption.capitalize()}\n\n{entries}\n```")
    return "\n\n".join(parts)


def add_navigation(app: Any, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += "\n" + navigation(source[0])


def write_index(app: Any, error: Exception | None) -> None:
    """Lead from the folder of the site to its first page."""
    if error is None:
        index = Path(app.outdir) / "index.html"
        index.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html">\n')


def setup(app: Any) -> None:
    app.connect("source-read", add_navigation)
    app.connect("build-finished", write_index)
