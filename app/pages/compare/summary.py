"""The result in words, and all contenders in one table."""

from __future__ import annotations

import panel as pn

from ...analyses.compare_tables import contender_table
from ...analyses.compared import Compared
from ...state import State
from ...words import TIPS, count, interval, number, p_value
from ..grid import Column, Grid
from ..parts import Announce
from .shown import TITLES, drawn

OVER_TRIALS = "95 % of the difference over resampled test trials: other trials of the same neurons."
OVER_NEURONS = "95 % of the difference over resampled neurons: other neurons like these, on the same trials."
COLUMNS = {
    "who": Column("", "A, B and the others."),
    "name": Column("Contender", "A model with its prompt, or a baseline."),
    "n": Column("Scored", TIPS["Scored"], 0),
    "mean": Column("Mean", TIPS["Mean"], 3),
    "low": Column("95 % low", TIPS["95 % interval"], 3),
    "high": Column("95 % high", TIPS["95 % interval"], 3),
    "pooled": Column("Pooled", TIPS["Pooled"], 3),
    "difference": Column("Minus A", "Its score minus A's, mean over neurons that both scored; above 0: better.", 3),
    "trials_low": Column("Trials low", OVER_TRIALS, 3),
    "trials_high": Column("Trials high", OVER_TRIALS, 3),
    "neurons_low": Column("Neurons low", OVER_NEURONS, 3),
    "neurons_high": Column("Neurons high", OVER_NEURONS, 3),
    "n_better": Column("Better", "Neurons that it predicts better than A.", 0),
    "n_worse": Column("Worse", "Neurons that it predicts worse than A.", 0),
    "p_sign": Column("Sign test p", TIPS["Sign test"], 4),
    "note": Column("Note", "Why there is no score or no difference."),
}
TEXT_WIDTHS = {"who": 40, "name": 260, "note": 420}  # px


def verdict(found: Compared) -> str:
    """Who is better, how sure that is, and for whom it speaks."""
    pair, (a, b) = found.pair, found.names[:2]
    if (c := pair.comparison) is None:
        return f"B ({b}) and A ({a}) cannot be compared: {pair.reason}."
    low, high = c.mean_ci
    if low <= 0 <= high:
        said = f"No clear difference between B ({b}) and A ({a})"
    else:
        said = f"B ({b}) predicts {'better' if low > 0 else 'worse'} than A ({a})"
    neurons = f", {interval(pair.over_neurons)} over neurons" if pair.over_neurons else ""
    return (
        f"{TITLES[found.task]}: {said}. B − A is {number(c.mean_difference, 3)} bits per spike, mean over "
        f"{count(c.n, 'neuron')} (95 %: {interval(c.mean_ci)} over trials{neurons}); pooled "
        f"{number(c.pooled_difference, 3)} ({interval(c.pooled_ci)} over trials). B is better for "
        f"{count(c.n_better, 'neuron')} and worse for {c.n_worse:,} (sign test {p_value(c.p_sign)}). "
        f"{counted(found)}"
    )


def counted(found: Compared) -> str:
    pair = found.pair
    return (
        f"Of {count(pair.n, 'neuron')}, {pair.n_scored:,} scored, {pair.n_silent:,} silent (no spike in the scored "
        f"bins) and {pair.n_excluded:,} excluded (never asked about)."
    )


def view(state: State) -> pn.viewable.Viewable:
    said = Announce(margin=(4, 6), css_classes=["compared"])
    grid = Grid(state, COLUMNS, lambda row: None, paged=False)
    grid.widget.widths = {**grid.widget.widths, **TEXT_WIDTHS}

    def draw(found: Compared) -> None:
        said.text = verdict(found)
        grid.show(contender_table(found.lines), f"{state.spec.session}_{found.task}_compared")

    drawn(state, draw, lambda found: found.pairs)
    return pn.Column(said, grid.widget, grid.file, sizing_mode="stretch_width", margin=0)
