"""Score the whole session with the four evaluation tasks, with progress and cancel."""

from __future__ import annotations

from typing import Any

import panel as pn
import panel_material_ui as pmui

from ..state import Job, State
from ..words import TASK_NAMES, number, plain, seconds
from .parts import TABLE_STYLE, Announce, button, card, explained, follow, table

HEAD = ("Task", "Mean", "Median", "Pooled", "Mean, training null", "Scored", "Silent", "Excluded")
STATES = {"running": "Partial, still running", "cancelled": "Partial, cancelled", "failed": "Partial, failed"}


def progress_text(job: Job | None) -> str:
    if job is None:
        return "Not scored yet. All held-out trials are used; it takes a minute or two."
    left = f", about {seconds(job.seconds_left)} left" if job.seconds_left is not None else ""
    texts = {
        "running": f"Scoring: {job.share:.0%} done{left}.",
        "cancelled": f"Cancelled at {job.share:.0%}. What was scored until then is below.",
        "failed": f"Stopped at {job.share:.0%} by an error. What was scored until then is below.",
        "done": "Done: all held-out trials are scored.",
    }
    return texts[job.state]


def task_rows(found: dict[str, Any]) -> list[tuple]:
    return [
        (
            TASK_NAMES[task],
            *(number(value) for value in (score.summary.mean, score.summary.median, score.summary.pooled)),
            number(score.against_train_mean.mean),
            score.summary.n,
            score.summary.n_silent,
            score.summary.n_excluded,
        )
        for task, score in found.items()
    ]


def region_rows(found: dict[str, Any]) -> list[tuple]:
    regions = sorted({region for score in found.values() for region in score.per_region})
    return [(plain(region), *(number(_value(found, task, region)) for task in TASK_NAMES)) for region in regions]


def _value(found: dict[str, Any], task: str, region: str) -> float | None:
    summary = found[task].per_region.get(region) if task in found else None
    return summary.mean if summary is not None else None


def view(state: State) -> pn.viewable.Viewable:
    bar = pmui.LinearProgress(value=0, variant="determinate", sizing_mode="stretch_width", margin=(6, 4))
    about = Announce(label="status")
    tables = [pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width") for _ in range(2)]
    start = button(state, "Score the whole session", lambda: state.run("tasks"), variant="contained")
    cancel = button(state, "Cancel", state.cancel, color="secondary")

    def draw() -> None:
        job = state.job if state.job is not None and state.job.kind == "tasks" else None
        running = state.job is not None and state.job.state == "running"
        start.disabled, cancel.disabled = running, not (running and job)
        bar.visible, bar.value = bool(job), round(100 * job.share) if job else 0
        about.text = progress_text(job)
        found = job.result if job and job.result else {}
        label = STATES.get(job.state, "Complete") if job else ""
        spec = job.spec if job else state.spec
        tables[0].object = (
            table(HEAD, task_rows(found), f"{label}: {spec.model} on {spec.session}, bits per spike.") if found else ""
        )
        by_region = ("Region", *TASK_NAMES.values())
        tables[1].object = table(by_region, region_rows(found), f"{label}: mean by region.") if found else ""

    follow(state, ["job", "spec"], draw, tab="tasks")
    return card(
        pn.FlexBox(start, cancel, align_items="center"),
        bar,
        about,
        *tables,
        explained("What are these tasks?", "tasks"),
    )
