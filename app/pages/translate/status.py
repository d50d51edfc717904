"""What the model sees and how well it does in this trial, in one line."""

from __future__ import annotations

import panel as pn

from ...analyses.translate import Shown
from ...state import State
from ...translation import TABLE
from ...words import number
from ..parts import Announce
from .shown import drawn, label, listed


def view(state: State) -> pn.viewable.Viewable:
    line = Announce(css_classes=["status"], margin=(6, 4))
    line.styles = {"font-weight": "600"}
    drawn(state, lambda shown: setattr(line, "text", sentence(shown)))
    return line


def sentence(shown: Shown) -> str:
    """One sentence on what is hidden, one on what came of it."""
    there = ("spikes", *shown.present)
    hidden = tuple(name for name in there if name in shown.translation.hidden)
    if not hidden:
        return "Nothing is hidden: the model sees this trial as a whole. Hide something to see it predicted."
    seen = tuple(name for name in there if name not in hidden)
    when = "" if shown.dark.all() or shown.translation.span == (0, 0) else " in the chosen stretch of time"
    text = f"The model sees {listed(seen)}; hidden{when}: {listed(hidden)}."
    return " ".join([text, *_results(shown)])


def _results(shown: Shown) -> list[str]:
    found = []
    if (bits := shown.measures.get(("spikes", "pooled_train"))) is not None:
        found.append(f"Spikes of this trial: {number(bits)} bits per spike above the training mean.")
    asked = [static for static in shown.statics if static.right is not None]
    if asked:
        right = sum(bool(static.right) for static in asked)
        wrong = [TABLE[static.name].label.lower() for static in asked if not static.right]
        tail = f" (wrong: {', '.join(wrong)})" if wrong else ""
        found.append(f"{right} of {len(asked)} right in this trial{tail}.")
    traces = [
        f"{label(name).lower()} {number(value)}" for (name, kind), value in shown.measures.items() if kind == "r2"
    ]
    if traces:
        found.append(f"R² in this trial: {', '.join(traces)}.")
    return found
