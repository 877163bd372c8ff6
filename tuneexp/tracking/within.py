"""A sweep within another one, such as a confirmation: its place and its texts in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SWEEP, CONFIRMATION = "sweep", "confirmation"  # values of the tag tuneexp.kind of a sweep's own run


@dataclass(frozen=True)
class Within:
    """Facts about a sweep within another one. Its run lies under the run of that one.

    Attributes:
        kind: Its kind.
        names: Names of its trials by number.
        tags: Tags of its trials by number.
    """

    kind: str = SWEEP
    names: Mapping[int, str] = field(default_factory=dict)
    tags: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Champion:
    """Registration of a confirmed winner.

    Attributes:
        name: Of the registered model.
        about: Description of the registered model.
        description: Of its version.
        tags: Of its version.
        files: Folder of its pyfunc model, within the folder of the confirmation; "": there is none.
    """

    name: str
    about: str
    description: str
    tags: Mapping[str, str]
    files: str


@dataclass(frozen=True)
class Closing:
    """Results of a sweep that are not those of its trials, for its run: of a confirmation, and files.

    Attributes:
        metrics: Metrics of the run.
        artifacts: Texts by file name.
        summary: First line of the description.
        champion: Its winner; None: there is none.
        files: Files of the sweep's folder by their paths among the artifacts.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    champion: Champion | None = None
    files: Mapping[str, str] = field(default_factory=dict)
