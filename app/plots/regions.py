"""Bits per spike of the hidden neurons, one line per region: every neuron a dot, the mean a bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d, Span
from bokeh.plotting import figure
from bokeh.transform import jitter

from ..theme import Look

LINE = 30  # px per region


@dataclass(frozen=True)
class RegionLine:
    """One region of the figure and the table."""

    name: str
    colour: str
    bits: np.ndarray  # of its scored, not silent neurons
    labels: list[str]  # of the same neurons
    n_silent: int
    n_unscored: int

    @property
    def mean(self) -> float:
        return float(self.bits.mean()) if self.bits.size else float("nan")


@dataclass(frozen=True, eq=False)
class RegionFigure:
    figure: figure
    bars: ColumnDataSource
    dots: ColumnDataSource


def make_region_figure() -> RegionFigure:
    plot = figure(
        title="Bits per spike of what is hidden",
        y_range=FactorRange(),
        x_range=Range1d(-0.1, 1),
        frame_height=2 * LINE,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="bits per spike (0 = no better than the mean rate)",
        y_axis_label="region",
        output_backend="canvas",
        min_border_right=16,
    )
    bars = ColumnDataSource({"region": [], "mean": [], "colour": [], "n": []})
    dots = ColumnDataSource({"region": [], "bits": [], "label": [], "colour": []})
    bar = plot.hbar(y="region", right="mean", height=0.55, color="colour", fill_alpha=0.55, source=bars)
    dot = plot.scatter(
        x="bits",
        y=jitter("region", width=0.45, range=plot.y_range),
        size=5,
        color="colour",
        line_color="#00000055",
        line_width=0.5,
        fill_alpha=0.9,
        source=dots,
    )
    plot.add_layout(Span(location=0, dimension="height", line_width=1, line_color="#7f8b97"))
    plot.add_tools(HoverTool(renderers=[dot], tooltips=[("neuron", "@label"), ("bits per spike", "@bits{0.00}")]))
    plot.add_tools(
        HoverTool(renderers=[bar], tooltips=[("region", "@region"), ("mean", "@mean{0.00}"), ("neurons", "@n")])
    )
    plot.ygrid.visible = False
    return RegionFigure(plot, bars, dots)


def draw_regions(shown: RegionFigure, lines: list[RegionLine]) -> None:
    """Lines from top to bottom."""
    factors = [line.name for line in lines][::-1]
    shown.figure.y_range.factors = factors
    shown.figure.frame_height = LINE * (len(factors) + 1)
    bits = np.concatenate([line.bits for line in lines]) if lines else np.zeros(0)
    # A few neurons far below zero would squeeze all others into a corner: the axis ends at the 2nd percentile.
    low, high = (np.quantile(bits, 0.02), bits.max()) if bits.size else (0.0, 1.0)
    margin = 0.05 * max(high - min(low, 0), 0.2)
    shown.figure.x_range.update(start=float(min(low, 0) - margin), end=float(max(high, 0.1) + margin))
    solid = [line for line in lines if line.bits.size]
    shown.bars.data = {
        "region": [line.name for line in solid],
        "mean": [line.mean for line in solid],
        "colour": [line.colour for line in solid],
        "n": [line.bits.size for line in solid],
    }
    shown.dots.data = {
        "region": [line.name for line in solid for _ in line.bits],
        "bits": bits,
        "label": [label for line in solid for label in line.labels],
        "colour": [line.colour for line in solid for _ in line.bits],
    }


def recolour_regions(shown: RegionFigure, look: Look) -> None:
    shown.figure.xgrid.grid_line_color = look.grid
