"""Watch a model learn: one trial as it was predicted at step 1, 2, 3, 5, ... of a training."""

from __future__ import annotations

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import Range1d

from ..analyses import films
from ..plots.film import draw_score_line, make_score_line, recolour_score_line
from ..plots.raster import (
    SCORED,
    STRIP,
    TOP,
    UNSCORED,
    Rows,
    draw_raster,
    draw_strips,
    label_bands,
    make_raster,
    make_scale,
    recolour,
)
from ..state import State
from ..theme import MAX_COUNT, RASTER_HEIGHT, look
from ..words import number
from .explore.rasters import bands
from .parts import Announce, card, explained, flexible, follow, guarded, heading, offer, on_zoom, repeat

EVERY = 700  # ms between frames while it plays
NEW_FILMS = 5000  # ms between looks for trainings that began meanwhile


def film_card(state: State, page: str) -> pn.viewable.Viewable:
    """The film, on `page`; films of trainings appear while they run."""
    return _Screen(state, page).view()


class _Screen:
    def __init__(self, state: State, page: str) -> None:
        self.state, self._shape = state, (0, 0.0)
        wide = {"size": "small", "margin": (6, 8, 6, 0), "styles": {"flex": "1 1 240px", "max-width": "380px"}}
        self.film = pmui.Select(label="Training", options={}, **wide)
        self.scheme = pmui.Select(label="What is hidden", options={}, **wide)
        self.player = pmui.Player(
            label="Frame", start=0, end=0, value=0, interval=EVERY, loop_policy="once", show_loop_controls=False
        )
        self.said = Announce(margin=(2, 8))
        self.x_range, self.y_range = Range1d(-1, 1), Range1d(0, 1)
        ranges, titles = (self.x_range, self.y_range), (("Recorded spikes", True), ("Predicted at this step", False))
        self.rasters = [make_raster(title, make_scale(spikes), ranges, spikes) for title, spikes in titles]
        self.panes = [flexible(each.figure, px) for each, px in zip(self.rasters, (290, 250), strict=True)]
        self.line = make_score_line()
        self.body = pn.Column(
            pn.FlexBox(*self.panes, sizing_mode="stretch_width", gap="4px", min_height=RASTER_HEIGHT + 110),
            pn.pane.Bokeh(self.line.figure, sizing_mode="stretch_width", margin=0),
            sizing_mode="stretch_width",
        )
        for widget in (self.film, self.scheme, self.player):
            widget.param.watch(guarded(state, lambda _: self.draw()), "value")
        on_zoom(state, [self.y_range], self._draw_rasters)
        repeat(state, self.look_for_films, NEW_FILMS, page=page)
        follow(state, ["dark"], self.draw, page=page)

    def view(self) -> pn.viewable.Viewable:
        choices = pn.FlexBox(self.film, self.scheme, sizing_mode="stretch_width")
        about = explained("What does the film show?", "film")
        return card(heading("Watch a model learn"), choices, self.player, self.said, self.body, about)

    def look_for_films(self) -> None:
        """A training that has begun meanwhile, or has more frames now."""
        if self.film.options != films.films() or (self.film.value and self._shown().steps.size - 1 > self.player.end):
            self.draw()

    def _shown(self) -> films.Shown:
        return films.shown(self.film.value, self.scheme.value)

    def _offer(self) -> bool:
        """Fill the lists; whether there is anything to show."""
        found = films.films()
        if self.film.value not in found.values():
            self.film.param.update(options=found, value=next(iter(found.values()), None))
        offer(self.film, found)
        if self.film.value is None:
            return False
        known = films.schemes(self.film.value)
        if self.scheme.value not in known.values():
            self.scheme.param.update(options=known, value=next(iter(known.values()), None))
        offer(self.scheme, known)
        return self.scheme.value is not None

    def draw(self) -> None:
        there = self._offer() and self._shown().steps.size > 0
        self.body.visible = self.player.visible = there
        if not there:
            self.said.text = "No training has been filmed yet. Start one on the page Train."
            return
        shown, last = self._shown(), self._shown().steps.size - 1
        if self.player.end != last:
            self.player.param.update(end=last, value=min(self.player.value, last))
        frame = self.player.value
        draw_score_line(self.line, shown.steps, shown.bits, frame)
        recolour_score_line(self.line, look(self.state.dark))
        self.said.text = (
            f"After {shown.steps[frame]:,} of {shown.steps[-1]:,} steps: {number(shown.bits[frame], 3)} bits per spike "
            f"on the {int(shown.target.sum()):,} hidden entries of this trial."
        )
        self._draw_rasters()

    def _draw_rasters(self) -> None:
        if not self.film.value or not self.scheme.value:
            return
        shown, colours = self._shown(), look(self.state.dark)
        rows = _rows(shown)
        if self._shape != (len(rows.labels), rows.times[0]):
            self._shape = (len(rows.labels), rows.times[0])
            self.x_range.update(start=rows.times[0] - STRIP * (rows.times[-1] - rows.times[0]), end=rows.times[-1])
            self.y_range.update(start=0, end=len(rows.labels) * (1 + TOP))
        # Of what the model saw it never learned to say anything.
        predicted = np.where(shown.hidden, shown.rates[self.player.value], 0)
        for raster, values in zip(self.rasters, (shown.counts, predicted), strict=True):
            high = MAX_COUNT if raster.spikes else shown.high
            draw_raster(raster, rows, values, high)
            draw_strips(raster, rows, colours)
            label_bands(raster.figure, rows.bands)
            recolour(raster.scale, colours, high)


def _rows(shown: films.Shown) -> Rows:
    layer = np.where(shown.target, SCORED, np.where(shown.hidden, UNSCORED, 0)).astype(np.uint8)
    return Rows(shown.labels, shown.colours, bands(shown.names), shown.times, layer)
