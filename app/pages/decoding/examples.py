"""Held-out trials of one behavior: what was recorded and what was decoded."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from ...analyses.decoding import Example
from ...plots.decoding import (
    draw_sides,
    draw_trace,
    make_side_figure,
    make_trace_figure,
    recolour_sides,
    recolour_trace,
)
from ...state import State
from ...theme import look
from ..parts import flexible, follow, guarded
from .said import UNITS


class Examples:
    """Streams are shown one trial at a time, sides of all trials at once."""

    def __init__(self, state: State) -> None:
        self.trace, self.sides = make_trace_figure(), make_side_figure()
        self.trace_pane = flexible(self.trace.figure, 380, visible=False)
        self.sides_pane = flexible(self.sides.figure, 380, visible=False)
        self.pick = pmui.IntSlider(
            label="Held-out trial", start=0, end=1, value=0, visible=False, width=260, margin=(4, 12)
        )
        self.behavior, self.shown = "", None
        self.pick.param.watch(guarded(state, lambda _: self._draw_trace()), "value")
        follow(state, ["dark"], lambda: self.recolour(state.dark))

    def draw(self, behavior: str, shown: Example | None) -> None:
        """Show another behavior or source; the place among the held-out trials stays."""
        self.behavior, self.shown = behavior, shown
        stream = shown is not None and not shown.classes
        self._show(self.trace.figure, self.trace_pane, stream)
        self._show(self.sides.figure, self.sides_pane, shown is not None and not stream)
        self.pick.visible = stream
        if stream:
            self.pick.end = max(len(shown.trials) - 1, 1)
            self._draw_trace()
        elif shown is not None:
            draw_sides(self.sides, shown.trials, shown.truth, shown.decoded, shown.classes)

    @staticmethod
    def _show(plot: object, pane: pn.pane.Bokeh, visible: bool) -> None:
        plot.visible = pane.visible = visible

    def _draw_trace(self) -> None:
        if self.shown is None or self.shown.classes:
            return
        at = min(int(self.pick.value), len(self.shown.trials) - 1)
        lines = {
            "time": self.shown.times,
            "truth": self.shown.truth[at],
            "decoded": self.shown.decoded[at],
            "average": self.shown.average,
        }
        title = f"Trial {self.shown.trials[at]} of the recording, held out"
        draw_trace(self.trace, lines, title, UNITS.get(self.behavior, "behavior"))

    def recolour(self, dark: bool) -> None:
        recolour_trace(self.trace, look(dark))
        recolour_sides(self.sides, look(dark))
