"""Which trial is looked at, how much of it is hidden, and by which draw."""

from __future__ import annotations

import numpy as np
import panel as pn
import panel_material_ui as pmui

from ...sentences import trial_sentence
from ...state import State
from ..parts import Announce, button, follow, guarded
from .shown import PAGE, SMALL

MOST_SEED = 1_000_000


def view(state: State) -> pn.FlexBox:
    slider = pmui.IntSlider(label="Trial", start=0, end=1, size="small", width=210, margin=(4, 14, 0, 12))
    facts = Announce(label="note", margin=(4, 8), styles={**SMALL, "flex": "1 1 240px"})
    again = button(state, "New mask", lambda: state.hide(seed=(state.spec.hide.seed + 1) % MOST_SEED), icon="casino")
    by_hand = button(state, "Hide by hand in Explore", lambda: state.go(page="explore"))

    def draw() -> None:
        again.disabled = state.spec.hide.by_hand
        if (picture := state.picture) is not None:
            last = max(1, picture.recording.trials.n_trials - 1)
            slider.param.update(end=last, label=f"Trial (0 to {last})", value=picture.trial)
            facts.text = trial_sentence(picture.recording, picture.trial)

    def chosen(event: object) -> None:
        if event.new is not None and state.picture is not None and event.new != state.picture.trial:
            state.go(trial=int(event.new))

    slider.param.watch(guarded(state, chosen), "value_throttled")
    follow(state, ["spec", "picture"], draw, page=PAGE)
    back = button(state, "Previous test trial", lambda: _step(state, -1))
    on = button(state, "Next test trial", lambda: _step(state, 1))
    return pn.FlexBox(slider, back, on, again, by_hand, facts, align_items="center", sizing_mode="stretch_width")


def _step(state: State, by: int) -> None:
    """To the test trial after or before this one, round and round."""
    if (picture := state.picture) is None:
        return
    test = np.flatnonzero(picture.recording.trials.split == "test")
    if not test.size:
        return
    later = test[test > picture.trial] if by > 0 else test[test < picture.trial]
    later = later if later.size else test
    state.go(trial=int(later[0] if by > 0 else later[-1]))
