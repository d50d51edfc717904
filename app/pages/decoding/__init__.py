"""The page "Decoding": what the spikes, and the model's reading of them, tell about behavior."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import card, explained, follow, heading
from .shown import Shown


def page(state: State) -> pn.viewable.Viewable:
    shown = Shown(state)
    follow(state, ["jobs", "views", "picture", "spec"], shown.draw, page="decoding")
    follow(state, ["dark"], shown.recolour)
    return pn.Column(
        card(
            pn.FlexBox(shown.behavior, *shown.buttons, align_items="center"),
            shown.about,
            pn.FlexBox(shown.figure, shown.aside, align_items="flex-start", sizing_mode="stretch_width"),
            explained("What is decoded from what, and what is a null?", "decoding"),
        ),
        card(heading("All that was decoded"), shown.grid.widget, pn.FlexBox(shown.grid.file, shown.file)),
        sizing_mode="stretch_width",
        margin=0,
    )
