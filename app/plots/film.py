"""The score of a filmed trial against the step of the training, with a mark at the frame that is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Span
from bokeh.plotting import figure

from ..theme import Look

HEIGHT = 190  # px


@dataclass(frozen=True, eq=False)
class ScoreLine:
    figure: figure
    line: ColumnDataSource
    here: ColumnDataSource
    zero: Span
    marks: list


def make_score_line() -> ScoreLine:
    plot = figure(
        title="Score of this trial",
        height=HEIGHT,
        sizing_mode="stretch_width",
        x_axis_type="log",
        x_axis_label="training step",
        y_axis_label="bits per spike",
        toolbar_location=None,
        tools="",
        output_backend="canvas",
        min_border_right=12,
    )
    line, here = (ColumnDataSource({"x": [], "y": []}) for _ in range(2))
    zero = Span(location=0, dimension="width", line_dash="dashed", line_width=1)
    plot.add_layout(zero)
    drawn = plot.line("x", "y", source=line, line_width=2)
    dots = plot.scatter("x", "y", source=line, size=6)
    now = plot.scatter("x", "y", source=here, size=14, fill_alpha=0.25, line_width=2)
    plot.add_tools(HoverTool(renderers=[dots], tooltips=[("step", "@x{0,0}"), ("bits per spike", "@y{0.000}")]))
    return ScoreLine(plot, line, here, zero, [drawn, dots, now])


def draw_score_line(shown: ScoreLine, steps: np.ndarray, bits: np.ndarray, frame: int) -> None:
    shown.line.data = {"x": steps.astype(float), "y": bits}
    shown.here.data = {"x": steps[frame : frame + 1].astype(float), "y": bits[frame : frame + 1]}


def recolour_score_line(shown: ScoreLine, look: Look) -> None:
    shown.zero.line_color = look.faint
    for mark in shown.marks:
        mark.glyph.line_color = look.accent
    for mark in shown.marks[1:]:
        mark.glyph.fill_color = look.accent
    shown.figure.xgrid.grid_line_color = shown.figure.ygrid.grid_line_color = look.grid
