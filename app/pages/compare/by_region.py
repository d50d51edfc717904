"""A against B, every neuron a dot, and the difference region by region."""

from __future__ import annotations

import numpy as np
import panel as pn

from ...analyses.compared import Compared
from ...plots.compare import (
    RegionDifference,
    draw_differences,
    draw_pair,
    make_difference_figure,
    make_pair_figure,
    recolour_compared,
)
from ...state import State
from ...theme import look
from ...words import TIPS
from ..embeddings.said import keys
from ..grid import Column, Grid
from ..levels import level_select
from ..parts import Announce, bind, flexible, follow, on_tap
from .shown import PAGE, drawn
from .summary import OVER_NEURONS, OVER_TRIALS

COLUMNS = {
    "region": Column("Region", "Acronym of the Allen atlas."),
    "n": Column("Scored", "Neurons that both A and B have a score for.", 0),
    "a": Column("A", "Mean over the scored neurons, bits per spike.", 3),
    "b": Column("B", "Mean over the scored neurons, bits per spike.", 3),
    "difference": Column("B − A", "Mean paired difference, bits per spike; above 0: B is better.", 3),
    "low": Column("Trials low", OVER_TRIALS, 3),
    "high": Column("Trials high", OVER_TRIALS, 3),
    "neurons_low": Column("Neurons low", OVER_NEURONS, 3),
    "neurons_high": Column("Neurons high", OVER_NEURONS, 3),
    "n_better": Column("Better", "Neurons that B predicts better.", 0),
    "n_worse": Column("Worse", "Neurons that B predicts worse.", 0),
    "n_silent": Column("Silent", TIPS["Silent"], 0),
    "n_excluded": Column("Excluded", TIPS["Excluded"], 0),
}
ALL = "all regions"
KEY_STYLE = ":host { font-size: 12.5px; line-height: 1.9; }"
GREY = "#7f8b97"


def dots(found: Compared) -> dict[str, np.ndarray]:
    """The neurons that both have a score for."""
    pair = found.pair
    both = pair.neurons[np.isfinite(pair.neurons.difference)]
    columns = {name: both[name].to_numpy() for name in ("a", "b", "difference", "neuron", "region")}
    colours = np.array([pair.colours[region] for region in both.region])
    return {**columns, "rate": both.rate_hz.to_numpy(), "colour": colours}


def differences(found: Compared) -> list[RegionDifference]:
    """All regions together, then one by one in the order of the Allen table."""
    pair = found.pair
    c, over = pair.comparison, pair.over_neurons or (np.nan, np.nan)
    rows = [] if c is None else [RegionDifference(ALL, GREY, c.n, c.mean_difference, c.mean_ci, over)]
    return rows + [
        RegionDifference(
            row.region,
            pair.colours[row.region],
            row.n,
            row.difference,
            (row.low, row.high),
            (row.neurons_low, row.neurons_high),
        )
        for row in pair.regions.itertuples()
        if row.n
    ]


def view(state: State) -> pn.viewable.Viewable:
    pair, by_region = make_pair_figure(), make_difference_figure()
    on_tap(state, pair.dots, state.look_at)
    level = level_select()
    bind(state, level, lambda spec: spec.level, lambda value: state.go(level=value))
    grid = Grid(state, COLUMNS, lambda row: None, paged=False)
    legend = pn.pane.HTML("", stylesheets=[KEY_STYLE], sizing_mode="stretch_width", margin=(2, 4))
    note = Announce(
        label="note",
        margin=(2, 4),
        text="Above the dashed line B is better. Click a dot to look at the neuron. Right: dot, mean difference; thick "
        "line, 95 % over trials; thin line, 95 % over neurons.",
    )

    def draw(found: Compared) -> None:
        draw_pair(pair, dots(found), [f"{letter}: {name}" for letter, name in zip("AB", found.names, strict=False)])
        draw_differences(by_region, differences(found))
        legend.object = keys(found.pair.colours)
        grid.show(found.pair.regions, f"{state.spec.session}_{found.task}_compared_regions")

    drawn(state, draw, lambda found: found.pair)
    follow(state, ["dark"], lambda: recolour_compared(pair, by_region, look(state.dark)), page=PAGE)
    figures = [flexible(pair.figure, 380), flexible(by_region.figure, 380)]
    box = pn.FlexBox(*figures, gap="12px", align_items="flex-start", sizing_mode="stretch_width")
    return pn.Column(level, note, box, legend, grid.widget, grid.file, sizing_mode="stretch_width", margin=0)
