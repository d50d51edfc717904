"""Which trial is shown."""

from __future__ import annotations

import numpy as np
import panel as pn
import panel_material_ui as pmui

from ...analyses.translate import Shown
from ...sentences import trial_sentence
from ...spec import SORTS
from ...state import State
from ..parts import Announce, bind, button
from .shown import SMALL, drawn, newest


def view(state: State) -> pn.viewable.Viewable:
    slider = pmui.IntSlider(label="Trial", start=0, end=1, size="small", width=210, margin=(4, 14, 0, 12))
    facts = Announce(label="note", margin=(4, 8), styles={**SMALL, "flex": "1 1 240px"})
    sort = pmui.Select(
        label="Order of neurons", options={f"by {name}": name for name in SORTS}, size="small", width=150, margin=(4, 8)
    )

    def draw(shown: Shown) -> None:
        last = max(1, shown.recording.trials.n_trials - 1)
        slider.param.update(end=last, label=f"Trial (0 to {last})", value=shown.trial)
        facts.text = trial_sentence(shown.recording, shown.trial)

    def step(by: int) -> None:
        if (shown := newest(state).shown) is not None:
            state.go(trial=next_test(shown, by))

    slider.param.watch(lambda event: _chosen(state, event.new), "value_throttled")
    bind(state, sort, lambda spec: spec.sort, lambda value: state.go(sort=value))
    drawn(state, draw)
    back = button(state, "Previous test trial", lambda: step(-1))
    on = button(state, "Next test trial", lambda: step(1))
    return pn.FlexBox(slider, back, on, facts, sort, align_items="center", sizing_mode="stretch_width")


def _chosen(state: State, trial: int | None) -> None:
    shown = newest(state).shown
    if trial is not None and shown is not None and trial != shown.trial:
        state.go(trial=int(trial))


def next_test(shown: Shown, by: int) -> int:
    """The test trial after (1) or before (-1) this one, round and round."""
    test = np.flatnonzero(shown.recording.trials.split == "test")
    if not test.size:
        return shown.trial
    later = test[test > shown.trial] if by > 0 else test[test < shown.trial]
    if not later.size:
        later = test
    return int(later[0] if by > 0 else later[-1])
