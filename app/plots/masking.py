"""Tables of numbers inside the model as colours: what is read, tokens, attention; and the mask as three flat tones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    HoverTool,
    LinearColorMapper,
    Range1d,
    Span,
)
from bokeh.plotting import figure

from ..theme import LEVELS, RASTER_HEIGHT, Look
from .blocks import block_max, block_starts
from .raster import Raster, Scale
from .ticks import set_ticks

N_PREFIX = 2  # tokens in front of the bins: session, prompt
PREFIX = 0.045  # width of each of them, as a share of the window
GAP = 0.015  # between them and the bins
SHARPEST = 0.995  # quantile of what is drawn that has the last colour
STEPS, MOST_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0), 6  # s between ticks, and how many there are
TONES = 0.45  # place of the tones of a mask in the ramps of the spikes


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table of numbers over time, in blocks that may stand apart."""

    figure: figure
    blocks: ColumnDataSource
    colours: LinearColorMapper
    bar: ColorBar
    both_signs: bool


@dataclass(frozen=True, eq=False)
class Block:
    """Numbers (rows, columns) and the rectangle they fill; rows from the bottom up."""

    values: np.ndarray
    x: tuple[float, float]
    y: tuple[float, float]


def make_sheet(title: str, axes: tuple[str, str], unit: str, both_signs: bool) -> Sheet:
    plot = figure(
        title=title,
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        frame_height=RASTER_HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label=axes[0],
        y_axis_label=axes[1],
        output_backend="canvas",
        min_border_right=12,
    )
    blocks = ColumnDataSource({"image": [np.zeros((1, 1))], "x": [0], "y": [0], "dw": [1], "dh": [1]})
    colours = LinearColorMapper(palette=["#888888"] * LEVELS, low=0, high=1, nan_color="rgba(0,0,0,0)")
    drawn = plot.image("image", source=blocks, x="x", y="y", dw="dw", dh="dh", color_mapper=colours)
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color="#7f8b97"))
    tooltips = [("across", "$x{0.00} s"), ("up", "$y{0.00}"), (unit, "@image{0.0000}")]
    plot.add_tools(HoverTool(renderers=[drawn], tooltips=tooltips, mode="mouse"))
    bar = ColorBar(
        color_mapper=colours,
        title=unit,
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
    )
    plot.add_layout(bar, "below")
    plot.grid.visible = False
    return Sheet(plot, blocks, colours, bar, both_signs)


def draw_sheet(sheet: Sheet, blocks: Sequence[Block], high: float | None = None) -> None:
    """Show blocks; the axes fit them, the colours go to `high`, or to nearly the largest number."""
    high = end_of_colours([block.values for block in blocks]) if high is None else high
    sheet.colours.update(low=-high if sheet.both_signs else 0, high=high)
    sheet.blocks.data = {
        "image": [np.ascontiguousarray(block.values, dtype=np.float32) for block in blocks],
        "x": [block.x[0] for block in blocks],
        "y": [block.y[0] for block in blocks],
        "dw": [block.x[1] - block.x[0] for block in blocks],
        "dh": [block.y[1] - block.y[0] for block in blocks],
    }
    edges = [np.array([end for block in blocks for end in getattr(block, axis)]) for axis in "xy"]
    for axis, ends in zip((sheet.figure.x_range, sheet.figure.y_range), edges, strict=True):
        axis.update(start=float(ends.min()), end=float(ends.max()))


def end_of_colours(tables: Sequence[np.ndarray]) -> float:
    """The largest absolute value, single peaks left out: they would leave everything else without colour."""
    values = np.abs(np.concatenate([table.ravel() for table in tables]))
    values = values[np.isfinite(values)]
    top = float(np.quantile(values, SHARPEST)) if values.size else 0.0
    return top if top > 0 else 1.0


def recolour_sheet(sheet: Sheet, look: Look) -> None:
    """NaN (hidden, or nothing may be read there) looks like what is hidden everywhere in the app."""
    sheet.colours.palette = list(look.diverging if sheet.both_signs else look.rates_scored)
    sheet.colours.nan_color = look.unscored
    sheet.bar.update(title_text_color=look.ink, major_label_text_color=look.ink)


# --- what is drawn as sheets ------------------------------------------------------------------------------------------


