"""A behavior over the time of one trial: recorded and predicted, or recorded and bent by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, GlyphRenderer, HoverTool, PointDrawTool, Span
from bokeh.plotting import figure

from ..theme import Look
from .quiet import ZERO, quiet_figure, recolour_quiet

HEIGHT = 84  # px inside the axes
BEND_HEIGHT = 170


@dataclass(frozen=True, eq=False)
class TraceFigure:
    figure: figure
    lines: ColumnDataSource
    hidden: ColumnDataSource
    parts: dict[str, GlyphRenderer]


@dataclass(frozen=True)
class Lines:
    """One trace: edges of the bins (T + 1,) in s, values (T,) in its unit."""

    times: np.ndarray
    recorded: np.ndarray
    other: np.ndarray  # predicted, NaN where the model saw it; or as supposed
    hidden: np.ndarray  # bool


def make_trace(unit: str, height: int = HEIGHT, other: str = "predicted") -> TraceFigure:
    """other: what the coloured line is."""
    plot = quiet_figure("", "time from stimulus (s)", unit, height)
    lines = ColumnDataSource({name: [] for name in ("time", "recorded", "other")})
    hidden = ColumnDataSource({"left": [], "right": [], "top": [], "bottom": []})
    shade = plot.quad(
        left="left", right="right", top="top", bottom="bottom", source=hidden, line_color=None, fill_alpha=0.25
    )
    recorded = plot.line("time", "recorded", source=lines, line_width=1.8)
    predicted = plot.line("time", "other", source=lines, line_width=2.6, line_alpha=0.9)
    tips = [("time", "@time{0.00} s"), ("recorded", f"@recorded{{0.00}} {unit}"), (other, f"@other{{0.00}} {unit}")]
    plot.add_tools(HoverTool(renderers=[recorded], mode="vline", tooltips=tips))
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color=ZERO))
    plot.yaxis.ticker.desired_num_ticks = 4
    plot.title.text_font_size = "12px"
    return TraceFigure(plot, lines, hidden, {"hidden": shade, "recorded": recorded, "other": predicted})


def draw_trace(shown: TraceFigure, lines: Lines, title: str) -> None:
    times = lines.times
    shown.lines.data = {"time": (times[:-1] + times[1:]) / 2, "recorded": lines.recorded, "other": lines.other}
    both = np.concatenate([lines.recorded, lines.other])
    both = both[np.isfinite(both)]
    low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.5
    shown.figure.title.text = title
    shown.figure.x_range.update(start=float(times[0]), end=float(times[-1]))
    shown.figure.y_range.update(start=low - margin, end=high + margin)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lines.hidden.astype(np.int8), [0]]))).reshape(-1, 2)
    shown.hidden.data = {
        "left": times[edges[:, 0]],
        "right": times[edges[:, 1]],
        "top": [high + margin] * len(edges),
        "bottom": [low - margin] * len(edges),
    }


def recolour_trace(shown: TraceFigure, look: Look, colour: str) -> None:
    """colour: of the predicted line."""
    recolour_quiet(shown.figure, look)
    shown.parts["hidden"].glyph.fill_color = look.unscored
    shown.parts["recorded"].glyph.line_color = look.recorded
    shown.parts["other"].glyph.line_color = colour


# --- a trace that can be dragged --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class BendFigure:
    trace: TraceFigure
    knots: ColumnDataSource
    dots: GlyphRenderer
    tool: PointDrawTool


def make_bend() -> BendFigure:
    """A trace with knots; the tool moves them, and adds none."""
    trace = make_trace("", BEND_HEIGHT, "what if")
    knots = ColumnDataSource({"x": [], "y": []})
    dots = trace.figure.scatter("x", "y", source=knots, size=15, line_width=2, fill_alpha=0.35)
    tool = PointDrawTool(renderers=[dots], add=False, drag=True)
    trace.figure.add_tools(tool)
    trace.figure.toolbar.active_tap = tool
    return BendFigure(trace, knots, dots, tool)


def draw_bend(shown: BendFigure, lines: Lines, title: str, knots: tuple[np.ndarray, np.ndarray]) -> None:
    """knots: times (s) and values. There is room above and below, to drag into."""
    draw_trace(shown.trace, lines, title)
    shown.knots.data = {"x": knots[0], "y": knots[1]}
    margin = 0.03 * (lines.times[-1] - lines.times[0])  # the points at both ends are whole
    shown.trace.figure.x_range.update(start=float(lines.times[0] - margin), end=float(lines.times[-1] + margin))
    axis = shown.trace.figure.y_range
    room = 0.35 * (axis.end - axis.start)
    axis.update(start=axis.start - 0.3 * room, end=axis.end + room)


def recolour_bend(shown: BendFigure, look: Look, colour: str) -> None:
    recolour_trace(shown.trace, look, colour)
    shown.dots.glyph.update(line_color=colour, fill_color=colour)
