"""The page "Compare": two predictions of the same hidden entries, neuron by neuron, and one trial side by side."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import card, explained, heading, prose
from . import by_neuron, by_region, choices, rasters, summary
from .shown import while_compared


def page(state: State) -> pn.viewable.Viewable:
    return pn.Column(
        card(prose("compare_intro"), choices.view(state)),
        card(explained("What makes a comparison fair, and what do the numbers mean?", "compare")),
        while_compared(state, lambda: _results(state)),  # last: it is taller than the window
        sizing_mode="stretch_width",
        margin=0,
    )


def _results(state: State) -> list[pn.viewable.Viewable]:
    return [
        card(summary.view(state)),
        card(heading("Neuron by neuron and by region"), by_region.view(state)),
        card(heading("One trial, predicted twice"), rasters.view(state)),
        card(heading("All neurons"), by_neuron.view(state)),
    ]
