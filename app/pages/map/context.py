"""One context against all regions: tick what to hide, see what every region loses."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from ...analyses.information import ShownLoss
from ...plots.information import LossBars, draw_losses, make_loss_figure, recolour_losses
from ...spec import Hide, Spec
from ...state import State
from ...theme import look
from ...words import count
from ...work import Job
from ..parts import Announce, bind, button, flexible, follow, heading
from .said import about_loss, context_words

KIND = "context"
READS = ("session", "model", "level")


def ticked(hide: Hide) -> list[str]:
    return list(hide.regions) if hide.by_hand else []


def fitting(state: State) -> Job | None:
    """The newest job about the present recording, whatever its context."""
    job, spec = state.jobs.get(KIND), state.spec
    fits = job is not None and all(getattr(job.spec, name) == getattr(spec, name) for name in READS)
    return job if fits and job.result is not None else None


def bars_of(shown: ShownLoss) -> LossBars:
    table = shown.loss.regions
    loss, low, high = (table[name].to_numpy(dtype=float) for name in ("loss_mean", "ci_low", "ci_high"))
    scored = (table["n_neurons"] - table["n_silent"]).to_numpy(dtype=int)
    return LossBars(shown.names, shown.colours, loss, low, high, scored)


def view(state: State) -> pn.viewable.Viewable:
    shown = make_loss_figure()
    figure = flexible(shown.figure, 380, visible=False)
    chosen, about = Announce(margin=(4, 4)), Announce(margin=(4, 4))
    regions = pmui.CheckBoxGroup(options=[], value=[], inline=True, label="Regions to hide as well", margin=(4, 8))
    start = button(state, "What does every region lose?", lambda: state.run(KIND), variant="contained")

    def offer() -> None:
        if state.picture is not None:
            regions.options = list(state.picture.recording.regions)

    def draw() -> None:
        hide, job = state.spec.hide, fitting(state)
        neurons = hide.neurons if hide.by_hand else ()
        nothing = not neurons and not ticked(hide)
        start.disabled = state.running is not None or nothing
        chosen.text = _chosen(state.spec, neurons)
        shown.figure.visible = figure.visible = bool(job and len(job.result.names))
        about.text = "" if job is None else about_loss(job.result, job)
        if figure.visible:
            draw_losses(shown, bars_of(job.result))

    follow(state, ["picture"], offer, page="map")
    bind(state, regions, lambda spec: ticked(spec.hide), lambda value: state.by_hand(regions=tuple(sorted(value))))
    follow(state, ["jobs", "spec"], draw, page="map")
    follow(state, ["dark"], lambda: recolour_losses(shown, look(state.dark)))
    return pn.Column(
        heading("What is this context worth?"),
        regions,
        chosen,
        start,
        about,
        pn.FlexBox(figure, sizing_mode="stretch_width"),
        sizing_mode="stretch_width",
        margin=0,
    )


def _chosen(spec: Spec, neurons: tuple[int, ...]) -> str:
    """What is hidden by hand; it is the same choice as in Explore."""
    hidden = context_words(tuple(ticked(spec.hide)), neurons)
    also = f", {count(len(neurons), 'neuron')} of it from Explore" if neurons else ""
    return f"Hidden besides each target region: {hidden}{also}."
