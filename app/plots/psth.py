"""PSTHs of several conditions: recorded above, predicted below, on one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Span
from bokeh.plotting import figure

from ..theme import Look, ramp
from .quiet import ZERO, quiet_figure, recolour_quiet

HEIGHT = 118  # px inside the axes
# Readable with every common color blindness (Okabe & Ito); orders run from faint to strong.
_NAMED = {
    False: {"left": "#0072b2", "right": "#d55e00", "none": "#8a949e", "reward": "#00805f", "error": "#a3307e"},
    True: {"left": "#56b4e9", "right": "#f0935a", "none": "#98a3af", "reward": "#4fc3b0", "error": "#f2739a"},
}
_ORDERED = {False: ("#e69f00", "#b0427b", "#341a63"), True: ("#fde3a7", "#f2739a", "#9a6ad6")}


@dataclass(frozen=True, eq=False)
class Course:
    """Mean and standard error of one condition over time, Hz; NaN where unknown."""

    label: str
    mean: np.ndarray  # (T,)
    sem: np.ndarray  # (T,)


@dataclass(frozen=True, eq=False)
class PsthFigure:
    figure: figure
    lines: ColumnDataSource
    bands: ColumnDataSource


def make_psth_figure(title: str, x_label: str) -> PsthFigure:
    plot = quiet_figure(title, x_label, "rate (Hz)", HEIGHT)
    bands = ColumnDataSource({"xs": [], "ys": [], "colour": []})
    lines = ColumnDataSource({"xs": [], "ys": [], "colour": [], "label": []})
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color=ZERO))
    plot.patches("xs", "ys", source=bands, color="colour", fill_alpha=0.2, line_alpha=0)
    line = plot.multi_line("xs", "ys", source=lines, color="colour", line_width=2)
    plot.add_tools(HoverTool(renderers=[line], tooltips=[("", "@label"), ("", "$y{0.0} Hz at $x{0.00} s")]))
    plot.yaxis.ticker.desired_num_ticks = 4
    return PsthFigure(plot, lines, bands)


def colours(labels: list[str], dark: bool) -> list[str]:
    """One per condition: fixed for named ones, a ramp for those that have an order, such as contrasts."""
    named = _NAMED[dark]
    if all(label in named for label in labels):
        return [named[label] for label in labels]
    shades = ramp(*_ORDERED[dark], n=max(len(labels), 2))
    return list(shades[: len(labels)])


def draw_psth(shown: PsthFigure, times: np.ndarray, courses: list[Course], top: float, dark: bool) -> None:
    """times: edges of the bins, s; top: of the scale, Hz."""
    centers = (times[:-1] + times[1:]) / 2
    shades = colours([course.label for course in courses], dark)
    known = [np.isfinite(course.mean) & np.isfinite(course.sem) for course in courses]
    shown.bands.data = {
        "xs": [np.concatenate([centers[k], centers[k][::-1]]) for k in known],
        "ys": [
            np.concatenate([(c.mean - c.sem)[k], (c.mean + c.sem)[k][::-1]])
            for c, k in zip(courses, known, strict=True)
        ],
        "colour": shades,
    }
    shown.lines.data = {
        "xs": [centers] * len(courses),
        "ys": [course.mean for course in courses],
        "colour": shades,
        "label": [course.label for course in courses],
    }
    shown.figure.x_range.update(start=float(times[0]), end=float(times[-1]))
    shown.figure.y_range.update(start=0.0, end=top)


def top_of(courses: list[Course]) -> float:
    """End of a scale that holds all bands."""
    ends = [np.nanmax(c.mean + np.nan_to_num(c.sem)) for c in courses if np.isfinite(c.mean).any()]
    return 1.06 * float(max([0.5, *ends]))


def recolour_psth(shown: PsthFigure, look: Look) -> None:
    recolour_quiet(shown.figure, look)
