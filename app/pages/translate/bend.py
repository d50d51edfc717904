"""A trace that is dragged by its points, or scaled with a slider."""

from __future__ import annotations

from typing import Any

import numpy as np
import panel as pn
import panel_material_ui as pmui

from ...analyses.suppose import bend_to, bent, knot_times, knot_values
from ...analyses.translate import Shown
from ...plots.traces import Lines, draw_bend, make_bend, recolour_bend
from ...state import State
from ...theme import look
from ...translation import AS_RECORDED, MOST_PERCENT, TABLE, Bend, with_bend
from ..parts import follow, guarded, offer
from .shown import PAGE, drawn, label, newest


class BendView:
    """Which trace is looked at is only a way of looking, so it is not in the address."""

    def __init__(self, state: State) -> None:
        self.state, self.quiet = state, False
        self.trace = pmui.Select(label="Trace", options={}, size="small", width=190, margin=(8, 10, 2, 0))
        self.scale = pmui.IntSlider(
            label="Scale (%)", start=0, end=MOST_PERCENT, step=10, value=100, size="small", width=180, margin=(8, 14)
        )
        self.drag = pmui.Switch(label="Points can be dragged", value=state.drag, size="small", margin=(10, 4, 2, 0))
        self.plot = make_bend()
        self.part = pn.Column(
            pn.FlexBox(self.trace, self.scale, self.drag, align_items="center"),
            pn.pane.Bokeh(self.plot.trace.figure, sizing_mode="stretch_width", margin=0),
            sizing_mode="stretch_width",
            margin=0,
        )
        self.trace.param.watch(guarded(state, lambda _: self.redraw()), "value")
        self.scale.param.watch(guarded(state, lambda event: self.rescale(event.new)), "value_throttled")
        self.drag.param.watch(lambda event: setattr(state, "drag", event.new), "value")
        self.plot.knots.on_change("data", lambda attr, old, new: guarded(state, self.dragged)(new))
        drawn(state, self.draw, and_colours=True)
        follow(state, ["drag"], self._set_drag, page=PAGE)

    def view(self) -> pn.viewable.Viewable:
        return self.part

    @property
    def bend(self) -> Bend:
        return dict(self.state.spec.translation.bends).get(self.trace.value, AS_RECORDED)

    def _go(self, bend: Bend) -> None:
        self.state.go(translation=with_bend(self.state.spec.translation, self.trace.value, bend))

    def rescale(self, percent: int | None) -> None:
        if not self.quiet and percent is not None and self.trace.value:
            self._go(Bend(int(percent), self.bend.knots))

    def dragged(self, data: dict[str, Any]) -> None:
        """The points are where a visitor left them; sideways they spring back, and none can be taken away."""
        shown = newest(self.state).shown
        if self.quiet or shown is None or not self.trace.value:
            return
        values, now = np.asarray(data["y"], dtype=np.float64), self.bend
        if values.shape == (len(now.knots),) and np.isfinite(values).all():
            now = bend_to(shown.recording, shown.trial, self.trace.value, now, values)
        self.draw_trace(shown, now)
        self._go(now)

    def redraw(self) -> None:
        if (shown := newest(self.state).shown) is not None and not self.quiet:
            with pn.io.hold(self.plot.trace.figure.document):
                self.draw(shown)

    def draw(self, shown: Shown) -> None:
        traces = {label(trace.name): trace.name for trace in shown.traces}
        self.part.visible = bool(traces)
        if not traces:
            return
        self.quiet = True
        try:
            offer(self.trace, traces)
            if self.trace.value not in traces.values():
                self.trace.value = next(iter(traces.values()))
            bend = self.bend
            self.scale.value = bend.percent
        finally:
            self.quiet = False
        self.draw_trace(shown, bend)
        colours = look(self.state.dark)
        recolour_bend(self.plot, colours, colours.modalities[self.trace.value])

    def draw_trace(self, shown: Shown, bend: Bend) -> None:
        name, opened = self.trace.value, shown.recording
        recorded = bent(opened, shown.trial, name, AS_RECORDED)
        what_if = bent(opened, shown.trial, name, bend) if bend != AS_RECORDED else np.full_like(recorded, np.nan)
        lines = Lines(opened.times, recorded, what_if, np.zeros(recorded.size, dtype=bool))
        self.plot.trace.figure.yaxis.axis_label = f"{label(name)} ({TABLE[name].unit})"
        knots = knot_times(opened), knot_values(opened, shown.trial, name, bend)
        self.quiet = True
        try:
            draw_bend(self.plot, lines, "Drag a point up or down", knots)
        finally:
            self.quiet = False

    def _set_drag(self) -> None:
        """On a phone a finger scrolls the page instead."""
        self.drag.value = self.state.drag
        self.plot.trace.figure.toolbar.active_tap = self.plot.tool if self.state.drag else None
