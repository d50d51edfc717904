"""What the colors of the open step mean."""

from __future__ import annotations

import panel as pn

from ...chain import STEPS
from ...state import State
from ...theme import Look, look
from ..parts import follow
from .shown import PAGE, trial

STIMULUS = "dashed: stimulus"
SHARED = f"of neurons that share a line, a hidden one is shown · {STIMULUS}"


def view(state: State) -> pn.pane.HTML:
    """Constants only, so HTML is safe."""
    pane = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 4))

    def draw() -> None:
        step, shown = STEPS[state.spec.chain.step - 1], trial(state)
        kinds, more = _meanings(step, look(state.dark))
        if step == "attention" and not (shown is not None and shown.inside is not None and shown.inside.causal):
            kinds = {}  # everything may be read
        pieces = [f"<span>{_swatch(*tones)}{words}</span>" for words, tones in kinds.items()]
        style = "display:flex;flex-wrap:wrap;gap:2px 18px;font-size:12.5px;opacity:.9"
        pane.object = f"<div style='{style}'>{''.join(pieces)}<span>{more}</span></div>"

    follow(state, ["dark", "spec", "picture", "views"], draw, page=PAGE)
    return pane


def _meanings(step: str, colours: Look) -> tuple[dict[str, tuple[str, str]], str]:
    """Words -> tone and its border; and what else there is to know."""
    ramp = (f"linear-gradient(90deg,{','.join(colours.spikes_scored[::9])})", colours.faint)
    plain = (f"linear-gradient(90deg,{','.join(colours.spikes_seen[::9])})", colours.faint)
    grey = (colours.unscored, colours.unscored)
    strip = f"left strip: region · {STIMULUS}"
    return {
        "counts": ({"spikes": plain}, strip),
        "mask": (
            {
                "seen by the model": (colours.surface, colours.recorded),
                "hidden and scored": (colours.accent, colours.accent),
                "hidden, not asked about": grey,
            },
            strip,
        ),
        "read": ({"seen": plain, "hidden: no count is read": grey}, SHARED),
        "tokens": ({}, f"one color scale for all pictures · S: recording, P: prompt · {STIMULUS}"),
        "attention": ({"may not be read": grey}, f"S: recording, P: prompt · {STIMULUS}"),
        "rates": ({"seen": plain, "hidden": ramp}, strip),
        "sample": ({"seen, as recorded": plain, "hidden: drawn": ramp}, strip),
    }[step]


def _swatch(tone: str, border: str) -> str:
    style = "display:inline-block;width:26px;height:11px;margin-right:6px;vertical-align:-1px;border:1px solid"
    return f"<span style='{style} {border};background:{tone}'></span>"
