"""Which results the page shows: those of the visitor's own run, or complete ones that anybody had computed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...analyses.models import model_facts
from ...analyses.score_tables import TaskTables
from ...analyses.scores import Results
from ...spec import Scoring, Spec, part
from ...state import State
from ...words import seconds
from ...work import Job

PARTIAL = {
    "running": "Partial, still running",
    "cancelled": "Partial, cancelled",
    "failed": "Partial, stopped by an error",
}


@dataclass(frozen=True)
class Found:
    results: Results | None
    label: str  # "Complete", or why it is not

    @property
    def partial(self) -> bool:
        return self.label != "Complete"


def question(spec: Spec) -> Spec:
    """The part of a spec that results depend on: not what of them is looked at."""
    scoring = Scoring(tasks=spec.scoring.tasks, exact=spec.scoring.exact, duplicates=spec.scoring.duplicates)
    return replace(part(spec, ("session", "model", "level")), scoring=scoring)


def own_job(state: State) -> Job | None:
    """The visitor's newest run, if it answers the present question."""
    job = state.jobs.get("scores")
    return job if job is not None and question(job.spec) == question(state.spec) else None


def found(state: State) -> Found:
    job = own_job(state)
    if job is not None and job.result is not None and job.state != "done":
        return Found(job.result, PARTIAL[job.state])
    ready = job.result if job is not None and job.state == "done" else state.views.get("scores")
    fits = ready is not None and (ready.recording.entry.id, ready.recording.model) == (
        state.spec.session,
        state.spec.model,
    )
    return Found(ready if fits else None, "Complete")


def shown_task(state: State) -> TaskTables | None:
    """The tables of the task that is looked at, or of the first there is."""
    results = found(state).results
    if results is None or not results.tasks:
        return None
    return results.tasks.get(state.spec.scoring.task) or next(iter(results.tasks.values()))


def status(state: State) -> str:
    """One sentence about the run."""
    job, shown = own_job(state), found(state)
    if job is not None and job.state == "running":
        left = f", about {seconds(job.seconds_left)} left" if job.seconds_left is not None else ""
        return f"Scoring: {job.share:.0%} done{left}. Now: {job.result.now if job.result else 'opening the recording'}."
    if job is not None and job.state in ("cancelled", "failed"):
        how = "Cancelled" if job.state == "cancelled" else "Stopped by an error"
        return f"{how} at {job.share:.0%}. What was scored until then is below, marked as partial."
    if shown.results is not None:
        n_trials = int((shown.results.recording.trials.split == "test").sum())
        return (
            f"Complete: {model_facts(state.spec.model).label} on {state.spec.session}, all {n_trials} held-out trials."
        )
    return "Not scored yet in this way. Nothing is computed until you ask."
