"""What the parts of the page have in common: the newest result, and when they are drawn."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn

from ...analyses.single_neuron import Judged, OneNeuron
from ...state import State
from ..parts import card, follow

PAGE = "neuron"


def newest(state: State) -> OneNeuron | None:
    return state.views.get(PAGE)


def drawn_card(state: State, *objects: pn.viewable.Viewable, draw: Callable[[Judged], None]) -> pn.viewable.Viewable:
    """A card that is drawn for every new result and in new colors, and is away while there is no prediction."""
    made = card(*objects)

    def refresh() -> None:
        result = newest(state)
        if result is None:
            return  # the next result is on its way: the last one stays
        made.visible = result.judged is not None
        if result.judged is not None:
            draw(result.judged)

    follow(state, ["views", "dark"], refresh, page=PAGE)
    return made
