"""The page "Scores": the evaluation tasks for one session and model, beside simpler predictions."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import card, explained, heading, prose
from . import baselines, by_neuron, by_region, choices, summary


def page(state: State) -> pn.viewable.Viewable:
    return pn.Column(
        card(prose("scores_intro"), choices.view(state)),
        card(summary.view(state)),
        card(choices.looked_at(state), baselines.view(state)),
        card(heading("By region"), by_region.view(state)),
        card(heading("By neuron"), by_neuron.view(state)),
        card(explained("What do these numbers mean?", "scores"), explained("What are these tasks?", "tasks")),
        sizing_mode="stretch_width",
        margin=0,
    )
