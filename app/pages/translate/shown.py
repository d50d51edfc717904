"""What the parts of the page have in common: the newest result, and when they are drawn."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn

from ...analyses.translate import Newest, Shown
from ...state import State
from ...translation import TABLE
from ..parts import follow

PAGE = "translate"
SMALL = {"font-size": "12.5px", "opacity": ".85"}


def newest(state: State) -> Newest:
    return state.views.get(PAGE) or Newest()


def drawn(state: State, draw: Callable[[Shown], None], and_colours: bool = False) -> None:
    """Draw every new trial, and with `and_colours` in new colours; progress of the scores is none."""
    last: list[object] = []

    def refresh() -> None:
        shown = newest(state).shown
        if shown is None:
            return  # the next result is on its way: the last one stays
        now = [shown, state.dark if and_colours else None]
        if not last or last[0] is not now[0] or last[1] != now[1]:
            last[:] = now
            draw(shown)

    follow(state, ["views", "dark"], refresh, page=PAGE)


def while_there(state: State, part: pn.Column) -> None:
    """The part is away while there is no model to show."""
    follow(state, ["views"], lambda: part.param.update(visible=not newest(state).problem), page=PAGE)


def label(name: str) -> str:
    return TABLE[name].label


def listed(names: tuple[str, ...]) -> str:
    """Choice, Block and Wheel speed -> "choice, block and wheel speed"."""
    words = [label(name).lower() for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "nothing"
