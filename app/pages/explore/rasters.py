"""The rasters side by side: recorded, what the model saw, reconstructed and, if simulated, true."""

from __future__ import annotations

import numpy as np
import panel as pn
from bokeh.events import SelectionGeometry, Tap
from bokeh.models import Range1d

from ...compute import Picture
from ...plots.raster import (
    SCORED,
    STRIP,
    TOP,
    UNSCORED,
    Raster,
    Rows,
    draw_raster,
    draw_strips,
    label_bands,
    make_raster,
    make_scale,
    recolour,
)
from ...spec import Box
from ...state import State
from ...theme import MAX_COUNT, RASTER_HEIGHT, look
from ...words import runs
from ..parts import flexible, follow, guarded, on_zoom

PANELS = (
    ("Recorded spikes", True),
    ("What the model saw", True),
    ("Reconstructed rate", False),
    ("True rate (simulated)", False),
)
FEWEST_ROWS_NAMED = 0.025  # of all rows: thinner bands would print over each other
MARGIN_ROWS = 3  # around what "Zoom to hidden" shows


def rows_of(picture: Picture) -> Rows:
    """Labels, colours and layers of a picture's neurons in display order."""
    order, names = picture.order, picture.recording.region_names
    layer = np.where(picture.target, SCORED, np.where(picture.hidden, UNSCORED, 0)).astype(np.uint8)
    return Rows(
        labels=[f"{n} · {names[n]}" for n in order],
        colours=list(picture.recording.colours[order]),
        bands=bands(names[order]),
        times=picture.recording.times,
        layer=layer.T[order],
    )


def bands(names: np.ndarray) -> list[tuple[float, str]]:
    """Centre and name of each stretch of one region; none if the rows are not in regions."""
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    if starts.size > np.unique(names).size:
        return []
    stops = np.append(starts[1:], names.size)
    wide = (stops - starts) >= FEWEST_ROWS_NAMED * names.size
    return [((a + b) / 2, str(names[a])) for a, b, keep in zip(starts, stops, wide, strict=True) if keep]


