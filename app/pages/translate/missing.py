"""What to do where there is no model that translates this recording."""

from __future__ import annotations

import html

import panel as pn

from ...state import State
from ..parts import Announce, button, card, follow
from .shown import PAGE, newest

COMMAND = "mtm train --model neds --session {session} --out {session}-neds"


def view(state: State) -> pn.viewable.Viewable:
    said = Announce(label="status", margin=(4, 4))
    command = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 4))
    train = button(state, "To the page Train", lambda: state.go(page="train", train="scratch"))
    train.visible = "train" in state.pages
    part = pn.Column(card(said, command, train), sizing_mode="stretch_width", margin=0, visible=False)

    def draw() -> None:
        problem = newest(state).problem
        part.visible = bool(problem)
        if problem:
            said.text = f"{problem} Train one with this command, put its folder where MTM_CHECKPOINTS points, reload:"
            line = html.escape(COMMAND.format(session=state.spec.session))
            command.object = f"<pre style='white-space:pre-wrap;margin:4px 0'><code>{line}</code></pre>"

    follow(state, ["views"], draw, page=PAGE)
    return part
