"""The spikes of the trial, recorded and predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import panel as pn
from bokeh.events import SelectionGeometry
from bokeh.models import Range1d

from ...analyses.translate import Shown
from ...plots.raster import STRIP, TOP, draw_raster, draw_strips, label_bands, make_raster, make_scale, recolour
from ...state import State
from ...theme import MAX_COUNT, RASTER_HEIGHT, look
from ..explore.rasters import rows_of
from ..parts import flexible, follow, guarded, heading, on_zoom
from .shown import PAGE, drawn, newest

PANELS = (("Recorded spikes", True), ("Predicted rate", False))
HEIGHT = RASTER_HEIGHT + 110  # px inside the axes: about as high as the behavior beside it


class Rasters:
    def __init__(self, state: State) -> None:
        self.state = state
        self.x_range, self.y_range = Range1d(-1, 1), Range1d(0, 1)
        scales = {spikes: make_scale(spikes) for spikes in (True, False)}
        self.rasters = [
            make_raster(title, scales[spikes], (self.x_range, self.y_range), i == 0)
            for i, (title, spikes) in enumerate(PANELS)
        ]
        # Invisible until there is something to see.
        self.panes = [flexible(each.figure, px, False) for each, px in zip(self.rasters, (290, 230), strict=True)]
        self._shape = (0, 0.0)
        for raster in self.rasters:
            raster.figure.frame_height = HEIGHT
        for raster in self.rasters:
            raster.figure.on_event(SelectionGeometry, guarded(state, self._drag))
        on_zoom(state, [self.y_range], lambda: self.draw(newest(state).shown))
        drawn(state, self.draw, and_colours=True)
        follow(state, ["drag"], self._set_drag, page=PAGE)

    def draw(self, shown: Shown | None) -> None:
        if shown is None:
            return
        n_rows, times, high = shown.order.size, shown.recording.times, shown.recording.high_hz
        if self._shape != (n_rows, times[0]):
            self._shape = (n_rows, times[0])
            self.x_range.update(start=times[0] - STRIP * (times[-1] - times[0]), end=times[-1])
            self.y_range.update(start=0, end=n_rows * (1 + TOP))
        rows, colours = rows_of(shown), look(self.state.dark)
        # Of what the model saw it never learned to say anything.
        rates = np.where(shown.hidden, shown.rates, 0) / np.float32(shown.recording.trials.bin_size)
        values = (shown.counts, rates)
        for raster, each in zip(self.rasters, values, strict=True):
            top = MAX_COUNT if raster.spikes else high
            draw_raster(raster, rows, each.T[shown.order], top)
            draw_strips(raster, rows, colours)
            label_bands(raster.figure, rows.bands)
            recolour(raster.scale, colours, top)
        for raster, pane, seen in zip(self.rasters, self.panes, (True, bool(shown.dark.any())), strict=True):
            raster.figure.visible = pane.visible = seen

    def _set_drag(self) -> None:
        """On a phone a finger scrolls the page instead."""
        for raster in self.rasters:
            raster.figure.toolbar.active_drag = raster.box if self.state.drag else None

    def _drag(self, event: SelectionGeometry) -> None:
        """A drag hides a stretch of time."""
        shape, shown = event.geometry, newest(self.state).shown
        if shown is None or not event.final or shape["type"] != "rect":
            return
        trials = shown.recording.trials
        start, size = trials.window[0], trials.bin_size
        ends = np.clip(
            [np.floor((shape["x0"] - start) / size), np.ceil((shape["x1"] - start) / size)], 0, trials.n_bins
        )
        if ends[1] > ends[0]:
            span = (int(ends[0]), int(ends[1]))
            self.state.go(translation=replace(self.state.spec.translation, span=span))


def view(state: State) -> pn.viewable.Viewable:
    made = Rasters(state)
    box = pn.FlexBox(*made.panes, sizing_mode="stretch_width", gap="4px", min_height=HEIGHT + 110)
    return pn.Column(heading("Spikes"), _marks(state), box, sizing_mode="stretch_width", margin=0)


def _marks(state: State) -> pn.viewable.Viewable:
    """What the colours mean. Constants only, so HTML is safe."""
    pane = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 4))

    def draw() -> None:
        colours = look(state.dark)
        kinds = {"the model sees": colours.spikes_seen, "hidden from it": colours.spikes_scored}
        pieces = [f"<span>{_swatch(ramp, colours.faint)}{name}</span>" for name, ramp in kinds.items()]
        marks = (
            "<span>left strip: region · dark bar: hidden bins · dashed: stimulus · drag across: hide that time</span>"
        )
        style = "display:flex;flex-wrap:wrap;gap:2px 18px;font-size:12.5px;opacity:.9"
        pane.object = f"<div style='{style}'>{''.join(pieces)}{marks}</div>"

    follow(state, ["dark"], draw, page=PAGE)
    return pane


def _swatch(ramp: tuple[str, ...], border: str) -> str:
    style = (
        f"display:inline-block;width:30px;height:11px;margin-right:6px;vertical-align:-1px;border:1px solid {border}"
    )
    return f"<span style='{style};background:linear-gradient(90deg,{','.join(ramp[::9])})'></span>"