class Rasters:
    """The figures of one visitor; built once, then only their data change."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.x_range, self.y_range = Range1d(-1, 1), Range1d(0, 1)
        ranges = self.x_range, self.y_range
        self.scales = {spikes: make_scale(spikes) for spikes in (True, False)}
        self.rasters = [
            make_raster(title, self.scales[spikes], ranges, i == 0) for i, (title, spikes) in enumerate(PANELS)
        ]
        # Invisible until there is a picture. The first shows the axis of neurons as well: all get the same width inside
        # the axes.
        self.panes = [
            flexible(r.figure, width, visible=False)
            for r, width in zip(self.rasters, (300, 240, 240, 240), strict=True)
        ]
        self.action = "neuron"  # what a click does: hide a "neuron", a "region", or "look" at a neuron
        self._shape = (0, 0.0)
        self._drawn: tuple | None = None  # picture and view on the screen
        self._rows: Rows | None = None
        self._painted: tuple | None = None  # theme and scale on the screen
        for raster in self.rasters:
            raster.figure.on_event(Tap, guarded(state, self._tap))
            raster.figure.on_event(SelectionGeometry, guarded(state, self._drag))
        on_zoom(state, [self.y_range], self._redraw)
        follow(state, ["picture"], self.draw, page="explore")
        follow(state, ["dark"], self._paint, page="explore")
        follow(state, ["drag"], self._set_drag, page="explore")

    def view(self) -> pn.FlexBox:
        return pn.FlexBox(*self.panes, sizing_mode="stretch_width", gap="4px", min_height=RASTER_HEIGHT + 110)

    # --- drawing ------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        if (picture := self.state.picture) is None:
            return
        n_rows, times = picture.order.size, picture.recording.times
        if self._shape != (n_rows, times[0]):
            self._shape = (n_rows, times[0])
            self.x_range.update(start=times[0] - STRIP * (times[-1] - times[0]), end=times[-1])
            self.show_rows(0, n_rows)
        self._rows = rows_of(picture)
        self._redraw()
        self._paint()

    def _redraw(self) -> None:
        picture, view = self.state.picture, (self.y_range.start, self.y_range.end)
        if picture is None or self._rows is None or self._drawn == (picture, view):
            return
        self._drawn = picture, view
        rows, size = self._rows, picture.recording.trials.bin_size
        for raster, pane, values in zip(self.rasters, self.panes, _values(picture), strict=True):
            if values is None:
                raster.figure.visible = pane.visible = False
                continue
            scaled = values if raster.spikes else values / np.float32(size)
            draw_raster(raster, rows, scaled.T[picture.order], self._high(raster))
            draw_strips(raster, rows, look(self.state.dark))
            label_bands(raster.figure, rows.bands)
            raster.figure.visible = pane.visible = True

    def _high(self, raster: Raster) -> float:
        return MAX_COUNT if raster.spikes else self.state.picture.recording.high_hz

    def _paint(self) -> None:
        """Colours of the theme and of the recording's scale, where they are not on the screen yet."""
        if self.state.picture is None:
            return
        colours, high = look(self.state.dark), self.state.picture.recording.high_hz
        if self._painted == (colours, high):
            return
        for scale in self.scales.values():
            recolour(scale, colours, MAX_COUNT if scale.spikes else high)
        if self._painted is not None and self._painted[0] is not colours:
            for raster, pane in zip(self.rasters, self.panes, strict=True):
                if pane.visible:
                    draw_strips(raster, self._rows, colours)
        self._painted = colours, high

    def _set_drag(self) -> None:
        for raster in self.rasters:
            raster.figure.toolbar.active_drag = raster.box if self.state.drag else None

    def show_rows(self, low: float, high: float) -> None:
        self.y_range.update(start=low, end=low + (high - low) * (1 + TOP))

    def show_all(self) -> None:
        if self.state.picture is not None:
            self.show_rows(0, self.state.picture.order.size)

    def show_hidden(self) -> None:
        """Zoom to the first stretch of rows that hold hidden entries but are not always hidden together with all."""
        if self.state.picture is None:
            return
        stretches = runs(self.state.picture.target.any(0)[self.state.picture.order])
        if stretches:
            start, end = max(stretches, key=lambda run: run[1] - run[0])
            n_rows = self.state.picture.order.size
            self.show_rows(max(0, start - MARGIN_ROWS), min(n_rows, end + MARGIN_ROWS))

    # --- acting -------------------------------------------------------------------------------------------------------

    def _tap(self, event: Tap) -> None:
        picture = self.state.picture
        if picture is None or not 0 <= event.y < picture.order.size:
            return
        neuron = int(picture.order[int(event.y)])
        if event.x < picture.recording.times[0] or self.action == "region":
            self.state.toggle_region(str(picture.recording.region_names[neuron]))
        elif self.action == "look":
            self.state.go(neuron=neuron)
        else:
            self.state.toggle_neuron(neuron)

    def _drag(self, event: SelectionGeometry) -> None:
        picture, shape = self.state.picture, event.geometry
        if picture is None or not event.final or shape["type"] != "rect":
            return
        n_bins, n_rows = picture.counts.shape
        size, start = picture.recording.trials.bin_size, picture.recording.times[0]
        bins = np.clip([np.floor((shape["x0"] - start) / size), np.ceil((shape["x1"] - start) / size)], 0, n_bins)
        rows = np.clip([np.floor(shape["y0"]), np.ceil(shape["y1"])], 0, n_rows)
        if bins[1] > bins[0] and rows[1] > rows[0]:
            box = Box(self.state.spec.sort, int(rows[0]), int(rows[1]), int(bins[0]), int(bins[1]))
            self.state.by_hand(boxes=(*self.state.hand.boxes, box))


def _values(picture: Picture) -> tuple[np.ndarray | None, ...]:
    seen = np.where(picture.hidden, 0, picture.counts)
    return picture.counts, seen, picture.rates, picture.true_rates
