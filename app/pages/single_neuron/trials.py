"""Single trials in one order: recorded, predicted, and what is left of both without the mean response."""

from __future__ import annotations

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import Range1d

from ...analyses.neuron_scores import measured_text, p_text
from ...analyses.single_neuron import Judged
from ...plots.trial_maps import TrialMap, TrialRows, draw_trial_map, high_of, make_trial_map, recolour_trial_map
from ...state import State
from ...theme import look
from ..parts import Announce, flexible, guarded, heading
from .responses import edges
from .shown import drawn_card, newest

FIRST = "response time"  # or the first key that the recording knows
TIMES = ("response time", "reaction time")  # keys that are times from the stimulus: also drawn over the images
KINDS = {  # name -> title, kind of image, unit
    "recorded": ("Recorded (spikes per bin)", "spikes", "spikes"),
    "predicted": ("Predicted (Hz)", "rates", "Hz"),
    "recorded_residual": ("Recorded − mean response (Hz)", "residuals", "Hz"),
    "predicted_residual": ("Predicted − mean response (Hz)", "residuals", "Hz"),
}
SPLIT = "predicted rate"  # the one order that looks at the prediction


def view(state: State) -> pn.viewable.Viewable:
    rows = Range1d(0, 1)
    maps = {name: make_trial_map(*about, rows) for name, about in KINDS.items()}
    sort = pmui.Select(label="Trials sorted by", options=[FIRST], value=FIRST, width=200, size="small", margin=(4, 6))
    about = Announce(label="note", margin=(2, 8))
    about.styles = {"font-size": "12.5px", "opacity": ".85", "flex": "1 1 260px"}

    def draw(judged: Judged) -> None:
        if sort.options != list(judged.orders):
            value = sort.value if sort.value in judged.orders else next(iter(judged.orders))
            sort.param.update(options=list(judged.orders), value=value)
        draw_maps(maps, judged, sort.value)
        about.text = said(judged, sort.value)
        for shown in maps.values():
            recolour_trial_map(shown, look(state.dark))

    def resort() -> None:
        result = newest(state)
        if result is not None and result.judged is not None and sort.value in result.judged.orders:
            draw_maps(maps, result.judged, sort.value)
            about.text = said(result.judged, sort.value)

    sort.param.watch(lambda _: guarded(state, resort)(), "value")
    panes = [flexible(shown.figure, 290) for shown in maps.values()]
    pairs = [pn.FlexBox(*panes[i : i + 2], styles={"flex": "1 1 620px", "min-width": "0"}) for i in (0, 2)]
    line = pn.FlexBox(sort, about, align_items="center", sizing_mode="stretch_width")
    grid = pn.FlexBox(*pairs, sizing_mode="stretch_width")
    return drawn_card(state, heading("Single trials"), line, grid, draw=draw)


def draw_maps(maps: dict[str, TrialMap], judged: Judged, key: str) -> None:
    """All four maps in the order of `key`."""
    order, trials, residuals = judged.orders[key], judged.trials, judged.scores.residuals
    at = order.positions
    rows = TrialRows(edges(judged), trials.table.index.to_numpy()[at], order.values[at], key, key in TIMES)
    values = {
        "recorded": np.where(trials.scored, trials.counts, np.nan),
        "predicted": trials.hz(trials.rates),
        "recorded_residual": residuals.recorded,
        "predicted_residual": residuals.predicted,
    }
    both = high_of(np.concatenate([residuals.recorded, residuals.predicted]), 0.5)
    high = {"recorded": high_of(values["recorded"], 1.0), "predicted": high_of(values["predicted"], 0.5)}
    for name, shown in maps.items():
        draw_trial_map(shown, rows, values[name][at], high.get(name, both))
    next(iter(maps.values())).figure.y_range.update(start=0, end=len(at))


def said(judged: Judged, key: str) -> str:
    """The order, what looks at what, and the correlation of the residuals."""
    order, found = judged.orders[key], judged.scores.residuals
    unit = f" ({order.unit})" if order.unit else ""
    text = f"The same order in all four, from the bottom up: {key}{unit}, light to dark in the strip on the left"
    text += "; dots: the same time in the trial. " if key in TIMES else ". "
    if key == SPLIT:
        text += "This order is made from the prediction and flatters it. "
    if order.n_unknown:
        text += f"Unknown in {order.n_unknown}, on top. "
    if found.correlation.value is None:
        return text + f"Residuals do not correlate: {found.correlation.reason}."
    text += f"Residuals (Gaussian of {found.width * 1e3:g} ms, less the training PSTH) correlate at "
    text += f"{measured_text(found.correlation)}"
    if found.p is None or found.shuffled.value is None:
        return text + "."
    return text + f"; with the predictions of other trials at {measured_text(found.shuffled)}, {p_text(found.p)}."
