"""The leak check: hidden counts are replaced, and no output may change."""

from __future__ import annotations

import panel as pn

from ...compute import LeakRow
from ...spec import picture_key
from ...state import State
from ...work import Job
from ..parts import TABLE_STYLE, Announce, button, card, follow, prose, table

HEAD = ("Hidden counts replaced by", "Outputs changed", "Largest |difference|")
GOOD, BAD = {"color": "#0f7f6f"}, {"color": "#c62828", "font-weight": "600"}


def verdict(job: Job | None) -> str:
    if job is None:
        return "Not checked yet for what is hidden now."
    rows: tuple[LeakRow, ...] = job.result or ()
    changed = [row for row in rows if row.n_changed]
    if changed:
        return (
            f"LEAK: {sum(row.n_changed for row in changed):,} outputs changed in {len(changed)} of {len(rows)} checks."
        )
    if job.state == "running":
        return f"Checking: {len(rows)} replacements so far, 0 outputs changed."
    if job.state != "done":
        return "The check did not finish."
    return f"No leak: {len(rows)} replacements of the hidden counts, 0 outputs changed (largest |difference| 0)."


def view(state: State) -> pn.viewable.Viewable:
    about = Announce(label="status")
    rows = pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width")
    start = button(state, "Leak check", lambda: state.run("leak"), variant="contained")

    def draw() -> None:
        job = state.jobs.get("leak")
        if job is not None and picture_key(job.spec) != picture_key(state.spec):
            job = None  # a check of something else
        start.disabled = state.running is not None
        about.text = verdict(job)
        result: tuple[LeakRow, ...] = job.result if job and job.result else ()
        leaks = any(row.n_changed for row in result)
        about.styles = BAD if leaks else GOOD if result else {}
        cells = [(row.poison, f"{row.n_changed:,}", f"{row.largest:.3g}") for row in result]
        rows.object = table(HEAD, cells, "Every row is one run of the model on this trial.") if cells else ""

    follow(state, ["jobs", "spec"], draw, tab="leak")
    return card(prose("leak_check"), start, about, rows)
