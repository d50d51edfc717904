"""Scores of decoders beside their nulls, and decoded beside true behavior in held-out trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, Range1d, Span, Whisker
from bokeh.plotting import figure

from ..theme import PANEL_HEIGHT, Look

ROW = 34  # px per source
JITTER = 0.22  # of a row: nulls of equal score must not hide each other


@dataclass(frozen=True)
class ScoreRows:
    """One row per source, top to bottom."""

    names: tuple[str, ...]
    metric: str
    chance: float
    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    above_null: np.ndarray  # bool
    p: tuple[str, ...]
    nulls: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class ScoreFigure:
    figure: figure
    nulls: ColumnDataSource
    dots: ColumnDataSource
    chance: Span
    whisker: Whisker
    glyphs: tuple  # renderers of nulls and scores, whose colours follow the theme


def make_score_figure() -> ScoreFigure:
    plot = figure(
        title="Scores (large) and nulls (small)",
        y_range=FactorRange(),
        x_range=Range1d(0, 1),
        frame_height=ROW,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="score",
        y_axis_label="decoded from",
        output_backend="canvas",
        min_border_right=16,
    )
    nulls = ColumnDataSource({"row": [], "score": []})
    dots = ColumnDataSource({name: [] for name in ("row", "score", "low", "high", "fill", "p", "interval")})
    small = plot.scatter("score", "row", source=nulls, size=4, line_color=None, fill_alpha=0.45)
    large = plot.scatter("score", "row", source=dots, size=11, line_width=2, fill_alpha="fill", level="overlay")
    whisker = Whisker(source=dots, base="row", lower="low", upper="high", dimension="width", level="overlay")
    chance = Span(location=0.5, dimension="height", line_dash="dashed", line_width=1)
    plot.add_layout(whisker)
    plot.add_layout(chance)
    tooltips = [("decoded from", "@row"), ("score", "@score{0.000}"), ("95 % interval", "@interval"), ("null", "@p")]
    plot.add_tools(HoverTool(renderers=[large], tooltips=tooltips, attachment="above"))
    plot.ygrid.visible = False
    return ScoreFigure(plot, nulls, dots, chance, whisker, (small, large))


def draw_scores(shown: ScoreFigure, rows: ScoreRows) -> None:
    """A filled dot scores above its null, a hollow one does not."""
    shown.figure.y_range.factors = list(rows.names[::-1])
    shown.figure.frame_height = ROW * (len(rows.names) + 1)
    shown.figure.xaxis.axis_label = f"{rows.metric} on held-out trials"
    shown.chance.location = rows.chance
    values = np.concatenate([rows.low, rows.high, rows.score, [rows.chance, rows.chance + 0.1], *rows.nulls])
    # A decoder can fail without limit (R2 far below 0); such nulls would squeeze everything else together.
    values = values[np.isfinite(values) & (values > -1)]
    margin = 0.05 * np.ptp(values)
    shown.figure.x_range.update(start=float(values.min() - margin), end=float(values.max() + margin))
    shown.dots.data = {
        "row": list(rows.names),
        "score": rows.score,
        "low": rows.low,
        "high": rows.high,
        "fill": np.where(rows.above_null, 1.0, 0.0),
        "p": list(rows.p),
        "interval": [f"{low:.3f} to {high:.3f}" for low, high in zip(rows.low, rows.high, strict=True)],
    }
    places = [
        (name, offset) for name, each in zip(rows.names, rows.nulls, strict=True) for offset in _spread(len(each))
    ]
    shown.nulls.data = {"row": places, "score": np.concatenate([np.zeros(0), *rows.nulls])}


def _spread(n: int) -> np.ndarray:
    """Places across a row, fixed, as random ones would dance at every drawing."""
    return JITTER * np.sin(2.4 * np.arange(n))


def recolour_scores(shown: ScoreFigure, look: Look) -> None:
    small, large = shown.glyphs
    small.glyph.fill_color = look.faint
    large.glyph.update(line_color=look.accent, fill_color=look.accent)
    shown.whisker.line_color = look.ink
    for head in (shown.whisker.upper_head, shown.whisker.lower_head):
        head.update(line_color=look.ink, size=8)
    shown.chance.line_color = look.faint
    shown.figure.xgrid.grid_line_color = look.grid


# --- examples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TraceFigure:
    """One held-out trial of a stream."""

    figure: figure
    lines: ColumnDataSource
    glyphs: tuple  # truth, decoded, average
    event: Span


def make_trace_figure() -> TraceFigure:
    plot = figure(
        title="One held-out trial",
        height=PANEL_HEIGHT + 40,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="time from the event (s)",
        y_axis_label="behavior",
        output_backend="canvas",
    )
    lines = ColumnDataSource({name: [] for name in ("time", "truth", "decoded", "average")})
    average = plot.line(
        "time", "average", source=lines, line_width=1.5, line_dash="dotted", legend_label="training average"
    )
    truth = plot.line("time", "truth", source=lines, line_width=2, legend_label="recorded")
    decoded = plot.line("time", "decoded", source=lines, line_width=2, legend_label="decoded")
    event = Span(location=0, dimension="height", line_dash="dashed", line_width=1)
    plot.add_layout(event)
    plot.add_layout(plot.legend[0], "above")
    plot.legend.update(orientation="horizontal", border_line_alpha=0, background_fill_alpha=0, padding=0)
    tooltips = [("time", "@time{0.00} s"), ("recorded", "@truth{0.00}"), ("decoded", "@decoded{0.00}")]
    plot.add_tools(HoverTool(renderers=[truth], mode="vline", tooltips=tooltips))
    return TraceFigure(plot, lines, (truth, decoded, average), event)


def draw_trace(shown: TraceFigure, lines: dict[str, np.ndarray], title: str, unit: str) -> None:
    """lines: time (s), truth, decoded and average, all (T,)."""
    shown.lines.data = lines
    shown.figure.title.text, shown.figure.yaxis.axis_label = title, unit


def recolour_trace(shown: TraceFigure, look: Look) -> None:
    for glyph, colour in zip(shown.glyphs, (look.recorded, look.accent, look.faint), strict=True):
        glyph.glyph.line_color = colour
    shown.event.line_color = look.faint
    shown.figure.legend.label_text_color = look.ink


@dataclass(frozen=True, eq=False)
class SideFigure:
    """The decoded probability of one side in every held-out trial."""

    figure: figure
    dots: ColumnDataSource
    half: Span
    glyphs: tuple  # trials of class 0 and 1


def make_side_figure() -> SideFigure:
    plot = figure(
        title="Held-out trials",
        height=PANEL_HEIGHT + 40,
        y_range=Range1d(-0.05, 1.05),
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="trial of the recording",
        y_axis_label="decoded probability",
        output_backend="canvas",
    )
    dots = [ColumnDataSource({name: [] for name in ("trial", "probability", "truth")}) for _ in range(2)]
    made = [
        plot.scatter("trial", "probability", source=each, marker=marker, size=9, line_width=1.5, legend_label=name)
        for each, marker, name in zip(dots, ("triangle", "circle"), ("0", "1"), strict=True)
    ]
    half = Span(location=0.5, dimension="width", line_dash="dashed", line_width=1)
    plot.add_layout(half)
    plot.add_layout(plot.legend[0], "above")
    plot.legend.update(orientation="horizontal", border_line_alpha=0, background_fill_alpha=0, padding=0)
    tooltips = [("trial", "@trial"), ("recorded", "@truth"), ("decoded probability", "@probability{0.00}")]
    plot.add_tools(HoverTool(renderers=made, tooltips=tooltips))
    return SideFigure(plot, dots, half, tuple(made))


def draw_sides(
    shown: SideFigure, trials: np.ndarray, truth: np.ndarray, probability: np.ndarray, classes: Sequence[str]
) -> None:
    """Triangles are trials of the first class, circles of the second, whose probability is shown."""
    for label, source in enumerate(shown.dots):
        chosen = truth == label
        names = [classes[label]] * int(chosen.sum())
        source.data = {"trial": trials[chosen], "probability": probability[chosen], "truth": names}
        shown.figure.legend.items[label].label = value(f"recorded: {classes[label]}")
    wrong = int(np.count_nonzero((probability > 0.5) != (truth == 1)))
    shown.figure.title.text = f"Held-out trials: {wrong} of {len(truth)} on the wrong side of the line"
    shown.figure.yaxis.axis_label = f"decoded probability of “{classes[1]}”"


def recolour_sides(shown: SideFigure, look: Look) -> None:
    for glyph, colour in zip(shown.glyphs, (look.truth, look.accent), strict=True):
        glyph.glyph.update(line_color=colour, fill_color=colour, fill_alpha=0.35)
    shown.half.line_color = look.faint
    shown.figure.legend.label_text_color = look.ink
