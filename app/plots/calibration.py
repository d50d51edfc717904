"""Observed against predicted rate, and the transform that is uniform for an honest prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, GlyphRenderer, HoverTool
from bokeh.plotting import figure

from ..theme import Look
from .quiet import ZERO, legend, quiet_figure, recolour_quiet, root, root_axes

HEIGHT = 210  # px inside the axes


@dataclass(frozen=True, eq=False)
class CalibrationFigure:
    figure: figure
    groups: ColumnDataSource
    line: ColumnDataSource
    parts: dict[str, GlyphRenderer]


@dataclass(frozen=True, eq=False)
class PitFigure:
    figure: figure
    bars: ColumnDataSource
    parts: dict[str, GlyphRenderer]


def make_calibration_figure() -> CalibrationFigure:
    plot = quiet_figure("Calibration", "predicted rate (Hz)", "observed rate (Hz)", HEIGHT)
    groups = ColumnDataSource({name: [] for name in ("x", "y", "low", "high", "predicted", "observed", "range", "n")})
    line = ColumnDataSource({"x": [], "y": []})
    plot.line([0, 1e3], [0, 1e3], line_color=ZERO, line_dash="dashed", line_width=1)
    fitted = plot.line("x", "y", source=line, line_width=2, line_alpha=0.8)
    bars = plot.segment("x", "low", "x", "high", source=groups, line_width=2)
    dots = plot.scatter("x", "y", source=groups, size=7, line_color=None)
    tips = [("predicted", "@predicted{0.0} Hz"), ("observed", "@observed{0.0} Hz (@range)"), ("bins", "@n")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tips))
    legend(plot, {"observed, 95 %": [dots, bars], "regression": [fitted]})
    return CalibrationFigure(plot, groups, line, {"bars": bars, "dots": dots, "fitted": fitted})


def draw_calibration(
    shown: CalibrationFigure, groups: dict[str, np.ndarray], line: tuple[np.ndarray, np.ndarray] | None
) -> None:
    """groups: predicted, observed, low, high in Hz and n; line: predicted and observed rates of the regression."""
    places = {"x": "predicted", "y": "observed", "low": "low", "high": "high"}
    shown.groups.data = {
        **{place: root(groups[name]) for place, name in places.items()},
        "predicted": groups["predicted"],
        "observed": groups["observed"],
        "range": [f"{low:.1f} to {high:.1f}" for low, high in zip(groups["low"], groups["high"], strict=True)],
        "n": groups["n"],
    }
    shown.line.data = {"x": [], "y": []} if line is None else {"x": root(line[0]), "y": root(line[1])}
    root_axes(shown.figure, float(max([0.1, *groups["predicted"], *groups["high"]])))


def recolour_calibration(shown: CalibrationFigure, look: Look) -> None:
    recolour_quiet(shown.figure, look)
    shown.parts["bars"].glyph.line_color = look.accent
    shown.parts["dots"].glyph.fill_color = look.accent
    shown.parts["fitted"].glyph.line_color = look.recorded


def make_pit_figure() -> PitFigure:
    plot = quiet_figure("PIT of spike counts", "probability of a smaller count", "share / even share", HEIGHT)
    bars = ColumnDataSource({name: [] for name in ("left", "right", "middle", "share", "low", "high")})
    plot.line([0, 1], [1, 1], line_color=ZERO, line_dash="dashed", line_width=1)
    bar = plot.quad(left="left", right="right", bottom=0, top="share", source=bars, fill_alpha=0.45, line_width=0)
    error = plot.segment("middle", "low", "middle", "high", source=bars, line_width=2)
    plot.add_tools(HoverTool(renderers=[bar], tooltips=[("share", "@share{0.00} (@low{0.00} to @high{0.00})")]))
    legend(plot, {"windows, 95 %": [bar, error]})
    return PitFigure(plot, bars, {"bar": bar, "error": error})


def draw_pit(shown: PitFigure, share: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Shares of the windows in each tenth, times ten."""
    edges = np.linspace(0, 1, len(share) + 1)
    shown.bars.data = {
        "left": edges[:-1] + 0.004,
        "right": edges[1:] - 0.004,
        "middle": (edges[:-1] + edges[1:]) / 2,
        "share": share,
        "low": low,
        "high": high,
    }
    shown.figure.y_range.update(start=0, end=1.08 * float(np.nanmax([1.5, *share, *high])))


def recolour_pit(shown: PitFigure, look: Look) -> None:
    recolour_quiet(shown.figure, look)
    shown.parts["bar"].glyph.fill_color = look.accent
    shown.parts["error"].glyph.line_color = look.ink
