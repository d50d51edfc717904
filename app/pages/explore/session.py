"""The whole session at once; a click opens a trial."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import panel as pn
from bokeh.events import Tap

from ...plots.raster import label_bands
from ...plots.session import (
    draw_session,
    draw_session_strips,
    make_session_raster,
    mark_trial,
    recolour_session,
    show_all,
    spike_table,
)
from ...recordings import recording
from ...state import State
from ...theme import look
from ..parts import card, follow, guarded, on_zoom
from .rasters import rows_of


@lru_cache(maxsize=3)
def _spikes(session: str, model: str, sort: str) -> pd.DataFrame:
    opened = recording(session, model)
    return spike_table(opened.trials.counts, opened.order(sort))


class SessionView:
    def __init__(self, state: State) -> None:
        self.state = state
        self.raster = make_session_raster()
        self._shown: tuple | None = None
        self.raster.figure.on_event(Tap, guarded(state, self._tap))
        on_zoom(state, [self.raster.figure.x_range, self.raster.figure.y_range], self._aggregate)
        follow(state, ["picture"], self.draw, tab="session")
        follow(state, ["dark"], lambda: recolour_session(self.raster, look(state.dark)), tab="session")
        follow(state, ["dark"], self._strips, tab="session")
        follow(state, ["drag"], self._set_drag, tab="session")

    def view(self) -> pn.viewable.Viewable:
        note = pn.pane.HTML(
            "<p style='margin:0 0 4px'>Each column is a trial, each row a neuron: the darker (in the dark theme, the "
            "lighter), the more spikes, every neuron on a scale of its own. The strip on the left shows the regions, "
            "the marks on top the trials held out from training, the outlined column the trial in the rasters above. "
            "<b>Click a trial</b> to open it; drag a box to zoom, double-click to see all.</p>",
            sizing_mode="stretch_width",
        )
        return card(note, pn.pane.Bokeh(self.raster.figure, sizing_mode="stretch_width"))

    def _size(self) -> tuple[int, int]:
        trials = self.state.picture.recording.trials
        return trials.n_trials, trials.n_neurons

    def draw(self) -> None:
        if (picture := self.state.picture) is None:
            return
        key = (picture.recording.entry.id, picture.recording.model, picture.sort)
        if key != self._shown:
            self._shown = key
            show_all(self.raster, *self._size())
            self._strips()
            self._aggregate()
        mark_trial(self.raster, picture.trial, self._size()[1])

    def _strips(self) -> None:
        if (picture := self.state.picture) is not None:
            held_out = picture.recording.trials.split == "test"
            rows = rows_of(picture)
            draw_session_strips(self.raster, rows, np.asarray(held_out), look(self.state.dark))
            label_bands(self.raster.figure, rows.bands)

    def _set_drag(self) -> None:
        """On a phone a finger scrolls the page instead."""
        self.raster.figure.toolbar.active_drag = self.raster.box if self.state.drag else None

    def _aggregate(self) -> None:
        if self._shown is not None:
            draw_session(self.raster, _spikes(*self._shown), *self._size())

    def _tap(self, event: Tap) -> None:
        if self.state.picture is not None and 0 <= event.x < self._size()[0]:
            self.state.go(trial=int(event.x))


def view(state: State) -> pn.viewable.Viewable:
    return SessionView(state).view()
