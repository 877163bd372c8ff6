"""Saved views of MLflow's runs page: the runs, columns and charts of a link. Does not import MLflow.

MLflow stores a view as a tag of the experiment. The format of the tag is not documented; `tests/browser` fails when it
changes. Columns and filters are written as in MLflow's search: `metrics.`objective``.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from tuneexp.tracking.standings import FRONT, OBJECTIVES, VIOLATED
from tuneexp.tracking.values import entity_name, important_first

TAG_PREFIX = "mlflow.sharedViewState."
ALL_SWEEPS = "tuneexp-sweeps"  # key of the view across the sweeps of an experiment
MODEL_TRAINING = {"workflowType": "machine_learning"}  # the other mode of MLflow's pages is for language models

_INTERVAL = OBJECTIVES[1:]
_AXES = 10  # of parallel coordinates: more can't be distinguished
# Pixels: a window of 1,920 shows the table with ten hyperparameters, and both rows of charts. A run's name is shown up
# to its outcome, since the values behind it have columns; of its date, the sign of its status.
_FIXED_WIDTHS = {"attributes.`Run Name`": 130, "runDateAndNestInfo": 40, "duration": 64, "tags.`outcome`": 100}
_NARROWEST, _WIDEST, _LETTER, _MARGIN = 72, 113, 7, 22
_CURVES_HEIGHT, _PARALLEL_HEIGHT, _NUMBERS_HEIGHT = 250, 210, 580
# MLflow adds a chart for each other metric, in the section of `metric_section`. These and those of a sweep are closed.
_CLOSED = ("Model metrics", "train", "update", "time")


def sweep_key(sweep_id: str) -> str:
    return f"tuneexp-{sweep_id}"


def metric_section(metric: str) -> str | None:
    """Name of the section in which MLflow shows a metric's chart: `seed/0` of `seed/0/return_mean`. None for a metric
    without a slash."""
    return metric.rpartition("/")[0] or None


@dataclass(frozen=True)
class Goal:
    """Purpose of a sweep.

    Attributes:
        objectives: Names of the objectives and their directions, `max` or `min`.
        constrained: Trials may violate constraints."""

    objectives: tuple[tuple[str, str], ...] = (("objective", "max"),)
    constrained: bool = False

    @classmethod
    def of_params(cls, params: Mapping[str, str]) -> Goal:
        """Return the goal from the params of a sweep's run; the default where it was not chosen."""
        chosen = json.loads(params.get("objectives", "null"))
        goal = cls(constrained="constraints" in params)
        return cls(tuple((one["name"], one["direction"]) for one in chosen), goal.constrained) if chosen else goal

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.objectives]

    @property
    def columns(self) -> list[str]:
        """Columns of the table of trials before their hyperparameters."""
        interval = _INTERVAL if "objective" in self.names else ()
        standing = [FRONT] * (len(self.names) > 1) + [VIOLATED] * self.constrained
        metrics, costs = dict.fromkeys([*self.names, *interval]), ("env_steps", "wall_s")
        return [
            *(_quoted("metrics", name) for name in metrics),
            *(_quoted("tags", name) for name in (*standing, "outcome")),
            *(_quoted("metrics", name) for name in costs if name not in metrics),
        ]

    @property
    def order(self) -> dict[str, Any]:
        """Order of the trials: the Pareto front first, or the best value of the only objective."""
        if len(self.names) > 1:
            return {"orderByKey": _quoted("tags", FRONT), "orderByAsc": False}
        name, direction = self.objectives[0]
        return {"orderByKey": _quoted("metrics", name), "orderByAsc": direction == "min"}


