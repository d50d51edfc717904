"""Variance of spike counts across trials, recorded and as predicted rates imply it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, GlyphRenderer, HoverTool, Span
from bokeh.plotting import figure

from ..theme import Look
from .quiet import ZERO, legend, quiet_figure, recolour_quiet, root, root_axes
from .ticks import set_ticks

HEIGHT = 210  # px inside the axes
APART = 0.05  # of a factor of e between the recorded and the predicted point of a window


@dataclass(frozen=True, eq=False)
class VarianceFigure:
    figure: figure
    points: ColumnDataSource
    dots: GlyphRenderer


@dataclass(frozen=True, eq=False)
class FanoFigure:
    figure: figure
    sources: dict[str, ColumnDataSource]  # "recorded", "predicted"
    parts: dict[str, list[GlyphRenderer]]


def make_variance_figure() -> VarianceFigure:
    unit = "(spikes²)"
    plot = quiet_figure("Variance across trials", f"predicted variance {unit}", f"recorded variance {unit}", HEIGHT)
    points = ColumnDataSource({name: [] for name in ("x", "y", "predicted", "recorded", "mean")})
    plot.line([0, 1e3], [0, 1e3], line_color=ZERO, line_dash="dashed", line_width=1)
    dots = plot.scatter("x", "y", source=points, size=6, fill_alpha=0.55, line_color=None)
    tips = [("recorded", "@recorded{0.00}"), ("predicted", "@predicted{0.00}"), ("mean", "@mean{0.00} spikes")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tips))
    legend(plot, {"condition and window": [dots]})
    return VarianceFigure(plot, points, dots)


def draw_variance(shown: VarianceFigure, mean: np.ndarray, recorded: np.ndarray, predicted: np.ndarray) -> None:
    """One point per condition and window, spikes and spikes squared."""
    shown.points.data = {
        "x": root(predicted),
        "y": root(recorded),
        "predicted": predicted,
        "recorded": recorded,
        "mean": mean,
    }
    root_axes(shown.figure, float(max([0.1, *recorded, *predicted])))


def recolour_variance(shown: VarianceFigure, look: Look) -> None:
    recolour_quiet(shown.figure, look)
    shown.dots.glyph.fill_color = look.accent


def make_fano_figure() -> FanoFigure:
    plot = quiet_figure("Fano factor", "counting window (s)", "variance / mean", HEIGHT)
    plot.add_layout(Span(location=1, dimension="width", line_color=ZERO, line_dash="dashed", line_width=1))
    sources = {name: ColumnDataSource({c: [] for c in ("x", "y", "low", "high", "window")}) for name in _MARKERS}
    parts = {}
    for name, marker in _MARKERS.items():
        bar = plot.segment("x", "low", "x", "high", source=sources[name], line_width=1.6)
        line = plot.line("x", "y", source=sources[name], line_width=1.6)
        dot = plot.scatter("x", "y", source=sources[name], size=7, marker=marker, line_color=None)
        tips = [(name, "@y{0.00} (@low{0.00} to @high{0.00})"), ("window", "@window{0.00} s")]
        plot.add_tools(HoverTool(renderers=[dot], tooltips=tips))
        parts[name] = [bar, line, dot]
    legend(plot, {"recorded, 95 %": parts["recorded"], "predicted": parts["predicted"]})
    return FanoFigure(plot, sources, parts)


_MARKERS = {"recorded": "circle", "predicted": "square"}


def draw_fano(shown: FanoFigure, windows: np.ndarray, curves: dict[str, np.ndarray]) -> None:
    """windows (W,) s; curves: "recorded" and "predicted", each (W, 3): value, low and high."""
    x = np.log(windows)
    for name, side in (("recorded", -1), ("predicted", 1)):
        y, low, high = curves[name].T
        shown.sources[name].data = {"x": x + side * APART, "y": y, "low": low, "high": high, "window": windows}
    names = {float(place): f"{window:g}" for place, window in zip(x, windows, strict=True)}
    set_ticks(shown.figure.xaxis[0], x, names)
    shown.figure.x_range.update(start=float(x[0]) - 0.3, end=float(x[-1]) + 0.3)
    known = np.concatenate([curve.ravel() for curve in curves.values()])
    top = float(np.nanmax([1.5, *known[np.isfinite(known)]]))
    shown.figure.y_range.update(start=0, end=1.05 * min(top, 12.0))


def recolour_fano(shown: FanoFigure, look: Look) -> None:
    recolour_quiet(shown.figure, look)
    for name, colour in (("recorded", look.recorded), ("predicted", look.accent)):
        bar, line, dot = shown.parts[name]
        bar.glyph.line_color = line.glyph.line_color = colour
        dot.glyph.fill_color = colour