def neuron_block(values: np.ndarray, hidden: np.ndarray, window: tuple[float, float]) -> Block:
    """Values (rows, T) of neurons, hidden ones NaN; of rows that share a pixel the largest, or the hidden one."""
    starts, columns = block_starts(0, len(values), RASTER_HEIGHT), np.arange(values.shape[1])
    largest = block_max(values, starts, columns, len(values))
    smallest = -block_max(-values, starts, columns, len(values))
    shown = np.where(largest >= -smallest, largest, smallest)
    covered = block_max(hidden, starts, columns, len(values))
    return Block(np.where(covered, np.nan, shown), window, (0, len(values)))


def token_blocks(tokens: np.ndarray, window: tuple[float, float], prefix: bool) -> list[Block]:
    """Tokens (S, D) from left to right; with `prefix` the first two stand apart in front."""
    rows = (0, tokens.shape[1])
    if not prefix:
        return [Block(tokens.T, window, rows)]
    first, last = _before(window), tokens[N_PREFIX:].T
    return [Block(tokens[:N_PREFIX].T, first, rows), Block(last, window, rows)]


def attention_blocks(weights: np.ndarray, window: tuple[float, float], causal: bool) -> list[Block]:
    """Weights (2 + T, 2 + T): readers from the bottom up, what they read from left to right; a forbidden future NaN."""
    places, spans = (slice(None, N_PREFIX), slice(N_PREFIX, None)), (_before(window), window)
    shown = weights.astype(np.float32)
    if causal:
        shown[(weights == 0) & np.triu(np.ones(weights.shape, dtype=bool), 1)] = np.nan
    return [
        Block(shown[row, column], across, up)
        for row, up in zip(places, spans, strict=True)
        for column, across in zip(places, spans, strict=True)
    ]


def label_prefix(sheet: Sheet, window: tuple[float, float], up: bool) -> None:
    """S and P at the session and the prompt token, times at the bins; `up`: on the vertical axis as well."""
    first, last = _before(window)
    centres = [first + (last - first) * share for share in (0.25, 0.75)]
    step = next((step for step in STEPS if step >= (window[1] - window[0]) / MOST_TICKS), STEPS[-1])
    # Not at the first edge, where S and P are near.
    first_tick = np.floor(window[0] / step) + 1
    times = [round(float(step * i), 6) for i in np.arange(first_tick, np.floor(window[1] / step + 1e-6) + 1)]
    for axis in (*sheet.figure.xaxis, *(sheet.figure.yaxis if up else ())):
        set_ticks(axis, [*centres, *times], {centres[0]: "S", centres[1]: "P"})


def _before(window: tuple[float, float]) -> tuple[float, float]:
    """Where the two tokens in front of the window stand."""
    length = window[1] - window[0]
    return window[0] - (N_PREFIX * PREFIX + GAP) * length, window[0] - GAP * length


# --- the mask ---------------------------------------------------------------------------------------------------------


def flat_tones(look: Look) -> tuple[str, str, str]:
    """Seen, hidden but not scored, hidden and scored."""
    return look.surface, look.unscored, look.accent


def recolour_mask(scale: Scale, look: Look) -> None:
    scale.image.palette = [tone for tone in flat_tones(look) for _ in range(LEVELS)]


def without_bar(raster: Raster) -> None:
    """A mask has no scale."""
    for bar in raster.figure.below:
        if isinstance(bar, ColorBar):
            bar.visible = False


def small_picture(counts: np.ndarray, kinds: np.ndarray, n_rows: int) -> np.ndarray:
    """(rows, T) uint8: twice the kind of an entry (0 seen, 1 unscored, 2 scored), and 1 more where a spike is.

    Arguments are (N, T), in display order from the bottom row to the top row; the result goes from the top down. Of
    more than n_rows neurons every so-manieth is taken, which keeps the share that is hidden; a maximum would not.
    """
    rows = block_starts(0, len(kinds), n_rows)
    return (2 * kinds[rows] + (counts[rows] > 0)).astype(np.uint8)[::-1]


def small_tones(look: Look) -> list[str]:
    """Colours of the numbers of `small_picture`."""
    spike = round(TONES * (LEVELS - 1))
    dark = "#5c1547" if look.surface == "#ffffff" else "#ffe1ec"
    return [look.surface, look.spikes_seen[spike], look.unscored, look.faint, look.accent, dark]
