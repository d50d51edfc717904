"""The pinned view of Explore and the present one, in words, and what changes them."""

from __future__ import annotations

from dataclasses import replace

import panel as pn

from ...analyses.models import model_facts
from ...comparison import EXPLORE
from ...compute import default_prompt
from ...spec import Hide, Pin
from ...state import State
from ...words import PROMPT_NAMES, SCHEME_NAMES, count
from ..parts import Announce, button, follow
from .shown import PAGE


def present(state: State) -> Pin:
    """What Explore shows now."""
    return Pin(state.spec.session, state.spec.model, state.spec.hide)


def pin(state: State) -> None:
    state.go(pin=present(state))


def compare_views(state: State) -> None:
    state.go(page=PAGE, comparison=replace(state.spec.comparison, task=EXPLORE))


def hidden(hide: Hide) -> str:
    """What is hidden, as it was chosen: 3 neurons and 1 region by hand; Neurons (co-smoothing), 30 %, draw 2."""
    if not hide.by_hand:
        share = f", {hide.ratio} %" if hide.ratio >= 0 else ""
        return f"{SCHEME_NAMES[hide.scheme]}{share}, draw {hide.seed + 1}"
    parts = [("neuron", len(hide.neurons)), ("region", len(hide.regions)), ("time window", int(hide.window[1] > 0))]
    parts.append(("box", len(hide.boxes)))
    named = [count(n, noun) if noun != "box" else f"{n} {'box' if n == 1 else 'boxes'}" for noun, n in parts if n]
    return f"{', '.join(named) or 'nothing'} by hand"


def described(one: Pin) -> str:
    prompt = PROMPT_NAMES[one.hide.prompt or default_prompt(one.hide)]
    return f"{model_facts(one.model).label} with the {prompt} prompt; hidden: {hidden(one.hide)}"


def view(state: State) -> pn.viewable.Viewable:
    about = Announce(label="note", margin=(4, 8), css_classes=["views"])
    keep = button(state, "Pin the present view as A", lambda: pin(state))
    change = button(state, "Change B in Explore", lambda: state.go(page="explore"))

    def draw() -> None:
        first = "nothing pinned yet" if state.spec.pin is None else described(state.spec.pin)
        about.text = (
            f"A, pinned: {first}. B, the present view of Explore: {described(present(state))}. Scored are the entries "
            "that both hide and predict."
        )

    follow(state, ["spec"], draw, page=PAGE)
    return pn.Column(
        about, pn.FlexBox(keep, change, align_items="center"), sizing_mode="stretch_width", margin=0, visible=False
    )


def toolbar(state: State) -> list[pn.viewable.Viewable]:
    """For Explore: keep this view, and compare a later one with it."""
    keep = button(state, "Pin as A", lambda: pin(state))
    compare = button(state, "Compare with A", lambda: compare_views(state))

    def draw() -> None:
        pinned = state.spec.pin
        keep.disabled, compare.disabled = pinned == present(state), pinned is None or pinned == present(state)

    follow(state, ["spec"], draw, page="explore")
    return [keep, compare]
