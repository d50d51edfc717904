"""What the spikes of a neuron of unknown region look like: its mean responses and its rhythm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, GlyphRenderer, Legend, LegendItem, Span
from bokeh.plotting import figure

from ..theme import Look
from .quiet import ZERO, quiet_figure, recolour_quiet

HEIGHT = 230  # px inside the axes
DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot")  # neighbors in the brain have nearly the same colour


@dataclass(frozen=True, eq=False)
class CourseFigure:
    """Several lines with names, one of them thick."""

    figure: figure
    lines: ColumnDataSource
    parts: GlyphRenderer
    legend: Legend


def make_courses(title: str, x_label: str, y_label: str) -> CourseFigure:
    plot = quiet_figure(title, x_label, y_label, HEIGHT)
    lines = ColumnDataSource({name: [] for name in ("xs", "ys", "colour", "width", "dash")})
    parts = plot.multi_line("xs", "ys", source=lines, line_color="colour", line_width="width", line_dash="dash")
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color=ZERO))
    names = Legend(
        orientation="horizontal",
        border_line_alpha=0,
        background_fill_alpha=0,
        label_text_font_size="11px",
        padding=0,
        margin=0,
        spacing=12,
        glyph_width=18,
    )
    plot.add_layout(names, "above")
    return CourseFigure(plot, lines, parts, names)


def draw_courses(shown: CourseFigure, x: np.ndarray, lines: dict[str, np.ndarray], look: Look, hues: list[str]) -> None:
    """lines: name -> values at x, the first one thick; hues: of the others, or of all if there are as many."""
    names, values = list(lines), list(lines.values())
    colours = hues if len(hues) == len(names) else [look.ink, *hues]
    thick = len(hues) < len(names)
    shown.lines.data = {
        "xs": [x] * len(names),
        "ys": values,
        "colour": colours,
        "width": [3.2 if thick and i == 0 else 2.0 for i in range(len(names))],
        "dash": [DASHES[max(i - thick, 0) % len(DASHES)] if thick else "solid" for i in range(len(names))],
    }
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    low = min(low, 0.0)
    margin = 0.06 * (high - low) or 1.0
    shown.figure.x_range.update(start=float(min(x[0], 0.0)), end=float(x[-1]))
    shown.figure.y_range.update(start=low - (margin if low < 0 else 0.0), end=high + margin)
    shown.legend.items = [LegendItem(label=name, renderers=[shown.parts], index=i) for i, name in enumerate(names)]
    recolour_quiet(shown.figure, look)
