"""Are the rates right on all levels, and is the variance of the spikes accounted for?"""

from __future__ import annotations

import html

import numpy as np
import panel as pn

from ...analyses.neuron_scores import measured_text, p_text
from ...analyses.single_neuron import Judged
from ...plots.calibration import (
    CalibrationFigure,
    draw_calibration,
    draw_pit,
    make_calibration_figure,
    make_pit_figure,
    recolour_calibration,
    recolour_pit,
)
from ...plots.variability import (
    draw_fano,
    draw_variance,
    make_fano_figure,
    make_variance_figure,
    recolour_fano,
    recolour_variance,
)
from ...state import State
from ...theme import look
from ...words import count
from ..parts import flexible, heading
from .shown import drawn_card

POINTS_OF_LINE = 60


def view(state: State) -> pn.viewable.Viewable:
    rates, spread, pit, fano = make_calibration_figure(), make_variance_figure(), make_pit_figure(), make_fano_figure()
    about = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 8))

    def draw(judged: Judged) -> None:
        colours, found = look(state.dark), judged.variability
        draw_rates(rates, judged)
        recolour_calibration(rates, colours)
        draw_pit(pit, judged.pit.share, judged.pit.low, judged.pit.high)
        recolour_pit(pit, colours)
        draw_variance(spread, found.mean, found.recorded, found.predicted)
        recolour_variance(spread, colours)
        draw_fano(fano, np.array([f.window for f in found.fano]), fano_curves(judged))
        recolour_fano(fano, colours)
        about.object = f"<span style='font-size:12.5px;opacity:.85'>{html.escape(said(judged))}</span>"

    panes = [flexible(shown.figure, 240) for shown in (rates, pit, spread, fano)]
    grid = pn.FlexBox(*panes, sizing_mode="stretch_width")
    return drawn_card(state, heading("Calibration and variance"), grid, about, draw=draw)


def draw_rates(shown: CalibrationFigure, judged: Judged) -> None:
    found = judged.calibration
    groups = {name: getattr(found, name) for name in ("predicted", "observed", "low", "high")}
    line = None
    if len(found.predicted):
        rates = np.linspace(found.predicted[0], found.predicted[-1], POINTS_OF_LINE)
        observed = found.line(np.maximum(rates, 1e-6))
        line = None if observed is None else (rates, observed)
    draw_calibration(shown, {**groups, "n": found.n_entries}, line)


def fano_curves(judged: Judged) -> dict[str, np.ndarray]:
    """Value, low and high per window (W, 3); NaN where there is none."""

    def rows(name: str) -> np.ndarray:
        measured = [getattr(fano, name) for fano in judged.variability.fano]
        missing = (np.nan, np.nan, np.nan)
        return np.array([missing if m.value is None else (m.value, *(m.interval or (m.value,) * 2)) for m in measured])

    return {"recorded": rows("recorded"), "predicted": rows("predicted")}


def said(judged: Judged) -> str:
    calibration, pit, found = judged.calibration, judged.pit, judged.variability
    text = f"Regression: slope {measured_text(calibration.slope)}, intercept {measured_text(calibration.intercept)} "
    text += "(1 and 0 if honest). "
    if pit.p is not None:
        text += (
            f"PIT of {count(len(pit.values), 'window')} of {pit.window:g} s; uniform if rates and Poisson are right "
        )
        text += f"(Kolmogorov-Smirnov {p_text(pit.p)}). "
    text += (
        f"Variances within {count(found.n_conditions, 'condition')} (block, choice, reward) of three trials or more, "
    )
    text += f"{count(found.n_trials, 'trial')} in all; dots: windows of {found.window:g} s. "
    return text + "A Fano factor below the predicted one: more regular than Poisson, or rates that vary too much."
