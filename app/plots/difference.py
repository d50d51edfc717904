"""A raster of changes: less, as much or more than before, in colours that diverge from the surface."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColorBar, HoverTool, LinearColorMapper, Range1d

from ..theme import RASTER_HEIGHT, Look
from .blocks import block_max, block_starts
from .raster import MAX_COLUMNS, Raster, Rows, Scale, make_raster

UNIT = "spikes/s"
_STEPS = tuple(float(f"{digit}e{power}") for power in range(-2, 4) for digit in (1, 2, 5))


def make_difference(title: str, ranges: tuple[Range1d, Range1d]) -> Raster:
    """An empty raster; it shows the axis of neurons."""
    colours = LinearColorMapper(palette=["#888888"], low=-1, high=1)
    raster = make_raster(title, Scale(False, colours, colours), ranges, first=True)
    bar = next(each for each in raster.figure.below if isinstance(each, ColorBar))
    bar.title = f"difference ({UNIT}): what-if minus as recorded"
    hover = raster.figure.select_one(HoverTool)
    hover.tooltips = [*hover.tooltips[:2], ("difference", f"@value{{+0.00}} {UNIT}")]
    raster.figure.toolbar.active_drag = None  # nothing is chosen here
    return raster


def draw_difference(raster: Raster, rows: Rows, values: np.ndarray) -> None:
    """Show `values` (rows, T) in spikes/s; of each block of rows too thin to see, the largest change."""
    n_rows, n_bins = values.shape
    starts, columns = block_starts(0, n_rows, RASTER_HEIGHT), block_starts(0, n_bins, MAX_COLUMNS)
    more, less = (block_max(side, starts, columns, n_rows) for side in (values, -values))
    image = np.where(more >= less, more, -less).astype(np.float32)
    stops = [*starts[1:], n_rows]
    labels = [
        rows.labels[a] if b - a == 1 else f"{rows.labels[a]} (largest of {b - a} rows)"
        for a, b in zip(starts, stops, strict=True)
    ]
    raster.rows.data = {"label": labels}
    window = rows.times[-1] - rows.times[0]
    place = {"x": [rows.times[0]], "y": [0], "dw": [window], "dh": [n_rows]}
    raster.image.data = {"image": [image], "value": [image], **place}
    high = end_of(values)
    raster.scale.image.update(low=-high, high=high)


def end_of(values: np.ndarray) -> float:
    """End of the scale, as 1, 2 or 5 times a power of ten: nearly all changes fit on it."""
    large = float(np.quantile(np.abs(values), 0.998)) if values.size else 0.0
    return next((step for step in _STEPS if step >= large), _STEPS[-1])


def recolour_difference(raster: Raster, look: Look) -> None:
    raster.scale.image.palette = list(look.diverging)
