"""MLflow's server as `tuneexp ui` starts it: its pages open for model training, without the assistant.

A plug-in of MLflow's (entry point `mlflow.app`). A browser's first visit finds two choices of MLflow's made, in its
local storage; a person's own choices stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME = "tuneexp"  # of the entry point

# In the browser's local storage. The assistant opens by itself at the first visit, over a quarter of the window.
_CHOICES = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}


def app() -> Any:
    """MLflow's application. Called by uvicorn in its own process."""
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app as server

    index = Path(pages.static_folder) / "index.html"
    if "serve" in pages.view_functions and index.is_file():  # MLflow's name for the one page of its interface
        pages.view_functions["serve"] = lambda: (with_choices(index.read_text()), {"Cache-Control": "no-store"})
    return server


def with_choices(html: str) -> str:
    """The page with a script in front of MLflow's own that fills in the choices which were never made."""
    script = (
        f"<script>for (const [key, value] of Object.entries({json.dumps(_CHOICES)}))"
        " if (localStorage.getItem(key) === null) localStorage.setItem(key, value);</script>"
    )
    return html.replace("<head>", f"<head>{script}", 1)
