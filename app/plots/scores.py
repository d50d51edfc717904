"""Scores beside other predictions, and scores against firing rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    FactorRange,
    FixedTicker,
    GlyphRenderer,
    HoverTool,
    NumeralTickFormatter,
    Range1d,
    Span,
    TapTool,
)
from bokeh.plotting import figure

from ..theme import Look
from .regions import NEEDLE, on_axis, scale_of

LINE = 34  # px per prediction
RATE_HEIGHT = 260  # px inside the axes
SLOWEST = 0.01  # Hz; the axis is logarithmic
RATES = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300]


@dataclass(frozen=True)
class Predictor:
    """One prediction: the model ("model"), what it is compared with ("other") or the best possible ("ceiling")."""

    name: str
    kind: str
    mean: float
    mean_interval: tuple[float, float]
    pooled: float


@dataclass(frozen=True, eq=False)
class PredictorFigure:
    figure: figure
    source: ColumnDataSource
    ceiling: Span
    interval: GlyphRenderer


@dataclass(frozen=True, eq=False)
class RateFigure:
    figure: figure
    source: ColumnDataSource


def _figure(title: str, **options: object) -> figure:
    return figure(
        title=title,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        output_backend="canvas",
        min_border_right=16,
        **options,
    )


def make_predictor_figure() -> PredictorFigure:
    plot = _figure(
        "",
        y_range=FactorRange(),
        x_range=Range1d(-0.1, 1),
        frame_height=4 * LINE,
        x_axis_label="bits per spike",
        y_axis_label="prediction",
    )
    source = ColumnDataSource({name: [] for name in ("name", "mean", "low", "high", "pooled", "colour", "kind")})
    interval = plot.segment(x0="low", x1="high", y0="name", y1="name", line_width=3, line_color="colour", source=source)
    dot = plot.scatter("mean", "name", size=11, color="colour", source=source)
    square = plot.scatter(
        "pooled", "name", marker="square", size=8, fill_alpha=0, line_color="colour", line_width=2, source=source
    )
    plot.add_layout(Span(location=0, dimension="height", line_width=1, line_color="#7f8b97"))
    ceiling = Span(location=0, dimension="height", line_dash="dashed", line_width=1.5, visible=False)
    plot.add_layout(ceiling)
    tips = [("", "@name"), ("mean", "@mean{0.000} (@low{0.000} to @high{0.000})"), ("pooled", "@pooled{0.000}")]
    plot.add_tools(HoverTool(renderers=[dot, square], tooltips=tips))
    plot.ygrid.visible = False
    return PredictorFigure(plot, source, ceiling, interval)


def draw_predictors(shown: PredictorFigure, predictors: list[Predictor], look: Look) -> None:
    """From top to bottom; a ceiling is also a line through all."""
    colours = {"model": look.accent, "other": look.recorded, "ceiling": look.truth}
    shown.figure.y_range.factors = [p.name for p in predictors][::-1]
    shown.figure.frame_height = LINE * (len(predictors) + 1)
    ends = [*(p.mean_interval for p in predictors), *((p.pooled, p.pooled) for p in predictors)]
    finite = [value for pair in ends for value in pair if np.isfinite(value)] or [0.0]
    margin = 0.06 * max(max(finite) - min(*finite, 0.0), 0.1)
    shown.figure.x_range.update(start=min(*finite, 0.0) - margin, end=max(*finite, 0.0) + margin)
    shown.source.data = {
        "name": [p.name for p in predictors],
        "mean": [p.mean for p in predictors],
        "low": [p.mean_interval[0] for p in predictors],
        "high": [p.mean_interval[1] for p in predictors],
        "pooled": [p.pooled for p in predictors],
        "colour": [colours[p.kind] for p in predictors],
        "kind": [p.kind for p in predictors],
    }
    best = [p.mean for p in predictors if p.kind == "ceiling"]
    shown.ceiling.update(visible=bool(best), location=best[0] if best else 0.0, line_color=look.truth)
    shown.figure.xgrid.grid_line_color = look.grid


def make_rate_figure() -> RateFigure:
    plot = _figure(
        "Busy and quiet neurons",
        x_axis_type="log",
        x_range=Range1d(SLOWEST, 100),
        y_range=Range1d(-0.1, 1),
        frame_height=RATE_HEIGHT,
        x_axis_label="mean rate in training trials (Hz, logarithmic)",
        y_axis_label="bits per spike",
    )
    plot.xaxis[0].update(ticker=FixedTicker(ticks=RATES), formatter=NumeralTickFormatter(format="0.[00]"))
    source = ColumnDataSource({n: [] for n in ("rate", "shown", "bits", "neuron", "region", "colour", "marker")})
    dots = plot.scatter(
        "rate",
        "shown",
        marker="marker",
        angle=2 * NEEDLE,
        size=6,
        color="colour",
        line_color="#00000055",
        line_width=0.5,
        fill_alpha=0.9,
        nonselection_fill_alpha=0.9,
        source=source,
    )
    plot.add_layout(Span(location=0, dimension="width", line_width=1, line_color="#7f8b97"))
    tips = [("neuron", "@neuron · @region"), ("bits per spike", "@bits{0.00}"), ("rate", "@rate{0.00} Hz")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tips), TapTool(renderers=[dots]))
    return RateFigure(plot, source)


def draw_rates(shown: RateFigure, columns: dict[str, np.ndarray]) -> None:
    """columns: rate (Hz), bits, neuron (position), region (name) and colour of the neurons that have a score."""
    rate, bits = np.maximum(columns["rate"], SLOWEST), np.asarray(columns["bits"], float)
    low, high = scale_of(bits)
    shown.figure.y_range.update(start=low, end=high)
    if rate.size:
        shown.figure.x_range.update(start=float(rate.min()) / 1.3, end=float(rate.max()) * 1.3)
    shown.source.data = {**columns, "rate": rate, **on_axis(bits, (low, high))}


def recolour_rates(shown: RateFigure, look: Look) -> None:
    for grid in (*shown.figure.xgrid, *shown.figure.ygrid):
        grid.grid_line_color = look.grid
