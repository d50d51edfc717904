"""Every neuron with both scores; a click looks at it."""

from __future__ import annotations

import panel as pn

from ...analyses.compared import Compared
from ...state import State
from ...words import TIPS
from ..grid import Column, Grid
from .shown import drawn

COLUMNS = {
    "neuron": Column("Neuron", "Its number in the recording. Click a row to look at it.", 0),
    "region": Column("Region", "Acronym of the Allen atlas."),
    "status": Column("Status", "Scored, silent or excluded."),
    "a": Column("A", TIPS["Null: test mean"], 3),
    "b": Column("B", TIPS["Null: test mean"], 3),
    "difference": Column("B − A", "Bits per spike; above 0: B is better.", 3),
    "low": Column("95 % low", TIPS["95 % interval"], 3),
    "high": Column("95 % high", TIPS["95 % interval"], 3),
    "n_spikes": Column("Spikes", "In the scored entries.", 0),
    "rate_hz": Column("Rate (Hz)", "Mean over the training trials.", 2),
    "uuid": Column("Unit", "The identity of the unit in its file."),
}


def view(state: State) -> pn.viewable.Viewable:
    grid = Grid(state, COLUMNS, lambda row: state.look_at(int(row.neuron)))

    grid.widget.widths = {**grid.widget.widths, "uuid": 290}  # px

    def draw(found: Compared) -> None:
        grid.show(found.pair.neurons, f"{state.spec.session}_{found.task}_compared_neurons")

    drawn(state, draw, lambda found: found.pair)
    return pn.Column(grid.widget, grid.file, sizing_mode="stretch_width", margin=0)
