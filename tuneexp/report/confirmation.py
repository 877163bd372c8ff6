"""A confirmation as text: the table of its configurations, and five lines that say what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from tuneexp.commands import command
from tuneexp.report.formatting import cell, course_words, score, short_path
from tuneexp.report.formatting import seeds as seeds_text

if TYPE_CHECKING:
    from tuneexp.statistics.intervals import Estimate
    from tuneexp.sweep.confirming.comparison import Confirmed, Winner
    from tuneexp.sweep.confirming.confirmation import Confirmation

HEADINGS = ("", "tuning", "unseen seeds", "95 % interval", "over defaults", "95 % interval", "beats defaults")


def confirmation_table(found: Confirmation) -> Table:
    """Table of the configurations."""
    title = f"{found.sweep}, confirmed on {len(found.seeds)} seeds ({seeds_text(found.seeds)})"
    table = Table(
        title=cell(title), title_justify="left", box=None, pad_edge=False, header_style="bold", padding=(0, 1)
    )
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for one in found.configurations:
        style = "bold green" if one == found.recommended else ""
        table.add_row(*(cell(text, style) for text in confirmation_row(one)))
    return table


def confirmation_row(one: Confirmed) -> list[str]:
    """Return the cells of a configuration, as in `HEADINGS`."""
    if one.score is None:
        return [one.name, score(one.tuning), one.outcome or "not trained yet", "", "", "", ""]
    chance = "" if one.beats_defaults is None else f"{one.beats_defaults.value:.0%}"
    over = ["", ""] if one.over_defaults is None else [_signed(one.over_defaults.value), _ends(one.over_defaults)]
    return [one.name, score(one.tuning), score(one.score.value), _spread(one), *over, chance]


def _spread(one: Confirmed) -> str:
    """Return the interval of a score; of at most two distinct scores, how many seeds have them."""
    assert one.score is not None
    return one.counts or _ends(one.score)


def confirmation_text(found: Confirmation) -> str:
    """Return lines about the configuration to use, its score, the defaults, tuning's own score, how to train it again,
    and its registered model.

    Lines about seeds that diverged, failed trainings and an unfinished sweep come before them."""
    chosen, winner = found.recommended, found.winner
    if chosen is None or winner is None:
        return "\n".join([*_troubles(found), "found       no configuration of the sweep has a result"])
    settings = course_words(chosen.config, chosen.schedule)
    return "\n".join([
        *_troubles(found),
        f"found       {chosen.name}{f': {settings}' if settings else ''}",
        f"score       {_scored(found, winner, chosen)}",
        f"defaults    {_against_defaults(found, winner)}",
        f"tuning      {_tuning(found, winner)}",
        f"train it    {_train(found)}",
        *([f"champion    {found.mlflow['champion']}"] if "champion" in found.mlflow else []),
    ])  # fmt: skip


def _scored(found: Confirmation, winner: Winner, chosen: Confirmed) -> str:
    used = f"that tuning {'also' if found.seen_seeds else 'never'} used"
    if chosen.counts is not None:
        return f"a return of {chosen.counts} seeds {used}"
    best = found.recommended_score
    assert best is not None
    same = chosen.name != winner.name or round(best.value - winner.score, 1) == 0
    corrected = "" if same else f" ({score(winner.score)} before the correction for its choice by these seeds)"
    return f"a return of {score(best.value)} on {len(chosen.scores)} seeds {used}: very likely {_ends(best)}{corrected}"


def _against_defaults(found: Confirmation, winner: Winner) -> str:
    defaults, over = found.named("defaults"), winner.over_defaults
    if defaults is None or defaults.score is None or over is None:
        return "they have no score to compare with"
    theirs = score(defaults.score.value)
    if winner.verdict == "equal":
        return f"{theirs}: the same on every seed, so the defaults are as good"
    if winner.verdict == "open":
        return (
            f"{theirs}: as good, as far as {len(found.seeds)} seeds can show: {winner.name} is "
            f"{_apart(over.value)} (very likely {_signed(over.low)} to {_signed(over.high)})"
        )
    if winner.verdict == "worse":
        ours = f"the best of the sweep, {winner.name} ({score(winner.score)})"
        return f"{theirs}: better than {ours}, by {score(-over.value)} (very likely {_flipped(over)})"
    one = found.named(winner.name)
    assert one is not None
    assert one.beats_defaults is not None
    return (
        f"{theirs}: {winner.name} is better by {score(over.value)} (very likely {_ends(over)}); a run of it beats a "
        f"run of the defaults in {one.beats_defaults.value:.0%} of cases"
    )


def _apart(difference: float) -> str:
    return f"{score(abs(difference))} {'better' if difference >= 0 else 'worse'}"


def _tuning(found: Confirmation, winner: Winner) -> str:
    one = found.named(winner.name)
    if one is None or one.tuning is None or one.overstated is None:
        return "it has no score to compare with"
    by, here = one.overstated.value, one.tuning - one.overstated.value
    seeds = f"{len(found.tuning_seeds)} seed{'s' if len(found.tuning_seeds) > 1 else ''}"
    said = (
        f"{winner.name} had {score(one.tuning)}, the {found.aggregate} of {seeds}; on these seeds that is {score(here)}"
    )
    if round(by, 1) == 0:
        return f"{said}, so it holds"
    share = f" ({abs(by / one.tuning):.0%})" if one.tuning else ""
    return f"{said}: it was {score(abs(by))} too {'high' if by > 0 else 'low'}{share}"


def _train(found: Confirmation) -> str:
    if found.best_file is None:
        return f"once it has ended: {command('resume', found.sweep, storage=short_path(found.storage))}"
    return command("train", "--config", short_path(found.best_file))


def _troubles(found: Confirmation) -> list[str]:
    lines = []
    if found.sweep_state != "finished":
        lines.append(f"note        the sweep is {found.sweep_state}: a better configuration may still come")
    if found.seen_seeds:
        lines.append(
            f"note        tuning used {seeds_text(found.seen_seeds)} of these seeds, too: scores on them are too high"
        )
    for one in found.configurations:
        if one.diverged:
            seeds = f"{len(one.diverged)} of {len(found.seeds)} seeds ({seeds_text(one.diverged)})"
            lines.append(f"diverged    {one.name}: {seeds}; they count with the worst evaluation of all")
        elif one.score is None and one.outcome is not None:
            lines.append(
                f"failed      {one.name}: {one.outcome.replace('_', ' ')}, {one.reason or 'no reason is known'}"
            )
    return lines


def _ends(one: Estimate) -> str:
    return f"{score(one.low)} to {score(one.high)}"


def _flipped(one: Estimate) -> str:
    return f"{score(-one.high)} to {score(-one.low)}"


def _signed(value: float) -> str:
    return f"+{score(value)}" if value > 0 else score(value)
