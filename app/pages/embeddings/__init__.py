"""The page "Units": what the model has learned about each neuron, and whether that tells its brain region."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import card, explained, follow, heading
from .shown import Shown

PAGE = "embeddings"


def page(state: State) -> pn.viewable.Viewable:
    shown = Shown(state)
    follow(state, ["jobs", "views", "spec"], shown.draw, page=PAGE)
    follow(state, ["dark"], shown.recolour, page=PAGE)
    plane = pn.Column(shown.figure, shown.keys, shown.note, styles={"flex": "1 1 440px", "min-width": "0"})
    results = pn.Column(shown.verdict, shown.probe, shown.recall, styles={"flex": "1 1 420px", "min-width": "0"})
    return pn.Column(
        card(
            pn.FlexBox(shown.start, shown.level, heading("Colors"), shown.colour, align_items="center"),
            shown.about,
            pn.FlexBox(plane, results, gap="12px", align_items="flex-start", sizing_mode="stretch_width"),
            explained("What does this show?", PAGE),
        ),
        card(heading("All neurons"), shown.grid.widget, shown.grid.file),
        sizing_mode="stretch_width",
        margin=0,
    )
