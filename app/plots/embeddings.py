"""Neurons on a plane, near each other where the model has learned the same about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool
from bokeh.plotting import figure

from ..theme import Look

HEIGHT = 460  # px
COLUMNS = ("x", "y", "neuron", "uuid", "region", "session", "colour", "size", "alpha")
OTHER, OWN = 5, 7  # px: a neuron of another recording, and of the one that is looked at


@dataclass(frozen=True)
class Dots:
    """One per neuron."""

    columns: Mapping[str, Sequence]  # x, y, neuron, uuid, region, session
    colours: Sequence[str]
    own: np.ndarray  # bool: of the recording that is looked at
    axes: tuple[str, str]


@dataclass(frozen=True, eq=False)
class UnitFigure:
    figure: figure
    dots: ColumnDataSource


def make_unit_figure() -> UnitFigure:
    plot = figure(
        title="Neurons by what was learned about them",
        x_range=DataRange1d(range_padding=0.05),
        y_range=DataRange1d(range_padding=0.05),
        frame_height=HEIGHT,
        sizing_mode="stretch_width",
        tools="pan,wheel_zoom,box_zoom,reset,tap",
        active_drag=None,
        active_scroll=None,
        output_backend="canvas",
    )
    plot.toolbar.logo = None
    dots = ColumnDataSource({name: [] for name in COLUMNS})
    shown = plot.scatter("x", "y", source=dots, size="size", color="colour", alpha="alpha", line_width=0.5)
    shown.nonselection_glyph = None  # a tap leads to the neuron; the others do not fade meanwhile
    tooltips = [("region", "@region"), ("recording", "@session"), ("neuron", "@neuron"), ("unit", "@uuid")]
    plot.add_tools(HoverTool(renderers=[shown], tooltips=tooltips, attachment="above"))
    plot.xaxis.ticker.desired_num_ticks = plot.yaxis.ticker.desired_num_ticks = 4
    return UnitFigure(plot, dots)


def draw_units(shown: UnitFigure, drawn: Dots) -> None:
    """Dots of the recording that is looked at are larger and lie on top."""
    order = np.argsort(drawn.own, kind="stable")
    own = drawn.own[order]
    shown.dots.data = {
        **{name: np.asarray(values)[order] for name, values in drawn.columns.items()},
        "colour": np.asarray(drawn.colours)[order],
        "size": np.where(own, OWN, OTHER),
        "alpha": np.where(own, 0.9, 0.4),
    }
    shown.figure.xaxis.axis_label, shown.figure.yaxis.axis_label = drawn.axes


def recolour_units(shown: UnitFigure, look: Look) -> None:
    shown.figure.xgrid.grid_line_color = shown.figure.ygrid.grid_line_color = look.grid
