"""Bits per spike of what is hidden now, by region, over the held-out trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import panel as pn

from ...compute import Scores
from ...plots.regions import RegionLine, draw_regions, make_region_figure, recolour_regions
from ...state import State
from ...theme import look
from ...words import count, number
from ..parts import TABLE_STYLE, card, explained, follow, on_tap, table

HEAD = ("Region", "Mean", "Median", "Scored", "Silent", "Not scored")
NULLS = ("Bits per spike", "Null: test mean", "Null: training mean")


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
                neurons=counted,
                n_silent=int((inside & scores.silent).sum()),
                n_unscored=int(((names == region) & ~scores.scored).sum()),
            )
        )
    return lines


def region_rows(lines: list[RegionLine]) -> list[tuple]:
    return [
        (
            line.name,
            number(line.mean),
            number(_of(np.median, line.bits)),
            line.bits.size,
            line.n_silent,
            line.n_unscored,
        )
        for line in lines
    ]


def null_rows(scores: Scores) -> list[tuple]:
    """The three ways to sum up all neurons, against both nulls."""
    nulls = (scores.bits, scores.bits_train)
    return [
        ("Mean over neurons", *(number(_of(np.mean, bits)) for bits in nulls)),
        ("Median", *(number(_of(np.median, bits)) for bits in nulls)),
        ("Pooled", number(scores.pooled), number(scores.pooled_train)),
    ]


def neurons_sentence(scores: Scores) -> str:
    """Who the scores speak for."""
    silent, scored = int(scores.silent.sum()), int(scores.scored.sum())
    partial = "" if scores.n_done == scores.n_trials else "Partial: "
    return (
        f"{partial}{scores.n_done} held-out trials with the same mask. Of {count(scores.scored.size, 'neuron')}, "
        f"{scored - silent} scored, {silent} silent (hidden, but without a spike), "
        f"{scores.scored.size - scored} not scored (nothing of them is hidden)."
    )


def _of(summary: Callable[[np.ndarray], Any], bits: np.ndarray) -> float:
    bits = bits[np.isfinite(bits)]
    return float(summary(bits)) if bits.size else float("nan")


def view(state: State) -> pn.viewable.Viewable:
    shown = make_region_figure("Bits per spike of what is hidden")
    tables = [pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width") for _ in range(2)]
    waiting = pn.pane.HTML("", sizing_mode="stretch_width")

    def draw() -> None:
        scores = state.scores
        figure.visible = bool(scores is not None and scores.scored.any())
        waiting.object = "" if figure.visible else f"<p>{_why_empty(state)}</p>"
        if not figure.visible:
            tables[0].object = tables[1].object = ""  # not invisible: a pane must not change that before it is drawn
            return
        lines = region_lines(scores)
        draw_regions(shown, lines)
        tables[0].object = table(NULLS, null_rows(scores), neurons_sentence(scores))
        tables[1].object = table(HEAD, region_rows(lines), "By region; null: test mean.")

    on_tap(state, shown.dots, lambda neuron: state.go(neuron=neuron))
    figure = pn.pane.Bokeh(shown.figure, sizing_mode="stretch_width")
    follow(state, ["views", "picture", "spec", "working"], draw, tab="scores")
    follow(state, ["dark"], lambda: recolour_regions(shown, look(state.dark)), tab="scores")
    return card(waiting, figure, *tables, explained("What are bits per spike?", "bits_per_spike"))


def _why_empty(state: State) -> str:
    if state.picture is None:
        return "Opening the recording…"
    if not state.picture.recording.known:
        return "No scores: this model has not been trained on this recording."
    if not state.picture.target.any():
        return "Nothing is hidden, so there is nothing to score. Click a neuron in the raster to hide it."
    return "Scoring the held-out trials…" if state.working else "There is no score for what is hidden now."
