"""One raster: neurons x time as an image in which hidden entries have an encoding of their own.

Shades 0..LEVELS-1 are entries the model saw, the next LEVELS entries hidden but not scored, the last LEVELS scored
ones. Strips beside the axes show the region of each row and which rows and bins are hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import (
    BasicTicker,
    BoxSelectTool,
    ColorBar,
    ColumnDataSource,
    CustomJSHover,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    Range1d,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from ..theme import LEVELS, MAX_COUNT, RASTER_HEIGHT, Look
from .blocks import block_max, block_starts, value_of_max
from .ticks import set_ticks

MAX_COLUMNS = 240  # bins sent; about the pixel width of one panel
STRIP = 0.075  # width of the strips beside the raster, as a share of the window
TOP = 0.03  # height of the strip above the raster, as a share of what is in view
FAINTEST = 0.15  # opacity of the strip where a single entry is hidden
SEEN, UNSCORED, SCORED = 0, 1, 2
# For the pointer: the row labels travel beside the image, because a row of the image may stand for several neurons.
_ROW_LABEL = "return rows.data.label[special_vars.image_index.j] ?? ''"


@dataclass(frozen=True, eq=False)
class Rows:
    """What all rasters of a page share: the rows from the bottom up, and the time axis."""

    labels: list[str]  # one per row
    colours: list[str]  # region colour, one per row
    bands: list[tuple[float, str]]  # centre and name of each band of rows, for the axis
    times: np.ndarray  # edges of the bins, s
    layer: np.ndarray  # (rows, T) SEEN, UNSCORED or SCORED


@dataclass(frozen=True, eq=False)
class Scale:
    """The colours of all rasters of one quantity."""

    spikes: bool  # spike counts; otherwise rates in Hz
    image: LinearColorMapper
    bar: LinearColorMapper


@dataclass(frozen=True, eq=False)
class Raster:
    figure: figure
    image: ColumnDataSource
    strips: ColumnDataSource
    rows: ColumnDataSource
    scale: Scale
    box: BoxSelectTool

    @property
    def spikes(self) -> bool:
        return self.scale.spikes


def make_scale(spikes: bool) -> Scale:
    grey = ["#888888"] * LEVELS
    return Scale(
        spikes,
        LinearColorMapper(palette=grey * 3, low=0, high=3 * LEVELS),
        LinearColorMapper(palette=grey, low=0, high=MAX_COUNT),
    )


def make_raster(title: str, scale: Scale, ranges: tuple[Range1d, Range1d], first: bool) -> Raster:
    """An empty raster; `draw_raster` fills it. Rasters share their ranges, and the first shows the axis of neurons."""
    plot = figure(
        title=title,
        x_range=ranges[0],
        y_range=ranges[1],
        frame_height=RASTER_HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="time from stimulus (s)",
        y_axis_label="neurons",
        output_backend="canvas",
        min_border_right=12,
    )
    empty = np.zeros((1, 1), np.uint8)
    image = ColumnDataSource({"image": [empty], "value": [empty], "x": [0], "y": [0], "dw": [1], "dh": [1]})
    strips = ColumnDataSource(
        {"image": [empty.astype(np.uint32)] * 2, "x": [0, 0], "y": [0, 0], "dw": [1, 1], "dh": [1, 1]}
    )
    rows = ColumnDataSource({"label": [""]})
    renderer = plot.image("image", source=image, x="x", y="y", dw="dw", dh="dh", color_mapper=scale.image)
    plot.image_rgba("image", source=strips, x="x", y="y", dw="dw", dh="dh")
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color="#7f8b97"))
    plot.add_tools(_hover(renderer, rows, scale.spikes), WheelZoomTool(dimensions="height", modifiers={"ctrl": True}))
    box = BoxSelectTool(persistent=False)
    plot.add_tools(box)
    plot.toolbar.active_drag = box
    plot.grid.visible = False
    plot.yaxis.visible, plot.yaxis.ticker = first, FixedTicker()  # the ticker most recordings need, see set_ticks
    plot.add_layout(_colour_bar(scale), "below")
    return Raster(plot, image, strips, rows, scale, box)


def _hover(renderer, rows: ColumnDataSource, spikes: bool) -> HoverTool:
    value = ("spikes in bin", "@value") if spikes else ("rate", "@value{0.0} Hz")
    return HoverTool(
        renderers=[renderer],
        tooltips=[("neuron", "$y{custom}"), ("time", "$x{0.00} s"), value],
        formatters={"$y": CustomJSHover(args={"rows": rows}, code=_ROW_LABEL)},
        mode="mouse",
    )


def _colour_bar(scale: Scale) -> ColorBar:
    return ColorBar(
        color_mapper=scale.bar,
        title="spikes per bin" if scale.spikes else "rate (Hz)",
        height=8,
        padding=2,
        margin=4,
        title_standoff=2,
        label_standoff=3,
        title_text_font_style="normal",
        title_text_font_size="11px",
        major_label_text_font_size="10px",
        ticker=BasicTicker(desired_num_ticks=4),
        background_fill_alpha=0,
        formatter=CustomJSTickFormatter(code=f"return tick >= {MAX_COUNT} ? '≥{MAX_COUNT}' : tick")
        if scale.spikes
        else "auto",
    )


def draw_raster(raster: Raster, rows: Rows, values: np.ndarray, high: float) -> None:
    """Show `values` (rows, T): counts or Hz, of which `high` has the last shade."""
    n_rows, n_bins = values.shape
    low, top = _in_view(raster.figure.y_range, n_rows)
    starts, columns = block_starts(low, top, RASTER_HEIGHT), block_starts(0, n_bins, MAX_COLUMNS)
    # Level and layer of an entry stay together: a hidden neuron must not get the spike of a seen one beside it.
    shades = np.minimum(values * ((LEVELS - 1) / high), LEVELS - 1).astype(np.uint8) + LEVELS * rows.layer
    place = {"x": [rows.times[0]], "y": [low], "dw": [rows.times[-1] - rows.times[0]], "dh": [top - low]}
    shown = value_of_max(values, shades, starts, columns, top)
    raster.rows.data = {"label": _labels(rows.labels, starts, top)}
    raster.image.data = {"image": [block_max(shades, starts, columns, top)], "value": [shown], **place}


def draw_strips(raster: Raster, rows: Rows, look: Look) -> None:
    """Region and hidden rows on the left, hidden bins on top; the more of a row or bin is hidden, the stronger."""
    n_rows = len(rows.labels)
    low, top = _in_view(raster.figure.y_range, n_rows)
    starts = block_starts(low, top, RASTER_HEIGHT)
    left = np.zeros((starts.size, 10), np.uint32)
    left[:, :5] = np.array([rgba(rows.colours[i]) for i in starts], np.uint32)[:, None]
    left[:, 6:9] = _tones(rows.layer[:top], look, starts)[:, None]
    above = _tones(rows.layer.T, look, np.arange(rows.layer.shape[1]))[None]
    window = rows.times[-1] - rows.times[0]
    raster.strips.data = {
        "image": [left, above],
        "x": [rows.times[0] - STRIP * window, rows.times[0]],
        "y": [low, top + 0.3 * TOP * (top - low)],
        "dw": [STRIP * window, window],
        "dh": [top - low, 0.6 * TOP * (top - low)],
    }


def _tones(layer: np.ndarray, look: Look, starts: np.ndarray) -> np.ndarray:
    """Colour of each block of rows: what is hidden there, as opaque as its share."""
    kind = np.maximum.reduceat(layer.max(1), starts)
    share = np.maximum.reduceat((layer > SEEN).mean(1), starts)
    opacity = np.where(kind > SEEN, (FAINTEST + (1 - FAINTEST) * share) * 255, 0).astype(np.uint32)
    colour = np.array([0, rgba(look.unscored), rgba(look.hidden)], np.uint32)[kind]
    return (colour & 0xFFFFFF) | opacity << 24


def recolour(scale: Scale, look: Look, high: float) -> None:
    """Colours of the present theme, and the end of the scale."""
    kind = "spikes" if scale.spikes else "rates"
    seen, unscored, scored = (getattr(look, f"{kind}_{name}") for name in ("seen", "unscored", "scored"))
    scale.image.palette = [*seen, *unscored, *scored]
    scale.bar.update(palette=list(seen if scale.spikes else scored), high=high)


def label_bands(plot: figure, bands: list[tuple[float, str]]) -> None:
    """Region names at the middle of their bands; plain row numbers where there are no bands."""
    set_ticks(plot.yaxis[0], [centre for centre, _ in bands], dict(bands))


def _in_view(y_range: Range1d, n_rows: int) -> tuple[int, int]:
    low, top = sorted((float(y_range.start), float(y_range.end)))
    first = int(np.clip(np.floor(low), 0, n_rows - 1))
    return first, int(np.clip(np.ceil(top), first + 1, n_rows))


def _labels(labels: list[str], starts: np.ndarray, end: int) -> list[str]:
    stops = [*starts[1:], end]
    return [
        labels[a] if b - a == 1 else f"{labels[a]} (strongest of {b - a} rows; zoom in)"
        for a, b in zip(starts, stops, strict=True)
    ]


def rgba(colour: str) -> int:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return 0xFF000000 | blue << 16 | green << 8 | red
