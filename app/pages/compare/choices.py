"""Who is compared, on which task, and the button that starts it."""

from __future__ import annotations

from dataclasses import replace

import panel as pn
import panel_material_ui as pmui

from ...analyses.compared import Compared
from ...comparison import EXPLORE, TASKS, swapped
from ...state import State
from ..parts import Announce, CopyLink, bind, button, follow
from . import pinned
from .contenders import choose, contender, others
from .shown import PAGE, TITLES, newest, own_job, status

ONE_LINE = {"& .MuiToggleButton-root": {"padding": "4px 8px", "whiteSpace": "nowrap"}}
HOW = {"Exact": False, "Fast (grouped)": True}
ROW = {"align_items": "center", "sizing_mode": "stretch_width", "gap": "4px 12px"}
SMALL = {"font-size": "12.5px", "opacity": ".85"}


def view(state: State) -> pn.viewable.Viewable:
    tasks = {TITLES[name]: name for name in (*TASKS, EXPLORE)}
    task = pmui.Select(label="Task", options=tasks, width=220, size="small", margin=(6, 8))
    how = pmui.RadioButtonGroup(options=HOW, size="small", margin=(4, 8), sx=ONE_LINE)
    bind(state, task, lambda spec: spec.comparison.task, lambda value: _set(state, task=value))
    bind(state, how, lambda spec: spec.comparison.fast, lambda value: _set(state, fast=value))
    swap = button(state, "Swap A and B", lambda: choose(state, swapped(state.spec.comparison)))
    start = button(state, "Compare", lambda: state.run(PAGE), variant="contained", margin=(4, 8))
    about = Announce(margin=(6, 8), css_classes=["comparing"])
    cautions = Announce(label="note", margin=(2, 8), styles=SMALL)
    a, b, more = contender(state, 0), contender(state, 1), others(state)

    own = pn.Column(pn.FlexBox(*a, *b, swap, **ROW), more, sizing_mode="stretch_width", margin=0)
    views = pinned.view(state)

    def draw() -> None:
        of_views = state.spec.comparison.task == EXPLORE
        views.visible = of_views
        own.visible = how.visible = start.visible = not of_views
        found, job = newest(state), own_job(state)
        busy = job is not None and job.state == "running"
        for widget in (task, how, swap, more, *a, *b):
            widget.disabled = busy
        fair = found is not None and not found.judged.refused
        start.disabled = state.running is not None or not fair or not _missing(found)
        about.text = status(state)
        cautions.text = " ".join(found.judged.cautions) if fair else ""

    follow(state, ["jobs", "views", "spec", "working"], draw, page=PAGE)
    return pn.Column(
        pn.FlexBox(task, how, **ROW),
        own,
        views,
        pn.FlexBox(start, CopyLink(margin=(4, 3)), about, **ROW),
        cautions,
        sizing_mode="stretch_width",
        margin=0,
    )


def _set(state: State, **changes: object) -> None:
    choose(state, replace(state.spec.comparison, **changes))


def _missing(found: Compared) -> bool:
    """Somebody who can be scored is not."""
    return any(one not in found.scores and one not in found.judged.refusals for one in found.contenders)
