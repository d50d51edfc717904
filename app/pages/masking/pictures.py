"""The pictures of the step that is open. A figure is made when it is first seen; then only its data change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import panel as pn
from bokeh.models import Range1d

from ...analyses.masking import sample
from ...chain import STEPS, Chain
from ...plots.masking import (
    Sheet,
    attention_blocks,
    draw_sheet,
    end_of_colours,
    label_prefix,
    make_sheet,
    neuron_block,
    recolour_mask,
    recolour_sheet,
    token_blocks,
    without_bar,
)
from ...plots.raster import (
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
from ...state import State
from ...theme import MAX_COUNT, RASTER_HEIGHT, look
from ..explore.rasters import rows_of
from ..parts import flexible, follow, on_zoom
from .said import chosen
from .shown import PAGE, Trial, trial

TIME = "time from stimulus (s)"
KINDS = {"recorded": "spikes", "second": "spikes", "rate": "rate", "mask": "mask"}  # raster -> its scale
RASTERS = {"recorded": "Recorded spikes X", "mask": "Mask M", "second": "", "rate": "Predicted rate λ"}
# name -> title, vertical axis, unit, both signs
SHEETS = {
    "read": ("As the model takes it in", "neurons", "distance from the mean (s.d.)", True),
    "said": ("What the visible entries say", "channel of the token", "value", True),
    "signal": ("Signals for “hidden”", "channel of the token", "value", True),
    "tokens": ("Tokens that enter layer 1", "channel of the token", "value", True),
    "attention": ("Attention", "reader: time from stimulus (s)", "share of what the reader reads", False),
}
# step -> what is seen of it, from left to right
SEEN = {
    "counts": ("recorded",),
    "mask": ("recorded", "mask"),
    "read": ("second", "read"),
    "tokens": ("said", "signal", "tokens"),
    "attention": ("attention",),
    "rates": ("recorded", "rate"),
    "sample": ("recorded", "second"),
}
SECOND = {"read": "What the model saw M ⊙ X", "sample": "Sample X̂"}
WIDE = 300  # px; below, figures stand below one another
ROW = 560  # px; the tokens get a line of their own below the two parts they are the sum of
LOW = ("said", "signal", "tokens")
LOW_HEIGHT = 215  # px inside the axes
OUTSIDE = ("counts", "mask")  # steps that need no model


class Pictures:
    def __init__(self, state: State) -> None:
        self.state = state
        self.x_range, self.y_range = Range1d(-1, 1), Range1d(0, 1)  # of all rasters
        self.scales = {"spikes": make_scale(True), "rate": make_scale(False), "mask": make_scale(True)}
        self.rasters: dict[str, Raster] = {}
        self.sheets: dict[str, Sheet] = {}
        self.panes: dict[str, pn.pane.Bokeh] = {}
        self.box = pn.FlexBox(sizing_mode="stretch_width", gap="4px", min_height=RASTER_HEIGHT + 110)
        self.drawn: list[object] = []  # what is on the screen
        self.n_rows = 0
        on_zoom(state, [self.y_range], self.redraw)
        follow(state, ["views", "picture", "spec", "dark"], self.draw, page=PAGE)

    def _make(self, name: str) -> None:
        """A figure, when a step shows it for the first time."""
        if name in SHEETS:
            self.sheets[name] = _sheet(*SHEETS[name])
            plot = self.sheets[name].figure
        else:
            scale = self.scales[KINDS[name]]
            self.rasters[name] = make_raster(RASTERS[name], scale, (self.x_range, self.y_range), True)
            plot = self.rasters[name].figure
            plot.toolbar.active_drag = None  # nothing is chosen here: a finger scrolls the page
        if name == "mask":
            without_bar(self.rasters[name])
        if name in LOW:
            plot.frame_height = LOW_HEIGHT
        self.panes[name] = flexible(plot, ROW if name == "tokens" else WIDE)

    # --- drawing ------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """What is new for the open step; the last pictures stay while the next are computed."""
        shown, chain = trial(self.state), self.state.spec.chain
        if shown is None:
            return
        now = [shown.picture, shown.inside, chain, self.state.dark]
        if len(self.drawn) == len(now) and all(a is b or a == b for a, b in zip(self.drawn, now, strict=True)):
            return
        self.drawn = now
        step = STEPS[chain.step - 1]
        seen = SEEN[step] if shown.inside is not None or step in OUTSIDE else ()
        if shown.inside is not None and shown.inside.read.signal is None:
            seen = tuple(name for name in seen if name != "signal")
        self._fit(shown)
        for name in seen:
            if name not in self.panes:
                self._make(name)
            self._draw_one(name, step, shown, chain)
        self.recolour(shown)
        self.show(seen)

    def show(self, seen: tuple[str, ...]) -> None:
        """These figures and no others, in the order of the tables above."""
        for name, pane in self.panes.items():
            pane.object.visible = pane.visible = name in seen
        panes = [self.panes[name] for name in (*RASTERS, *SHEETS) if name in self.panes]
        if panes != self.box.objects:
            self.box.objects = panes

    def redraw(self) -> None:
        self.drawn = []
        self.draw()

    def _fit(self, shown: Trial) -> None:
        """Axes of the rasters, for another recording."""
        times, n_rows = shown.picture.recording.times, shown.picture.order.size
        start = times[0] - STRIP * (times[-1] - times[0])
        if (self.x_range.start, self.x_range.end) != (start, times[-1]):
            self.x_range.update(start=start, end=times[-1])
        if self.n_rows != n_rows:
            self.n_rows = n_rows
            self.y_range.update(start=0, end=n_rows * (1 + TOP))

    def _draw_one(self, name: str, step: str, shown: Trial, chain: Chain) -> None:
        if name in self.rasters:
            self._draw_raster(name, step, shown, chain)
        elif name == "attention":
            self._draw_attention(shown, chain)
        elif name == "read":
            self._draw_read(shown)
        else:
            self._draw_tokens(name, shown)

    def _draw_raster(self, name: str, step: str, shown: Trial, chain: Chain) -> None:
        raster, picture = self.rasters[name], shown.picture
        rows, values, high = rows_of(picture), picture.counts, float(MAX_COUNT)
        if name == "recorded" and step in OUTSIDE:
            rows = replace(rows, layer=np.zeros_like(rows.layer))  # nothing is hidden yet
        if name == "rate":
            values, high = picture.rates / np.float32(picture.recording.trials.bin_size), picture.recording.high_hz
        if name == "second":
            raster.figure.title.text = SECOND[step]
            values = sample(picture, chain.draw) if step == "sample" else np.where(picture.hidden, 0, picture.counts)
        self._put(raster, rows, values, high)

    def _put(self, raster: Raster, rows: Rows, values: np.ndarray, high: float) -> None:
        draw_raster(raster, rows, values.T[self.drawn[0].order], high)
        draw_strips(raster, rows, look(self.state.dark))
        label_bands(raster.figure, rows.bands)

    def _draw_read(self, shown: Trial) -> None:
        picture, order, sheet = shown.picture, shown.picture.order, self.sheets["read"]
        values = shown.inside.read.values
        block = neuron_block(values.T[order], picture.hidden.T[order], _window(picture))
        draw_sheet(sheet, [block])
        label_bands(sheet.figure, rows_of(picture).bands)
        released = shown.inside.released
        sheet.bar.title = "spikes per bin, hidden is 0" if released else SHEETS["read"][2]

    def _draw_tokens(self, name: str, shown: Trial) -> None:
        read, window, sheet = shown.inside.read, _window(shown.picture), self.sheets[name]
        values = {"said": read.said, "signal": read.signal, "tokens": shown.inside.sequence}[name]
        # Side by side they are one sum: one scale for all three.
        parts = [part for part in (read.said, read.signal, shown.inside.sequence) if part is not None]
        draw_sheet(sheet, token_blocks(values, window, name == "tokens"), end_of_colours(parts))
        if name == "tokens":
            label_prefix(sheet, window, up=False)

    def _draw_attention(self, shown: Trial, chain: Chain) -> None:
        sheet, window = self.sheets["attention"], _window(shown.picture)
        draw_sheet(sheet, attention_blocks(chosen(shown.inside, chain), window, shown.inside.causal))
        y_range = sheet.figure.y_range
        y_range.update(start=y_range.end, end=y_range.start)  # time runs down, as one reads
        label_prefix(sheet, window, up=True)

    def recolour(self, shown: Trial) -> None:
        colours = look(self.state.dark)
        recolour(self.scales["spikes"], colours, MAX_COUNT)
        recolour(self.scales["rate"], colours, shown.picture.recording.high_hz)
        recolour_mask(self.scales["mask"], colours)
        for sheet in self.sheets.values():
            recolour_sheet(sheet, colours)


def _sheet(title: str, up: str, unit: str, both_signs: bool) -> Sheet:
    across = "read from: time from stimulus (s)" if title == "Attention" else TIME
    return make_sheet(title, (across, up), unit, both_signs)


def _window(picture: object) -> tuple[float, float]:
    times = picture.recording.times
    return float(times[0]), float(times[-1])
