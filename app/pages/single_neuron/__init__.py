"""The page "Neuron": everything needed to judge the prediction of one neuron on held-out trials."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import explained
from . import header, honesty, responses, trials


def page(state: State) -> pn.viewable.Viewable:
    parts = (header.view(state), responses.view(state), trials.view(state), honesty.view(state))
    return pn.Column(
        *parts, explained("What does all this mean?", "single_neuron"), sizing_mode="stretch_width", margin=0
    )
