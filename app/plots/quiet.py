"""What the small figures of one neuron share: no toolbar, thin axes, and axes on which small rates stay visible."""

from __future__ import annotations

import numpy as np
from bokeh.models import Legend, LegendItem, Range1d
from bokeh.plotting import figure

from ..theme import Look
from .ticks import set_ticks

ZERO = "#7f8b97"  # lines at zero, at the stimulus, of equality
_NICE = tuple(float(f"{digit}e{power}") for power in range(-3, 5) for digit in (1, 2, 5))


def quiet_figure(title: str, x_label: str, y_label: str, height: int) -> figure:
    """A small figure with ranges that the drawing sets."""
    plot = figure(
        title=title,
        x_axis_label=x_label,
        y_axis_label=y_label,
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        frame_height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        output_backend="canvas",
        min_border_right=12,
    )
    plot.xgrid.visible = False
    plot.axis.axis_label_standoff = 4
    plot.axis.minor_tick_line_color = None
    return plot


def legend(plot: figure, items: dict[str, list]) -> Legend:
    """Names above the plot; items: name -> renderers."""
    made = Legend(
        items=[LegendItem(label=name, renderers=renderers) for name, renderers in items.items()],
        orientation="horizontal",
        border_line_alpha=0,
        background_fill_alpha=0,
        label_text_font_size="11px",
        padding=0,
        margin=0,
        spacing=12,
        glyph_width=18,
        glyph_height=14,
    )
    plot.add_layout(made, "above")
    return made


def root(values: np.ndarray | float) -> np.ndarray:
    """Square roots: Poisson noise is as wide everywhere on such an axis, and zero has a place."""
    return np.sqrt(np.maximum(values, 0.0))


def root_axes(plot: figure, top: float) -> None:
    """Both axes from 0 to top, in square roots, labelled with the values themselves."""
    for axis, end in ((plot.xaxis[0], plot.x_range), (plot.yaxis[0], plot.y_range)):
        end.update(start=0.0, end=float(root(1.06 * top)))
        ticks = root_ticks(top)
        set_ticks(axis, root(ticks), {float(root(tick)): f"{tick:g}" for tick in ticks})


def root_ticks(top: float) -> list[float]:
    """Round values from 0 to top, far enough apart to be read."""
    ticks = [0.0]
    for tick in _NICE:
        if tick <= top and root(tick) - root(ticks[-1]) > 0.16 * root(top):
            ticks.append(tick)
    return ticks


def recolour_quiet(plot: figure, look: Look) -> None:
    plot.ygrid.grid_line_color = look.grid
