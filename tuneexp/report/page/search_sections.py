"""Sections of one sweep with Optuna's figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tuneexp.report.page import figures
from tuneexp.report.page.parts import Drawing, LeftOut, Part, Section, Words, section
from tuneexp.report.page.search import (
    MOST_IN_CONTOUR,
    MOST_LINES,
    SLICES,
    completed_of,
    evenly_ranked,
    important_pairs,
    important_params,
    quiet,
    varied_params,
)
from tuneexp.report.page.source import SweepData

if TYPE_CHECKING:
    import optuna

_IN_A_ROW = 4  # slices
_HEIGHT = 440


def search_sections(data: SweepData) -> list[Section]:
    """Return the sections about the search of a sweep."""
    front = [section("Pareto front", lambda: _front(data))] if data.objectives.several else []
    return [
        *front,
        section("Optimisation history", lambda: _history(data)),
        section("Importance of hyperparameters", lambda: _importances(data)),
        section("Parallel coordinates", lambda: _parallel(data)),
        section("Slices", lambda: _slices(data)),
        section("Contours", lambda: _contours(data)),
    ]


def _drawn(make: Callable[[], Any], height: int = _HEIGHT) -> Drawing:
    """Return a figure of Optuna's. LeftOut with its message if it refuses."""
    try:
        with quiet():
            figure = make()
    except Exception as error:  # Optuna raises many types, by the trials of a study
        raise LeftOut(f"Optuna can't draw it ({type(error).__name__}: {' '.join(str(error).split())[:200]})") from None
    figure.update_layout(title=None, template="plotly_white", height=height, width=None, margin={"t": 40})
    return Drawing(figure)


def _completed(data: SweepData, fewest: int) -> optuna.Study:
    """Return the study. LeftOut if fewer trials have completed."""
    number = len(completed_of(data.study))
    if number < fewest:
        needed = "a completed trial" if fewest == 1 else f"{fewest} completed trials"
        raise LeftOut(f"it needs {needed}, and there {'is' if number == 1 else 'are'} {number or 'none'}")
    return data.study


def _target(data: SweepData, index: int = 0) -> dict[str, Any]:
    """Return the arguments of Optuna's plots for one objective. A study of one has the objective's own direction."""
    name = {"target_name": data.objectives.names[index]}
    return {**name, "target": lambda trial: trial.values[index]} if data.objectives.several else name


def _front(data: SweepData) -> Iterator[Part]:
    from optuna.visualization import plot_pareto_front

    names = data.objectives.names
    if len(names) > 3:
        raise LeftOut(f"a figure shows two or three objectives, and there are {len(names)}")
    study = _completed(data, 1)
    yield _drawn(lambda: plot_pareto_front(study, target_names=list(names)))


def _history(data: SweepData) -> Iterator[Part]:
    from optuna.visualization import plot_optimization_history

    study = _completed(data, 1)
    yield Words("The value of each completed trial by its number, and the best so far. Pruned trials are not shown.")
    for index in range(len(data.objectives.names)):
        yield _drawn(lambda index=index: plot_optimization_history(study, **_target(data, index)))  # type: ignore[misc]


def _importances(data: SweepData) -> Iterator[Part]:
    rows, completed = data.importances, len(completed_of(data.study))
    yield Words(
        f"PED-ANOVA on {completed} completed trials: how much the best tenth of them differs from all in each "
        "hyperparameter. The sum is 1." + (" With so few trials this is a rough guide." if completed < 100 else "")
    )
    yield Drawing(figures.importances_figure(rows))


def _params(data: SweepData) -> list[str]:
    """Return the varied parameters, the most important first. LeftOut if nothing varies."""
    _completed(data, 2)
    try:
        importances = data.importances
    except LeftOut:
        importances = []
    params = important_params(data.study, importances, data.objective)
    if not params:
        raise LeftOut("no hyperparameter differs between the completed trials")
    return params


def _of_first(data: SweepData) -> str:
    return f" By {data.objective}, the first objective." if data.objectives.several else ""


def _parallel(data: SweepData) -> Iterator[Part]:
    from optuna.visualization import plot_parallel_coordinate

    params = _params(data)
    shown = evenly_ranked(data.study, MOST_LINES)
    yield Words(f"Completed trials, one line each.{_sample_words(data, MOST_LINES)}{_of_first(data)}")
    yield _drawn(lambda: plot_parallel_coordinate(shown, params=params, **_target(data)), 480)


def _sample_words(data: SweepData, most: int) -> str:
    number = len(completed_of(data.study))
    return f" {most} of {number} are shown, evenly spaced in their ranking." if number > most else ""


def _slices(data: SweepData) -> Iterator[Part]:
    from optuna.visualization import plot_slice

    params = _params(data)
    more = f" The {SLICES} most important of {len(params)} hyperparameters." if len(params) > SLICES else ""
    yield Words(f"Completed trials, a panel for each hyperparameter.{more}{_of_first(data)}")
    for begin in range(0, min(SLICES, len(params)), _IN_A_ROW):
        some = params[begin : min(begin + _IN_A_ROW, SLICES)]
        yield _drawn(lambda some=some: plot_slice(data.study, params=some, **_target(data)), 380)  # type: ignore[misc]


def _contours(data: SweepData) -> Iterator[Part]:
    from optuna.visualization import plot_contour

    params = [name for name in _params(data) if name in varied_params(data.study)]
    pairs = important_pairs(params)
    if not pairs:
        raise LeftOut("it needs two hyperparameters that differ between the completed trials")
    shown = evenly_ranked(data.study, MOST_IN_CONTOUR)
    yield Words(
        f"Interpolated between completed trials, of the most important pairs.{_sample_words(data, MOST_IN_CONTOUR)}"
        f"{_of_first(data)}"
    )
    for pair in pairs:
        yield _drawn(lambda pair=pair: plot_contour(shown, params=list(pair), **_target(data)))  # type: ignore[misc]
