"""The page "Map": what each region adds to the prediction of each other region, and what a context is worth."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import card, explained
from . import context, pairs


def page(state: State) -> pn.viewable.Viewable:
    return pn.Column(
        card(pairs.view(state), explained("What does this map show?", "map")),
        card(context.view(state)),
        sizing_mode="stretch_width",
        margin=0,
    )
