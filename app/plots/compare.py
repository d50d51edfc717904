"""Two predictions of the same neurons: each neuron a dot, and the difference by region with its two intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, GlyphRenderer, HoverTool, Range1d, Slope, Span, TapTool
from bokeh.plotting import figure

from ..theme import Look
from .quiet import ZERO, recolour_quiet
from .regions import on_axis, scale_of

HEIGHT = 380  # px inside the axes
LINE = 34  # px per region
DOTS = ("x", "y", "a", "b", "difference", "neuron", "region", "rate", "colour", "marker")
UNIT = "bits per spike"
TRIALS, NEURONS = 5, 1.5  # px: the interval over trials is thick, that over neurons thin


@dataclass(frozen=True, eq=False)
class PairFigure:
    figure: figure
    dots: ColumnDataSource


@dataclass(frozen=True)
class RegionDifference:
    """Differences in bits per spike, B minus A; intervals are NaN where there are none."""

    name: str
    colour: str
    n: int
    difference: float
    trials: tuple[float, float]
    neurons: tuple[float, float]


@dataclass(frozen=True, eq=False)
class DifferenceFigure:
    figure: figure
    source: ColumnDataSource
    thin: GlyphRenderer


def _figure(title: str, x_label: str, y_label: str, **options: object) -> figure:
    return figure(
        title=title,
        x_axis_label=x_label,
        y_axis_label=y_label,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        output_backend="canvas",
        min_border_right=16,
        **options,
    )


def make_pair_figure() -> PairFigure:
    plot = _figure(
        "Every neuron, predicted twice", f"A, {UNIT}", f"B, {UNIT}", x_range=Range1d(0, 1), y_range=Range1d(0, 1)
    )
    plot.frame_height = HEIGHT
    dots = ColumnDataSource({name: [] for name in DOTS})
    plot.add_layout(Slope(gradient=1, y_intercept=0, line_color=ZERO, line_width=1.5, line_dash="dashed"))
    for dimension in ("width", "height"):
        plot.add_layout(Span(location=0, dimension=dimension, line_color=ZERO, line_width=0.5))
    dot = plot.scatter(
        "x",
        "y",
        marker="marker",
        size=7,
        color="colour",
        line_color="#00000055",
        line_width=0.5,
        fill_alpha=0.85,
        nonselection_fill_alpha=0.85,  # a tap leads to the neuron; it does not pick it out
        source=dots,
    )
    tips = [
        ("neuron", "@neuron · @region"),
        ("rate", "@rate{0.00} Hz"),
        ("A", "@a{0.000}"),
        ("B", "@b{0.000}"),
        ("B − A", "@difference{+0.000}"),
    ]
    plot.add_tools(HoverTool(renderers=[dot], tooltips=tips), TapTool(renderers=[dot]))
    return PairFigure(plot, dots)


def draw_pair(shown: PairFigure, columns: dict[str, np.ndarray], names: Sequence[str]) -> None:
    """columns: a, b, difference, neuron (position), region, rate (Hz) and colour of neurons that both have a score.

    Scores far below the others are drawn as a triangle at the edge; the pointer tells their values.
    """
    a, b = np.asarray(columns["a"], float), np.asarray(columns["b"], float)
    ends = scale_of(np.concatenate([a, b]))
    across, up = on_axis(a, ends), on_axis(b, ends)
    beyond = [("triangle" in pair) for pair in zip(across["marker"], up["marker"], strict=True)]
    for axis in (shown.figure.x_range, shown.figure.y_range):
        axis.update(start=ends[0], end=ends[1])
    shown.figure.xaxis.axis_label, shown.figure.yaxis.axis_label = (f"{name} ({UNIT})" for name in names)
    marker = np.where(beyond, "triangle", "circle")
    shown.dots.data = {**columns, "x": across["shown"], "y": up["shown"], "marker": marker.tolist()}


def make_difference_figure() -> DifferenceFigure:
    plot = _figure(
        "Difference by region", f"B − A ({UNIT})", "region", x_range=Range1d(-0.1, 0.1), y_range=FactorRange()
    )
    names = ("region", "difference", "t0", "t1", "n0", "n1", "colour", "n")
    source = ColumnDataSource({name: [] for name in names})
    plot.segment("t0", "region", "t1", "region", line_width=TRIALS, line_color="colour", line_alpha=0.6, source=source)
    thin = plot.segment("n0", "region", "n1", "region", line_width=NEURONS, source=source)
    dot = plot.scatter("difference", "region", size=11, color="colour", line_color="#00000088", source=source)
    plot.add_layout(Span(location=0, dimension="height", line_width=1, line_color=ZERO))
    tips = [
        ("region", "@region, @n neurons"),
        ("B − A", "@difference{+0.000}"),
        ("95 % over trials", "@t0{0.000} to @t1{0.000}"),
        ("95 % over neurons", "@n0{0.000} to @n1{0.000}"),
    ]
    plot.add_tools(HoverTool(renderers=[dot], tooltips=tips))
    plot.ygrid.visible = False
    return DifferenceFigure(plot, source, thin)


def draw_differences(shown: DifferenceFigure, rows: Sequence[RegionDifference]) -> None:
    """From top to bottom."""
    ends = np.array([[row.difference, *row.trials, *row.neurons] for row in rows] or [[0.0] * 5])
    low, high = min(np.nanmin(ends), 0.0), max(np.nanmax(ends), 0.0)
    margin = 0.06 * max(high - low, 0.01)
    shown.figure.x_range.update(start=low - margin, end=high + margin)
    shown.figure.y_range.factors = [row.name for row in rows][::-1]
    shown.figure.frame_height = LINE * (len(rows) + 1)
    shown.source.data = {
        "region": [row.name for row in rows],
        "difference": [row.difference for row in rows],
        **{f"t{i}": [row.trials[i] for row in rows] for i in (0, 1)},
        **{f"n{i}": [row.neurons[i] for row in rows] for i in (0, 1)},
        "colour": [row.colour for row in rows],
        "n": [row.n for row in rows],
    }


def recolour_compared(pair: PairFigure, differences: DifferenceFigure, look: Look) -> None:
    for plot in (pair.figure, differences.figure):
        recolour_quiet(plot, look)
        plot.xgrid.grid_line_color = look.grid
    differences.thin.glyph.line_color = look.ink
