"""What is told beside the pictures: a paragraph, the formula and the numbers of the open step, and its controls."""

from __future__ import annotations

from dataclasses import replace

import panel as pn
import panel_material_ui as pmui

from ...analyses.masking import sample
from ...chain import MOST_DRAW, STEPS, Chain
from ...state import State
from ..parts import MARKDOWN_STYLE, TEXTS, Announce, button, follow
from .bar import back_and_next
from .said import numbers, place, sampled
from .shown import PAGE, trial

STYLE = """
blockquote { margin: 8px 0; padding: 6px 12px; border-left: 3px solid #a3307e; font-size: 15px; opacity: 1;
  background: rgba(128, 136, 145, .1); color: inherit; }
p:last-of-type em { font-size: 12.5px; opacity: .9 }
"""


def view(state: State) -> pn.Column:
    # Files of the project, read once: nothing of them comes from elsewhere.
    texts = {name: (TEXTS / f"masking_step_{name}.md").read_text(encoding="utf-8") for name in STEPS}
    told = pn.pane.Markdown(
        texts[STEPS[0]], stylesheets=[MARKDOWN_STYLE, STYLE], sizing_mode="stretch_width", margin=(0, 4)
    )
    facts = Announce(label="status", css_classes=["masking-facts"], margin=(4, 4), styles={"font-weight": "500"})
    attention, again = _heads(state), _dice(state)

    def draw() -> None:
        chain, shown = state.spec.chain, trial(state)
        step = STEPS[chain.step - 1]
        told.object = texts[step]
        attention.visible, again.visible = step == "attention", step == "sample"
        if shown is None:
            facts.text = "" if state.working else facts.text
        elif step == "sample" and shown.inside is not None:
            facts.text = sampled(shown.picture, sample(shown.picture, chain.draw))
        else:
            facts.text = numbers(step, shown, chain)

    follow(state, ["spec", "picture", "views"], draw, page=PAGE)
    return pn.Column(told, facts, attention, again, back_and_next(state), margin=0)


def _set(state: State, **changes: int) -> None:
    state.go(chain=replace(state.spec.chain, **changes))


def _heads(state: State) -> pn.Column:
    """Sliders for layer and head; head 0 is the mean of all."""
    layer = pmui.IntSlider(label="Layer", start=1, end=2, value=1, size="small", width=230, margin=(4, 12))
    head = pmui.IntSlider(label="Head", start=0, end=1, value=1, size="small", width=230, margin=(4, 12))
    quiet: list[bool] = []

    def draw() -> None:
        shown = trial(state)
        if shown is None or shown.inside is None:
            return
        n_layers, n_heads = shown.inside.weights.shape[:2]
        at = place(shown.inside, state.spec.chain)
        quiet.append(True)
        layer.param.update(end=max(2, n_layers), value=at[0], label=f"Layer (1 to {n_layers})", disabled=n_layers < 2)
        head.param.update(end=n_heads, value=at[1], label=f"Head (1 to {n_heads}; 0: mean of all heads)")
        quiet.clear()

    def moved(_: object) -> None:
        if not quiet:
            _set(state, layer=layer.value, head=head.value)

    for slider in (layer, head):
        slider.param.watch(moved, "value")
    follow(state, ["spec", "views", "picture"], draw, page=PAGE)
    return pn.Column(layer, head, margin=0)


def _dice(state: State) -> pn.Column:
    def roll() -> None:
        _set(state, draw=(state.spec.chain.draw + 1) % (MOST_DRAW + 1))

    back = button(state, "First draw", lambda: _set(state, draw=Chain.draw))
    return pn.Column(pn.FlexBox(button(state, "Draw again", roll, icon="casino"), back), margin=0)