def sweep_view(
    sweep_id: str, points: Sequence[Mapping[str, Any]], closed: Iterable[str] = (), goal: Goal | None = None
) -> dict[str, Any]:
    """View of the trials of one sweep, the best first.

    Args:
        sweep_id: Value of the trials' tag `tuneexp.sweep_id`.
        points: Varied hyperparameters of each trial, by flat name.
        closed: Names of the metrics' sections, which are shown closed below the charts.
        goal: Objectives and constraints."""
    goal, varied = goal or Goal(), varying(points)
    columns = [*goal.columns, *(_quoted("params", name) for name in varied)]
    curves, settings, numbers, objectives = "curves", "settings", "numbers", "objectives"
    sections = [
        # On top: a window of 1,366 x 768 has room for this one without scrolling.
        _section(settings, "Hyperparameters", 1, _PARALLEL_HEIGHT),
        *([_section(objectives, "Objectives", 2, _CURVES_HEIGHT)] if len(goal.names) > 1 else []),
        _section(curves, "Over environment steps of each seed", 2, _CURVES_HEIGHT),
        _section(numbers, "Numbers, the best trial first", 1, _NUMBERS_HEIGHT),
    ]
    charts = [
        *_parallel(settings, varied, goal.names),
        *(_scatter(objectives, goal.names[0], other) for other in goal.names[1:]),
        *(_lines(curves, name, [name]) for name in goal.names if name != "return_mean"),
        _lines(curves, "return_mean", ["return_mean", *_INTERVAL]),
        _numbers(numbers),
    ]
    search = f"tags.`tuneexp.sweep_id` = '{sweep_id}' AND {_TRIALS}"
    return _state(search, columns, sections, charts, closed) | goal.order


def sweeps_view(closed: Iterable[str] = ()) -> dict[str, Any]:
    """View that compares the sweeps of an experiment: one group of runs for each, with the maximum over its trials.
    closed: as in `sweep_view`."""
    columns = [_quoted("metrics", name) for name in ("objective", *_INTERVAL, "env_steps", "wall_s")]
    best = "best"
    sections = [_section(best, "Highest value of any trial of each sweep", 3, _CURVES_HEIGHT)]
    # Bars: trials of several algorithms report at other steps, and MLflow joins the curves of a group step by step.
    charts = [_bars(best, metric) for metric in ("objective", "env_steps", "wall_s")]
    best_of_each = {
        "groupBy": {"aggregateFunction": "max", "groupByKeys": [{"mode": "tag", "groupByData": "tuneexp.sweep"}]},
        "useGroupedValuesInCharts": True,
    }
    return _state(_TRIALS, columns, sections, charts, closed) | best_of_each


