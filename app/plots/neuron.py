"""One neuron: what it did in this trial and on average, and what the model expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, Legend, LegendItem, Line, Range1d, Span
from bokeh.plotting import figure

from ..theme import PANEL_HEIGHT, Look

LINES = ("recorded", "predicted", "true")


@dataclass(frozen=True, eq=False)
class NeuronFigure:
    """A figure of rates over time: recorded, predicted, and true if known."""

    figure: figure
    source: ColumnDataSource
    hidden: ColumnDataSource
    parts: dict[str, list]  # name -> renderers


def make_neuron_figure(title: str, bars: bool) -> NeuronFigure:
    """bars: the recorded rate as bars (one trial); otherwise as a line with a band (PSTH)."""
    plot = figure(
        title=title,
        x_range=Range1d(0, 1),
        y_range=Range1d(0, 1),
        frame_height=PANEL_HEIGHT - 26,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_label="time from stimulus (s)",
        y_axis_label="rate (Hz)",
        output_backend="canvas",
        min_border_right=12,
    )
    names = (*LINES, "low", "high", "predicted_low", "predicted_high")
    source = ColumnDataSource({name: [] for name in ("time", "left", "right", *names)})
    hidden = ColumnDataSource({"left": [], "right": [], "top": [], "bottom": []})
    shade = plot.quad(
        left="left", right="right", top="top", bottom="bottom", source=hidden, line_color=None, fill_alpha=0.35
    )
    if bars:
        edges = {"left": "left", "right": "right", "top": "recorded", "bottom": 0}
        recorded = [plot.quad(**edges, source=source, line_color=None, fill_alpha=0.55)]
        predicted = []
    else:
        recorded = [
            plot.varea("time", "low", "high", source=source, fill_alpha=0.18),
            plot.line("time", "recorded", source=source, line_width=1.6),
        ]
        predicted = [plot.varea("time", "predicted_low", "predicted_high", source=source, fill_alpha=0.22)]
    predicted.append(plot.line("time", "predicted", source=source, line_width=2.4))
    true = [plot.line("time", "true", source=source, line_width=1.6, line_dash="dashed")]
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color="#7f8b97"))
    parts = {"hidden": [shade], "recorded": recorded, "predicted": predicted, "true": true}
    plot.add_layout(_legend(parts), "above")
    plot.xgrid.visible = False
    return NeuronFigure(plot, source, hidden, parts)


def _legend(parts: dict[str, list]) -> Legend:
    return Legend(
        items=[LegendItem(label=name, renderers=parts[name][-1:]) for name in LINES],
        orientation="horizontal",
        border_line_alpha=0,
        background_fill_alpha=0,
        label_text_font_size="10px",
        padding=0,
        margin=0,
        spacing=10,
        glyph_width=16,
        glyph_height=14,
    )


def draw_neuron(
    shown: NeuronFigure, times: np.ndarray, lines: dict[str, np.ndarray | None], hidden: np.ndarray
) -> None:
    """lines: columns of the source in Hz, None or absent where unknown; hidden: (T,) bool."""
    n_bins = times.size - 1
    missing = np.full(n_bins, np.nan)
    columns = {"time": (times[:-1] + times[1:]) / 2, "left": times[:-1], "right": times[1:]}
    for name in shown.source.data:
        if name not in columns:
            values = lines.get(name)
            columns[name] = missing if values is None else np.asarray(values, np.float64)
    shown.source.data = columns
    peaks = [np.nanmax(v) for k, v in columns.items() if k not in ("time", "left", "right") and np.isfinite(v).any()]
    top = 1.08 * max([1.0, *peaks])
    shown.figure.x_range.update(start=times[0], end=times[-1])
    shown.figure.y_range.update(start=0, end=float(top))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(np.int8), [0]]))).reshape(-1, 2)
    shown.hidden.data = {
        "left": times[edges[:, 0]],
        "right": times[edges[:, 1]],
        "top": [float(top)] * len(edges),
        "bottom": [0.0] * len(edges),
    }
    for name, item in zip(LINES, shown.figure.legend[0].items, strict=True):
        item.visible = lines.get(name) is not None
        for renderer in shown.parts[name]:
            renderer.visible = item.visible


def recolour_neuron(shown: NeuronFigure, look: Look) -> None:
    colours = {"hidden": look.unscored, "recorded": look.recorded, "predicted": look.accent, "true": look.truth}
    for name, colour in colours.items():
        for renderer in shown.parts[name]:
            setattr(renderer.glyph, "line_color" if isinstance(renderer.glyph, Line) else "fill_color", colour)
    shown.figure.ygrid.grid_line_color = look.grid
