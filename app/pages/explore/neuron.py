"""One neuron: its spikes in this trial and its average, recorded and predicted."""

from __future__ import annotations

import numpy as np
import panel as pn
import panel_material_ui as pmui

from ...compute import Picture, Scores, looked_at
from ...plots.neuron import draw_neuron, make_neuron_figure, recolour_neuron
from ...state import State
from ...theme import look
from ...words import number
from ..parts import Announce, button, card, flexible, follow


def chosen_neuron(state: State) -> int:
    """The neuron of the address, or else the scored one that fired most in this trial."""
    return looked_at(state.picture, state.spec.neuron)


def view(state: State) -> pn.viewable.Viewable:
    trial = make_neuron_figure("This trial (grey: hidden)", bars=True)
    average = make_neuron_figure("Mean of the held-out trials ± s.e.m.", bars=False)
    about = Announce(label="note")
    picker = pmui.IntInput(label="Neuron", start=0, step=1, width=120, size="small", margin=(4, 6))

    def draw() -> None:
        if state.picture is None:
            return
        neuron = chosen_neuron(state)
        picker.end = state.picture.counts.shape[1] - 1
        picker.value = neuron
        about.text = describe(state.picture, state.scores, neuron)
        size, times = state.picture.recording.trials.bin_size, state.picture.recording.times
        hidden = state.picture.hidden[:, neuron]
        draw_neuron(trial, times, trial_lines(state.picture, neuron, size), hidden)
        draw_neuron(average, times, average_lines(state.picture, state.scores, neuron, size), hidden)

    def paint() -> None:
        recolour_neuron(trial, look(state.dark))
        recolour_neuron(average, look(state.dark))

    follow(state, ["picture", "views", "spec"], draw, tab="scores")
    follow(state, ["dark"], paint, tab="scores")
    picker.param.watch(lambda event: _look_at(state, event.new), "value")
    act = button(state, "Hide or show it", lambda: state.toggle_neuron(chosen_neuron(state)))
    panes = [flexible(f.figure, 250) for f in (trial, average)]
    return card(
        pn.FlexBox(
            picker, act, pn.Column(about, styles={"flex": "1 1 220px"}, margin=(0, 0, 0, 8)), align_items="center"
        ),
        pn.FlexBox(*panes, sizing_mode="stretch_width"),
    )


def _look_at(state: State, neuron: int | None) -> None:
    if state.picture is not None and neuron is not None and neuron != chosen_neuron(state):
        state.go(neuron=max(0, neuron))


def trial_lines(picture: Picture, neuron: int, size: float) -> dict[str, np.ndarray | None]:
    def hz(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[:, neuron] / size

    return {"recorded": hz(picture.counts), "predicted": hz(picture.rates), "true": hz(picture.true_rates)}


def average_lines(picture: Picture, scores: Scores | None, neuron: int, size: float) -> dict[str, np.ndarray | None]:
    """What was recorded is known at once, and for models that do not know the recording too."""
    recorded, error = (values[:, neuron] / size for values in picture.average.recorded)
    true = picture.average.true
    lines = {
        "recorded": recorded,
        "low": recorded - error,
        "high": recorded + error,
        "true": None if true is None else true[:, neuron] / size,
    }
    if scores is not None and scores.recording is picture.recording:
        predicted, error = (values[:, neuron] / size for values in scores.predicted)
        lines |= {"predicted": predicted, "predicted_low": predicted - error, "predicted_high": predicted + error}
    return lines


def describe(picture: Picture, scores: Scores | None, neuron: int) -> str:
    share = float(picture.hidden[:, neuron].mean())
    seen = "hidden from the model" if share == 1 else "visible to the model" if share == 0 else f"{share:.0%} hidden"
    bits = (
        "" if scores is None or not scores.scored[neuron] else f"; {number(float(scores.bits[neuron]))} bits per spike"
    )
    if scores is not None and scores.silent[neuron]:
        bits = "; silent in the held-out trials, so it has no score"
    return f"Neuron {neuron} of {picture.recording.region_names[neuron]}: {seen}{bits}."
