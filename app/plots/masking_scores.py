"""Scores of the page "Masking": one line per prompt, and the curve over the share that is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d, Span, Whisker
from bokeh.plotting import figure

from ..theme import PANEL_HEIGHT, Look

ROW = 34  # px
MARGIN = 0.08  # of the range of what is drawn


@dataclass(frozen=True, eq=False)
class ScoreFigure:
    figure: figure
    points: ColumnDataSource
    whisker: Whisker
    glyphs: tuple  # renderers whose colours follow the theme
    now: Span  # where the visitor stands


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


def make_prompt_scores() -> ScoreFigure:
    plot = _figure(
        "The same hidden entries, asked with other prompts",
        x_range=Range1d(0, 1),
        y_range=FactorRange(),
        frame_height=ROW,
        x_axis_label="bits per spike (mean over neurons, 95 % interval over trials)",
        y_axis_label="prompt",
    )
    points = ColumnDataSource({name: [] for name in ("name", "bits", "low", "high", "kind", "interval", "colour")})
    dots = plot.scatter("bits", "name", source=points, size=11, fill_color="colour", line_color="colour")
    whisker = Whisker(source=points, base="name", lower="low", upper="high", dimension="width", level="underlay")
    plot.add_layout(whisker)
    now = Span(dimension="height", line_dash="dashed", line_width=1, visible=False)
    plot.add_layout(now)
    shown = [("prompt", "@name"), ("bits per spike", "@bits{0.000}"), ("95 % interval", "@interval")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=shown, attachment="above"))
    plot.ygrid.visible = False
    return ScoreFigure(plot, points, whisker, (dots,), now)


@dataclass(frozen=True)
class ScoreLine:
    """kind: "in use", "other" or "ceiling"; it chooses the colour."""

    name: str
    bits: float
    low: float
    high: float
    kind: str


def draw_prompt_scores(shown: ScoreFigure, lines: Sequence[ScoreLine], look: Look) -> None:
    """Lines from top to bottom; the dashed line is the first, the prompt in use."""
    shown.figure.y_range.factors = [line.name for line in lines[::-1]]
    shown.figure.frame_height = ROW * max(1, len(lines))
    shown.points.data = {
        "name": [line.name for line in lines],
        "bits": [line.bits for line in lines],
        "low": [line.low for line in lines],
        "high": [line.high for line in lines],
        "kind": [line.kind for line in lines],
        "interval": [f"{line.low:.3f} to {line.high:.3f}" for line in lines],
        "colour": _colours([line.kind for line in lines], look),
    }
    low, high = _range([line.low for line in lines] + [line.high for line in lines])
    shown.figure.x_range.update(start=low, end=high)
    shown.now.update(location=lines[0].bits if lines else 0, visible=bool(lines))


def _colours(kinds: Sequence[str], look: Look) -> list[str]:
    tones = {"in use": look.accent, "ceiling": look.truth}
    return [tones.get(kind, look.recorded) for kind in kinds]


def _range(values: Sequence[float]) -> tuple[float, float]:
    known = np.array([value for value in values if np.isfinite(value)])
    if not known.size:
        return 0.0, 1.0
    margin = max(MARGIN * np.ptp(known), 0.005)
    return float(known.min() - margin), float(known.max() + margin)


def recolour_prompt_scores(shown: ScoreFigure, look: Look) -> None:
    shown.points.data = {**shown.points.data, "colour": _colours(shown.points.data["kind"], look)}
    _recolour(shown, look)


def _recolour(shown: ScoreFigure, look: Look) -> None:
    shown.whisker.update(line_color=look.ink)
    for head in (shown.whisker.upper_head, shown.whisker.lower_head):
        head.update(line_color=look.ink, size=8)
    shown.now.line_color = look.faint
    shown.figure.xgrid.grid_line_color = shown.figure.ygrid.grid_line_color = look.grid


# --- the share that is hidden -----------------------------------------------------------------------------------------


def make_ratio_curve() -> ScoreFigure:
    plot = _figure(
        "The more is hidden, the harder the guess",
        x_range=Range1d(0, 104),
        y_range=Range1d(0, 1),
        height=PANEL_HEIGHT + 40,
        x_axis_label="mask ratio (%)",
        y_axis_label="bits per spike (pooled)",
    )
    points = ColumnDataSource({name: [] for name in ("ratio", "bits", "low", "high", "interval", "spikes")})
    line = plot.line("ratio", "bits", source=points, line_width=2)
    dots = plot.scatter("ratio", "bits", source=points, size=8)
    whisker = Whisker(source=points, base="ratio", lower="low", upper="high", level="underlay")
    plot.add_layout(whisker)
    plot.add_layout(Span(location=0, dimension="width", line_width=1, line_color="#7f8b97"))
    now = Span(location=30, dimension="height", line_dash="dashed", line_width=2)
    plot.add_layout(now)
    shown = [
        ("mask ratio", "@ratio %"),
        ("bits per spike, pooled", "@bits{0.000}"),
        ("95 % interval", "@interval"),
        ("scored spikes", "@spikes{0,0}"),
    ]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=shown, attachment="above"))
    return ScoreFigure(plot, points, whisker, (line, dots), now)


def draw_ratio_curve(shown: ScoreFigure, points: dict[str, np.ndarray]) -> None:
    """points: ratio (percent), bits, low, high and spikes, one value per ratio."""
    ends = [f"{low:.3f} to {high:.3f}" for low, high in zip(points["low"], points["high"], strict=True)]
    shown.points.data = {**points, "interval": ends}
    low, high = _range([*points["low"], *points["high"], 0.0])
    shown.figure.y_range.update(start=low, end=high)


def recolour_ratio_curve(shown: ScoreFigure, look: Look) -> None:
    line, dots = shown.glyphs
    line.glyph.line_color = look.accent
    dots.glyph.update(fill_color=look.accent, line_color=look.accent)
    _recolour(shown, look)
    shown.now.line_color = look.recorded
