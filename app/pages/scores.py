"""Bits per spike of what is hidden now, by region, over the held-out trials."""

from __future__ import annotations

import numpy as np
import panel as pn

from ..compute import Scores
from ..plots.regions import RegionLine, draw_regions, make_region_figure, recolour_regions
from ..state import State
from ..theme import look
from ..words import number
from .parts import TABLE_STYLE, card, explained, follow, table

HEAD = ("Region", "Mean", "Median", "Scored", "Silent")


def region_lines(scores: Scores) -> list[RegionLine]:
    """One line per region with scored neurons, in the order of the Allen table."""
    names, lines = scores.recording.region_names, []
    for region in scores.recording.regions:
        inside = (names == region) & scores.scored
        if not inside.any():
            continue
        counted = np.flatnonzero(inside & np.isfinite(scores.bits))
        lines.append(
            RegionLine(
                name=region,
                colour=str(scores.recording.colours[inside][0]),
                bits=scores.bits[counted],
                labels=[f"{n} · {names[n]}" for n in counted],
                n_silent=int((inside & scores.silent).sum()),
            )
        )
    return lines


def table_rows(scores: Scores, lines: list[RegionLine]) -> list[tuple]:
    rows = [(line.name, number(line.mean), number(_median(line.bits)), line.bits.size, line.n_silent) for line in lines]
    bits = scores.bits[np.isfinite(scores.bits)]
    mean = number(float(bits.mean())) if bits.size else "–"
    return [*rows, ("All", mean, number(_median(bits)), bits.size, int(scores.silent.sum()))]


def _median(bits: np.ndarray) -> float:
    return float(np.median(bits)) if bits.size else float("nan")


def view(state: State) -> pn.viewable.Viewable:
    shown = make_region_figure()
    numbers = pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width")
    waiting = pn.pane.HTML("", sizing_mode="stretch_width")

    def draw() -> None:
        scores = state.scores
        figure.visible = numbers.visible = bool(scores is not None and scores.scored.any())
        waiting.object = "" if figure.visible else f"<p>{_why_empty(state)}</p>"
        if not figure.visible:
            return
        lines = region_lines(scores)
        draw_regions(shown, lines)
        state_of = "" if scores.n_done == scores.n_trials else "Partial: "
        caption = (
            f"{state_of}{scores.n_done} held-out trials with the same mask. Null: each neuron's mean rate in the same "
            f"entries. All scored spikes pooled: {number(scores.pooled)} bits per spike."
        )
        numbers.object = table(HEAD, table_rows(scores, lines), caption)

    figure = pn.pane.Bokeh(shown.figure, sizing_mode="stretch_width")
    follow(state, ["scores", "picture", "spec"], draw, tab="scores")
    follow(state, ["dark"], lambda: recolour_regions(shown, look(state.dark)))
    return card(waiting, figure, numbers, explained("What are bits per spike?", "bits_per_spike"))


def _why_empty(state: State) -> str:
    if state.picture is None:
        return "Opening the recording…"
    if not state.picture.recording.known:
        return "No scores: this model has not been trained on this recording."
    if not state.picture.target.any():
        return "Nothing is hidden, so there is nothing to score. Click a neuron in the raster to hide it."
    return "Scoring the held-out trials…"
