"""The whole session as one raster: every spike of every trial, drawn by Datashader for the part in view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from bokeh.models import BoxZoomTool, ColumnDataSource, LinearColorMapper, Range1d, ResetTool, WheelZoomTool
from bokeh.plotting import figure

from ..theme import LEVELS, Look
from .raster import Rows, rgba

HEIGHT = 380  # px inside the axes
WIDTH = 1000  # columns of the aggregate
STRIP = 0.012  # width of the region strip, as a share of what is in view
TOP = 0.03


@dataclass(frozen=True, eq=False)
class SessionRaster:
    figure: figure
    image: ColumnDataSource
    strips: ColumnDataSource
    here: ColumnDataSource
    mapper: LinearColorMapper
    box: BoxZoomTool


def make_session_raster() -> SessionRaster:
    plot = figure(
        title="Every spike of the session",
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        frame_height=HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="trial (within each: time from stimulus)",
        y_axis_label="neurons",
        output_backend="canvas",
        min_border_right=14,
    )
    place = {"x": [0], "y": [0], "dw": [1], "dh": [1]}
    image = ColumnDataSource({"image": [np.zeros((1, 1), np.float32)], **place})
    strips = ColumnDataSource({"image": [np.zeros((1, 1), np.uint32)], **place})
    here = ColumnDataSource({"left": [0], "right": [0], "bottom": [0], "top": [1]})
    mapper = LinearColorMapper(palette=["#888888"] * LEVELS, low=0, high=1)
    plot.image("image", source=image, x="x", y="y", dw="dw", dh="dh", color_mapper=mapper)
    plot.image_rgba("image", source=strips, x="x", y="y", dw="dw", dh="dh")
    plot.quad(
        left="left",
        right="right",
        bottom="bottom",
        top="top",
        source=here,
        fill_alpha=0.12,
        line_width=1.5,
        name="here",
    )
    box = BoxZoomTool()
    plot.add_tools(box, WheelZoomTool(modifiers={"ctrl": True}), ResetTool())
    plot.toolbar.active_drag = box
    plot.grid.visible = False
    return SessionRaster(plot, image, strips, here, mapper, box)


def spike_table(counts: np.ndarray, order: np.ndarray) -> pd.DataFrame:
    """Spikes of (K, T, N) counts as points: x in trials, y in display rows; x sorted, float64."""
    trial, time, neuron = np.nonzero(counts)
    row = np.empty(order.size)
    row[order] = np.arange(order.size)
    # float32 would round positions late in a long session to another pixel than the canvas expects.
    x = trial + (time + 0.5) / counts.shape[1]
    return pd.DataFrame({"x": x, "y": row[neuron] + 0.5, "n": counts[trial, time, neuron].astype(np.float64)})


def draw_session(raster: SessionRaster, spikes: pd.DataFrame, n_trials: int, n_rows: int) -> None:
    """Aggregate the part in view: spikes per pixel, every row on a scale of its own."""
    import datashader as ds  # 80 MB, for those who open this raster only

    (x0, x1), (y0, y1) = _view(raster.figure, n_trials, n_rows)
    y0, y1 = np.floor(y0), np.ceil(y1)
    first, last = np.searchsorted(spikes["x"], (x0, x1))
    # No more pixel rows than neurons, or some would stay empty and draw white lines between them.
    height = int(min(HEIGHT, y1 - y0))
    canvas = ds.Canvas(plot_width=WIDTH, plot_height=height, x_range=(x0, x1), y_range=(y0, y1))
    grid = np.nan_to_num(canvas.points(spikes.iloc[first:last], "x", "y", ds.sum("n")).to_numpy())
    raster.image.data = {
        "image": [_row_shades(grid)],
        "x": [x0],
        "y": [y0],
        "dw": [x1 - x0],
        "dh": [y1 - y0],
    }


def _row_shades(grid: np.ndarray) -> np.ndarray:
    """0 to 1 per row: rates span decades, and on one scale busy neurons would be black and quiet ones white."""
    top = np.quantile(grid, 0.99, axis=1, keepdims=True)
    top = np.where(top > 0, top, np.maximum(grid.max(axis=1, keepdims=True), 1.0))
    return np.minimum(grid / top, 1.0).astype(np.float32)


def draw_session_strips(raster: SessionRaster, rows: Rows, held_out: np.ndarray, look: Look) -> None:
    """Region bands on the left; held-out trials on top."""
    n_rows, n_trials = len(rows.colours), held_out.size
    left = np.repeat(np.array([[rgba(colour)] for colour in rows.colours], np.uint32), 2, axis=1)
    above = np.where(held_out, rgba(look.accent), 0).astype(np.uint32)[None]
    raster.strips.data = {
        "image": [left, above],
        "x": [-STRIP * n_trials, 0],
        "y": [0, n_rows * (1 + 0.2 * TOP)],
        "dw": [STRIP * n_trials * 0.8, n_trials],
        "dh": [n_rows, 0.7 * TOP * n_rows],
    }


def show_all(raster: SessionRaster, n_trials: int, n_rows: int) -> None:
    x_range, y_range = raster.figure.x_range, raster.figure.y_range
    x_range.update(start=-STRIP * n_trials, end=n_trials, reset_start=-STRIP * n_trials, reset_end=n_trials)
    y_range.update(start=0, end=n_rows * (1 + TOP), reset_start=0, reset_end=n_rows * (1 + TOP))


def mark_trial(raster: SessionRaster, trial: int, n_rows: int) -> None:
    raster.here.data = {"left": [trial], "right": [trial + 1], "bottom": [0], "top": [n_rows]}


def recolour_session(raster: SessionRaster, look: Look) -> None:
    raster.mapper.palette = list(look.spikes_seen)
    glyph = raster.figure.select_one({"name": "here"}).glyph
    glyph.update(fill_color=look.accent, line_color=look.accent)


def _view(plot: figure, n_trials: int, n_rows: int) -> tuple[tuple[float, float], tuple[float, float]]:
    def clip(low: float, high: float, most: int) -> tuple[float, float]:
        low, high = max(0.0, min(low, high)), min(float(most), max(low, high))
        return (low, high) if high > low else (0.0, float(most))

    return clip(plot.x_range.start, plot.x_range.end, n_trials), clip(plot.y_range.start, plot.y_range.end, n_rows)
