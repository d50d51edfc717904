"""Trials x time of one neuron as images in one order of trials: recorded, predicted, and their residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, CustomJSHover, HoverTool, LinearColorMapper, Range1d, Span
from bokeh.plotting import figure

from ..theme import Look, ramp
from .quiet import ZERO, quiet_figure

HEIGHT = 230  # px inside the axes
STRIP = 0.045  # width of the strip of sort values beside the image, as a share of the window
SHADES = ramp("#f4f1fa", "#8f77b5", "#2d1650")  # of sort values, low to high


@dataclass(frozen=True, eq=False)
class TrialRows:
    """What all maps of a page share: rows are trials in order, from the bottom up."""

    times: np.ndarray  # edges of the bins, s
    trials: np.ndarray  # (K,) trial number in the recording, per row
    values: np.ndarray  # (K,) of the sort key, per row; NaN where unknown
    key: str  # name of the key
    in_seconds: bool  # the key is a time from the stimulus: it is also drawn over the images


@dataclass(frozen=True, eq=False)
class TrialMap:
    figure: figure
    image: ColumnDataSource
    strip: ColumnDataSource
    mark: ColumnDataSource
    mapper: LinearColorMapper
    kind: str  # "spikes", "rates" or "residuals"


def make_trial_map(title: str, kind: str, unit: str, rows: Range1d) -> TrialMap:
    plot = quiet_figure(title, "time from stimulus (s)", "trials, in order", HEIGHT)
    plot.y_range = rows
    mapper = LinearColorMapper(palette=["#ffffff", "#000000"], low=0, high=1)
    image = ColumnDataSource({"value": [], "x": [], "dw": [], "dh": [], "trial": []})
    drawn = plot.image("value", x="x", y=0, dw="dw", dh="dh", color_mapper=mapper, source=image)
    strip = ColumnDataSource({name: [] for name in ("left", "right", "bottom", "top", "colour", "value", "trial")})
    marks = plot.quad(
        left="left", right="right", bottom="bottom", top="top", color="colour", line_width=0, source=strip
    )
    mark = ColumnDataSource({"x": [], "y": []})
    plot.scatter("x", "y", size=3.4, fill_color="#00a98f", line_color="#ffffff", line_width=0.4, source=mark)
    plot.add_layout(Span(location=0, dimension="height", line_dash="dashed", line_width=1, line_color=ZERO))
    trial = CustomJSHover(code="return image.data.trial[0][special_vars.image_index.j]", args={"image": image})
    tips = [("trial", "@trial{custom}"), (unit, "@value{0.0}"), ("time", "$x{0.00} s")]
    plot.add_tools(HoverTool(renderers=[drawn], tooltips=tips, formatters={"@trial": trial}))
    plot.add_tools(HoverTool(renderers=[marks], tooltips=[("trial", "@trial"), ("sorted by", "@value")]))
    bar = ColorBar(color_mapper=mapper, width=8, padding=4, bar_line_width=0)
    plot.add_layout(bar, "right")
    plot.ygrid.visible = False
    return TrialMap(plot, image, strip, mark, mapper, kind)


def draw_trial_map(shown: TrialMap, rows: TrialRows, values: np.ndarray, high: float) -> None:
    """values: (K, T) in the order of the rows, NaN where not scored; high: top of the color scale."""
    n_trials, start, end = len(values), float(rows.times[0]), float(rows.times[-1])
    shown.image.data = {
        "value": [values.astype(np.float32)],
        "x": [start],
        "dw": [end - start],
        "dh": [n_trials],
        "trial": [rows.trials.tolist()],
    }
    shown.mapper.update(low=-high if shown.kind == "residuals" else 0.0, high=high)
    width = STRIP * (end - start)
    at = np.arange(n_trials)
    shown.strip.data = {
        "left": np.full(n_trials, start - 1.35 * width),
        "right": np.full(n_trials, start - 0.35 * width),
        "bottom": at,
        "top": at + 1,
        "colour": value_colours(rows.values),
        "value": [f"{rows.key} {value:.3g}" if np.isfinite(value) else f"{rows.key} unknown" for value in rows.values],
        "trial": rows.trials,
    }
    inside = np.isfinite(rows.values) & (rows.values >= start) & (rows.values <= end) & rows.in_seconds
    shown.mark.data = {"x": rows.values[inside], "y": at[inside] + 0.5}
    shown.figure.x_range.update(start=start - 1.7 * width, end=end)


def value_colours(values: np.ndarray) -> list[str]:
    """Shades from low to high values; a few far ones, such as trials without an answer, do not stretch the scale."""
    known = np.isfinite(values)
    shades = np.full(len(values), "#00000000", dtype=object)
    if known.any():
        low, high = np.quantile(values[known], [0.05, 0.9])
        place = np.clip((values[known] - low) / ((high - low) or 1.0), 0.0, 1.0)
        shades[known] = np.array(SHADES)[np.rint(place * (len(SHADES) - 1)).astype(int)]
    return shades.tolist()


def high_of(values: np.ndarray, least: float) -> float:
    """Top of a scale that nearly all values fit on."""
    known = np.abs(values[np.isfinite(values)])
    return float(max(least, np.quantile(known, 0.995))) if known.size else least


def recolour_trial_map(shown: TrialMap, look: Look) -> None:
    palettes = {"spikes": look.spikes_seen, "rates": look.rates_scored, "residuals": look.diverging}
    shown.mapper.update(palette=list(palettes[shown.kind]), nan_color=look.grid)
    bar = shown.figure.right[0]
    bar.update(major_label_text_color=look.ink, background_fill_alpha=0)
