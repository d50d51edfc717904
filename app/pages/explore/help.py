"""What the words on the page mean."""

from __future__ import annotations

import panel as pn

from ...state import State
from ..parts import card, prose

TEXTS = ("masking", "bits_per_spike", "tasks")


def view(state: State) -> pn.viewable.Viewable:
    texts = [prose(name, styles={"flex": "1 1 320px"}, margin=(0, 12)) for name in TEXTS]
    return card(pn.FlexBox(*texts, sizing_mode="stretch_width"))
