"""Bits per spike by region: every neuron a dot, the mean a bar, its interval a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d, Span, TapTool
from bokeh.plotting import figure
from bokeh.transform import jitter

from ..theme import Look

LINE = 30  # px per region
NEEDLE = np.pi / 2  # rad: turns the triangle of what lies beyond the axis towards it


@dataclass(frozen=True)
class RegionLine:
    """One region of the figure and the table."""

    name: str
    colour: str
    bits: np.ndarray  # of its scored, not silent neurons
    neurons: np.ndarray  # positions of the same neurons
    n_silent: int
    n_unscored: int
    interval: tuple[float, float] | None = None  # 95 % of the mean

    @property
    def mean(self) -> float:
        return float(self.bits.mean()) if self.bits.size else float("nan")


@dataclass(frozen=True, eq=False)
class RegionFigure:
    figure: figure
    bars: ColumnDataSource
    dots: ColumnDataSource
    intervals: Span | object  # renderer of the interval lines


def make_region_figure(title: str) -> RegionFigure:
    plot = figure(
        title=title,
        y_range=FactorRange(),
        x_range=Range1d(-0.1, 1),
        frame_height=2 * LINE,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="bits per spike (0: the mean rate)",
        y_axis_label="region",
        output_backend="canvas",
        min_border_right=16,
    )
    bars = ColumnDataSource({name: [] for name in ("region", "mean", "colour", "n", "low", "high")})
    dots = ColumnDataSource({name: [] for name in ("region", "shown", "bits", "neuron", "colour", "marker")})
    bar = plot.hbar(y="region", right="mean", height=0.55, color="colour", fill_alpha=0.55, source=bars)
    dot = plot.scatter(
        x="shown",
        y=jitter("region", width=0.45, range=plot.y_range),
        marker="marker",
        angle=NEEDLE,
        size=6,
        color="colour",
        line_color="#00000055",
        line_width=0.5,
        fill_alpha=0.9,
        nonselection_fill_alpha=0.9,  # a tap leads to the neuron; it does not pick it out
        source=dots,
    )
    interval = plot.segment(x0="low", x1="high", y0="region", y1="region", line_width=2.5, source=bars)
    plot.add_layout(Span(location=0, dimension="height", line_width=1, line_color="#7f8b97"))
    neuron = [("neuron", "@neuron · @region"), ("bits per spike", "@bits{0.00}")]
    plot.add_tools(HoverTool(renderers=[dot], tooltips=neuron), TapTool(renderers=[dot]))
    mean = [("region", "@region"), ("mean", "@mean{0.00}"), ("neurons", "@n")]
    plot.add_tools(HoverTool(renderers=[bar], tooltips=mean))
    plot.ygrid.visible = False
    return RegionFigure(plot, bars, dots, interval)


def scale_of(bits: np.ndarray) -> tuple[float, float]:
    """Ends of an axis of scores: a few neurons far below zero would squeeze all others into a corner."""
    low, high = (np.quantile(bits, 0.02), bits.max()) if bits.size else (0.0, 1.0)
    margin = 0.05 * max(high - min(low, 0), 0.2)
    return float(min(low, 0) - margin), float(max(high, 0.1) + margin)


def on_axis(bits: np.ndarray, ends: tuple[float, float]) -> dict[str, list]:
    """Where scores are drawn: those below the axis as a triangle at its end, which points beyond it."""
    low, inside = ends[0], ends[0] + 0.012 * (ends[1] - ends[0])
    return {
        "shown": np.where(bits < low, inside, bits).tolist(),
        "marker": ["triangle" if value < low else "circle" for value in bits],
    }


def draw_regions(shown: RegionFigure, lines: list[RegionLine]) -> None:
    """Lines from top to bottom."""
    factors = [line.name for line in lines][::-1]
    shown.figure.y_range.factors = factors
    shown.figure.frame_height = LINE * (len(factors) + 1)
    bits = np.concatenate([line.bits for line in lines]) if lines else np.zeros(0)
    low, high = scale_of(bits)
    shown.figure.x_range.update(start=low, end=high)
    solid = [line for line in lines if line.bits.size]
    ends = [line.interval or (line.mean, line.mean) for line in solid]
    shown.bars.data = {
        "region": [line.name for line in solid],
        "mean": [line.mean for line in solid],
        "colour": [line.colour for line in solid],
        "n": [line.bits.size for line in solid],
        "low": [end[0] for end in ends],
        "high": [end[1] for end in ends],
    }
    shown.dots.data = {
        "region": [line.name for line in solid for _ in line.bits],
        "bits": bits,
        "neuron": [int(n) for line in solid for n in line.neurons],
        "colour": [line.colour for line in solid for _ in line.bits],
        **on_axis(bits, (low, high)),
    }


def recolour_regions(shown: RegionFigure, look: Look) -> None:
    shown.figure.xgrid.grid_line_color = look.grid
    shown.intervals.glyph.line_color = look.ink