def varying(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of hyperparameters that differ between trials, the most important first; of a single trial, all names."""
    names = dict.fromkeys(name for point in points for name in point)
    if len(points) < 2:
        return list(names)
    return [name for name in important_first(names, points) if _values(points, name) > 1]


def envelope(name: str, state: Mapping[str, Any], now_ms: int) -> str:
    """Tag value of a view. Its field `tuneexp` marks it as unchanged: MLflow drops it when a user saves the view."""
    packed = _packed(state)
    return json.dumps(
        {"name": name, "createdAt": now_ms, "updatedAt": now_ms, "state": packed, "tuneexp": _mark(packed)}
    )


def is_own(value: str) -> bool:
    """True if a tag's value was written by `envelope` and not changed since."""
    stored = _parsed(value)
    return isinstance(stored.get("state"), str) and stored.get("tuneexp") == _mark(stored["state"])


def is_same(value: str, name: str, state: Mapping[str, Any]) -> bool:
    stored = _parsed(value)
    return stored.get("state") == _packed(state) and stored.get("name") == name


def experiment_address(root: str, experiment_id: str, view: str | None, charts: bool = True) -> str:
    """Address of an experiment's runs on the MLflow server at `root`. view: key of the saved view to open."""
    shown = {"compareRunsMode": "CHART" if charts else "TABLE", **({"viewStateShareKey": view} if view else {})}
    return f"{root.rstrip('/')}/#/experiments/{experiment_id}/runs?{urlencode({**MODEL_TRAINING, **shown})}"


def experiments_address(root: str) -> str:
    """Address of the list of experiments, in the mode for model training."""
    return f"{root.rstrip('/')}/#/experiments?{urlencode(MODEL_TRAINING)}"


_TRIALS = "tags.`tuneexp.kind` = 'trial'"


def _state(
    search: str, columns: list[str], sections: list[Any], charts: list[Any], closed: Iterable[str]
) -> dict[str, Any]:
    below = [_section(name, name, 3, _CURVES_HEIGHT, shown=False) for name in dict.fromkeys([*_CLOSED, *closed])]
    ordered = ["attributes.`Run Name`", "runDateAndNestInfo", *columns, "duration"]
    return {
        "searchFilter": search,
        "orderByKey": _quoted("metrics", "objective"),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": ordered,
        "columnWidths": {name: _width(name) for name in ordered},
        "runsHiddenMode": "FIRST_20_RUNS",  # more lines can't be distinguished; the table has all
        "compareRunSections": [*sections, *below],
        "compareRunCharts": charts,
        "isAccordionReordered": True,  # else MLflow sorts the sections, and adds one for each kind of metric
        "hideEmptyCharts": True,
        "autoRefreshEnabled": True,
    }


def _width(column: str) -> int:
    """Width of a column in pixels, from the length of its name."""
    name = column.partition(".")[2].strip("`")
    return _FIXED_WIDTHS.get(column) or min(max(_LETTER * len(name) + _MARGIN, _NARROWEST), _WIDEST)


def _section(uuid: str, name: str, columns: int, height: int, shown: bool = True) -> dict[str, Any]:
    shape = {"columns": columns, "cardHeight": height, "display": shown}
    return {"uuid": uuid, "name": name, "isReordered": True, "isGenerated": False, "deleted": False, **shape}


def _card(kind: str, section: str, uuid: str, **more: Any) -> dict[str, Any]:
    card = {"type": kind, "uuid": f"{section}-{uuid}", "metricSectionId": section}
    return {**card, "isGenerated": False, "deleted": False, **more}


def _lines(section: str, uuid: str, metrics: list[str]) -> dict[str, Any]:
    axes = {"xAxisKey": "step", "xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0}
    keys = [entity_name(name) for name in metrics]
    return _card("LINE", section, f"lines-{uuid}", metricKey=keys[0], selectedMetricKeys=keys, **axes)


def _bars(section: str, metric: str) -> dict[str, Any]:
    return _card("BAR", section, f"bars-{metric}", metricKey=metric)


def _scatter(section: str, first: str, other: str) -> dict[str, Any]:
    axes = {axis: {"key": entity_name(name), "type": "METRIC"} for axis, name in (("xaxis", first), ("yaxis", other))}
    return _card("SCATTER", section, f"scatter-{other}", **axes)


def _parallel(section: str, varied: list[str], objectives: list[str]) -> list[dict[str, Any]]:
    """Parallel coordinates of the first hyperparameters and the objectives; empty if nothing varies yet."""
    if not varied:
        return []
    metrics = [entity_name(name) for name in objectives]
    axes = {"selectedParams": [entity_name(name) for name in varied[:_AXES]], "selectedMetrics": metrics}
    return [_card("PARALLEL", section, "parallel", showAllRuns=True, **axes)]


def _numbers(section: str) -> dict[str, Any]:
    """Table of the runs, one column each, the best first: MLflow's list beside charts has no columns."""
    shape = {"showChangeFromBaseline": False, "showDifferencesOnly": True, "baselineColumnUuid": ""}
    groups = ["Parameters", "Model metrics"]
    return _card("DIFFERENCE", section, "table", chartName="What differs between trials", compareGroups=groups, **shape)


def _quoted(kind: str, name: str) -> str:
    return f"{kind}.`{entity_name(name)}`"


def _values(points: Iterable[Mapping[str, Any]], name: str) -> int:
    return len({json.dumps(point.get(name), sort_keys=True) for point in points})


def _packed(state: Mapping[str, Any]) -> str:
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def _mark(packed: str) -> str:
    return sha256(packed.encode()).hexdigest()[:16]


def _parsed(value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
