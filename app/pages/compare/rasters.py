"""One held-out trial: recorded, as A predicts it, as B does, and the difference, in one order of neurons."""

from __future__ import annotations

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.events import Tap
from bokeh.models import ColorBar, Range1d

from ...analyses.compared import Compared, trial_of
from ...plots.difference import UNIT, draw_difference, make_difference, recolour_difference
from ...plots.raster import (
    SCORED,
    SEEN,
    STRIP,
    TOP,
    Raster,
    Rows,
    draw_raster,
    draw_strips,
    label_bands,
    make_raster,
    make_scale,
    recolour,
)
from ...sentences import trial_sentence
from ...state import State
from ...theme import MAX_COUNT, RASTER_HEIGHT, look
from ...words import number
from ..explore.rasters import bands
from ..parts import Announce, flexible, follow, guarded, on_zoom
from .shown import PAGE, drawn, newest, own_job

WIDTHS = (300, 240, 240, 240)  # px; the first shows the axis of neurons as well
NAMED = 34  # characters of a contender in a title


class Rasters:
    """The figures of one visitor; built once, then only their data change."""

    def __init__(self, state: State) -> None:
        self.state, self.found = state, None
        self.x_range, self.y_range = Range1d(-1, 1), Range1d(0, 1)
        ranges = self.x_range, self.y_range
        self.spikes, self.rates = make_scale(True), make_scale(False)
        recorded = make_raster("Recorded spikes", self.spikes, ranges, True)
        self.two = [make_raster(letter, self.rates, ranges, False) for letter in "AB"]  # one scale, so one colour
        self.difference = make_difference("B − A", ranges)
        self.difference.figure.yaxis.visible = False
        next(each for each in self.difference.figure.below if isinstance(each, ColorBar)).title = f"B − A ({UNIT})"
        self.plain = [recorded, *self.two]
        self.all: list[Raster] = [*self.plain, self.difference]
        self._shape = (0, 0.0)
        for raster in self.all:
            raster.figure.toolbar.active_drag = None  # nothing is chosen here
            raster.figure.on_event(Tap, guarded(state, self._tap))
        on_zoom(state, [self.y_range], self._redraw)
        drawn(state, self._draw, lambda found: found.one)
        follow(state, ["dark", "spec"], self._redraw, page=PAGE)

    def view(self) -> pn.FlexBox:
        panes = [flexible(each.figure, width) for each, width in zip(self.all, WIDTHS, strict=True)]
        return pn.FlexBox(*panes, sizing_mode="stretch_width", gap="4px", min_height=RASTER_HEIGHT + 110)

    def _draw(self, found: Compared) -> None:
        if found.one is None:
            return
        self.found, times = found, found.recording.times
        n_rows = found.one.counts.shape[1]
        if self._shape != (n_rows, times[0]):
            self._shape = (n_rows, times[0])
            self.x_range.update(start=times[0] - STRIP * (times[-1] - times[0]), end=times[-1])
            self.y_range.update(start=0, end=n_rows * (1 + TOP))
        for raster, letter, name in zip(self.two, "AB", found.names, strict=False):
            raster.figure.title.text = f"{letter}: {name if len(name) <= NAMED else name[: NAMED - 1] + '…'} (rate)"
        self._redraw()

    def _redraw(self) -> None:
        if (found := self.found) is None:
            return
        colours, high, order = look(self.state.dark), found.recording.high_hz, self.order
        rows, size = rows_of(found, order), np.float32(found.recording.trials.bin_size)
        hz = [np.where(found.one.target, rates, 0) / size for rates in found.one.rates]
        for raster, values in zip(self.plain, (found.one.counts, *hz), strict=True):
            draw_raster(raster, rows, values.T[order], MAX_COUNT if raster.spikes else high)
        draw_difference(self.difference, rows, (hz[1] - hz[0]).T[order])
        for raster in self.all:
            draw_strips(raster, rows, colours)
            label_bands(raster.figure, rows.bands)
        recolour(self.spikes, colours, MAX_COUNT)
        recolour(self.rates, colours, high)
        recolour_difference(self.difference, colours)

    @property
    def order(self) -> np.ndarray:
        return self.found.recording.order(self.state.spec.sort)

    def _tap(self, event: Tap) -> None:
        if self.found is not None and 0 <= event.y < self.order.size:
            self.state.look_at(int(self.order[int(event.y)]))


def rows_of(found: Compared, order: np.ndarray) -> Rows:
    """Labels, colours and what is scored of the neurons in display order."""
    names = found.recording.region_names
    return Rows(
        labels=[f"{n} · {names[n]}" for n in order],
        colours=list(found.recording.colours[order]),
        bands=bands(names[order]),
        times=found.recording.times,
        layer=np.where(found.one.target, SCORED, SEEN).astype(np.uint8).T[order],
    )


def said(found: Compared) -> str:
    """The trial in words, and how much better B knew it."""
    one = found.one
    gain = "" if one.gain is None else f" In this trial B gains {number(one.gain, 3)} bits per spike over A."
    return f"Trial {one.trial}. {trial_sentence(found.recording, one.trial)}{gain} Click a row to look at the neuron."


def view(state: State) -> pn.viewable.Viewable:
    rasters = Rasters(state)
    about = Announce(label="note", margin=(4, 8), css_classes=["compared-trial"])
    slider = pmui.IntSlider(
        label="Held-out trial", start=0, end=1, value=0, size="small", width=300, margin=(6, 12), show_value=False
    )
    syncing: list[bool] = []

    def show() -> None:
        found, job = newest(state), own_job(state)
        if found is None or found.pair is None:
            return
        test = np.flatnonzero(found.recording.trials.split == "test").tolist()
        place = test.index(trial_of(found.recording, state.spec.trial))
        syncing.append(True)
        label = f"Held-out trial {place + 1} of {len(test)}"
        slider.param.update(end=max(len(test) - 1, 1), value=place, label=label)
        slider.disabled = job is not None and job.state == "running"
        syncing.clear()
        about.text = "" if found.one is None else said(found)

    def choose(event: object) -> None:
        found = newest(state)
        if not syncing and found is not None:
            test = np.flatnonzero(found.recording.trials.split == "test")
            state.go(trial=int(test[min(event.new, len(test) - 1)]))

    slider.param.watch(guarded(state, choose), "value_throttled")
    follow(state, ["jobs", "views", "spec"], show, page=PAGE)
    row = pn.FlexBox(slider, about, align_items="center", sizing_mode="stretch_width")
    return pn.Column(row, rasters.view(), sizing_mode="stretch_width", margin=0)
