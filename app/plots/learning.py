"""How runs learn: training loss, and validation bits per spike of every task. Colour and dash tell the runs apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure

from ..theme import LIGHT, Look

HEIGHT = 210  # px
# Six colours that differ in lightness as well as in hue, and a dash each: whoever sees no colours sees the dashes.
ON_LIGHT = ("#a3307e", "#0f62ac", "#c4610a", "#0f7f6f", "#5d4a9c", "#6b5d00")
ON_DARK = ("#f2739a", "#6ab7f5", "#f5a94c", "#4fc3b0", "#c9a7ea", "#e6d95c")
DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot", "4 2")
AXES = {"steps": "steps", "minutes": "training time (minutes)"}


@dataclass(frozen=True)
class Line:
    """One run in one panel."""

    slot: int  # which colour and dash
    name: str
    steps: np.ndarray
    minutes: np.ndarray
    values: np.ndarray
    best: tuple[float, float] | None  # step and minutes


@dataclass(frozen=True, eq=False)
class LearningFigure:
    figure: figure
    lines: ColumnDataSource
    dots: ColumnDataSource
    best: ColumnDataSource


def colours(look: Look) -> tuple[str, ...]:
    return ON_LIGHT if look is LIGHT else ON_DARK


def make_learning(title: str, unit: str, dotted: bool) -> LearningFigure:
    """`dotted` panels mark every point: validations are few."""
    plot = figure(
        title=title,
        height=HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label=AXES["steps"],
        y_axis_label=unit,
        output_backend="canvas",
        min_border_right=12,
    )
    lines = ColumnDataSource({name: [] for name in ("x", "y", "colour", "dash", "slot")})
    dots = ColumnDataSource({name: [] for name in ("x", "y", "colour", "slot", "name", "steps", "minutes")})
    best = ColumnDataSource({name: [] for name in ("x", "y", "colour", "slot")})
    plot.multi_line("x", "y", source=lines, line_color="colour", line_dash="dash", line_width=2, line_alpha=0.9)
    marks = plot.scatter(
        "x", "y", source=dots, size=5 if dotted else 9, color="colour", alpha=0.9 if dotted else 0.0, line_color=None
    )
    plot.scatter("x", "y", source=best, marker="star", size=17, fill_color="colour", line_color="colour")
    shown = [("run", "@name"), ("step", "@steps{0,0}"), ("minutes", "@minutes{0.0}"), (unit, "@y{0.000}")]
    plot.add_tools(HoverTool(renderers=[marks], tooltips=shown, attachment="above"))
    plot.x_range.range_padding = plot.y_range.range_padding = 0.1  # half a star
    plot.axis.axis_label_standoff = 4
    plot.axis.minor_tick_line_color = None
    return LearningFigure(plot, lines, dots, best)


def draw_learning(shown: LearningFigure, drawn: Sequence[Line], axis: str, look: Look) -> None:
    """axis: "steps" or "minutes"."""
    shades = colours(look)
    xs = [getattr(line, axis) for line in drawn]
    slots = [line.slot for line in drawn]
    shown.figure.xaxis.axis_label = AXES[axis]
    shown.lines.data = {
        "x": xs,
        "y": [line.values for line in drawn],
        "colour": [shades[slot] for slot in slots],
        "dash": [DASHES[slot] for slot in slots],
        "slot": slots,
    }
    each = [line for line in drawn for _ in line.values]
    shown.dots.data = {
        "x": np.concatenate([np.zeros(0), *xs]),
        "y": np.concatenate([np.zeros(0), *(line.values for line in drawn)]),
        "colour": [shades[line.slot] for line in each],
        "slot": [line.slot for line in each],
        "name": [line.name for line in each],
        "steps": np.concatenate([np.zeros(0), *(line.steps for line in drawn)]),
        "minutes": np.concatenate([np.zeros(0), *(line.minutes for line in drawn)]),
    }
    stars = [(line, place) for line in drawn if (place := _best_place(line)) is not None]
    shown.best.data = {
        "x": [getattr(line, axis)[place] for line, place in stars],
        "y": [line.values[place] for line, place in stars],
        "colour": [shades[line.slot] for line, _ in stars],
        "slot": [line.slot for line, _ in stars],
    }


def _best_place(line: Line) -> int | None:
    """Which of the points the kept weights belong to."""
    found = np.flatnonzero(line.steps == line.best[0]) if line.best is not None else np.zeros(0, int)
    return int(found[0]) if found.size else None


def recolour_learning(shown: LearningFigure, look: Look) -> None:
    shades = colours(look)
    for source in (shown.lines, shown.dots, shown.best):
        source.data = {**source.data, "colour": [shades[slot] for slot in source.data["slot"]]}
    shown.figure.xgrid.grid_line_color = shown.figure.ygrid.grid_line_color = look.grid
