"""How much is hidden: the slider, and what it does to the score."""

from __future__ import annotations

import numpy as np
import panel as pn
import panel_material_ui as pmui

from ...analyses.masking_ratios import SEEDS, Ratios
from ...compute import default_ratio
from ...plots.masking_scores import draw_ratio_curve, make_ratio_curve, recolour_ratio_curve
from ...spec import Hide
from ...state import State
from ...theme import look
from ...words import PROMPT_NAMES, SCHEME_NAMES, count, interval, number
from ...work import Job
from ..parts import Announce, bind, button, card, flexible, follow, heading, prose
from .shown import PAGE, RATIOS, job_of, newest

NAMES = ("session", "model", "hide.scheme", "hide.prompt")  # what the curve depends on
PARTIAL = {"running": "Still running. ", "cancelled": "Cancelled, partial. ", "failed": "Stopped by an error. "}
SMALLEST = 5  # percent


def view(state: State) -> pn.viewable.Viewable:
    shown = make_ratio_curve()
    plot = flexible(shown.figure, 340, visible=False)
    said = Announce(label="status", css_classes=["masking-ratios"], margin=(4, 4))
    start = button(state, "Score all ratios", lambda: state.run(RATIOS), variant="contained")
    slider = pmui.IntSlider(
        label="Mask ratio (%)", start=SMALLEST, end=100, step=5, size="small", sizing_mode="stretch_width"
    )
    slider.margin = (8, 24)
    bind(state, slider, lambda spec: ratio(spec.hide), lambda value: state.hide(ratio=value), on="value_throttled")

    def draw() -> None:
        found, hide = result(state), state.spec.hide
        job = job_of(state, RATIOS, NAMES)
        slider.disabled = hide.by_hand
        complete = found is not None and found.complete
        start.disabled = state.running is not None or complete or hide.by_hand
        said.text = about(found, job, hide)
        scores = () if found is None else found.scores
        shown.figure.visible = plot.visible = bool(scores)
        shown.now.location = ratio(hide)
        if scores:
            draw_ratio_curve(shown, points(found))

    follow(state, ["views", "jobs", "spec"], draw, page=PAGE)
    follow(state, ["dark"], lambda: recolour_ratio_curve(shown, look(state.dark)), page=PAGE)
    return card(heading("How much is hidden"), prose("masking_ratios", margin=(0, 4)), slider, start, said, plot)


def ratio(hide: Hide) -> int:
    """Percent; of what is hidden by hand there is none, and the slider stands still."""
    if hide.by_hand:
        return SMALLEST
    return hide.ratio if hide.ratio >= SMALLEST else round(100 * default_ratio(hide.scheme))


def result(state: State) -> Ratios | None:
    """Complete from any visitor, or so far from this visitor's job."""
    shown, job = newest(state), job_of(state, RATIOS, NAMES)
    if state.spec.hide.by_hand:
        return None
    if job is not None and job.result is not None:
        return job.result
    return shown.ratios if shown is not None else None


def about(found: Ratios | None, job: Job | None, hide: Hide) -> str:
    if hide.by_hand:
        return "What is hidden by hand has no ratio: choose a scheme above."
    if found is None or not found.scores:
        if job is not None and job.state == "running":
            return "The first ratio is being scored."
        return f"Not scored yet for “{SCHEME_NAMES[hide.scheme]}”. It takes some seconds."
    state = "" if found.complete or job is None else PARTIAL.get(job.state, "Partial. ")
    here = next((each for each in found.scores if each.ratio == ratio(hide)), None)
    at = f" At {here.ratio} %: {number(here.bits)} bits per spike ({interval(here.ci, 2)})." if here is not None else ""
    return (
        f"{state}“{SCHEME_NAMES[found.scheme]}”, prompt {PROMPT_NAMES[found.prompt]}: "
        f"{count(found.n_trials, 'test trial')}, {len(SEEDS)} masks each.{at} Null: mean rate in the training trials."
    )


def points(found: Ratios) -> dict[str, np.ndarray]:
    """Ratios at which something was scored."""
    scored = [each for each in found.scores if each.ci is not None]
    columns = {
        "ratio": [each.ratio for each in scored],
        "bits": [each.bits for each in scored],
        "low": [each.ci[0] for each in scored],
        "high": [each.ci[1] for each in scored],
        "spikes": [each.n_spikes for each in scored],
    }
    return {name: np.array(values, dtype=float) for name, values in columns.items()}
