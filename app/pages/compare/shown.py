"""What the parts of the page have in common: the newest result for the present choice, and when they are drawn."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn

from ...analyses.compared import Compared, asked
from ...comparison import EXPLORE
from ...state import State
from ...words import TASK_NAMES, seconds
from ...work import Job
from ..parts import follow

PAGE = "compare"
TITLES = TASK_NAMES | {EXPLORE: "Views of Explore"}
STOPPED = {"cancelled": "Cancelled", "failed": "Stopped by an error"}


def _fits(state: State, result: Compared | None) -> bool:
    return result is not None and result.asked == asked(state.spec)


def own_job(state: State) -> Job | None:
    """The visitor's newest run, if it answers the present question."""
    job = state.jobs.get(PAGE)
    return job if job is not None and asked(job.spec) == asked(state.spec) else None


def newest(state: State) -> Compared | None:
    """What is known of the present question; with a trial where there is one."""
    job = own_job(state)
    there = [result for result in (state.views.get(PAGE), job and job.result) if _fits(state, result)]
    scored = [result for result in there if result.pair is not None]
    with_trial = [result for result in scored if result.one is not None]
    return next(iter([*with_trial, *scored, *there]), None)


def drawn(state: State, draw: Callable[[Compared], None], part: Callable[[Compared], object]) -> None:
    """Draw when `part` of the result of two contenders that are both scored is new: another trial is no other table."""
    last: list[object] = []

    def refresh() -> None:
        found = newest(state)
        if found is None or found.pair is None:
            return
        now = [found.asked, part(found)]
        if last != now:
            last[:] = now
            draw(found)

    follow(state, ["jobs", "views", "spec"], refresh, page=PAGE)


def while_compared(state: State, build: Callable[[], list]) -> pn.Column:
    """The results: built when A and B are first scored, as they are heavy, and away while there are none."""
    results = pn.Column(sizing_mode="stretch_width", margin=0, visible=False)

    def show() -> None:
        found = newest(state)
        there = found is not None and found.pair is not None
        if there and not results.objects:
            results.objects = build()
        results.visible = there

    follow(state, ["jobs", "views", "spec"], show, page=PAGE)
    return results


def status(state: State) -> str:
    """One sentence about the run."""
    job, found = own_job(state), newest(state)
    if job is not None and job.state == "running":
        left = f", about {seconds(job.seconds_left)} left" if job.seconds_left is not None else ""
        return f"Comparing: {job.share:.0%} done{left}. Now: {job.result.now if job.result else 'getting ready'}."
    if found is None:
        return "Looking at who is to be compared…" if state.working else "Nothing to compare yet."
    if found.judged.refused:
        return f"Not comparable. {found.judged.refused}"
    if found.pair is not None:
        n = int((found.recording.trials.split == "test").sum())
        return f"Complete: both answered the same questions about all {n} held-out trials."
    if job is not None and job.state in STOPPED:
        return f"{STOPPED[job.state]} at {job.share:.0%}. Who is scored by now stays scored."
    if found.task == EXPLORE:
        return "Comparing both views on all held-out trials…" if state.working else "There is nothing to compare."
    return "Fair to compare, but not computed yet. Nothing is computed until you ask."
