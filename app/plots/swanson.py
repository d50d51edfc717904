"""Gains on Swanson's flat map of the brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, LinearColorMapper
from bokeh.plotting import figure

from ..theme import Look


@dataclass(frozen=True, eq=False)
class SwansonFigure:
    figure: figure
    shapes: ColumnDataSource
    glyph: object


def make_swanson_figure(shades: LinearColorMapper) -> SwansonFigure:
    """Colours are those of the heat map."""
    plot = figure(
        title="On the flat map",
        y_range=DataRange1d(flipped=True),
        match_aspect=True,
        frame_height=190,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        output_backend="canvas",
    )
    shapes = ColumnDataSource({name: [] for name in ("xs", "ys", "region", "gain", "said")})
    fill = {"field": "gain", "transform": shades}
    made = plot.multi_polygons("xs", "ys", source=shapes, fill_color=fill, line_width=0.5)
    plot.add_tools(HoverTool(renderers=[made], tooltips=[("region", "@region"), ("gain, bits per spike", "@said")]))
    plot.axis.visible = plot.grid.visible = False
    return SwansonFigure(plot, shapes, made)


def draw_swanson(shown: SwansonFigure, title: str, shapes: Sequence[tuple], gain: dict[str, float]) -> None:
    """shapes: (region, polygons) with polygons of rings (x, y); gain: region -> bits per spike, the rest is empty."""
    values = [gain.get(region, float("nan")) for region, _ in shapes]
    shown.figure.title.text = title
    shown.shapes.data = {
        "xs": [[[x for x, _ in rings] for rings in polygons] for _, polygons in shapes],
        "ys": [[[y for _, y in rings] for rings in polygons] for _, polygons in shapes],
        "region": [region for region, _ in shapes],
        "gain": values,
        "said": ["not measured" if value != value else f"{value:.3f}" for value in values],
    }


def recolour_swanson(shown: SwansonFigure, look: Look) -> None:
    shown.glyph.glyph.line_color = look.faint
