"""The page "Translate": spikes on the left, behavior on the right; hide a part of either and see it predicted."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import card, explained, prose
from . import behaviors, missing, rasters, scores, status, switches, trial, what_if
from .shown import while_there


def page(state: State) -> pn.viewable.Viewable:
    top = card(prose("translate_intro"), trial.view(state), *switches.views(state), status.view(state))
    left = card(rasters.view(state), styles={"flex": "3 1 420px", "min-width": "0", "max-height": "none"})
    right = card(behaviors.view(state), styles={"flex": "2 1 330px", "min-width": "0", "max-height": "none"})
    both = pn.FlexBox(left, right, gap="12px", align_items="flex-start", sizing_mode="stretch_width")
    below = (what_if.view(state), scores.view(state))
    help_text = explained("What do the words and scores mean?", "translate")
    there = pn.Column(top, both, *below, help_text, sizing_mode="stretch_width", margin=0)
    while_there(state, there)
    return pn.Column(missing.view(state), there, sizing_mode="stretch_width", margin=0)
