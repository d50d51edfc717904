"""The page "Scores": the evaluation tasks for one session and model, beside simpler predictions."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import card, explained, follow, heading, prose
from . import baselines, by_neuron, by_region, choices, summary
from .found import shown_task


def page(state: State) -> pn.viewable.Viewable:
    results = pn.Column(
        card(summary.view(state)),
        card(choices.looked_at(state), baselines.view(state)),
        card(heading("By region"), by_region.view(state)),
        card(heading("By neuron"), by_neuron.view(state)),
        sizing_mode="stretch_width",
        margin=0,
        visible=False,
    )
    follow(state, ["jobs", "views", "spec"], lambda: _reveal(results, shown_task(state) is not None), page="scores")
    return pn.Column(
        card(prose("scores_intro"), choices.view(state)),
        card(explained("What do these numbers mean?", "scores"), explained("What are these tasks?", "tasks")),
        results,  # last: it is taller than the window, and what followed it was drawn over it
        sizing_mode="stretch_width",
        margin=0,
    )


def _reveal(part: pn.Column, there: bool) -> None:
    part.visible = there
