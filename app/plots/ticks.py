"""Ticks at chosen places of an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bokeh.models import Axis, BasicTicker, FixedTicker


def set_ticks(axis: Axis, places: Sequence[float], labels: Mapping[float, str]) -> None:
    """Ticks at these places, with a label where one is given and the number elsewhere; without places, Bokeh's own.

    A ticker that can be told new places stays: for another one Bokeh walks through everything on the page, which takes
    longer than to draw a picture.
    """
    kind = FixedTicker if len(places) else BasicTicker
    if type(axis.ticker) is not kind:
        axis.ticker = kind()
    if len(places):
        axis.ticker.ticks = [float(place) for place in places]
    axis.major_label_overrides = dict(labels)
