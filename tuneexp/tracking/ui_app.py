"""Plug-in of MLflow's server (entry point `mlflow.app`) that `tuneexp ui` uses.

Its pages open in the mode for model training, with the assistant closed. Both are settings in the browser's local
storage, which are set at the first visit only: a user's own choices stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME, ENTRY_POINT = "tuneexp", f"{__name__}:app"  # as in pyproject.toml

# In the browser's local storage. Else the assistant opens at the first visit, over a quarter of the window.
_CHOICES = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}


def app() -> Any:
    """MLflow's application. uvicorn calls this in its own process."""
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app as server

    index = Path(pages.static_folder) / "index.html"
    if "serve" in pages.view_functions and index.is_file():  # MLflow's name for the one page of its interface
        pages.view_functions["serve"] = lambda: (with_choices(index.read_text()), {"Cache-Control": "no-store"})
    return server


def with_choices(html: str) -> str:
    """The page with a script, before MLflow's own, that sets each choice that is not set yet."""
    script = (
        f"<script>for (const [key, value] of Object.entries({json.dumps(_CHOICES)}))"
        " if (localStorage.getItem(key) === null) localStorage.setItem(key, value);</script>"
    )
    return html.replace("<head>", f"<head>{script}", 1)
