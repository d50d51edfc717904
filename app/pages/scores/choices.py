"""What to score and how, the button that starts it, and which task is looked at."""

from __future__ import annotations

from dataclasses import replace

import panel as pn
import panel_material_ui as pmui

from ...spec import LEVELS, TASKS
from ...state import State
from ...words import BASELINE_NAMES, TASK_NAMES, plain
from ..parts import Announce, CopyLink, bind, button, follow, offer
from .found import found, own_job, shown_task, status

HOW = {"Fast (grouped)": False, "Exact": True}
DUPLICATES = "Also hide likely duplicates of the target"
ONE_LINE = {"& .MuiToggleButton-root": {"padding": "4px 8px", "whiteSpace": "nowrap"}}


def choose(state: State, **changes: object) -> None:
    state.go(scoring=replace(state.spec.scoring, **changes))


def view(state: State) -> pn.viewable.Viewable:
    tasks = pmui.CheckBoxGroup(options={TASK_NAMES[task]: task for task in TASKS}, inline=True, margin=(0, 8))
    how = pmui.RadioButtonGroup(options=HOW, size="small", margin=(4, 8), sx=ONE_LINE)
    level = pmui.Select(label="Region level", options={"as trained": ""}, width=200, size="small", margin=(8, 8))
    duplicates = pmui.Switch(label=DUPLICATES, size="small", margin=(6, 8))
    bind(state, tasks, lambda spec: list(spec.scoring.tasks), lambda value: _choose_tasks(state, value))
    bind(state, how, lambda spec: spec.scoring.exact, lambda value: choose(state, exact=value))
    bind(state, level, lambda spec: spec.level, lambda value: state.go(level=value))
    bind(state, duplicates, lambda spec: spec.scoring.duplicates, lambda value: choose(state, duplicates=value))
    start = button(state, "Score", lambda: state.run("scores"), variant="contained", margin=(4, 8))
    about = Announce(margin=(6, 8), css_classes=["scoring"])

    def draw() -> None:
        job, picture = own_job(state), state.picture
        busy = job is not None and job.state == "running"
        for widget in (tasks, how, level, duplicates):
            widget.disabled = busy
        unknown = picture is not None and not picture.recording.known
        start.disabled = (
            state.running is not None or unknown or found(state).results is not None and not found(state).partial
        )
        start.label = "Score again" if job is not None and job.state == "cancelled" else "Score"
        about.text = status(state)
        if picture is not None:
            trained = picture.recording.trials.region_level.capitalize()
            offer(level, {f"as trained ({trained})": "", **{name.capitalize(): name for name in LEVELS}})

    follow(state, ["jobs", "views", "spec", "picture"], draw, page="scores")
    row = {"align_items": "center", "sizing_mode": "stretch_width", "gap": "4px 12px"}
    return pn.Column(
        pn.FlexBox(tasks, how, level, duplicates, **row),
        pn.FlexBox(start, CopyLink(margin=(4, 3)), about, **row),
        sizing_mode="stretch_width",
        margin=0,
    )


def _choose_tasks(state: State, chosen: list[str]) -> None:
    if chosen:
        choose(state, tasks=tuple(task for task in TASKS if task in chosen))
    else:
        state.param.trigger("spec")  # at least one stays: the boxes go back to what was chosen


def looked_at(state: State) -> pn.viewable.Viewable:
    """Which task the sections below show, and beside which baseline; invisible until there is one."""
    task = pmui.RadioButtonGroup(options={TASK_NAMES[name]: name for name in TASKS}, size="small", sx=ONE_LINE)
    other = pmui.Select(label="Compare with", options=[state.spec.scoring.against], width=220, size="small")
    bind(state, task, lambda spec: spec.scoring.task, lambda value: choose(state, task=value))
    bind(state, other, lambda spec: spec.scoring.against, lambda value: choose(state, against=value))

    def draw() -> None:
        one = shown_task(state)
        task.visible, other.visible = one is not None, one is not None and bool(one.against)
        if one is not None:
            offer(task, {TASK_NAMES[name]: name for name in found(state).results.tasks})
            names = dict.fromkeys([*one.against, state.spec.scoring.against])
            offer(other, {BASELINE_NAMES.get(name, plain(name)): name for name in names})

    follow(state, ["jobs", "views", "spec"], draw, page="scores")
    return pn.FlexBox(task, other, align_items="center", gap="4px 16px", sizing_mode="stretch_width")
