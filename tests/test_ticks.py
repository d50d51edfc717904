"""Ticks at chosen places, and that a picture with the same ticks leaves the page alone."""

from __future__ import annotations

import pytest
from bokeh.document import Document
from bokeh.document.models import DocumentModelManager
from bokeh.models import BasicTicker
from bokeh.plotting import figure

from app.plots.ticks import set_ticks


def test_ticks_stand_where_they_are_asked_for_and_go_again():
    axis = figure().xaxis[0]
    set_ticks(axis, [1, 2.5], {2.5: "CA1"})
    assert axis.ticker.ticks == [1.0, 2.5] and axis.major_label_overrides == {2.5: "CA1"}
    set_ticks(axis, [], {})
    assert isinstance(axis.ticker, BasicTicker) and axis.major_label_overrides == {}


@pytest.mark.parametrize("places", [(1.0, 2.0), (3.0,)], ids=["the same", "others"])
def test_the_page_is_not_walked_through_for_ticks(places, monkeypatch):
    plot, document, walks = figure(), Document(), []
    document.add_root(plot)
    set_ticks(plot.yaxis[0], (1.0, 2.0), {1.0: "CA1"})
    monkeypatch.setattr(DocumentModelManager, "recompute", lambda self: walks.append(self))
    set_ticks(plot.yaxis[0], places, {1.0: "CA1"})
    assert not walks
    plot.yaxis[0].ticker = BasicTicker()
    assert walks  # what another ticker costs
