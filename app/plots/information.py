"""The information map as a heat map of sources by targets, and what the regions lose as bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    FactorRange,
    HoverTool,
    LinearColorMapper,
    Range1d,
    Span,
    Whisker,
)
from bokeh.plotting import figure

from ..theme import Look, ramp
from .ticks import set_ticks

CELL = 30  # px per region
STRIP = 0.34  # width of the strips of region colours, in cells
SHADES = 101  # odd: the middle one is 0
SMALLEST_LIMIT = 0.005  # bits per spike; smaller gains would be noise blown up to full colour
COLD_LIGHT, WARM_LIGHT = ("#174a7c", "#7fb0d8"), ("#e7987c", "#9c2b1d")
COLD_DARK, WARM_DARK = ("#9ccbf5", "#3f77ad"), ("#b4553b", "#ffb598")


@dataclass(frozen=True)
class MapCells:
    """What is drawn. Matrices are sources by targets; texts are for the pointer, row by row, one per cell."""

    names: tuple[str, ...]
    colours: tuple[str, ...]
    gain: np.ndarray  # bits per spike; NaN: not measured yet
    marked: np.ndarray  # bool
    texts: dict[str, list[str]]  # "interval", "pooled", "control", "p", "q"


@dataclass(frozen=True, eq=False)
class MapFigure:
    figure: figure
    empty: ColumnDataSource
    cells: ColumnDataSource
    marks: ColumnDataSource
    chosen: ColumnDataSource
    strips: ColumnDataSource
    shades: LinearColorMapper
    bar: ColorBar
    glyphs: tuple  # renderers whose colours follow the theme: empty cells, marks, the frame of the chosen cell


def make_map_figure() -> MapFigure:
    plot = figure(
        title="Gain in bits per spike of the target (dot: finding)",
        x_range=Range1d(-1, 1),
        y_range=Range1d(1, -1),
        frame_height=CELL,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="target region (predicted)",
        y_axis_label="source region (hidden or shown)",
        output_backend="canvas",
    )
    sources = [ColumnDataSource({name: [] for name in columns.split()}) for columns in _COLUMNS]
    empty, cells, marks, chosen, strips = sources
    shades = LinearColorMapper(palette=["#ffffff"] * SHADES, low=-1, high=1, nan_color="rgba(0,0,0,0)")
    hatched = plot.rect("x", "y", 1, 1, source=empty, fill_alpha=0, hatch_pattern="/", hatch_alpha=0.5, line_alpha=0)
    rects = plot.rect("x", "y", 1, 1, source=cells, fill_color={"field": "gain", "transform": shades}, line_alpha=0.25)
    plot.rect("x", "y", "width", "height", source=strips, fill_color="colour", line_color=None)
    dots = plot.scatter("x", "y", source=marks, size=6)
    frame = plot.rect("x", "y", 0.96, 0.96, source=chosen, fill_alpha=0, line_width=2.5)
    plot.add_tools(HoverTool(renderers=[rects], tooltips=_TOOLTIPS, attachment="above"))
    bar = ColorBar(color_mapper=shades, ticker=BasicTicker(desired_num_ticks=5), title="bits per spike", width=10)
    plot.add_layout(bar, "right")
    plot.grid.visible = False
    return MapFigure(plot, *sources, shades, bar, (hatched, rects, dots, frame))


_COLUMNS = (
    "x y",
    "x y gain source target interval pooled control p q",
    "x y",
    "x y",
    "x y width height colour",
)
_TOOLTIPS = [
    ("source → target", "@source → @target"),
    ("gain, mean over neurons", "@gain{0.000}"),
    ("95 % interval", "@interval"),
    ("gain, pooled", "@pooled"),
    ("source from other trials", "@control"),
    ("p, q", "@p, @q"),
]


def colour_limit(gain: np.ndarray) -> float:
    """Where the colours end: the largest gain between two regions; the diagonal is often far larger."""
    between = np.abs(gain[~np.eye(len(gain), dtype=bool)])
    known = between[np.isfinite(between)]
    return float(max(known.max(initial=0.0), SMALLEST_LIMIT))


def draw_map(shown: MapFigure, drawn: MapCells) -> None:
    """Sources from top to bottom, targets from left to right."""
    n, names = len(drawn.names), drawn.names
    plot, limit = shown.figure, colour_limit(drawn.gain)
    y, x = (axis.ravel() for axis in np.mgrid[:n, :n])
    unknown = np.isnan(drawn.gain.ravel())
    shown.shades.update(low=-limit, high=limit)
    shown.empty.data = {"x": x[unknown], "y": y[unknown]}
    shown.cells.data = {
        "x": x,
        "y": y,
        "gain": drawn.gain.ravel(),
        "source": [names[i] for i in y],
        "target": [names[i] for i in x],
        **drawn.texts,
    }
    marked = drawn.marked.ravel()
    shown.marks.data = {"x": x[marked], "y": y[marked]}
    at, edge = np.arange(n), np.full(n, -0.5 - STRIP / 2)
    size, thin = np.ones(n), np.full(n, STRIP)
    shown.strips.data = {
        "x": np.r_[edge, at],
        "y": np.r_[at, n - 1 - edge],
        "width": np.r_[thin, size],
        "height": np.r_[size, thin],
        "colour": [*drawn.colours, *drawn.colours],
    }
    plot.x_range.update(start=-0.5 - STRIP, end=n - 0.5)
    plot.y_range.update(start=n - 0.5 + STRIP, end=-0.5)
    plot.frame_height = CELL * (n + 1)
    for axis in (*plot.xaxis, *plot.yaxis):
        set_ticks(axis, range(n), dict(enumerate(names)))
    plot.xaxis.major_label_orientation = 0.9


def choose_cell(shown: MapFigure, cell: tuple[int, int] | None) -> None:
    """Frame the cell (source, target)."""
    shown.chosen.data = {"x": [], "y": []} if cell is None else {"x": [cell[1]], "y": [cell[0]]}


def cell_at(x: float | None, y: float | None, n: int) -> tuple[int, int] | None:
    """The cell (source, target) at a point of the figure."""
    if x is None or y is None or not (np.isfinite(x) and np.isfinite(y)):
        return None
    source, target = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    return (source, target) if 0 <= source < n and 0 <= target < n else None


def recolour_map(shown: MapFigure, look: Look, dark: bool) -> None:
    cold, warm = (COLD_DARK, WARM_DARK) if dark else (COLD_LIGHT, WARM_LIGHT)
    shown.shades.palette = list(ramp(*cold, look.surface, *warm, n=SHADES))
    hatched, rects, dots, frame = shown.glyphs
    hatched.glyph.hatch_color = look.faint
    rects.glyph.line_color = look.grid
    dots.glyph.update(fill_color=look.ink, line_color=look.surface)
    frame.glyph.line_color = look.ink
    shown.bar.update(background_fill_alpha=0, title_text_color=look.ink, major_label_text_color=look.ink)


# --- what a context is worth ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossBars:
    """One bar per region, bits per spike."""

    names: tuple[str, ...]
    colours: tuple[str, ...]
    loss: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_neurons: np.ndarray


@dataclass(frozen=True, eq=False)
class LossFigure:
    figure: figure
    bars: ColumnDataSource
    whisker: Whisker


def make_loss_figure() -> LossFigure:
    plot = figure(
        title="What each region loses",
        y_range=FactorRange(),
        x_range=Range1d(-0.01, 0.1),
        frame_height=CELL,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="loss in bits per spike (mean over neurons, 95 % interval)",
        y_axis_label="target region",
        output_backend="canvas",
        min_border_right=16,
    )
    bars = ColumnDataSource({name: [] for name in ("region", "loss", "low", "high", "colour", "n", "interval")})
    bar = plot.hbar(y="region", right="loss", height=0.6, color="colour", fill_alpha=0.7, source=bars)
    whisker = Whisker(source=bars, base="region", lower="low", upper="high", dimension="width", level="overlay")
    plot.add_layout(whisker)
    plot.add_layout(Span(location=0, dimension="height", line_width=1, line_color="#7f8b97"))
    tooltips = [("region", "@region"), ("loss", "@loss{0.000}"), ("95 % interval", "@interval"), ("neurons", "@n")]
    plot.add_tools(HoverTool(renderers=[bar], tooltips=tooltips))
    plot.ygrid.visible = False
    return LossFigure(plot, bars, whisker)


def draw_losses(shown: LossFigure, drawn: LossBars) -> None:
    """Regions from top to bottom."""
    shown.figure.y_range.factors = list(drawn.names[::-1])
    shown.figure.frame_height = CELL * (len(drawn.names) + 1)
    edges = np.concatenate([drawn.low, drawn.high, [0.0]])
    edges = edges[np.isfinite(edges)]
    margin = max(0.06 * np.ptp(edges), 0.002)
    shown.figure.x_range.update(start=float(edges.min() - margin), end=float(edges.max() + margin))
    shown.bars.data = {
        "region": list(drawn.names),
        "loss": drawn.loss,
        "low": drawn.low,
        "high": drawn.high,
        "colour": list(drawn.colours),
        "n": drawn.n_neurons,
        "interval": [f"{low:.3f} to {high:.3f}" for low, high in zip(drawn.low, drawn.high, strict=True)],
    }


def recolour_losses(shown: LossFigure, look: Look) -> None:
    shown.figure.xgrid.grid_line_color = look.grid
    shown.whisker.update(line_color=look.ink)
    for head in (shown.whisker.upper_head, shown.whisker.lower_head):
        head.update(line_color=look.ink, size=8)
