"""A rate that is drawn by hand over the time of a trial, and then what was recorded and what others expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.events import Pan, PanEnd, PanStart, Tap
from bokeh.models import ColumnDataSource, CustomJS, GlyphRenderer, Legend, Span
from bokeh.plotting import figure

from ..theme import Look
from .quiet import ZERO, legend, quiet_figure, recolour_quiet
from .ticks import set_ticks

HEIGHT = 260  # px inside the axes
ROW = 17  # px per neuron of the companions
STRIP = 0.09  # share of the height, above the rates, where the recorded spikes are
LINES = ("model", "ridge", "psth", "true")
NAMES = {"you": "your guess", "model": "MtM", "ridge": "ridge", "psth": "PSTH", "true": "true rate"}
# Bars follow the pointer in the browser; the server hears of them when the pointer is lifted.
DRAG = """
const data = drawing.data, x = cb_obj.x, n = data.left.length
if (!lock.data.open[0] || x === undefined || !n) return
const last = lock.data.last[0]
let i = 0
while (i < n - 1 && x >= data.right[i]) i++
const y = Math.min(Math.max(cb_obj.y, 0), top.end * room)
const old = cb_obj.event_name === "pan" && last >= 0 ? last : i
const hz = Array.from(data.hz)
const step = old < i ? 1 : -1
for (let j = old; j !== i; j += step) if (j !== old) hz[j] = y
hz[i] = y
lock.data.last[0] = i
data.hz = hz
drawing.change.emit()
if (cb_obj.event_name === "tap") seen.data = { hz: Array.from(hz) }
"""
DONE = """
if (!lock.data.open[0] || lock.data.last[0] < 0) return
lock.data.last[0] = -1
seen.data = { hz: Array.from(drawing.data.hz) }
"""


@dataclass(frozen=True, eq=False)
class GuessFigure:
    figure: figure
    drawing: ColumnDataSource  # left, right (s), hz of the moments
    seen: ColumnDataSource  # hz: the drawing that the browser shows, as both sides know
    spikes: ColumnDataSource
    lines: ColumnDataSource
    lock: ColumnDataSource  # open: 1 while it can be drawn on
    parts: dict[str, GlyphRenderer]
    legend: Legend


def make_guess() -> GuessFigure:
    plot = quiet_figure("", "time from stimulus (s)", "rate (Hz)", HEIGHT)
    drawing = ColumnDataSource({"left": [], "right": [], "hz": []})
    spikes = ColumnDataSource({name: [] for name in ("left", "right", "bottom", "top", "alpha")})
    lines = ColumnDataSource({name: [] for name in ("time", *LINES)})
    lock, seen = ColumnDataSource({"open": [0], "last": [-1]}), ColumnDataSource({"hz": []})
    parts = {
        "you": plot.quad(
            left="left", right="right", top="hz", bottom=0, source=drawing, fill_alpha=0.35, line_width=1.5
        ),
        "spikes": plot.quad("left", "right", "top", "bottom", source=spikes, line_color=None, fill_alpha="alpha"),
    }
    for name in LINES:
        dash = "dashed" if name == "true" else "solid"
        parts[name] = plot.line("time", name, source=lines, line_width=2.2, line_dash=dash)
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color=ZERO))
    drag = CustomJS(
        args={"drawing": drawing, "seen": seen, "lock": lock, "top": plot.y_range, "room": 1 - 1.4 * STRIP}, code=DRAG
    )
    for event in (PanStart, Pan, Tap):
        plot.js_on_event(event, drag)
    plot.js_on_event(PanEnd, CustomJS(args={"drawing": drawing, "seen": seen, "lock": lock}, code=DONE))
    items = {"recorded spikes": [parts["spikes"]], **{name: [parts[key]] for key, name in NAMES.items()}}
    names = legend(plot, items)
    names.ncols = 3  # so that it fits a phone
    return GuessFigure(plot, drawing, seen, spikes, lines, lock, parts, names)


def draw_drawing(shown: GuessFigure, edges: np.ndarray, hz: np.ndarray, can_draw: bool) -> None:
    """edges (M + 1,) in s, hz (M,). What the browser shows is not sent: it would wipe out a stroke under way."""
    if shown.lock.data["open"] != [int(can_draw)]:
        shown.lock.data = {"open": [int(can_draw)], "last": [-1]}
    if not (np.array_equal(shown.drawing.data["right"], edges[1:]) and np.array_equal(shown.seen.data["hz"], hz)):
        shown.drawing.data = {"left": edges[:-1], "right": edges[1:], "hz": hz}
        shown.seen.data = {"hz": hz}
    shown.figure.x_range.update(start=float(edges[0]), end=float(edges[-1]))


def draw_axis(shown: GuessFigure, top_hz: float) -> None:
    """Room for rates up to top_hz, and above them for spikes."""
    shown.figure.y_range.update(start=0.0, end=top_hz / (1 - 1.4 * STRIP))


def draw_answer(shown: GuessFigure, times: np.ndarray, counts: np.ndarray | None, rates: dict[str, np.ndarray]) -> None:
    """times: edges of the bins (T + 1,) in s; counts (T,), None before the answer; rates (T,) in Hz."""
    known = counts is not None
    middles = (times[:-1] + times[1:]) / 2 if known else np.zeros(0)
    if known:
        draw_axis(shown, max([shown.figure.y_range.end * (1 - 1.4 * STRIP), *(r.max() for r in rates.values())]))
    nothing = np.full(middles.size, np.nan)
    shown.lines.data = {"time": middles, **{name: rates.get(name, nothing) for name in LINES}}
    end, fired = shown.figure.y_range.end, np.flatnonzero(counts) if known else np.zeros(0, dtype=int)
    shown.spikes.data = {
        "left": times[fired],
        "right": times[fired + 1],
        "bottom": np.full(fired.size, end * (1 - STRIP)),
        "top": np.full(fired.size, end * 0.99),
        "alpha": np.minimum(0.35 + 0.25 * counts[fired], 1.0) if known else np.zeros(0),
    }
    for name, item in zip(("spikes", *NAMES), shown.legend.items, strict=True):
        item.visible = name == "you" or name in rates or (known and name == "spikes")


def recolour_guess(shown: GuessFigure, look: Look) -> None:
    recolour_quiet(shown.figure, look)
    you = look.modalities["contrast"]
    shown.parts["you"].glyph.update(fill_color=you, line_color=you)
    shown.parts["spikes"].glyph.fill_color = look.recorded
    colours = {"model": look.accent, "ridge": look.modalities["choice"], "psth": look.faint, "true": look.truth}
    for name, colour in colours.items():
        shown.parts[name].glyph.line_color = colour


# --- the neurons that go along with it --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CompanionFigure:
    figure: figure
    spikes: ColumnDataSource
    marks: GlyphRenderer


def make_companions() -> CompanionFigure:
    plot = quiet_figure("", "time from stimulus (s)", "neuron", 12 * ROW)
    spikes = ColumnDataSource({name: [] for name in ("left", "right", "bottom", "top", "alpha")})
    marks = plot.quad("left", "right", "top", "bottom", source=spikes, line_color=None, fill_alpha="alpha")
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color=ZERO))
    plot.ygrid.visible = False
    return CompanionFigure(plot, spikes, marks)


def draw_companions(shown: CompanionFigure, times: np.ndarray, counts: np.ndarray, names: tuple[str, ...]) -> None:
    """counts (T, C), the first on top; darker marks are more spikes."""
    bins, rows = np.nonzero(counts)
    places = counts.shape[1] - 1 - rows
    shown.spikes.data = {
        "left": times[bins],
        "right": times[bins + 1],
        "bottom": places + 0.08,
        "top": places + 0.92,
        "alpha": np.minimum(0.35 + 0.25 * counts[bins, rows], 1.0),
    }
    shown.figure.x_range.update(start=float(times[0]), end=float(times[-1]))
    shown.figure.y_range.update(start=0, end=counts.shape[1])
    middles = [counts.shape[1] - 0.5 - i for i in range(len(names))]
    set_ticks(shown.figure.yaxis[0], middles, dict(zip(middles, names, strict=True)))


def recolour_companions(shown: CompanionFigure, look: Look) -> None:
    recolour_quiet(shown.figure, look)
    shown.marks.glyph.fill_color = look.recorded
