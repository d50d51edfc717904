"""The evaluation tasks of one session and model, beside what a simpler prediction scores: in steps, as a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from mtm_core.evaluation.baselines import ABOUT, baseline_names, score_baseline
from mtm_core.evaluation.duplicates import Duplicates, likely_duplicates
from mtm_core.evaluation.questions import Asking, n_questions
from mtm_core.evaluation.score import Score
from mtm_core.evaluation.session_scores import MODEL, SessionScores
from mtm_core.evaluation.tasks import GroupedDifference, grouped_difference, score_task

from ..recordings import Recording, checkpoint, recording, trials_at
from ..spec import Spec
from ..words import BASELINE_NAMES, TASK_NAMES, count
from .kept import Kept
from .score_tables import TaskTables, against, tables

__all__ = ["ABOUT", "Results", "ready", "steps"]
TURN = 0.02  # s that one step waits for work in the other thread
SHOWN_EVERY = 0.2  # s between tables of what is not complete
# What the fits take, in questions to the model: measured on one core with 260 neurons, for the time that is left.
COSTS = {"condition_psth": 15, "coupling": 60, "ridge": 90, "autoregression": 95, "reduced_rank": 140}
LITTLE, GROUPED_COST = 5, 30
NO_OPPONENT = "test_mean"  # the null itself: it scores 0 by definition
MOST_KEPT = 16  # tasks, a few MB each, shared by all visitors
# Fits take seconds in one piece. In a thread of their own they hold up nobody's turn with the model.
_FITS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fits")


@dataclass(frozen=True, eq=False)
class Results:
    """Scores so far, of one way to score one session with one model."""

    recording: Recording
    tasks: dict[str, TaskTables] = field(default_factory=dict)
    grouped: GroupedDifference | None = None  # measured where several neurons were held out at once
    duplicates: Duplicates | None = None  # hidden together with the target
    now: str = ""  # what is being done

    @property
    def complete(self) -> bool:
        return not self.now


Step = tuple[float, Results]  # share done, 0..1
Stage = Callable[[Results], Iterator[Step]]


_scores, _tables, _differences = Kept(MOST_KEPT), Kept(MOST_KEPT), Kept(MOST_KEPT)


def ready(spec: Spec) -> Results | None:
    """The complete results of this choice, if any visitor has had them computed."""
    opened, wanted = recording(spec.session, spec.model), spec.scoring.tasks
    found = {task: _tables.get(_key(spec, task)) for task in wanted}
    if None in found.values():
        return None
    return Results(opened, found, _differences.get(_key(spec, "")), _duplicates_of(spec, opened))


def session_scores(spec: Spec) -> SessionScores | None:
    """The complete scores behind what is shown, for files made of them; None where there are none."""
    results, tasks = ready(spec), spec.scoring.tasks
    mine = {task: _scores.get(_key(spec, task)) for task in tasks}
    if results is None or None in mine.values():
        return None
    names = dict.fromkeys(name for one in results.tasks.values() for name in one.against)
    fits = {name: _fit(name, spec.session, spec.model, spec.level, tasks) for name in names}
    if not all(fit.done() for fit in fits.values()):
        raise ValueError("the simpler predictions are being fitted once more; try again in a minute")
    return SessionScores({MODEL: mine, **{name: fit.result() for name, fit in fits.items()}}, results.grouped)


def steps(spec: Spec) -> Iterator[Step]:
    """Score the chosen tasks: the model first, then the baselines. Raises ValueError if the model cannot be scored."""
    opened = recording(spec.session, spec.model)
    if not opened.known:
        raise ValueError("this model has not been trained on this recording, so there is nothing to score")
    results, paid = Results(opened, now="looking for duplicates"), 0.0
    if spec.scoring.duplicates:
        yield from _waiting(_find_duplicates(spec.session, spec.model), results)
        results = replace(results, duplicates=_duplicates_of(spec, opened))
    plan = _plan(spec, results)
    total = sum(cost for cost, _ in plan)
    for cost, stage in plan:
        for step in stage(results):
            share, results = step
            yield (paid + share * cost) / total, results
        paid += cost
    for task in spec.scoring.tasks:
        _tables.keep(_key(spec, task), results.tasks[task])
    yield 1.0, replace(results, now="")


def _key(spec: Spec, task: str) -> tuple[Any, ...]:
    scoring = spec.scoring
    return spec.session, spec.model, spec.level, scoring.exact, scoring.duplicates, task


def _asking(spec: Spec, results: Results) -> Asking:
    found = results.duplicates
    return Asking(grouped=not spec.scoring.exact, duplicates=None if found is None else found.matrix)


def _plan(spec: Spec, results: Results) -> list[tuple[float, Stage]]:
    """What there is to do, each with what it costs in questions to the model."""
    trials, asking = trials_at(results.recording, spec.level), _asking(spec, results)
    plan = [
        (float(n_questions(task, trials, asking)), partial(_ask, spec, asking, task)) for task in spec.scoring.tasks
    ]
    if asking.grouped and "co_smoothing" in spec.scoring.tasks:
        plan.append((GROUPED_COST, partial(_compare_grouped, spec, asking)))
    names = [name for name in baseline_names(trials) if name != NO_OPPONENT]
    return plan + [(COSTS.get(name, LITTLE), partial(_compare, spec, name)) for name in names]


# --- stages -----------------------------------------------------------------------------------------------------------


def _ask(spec: Spec, asking: Asking, task: str, results: Results) -> Iterator[Step]:
    """The model's answers to one task; a complete score that is there already is not computed again."""
    key, shown = _key(spec, task), 0.0
    if key not in _scores:
        for step in score_task(checkpoint(spec.model), trials_at(results.recording, spec.level), task, asking):
            if step.done < step.total and time.monotonic() - shown > SHOWN_EVERY:
                now = f"{TASK_NAMES[task]}, {step.done} of {count(step.total, 'question')}"
                results, shown = _with(results, tables(step.score), now), time.monotonic()
            yield step.done / max(step.total, 1), results
        _scores.keep(key, step.score)
    yield 1.0, _with(results, tables(_scores[key]), TASK_NAMES[task])


def _compare_grouped(spec: Spec, asking: Asking, results: Results) -> Iterator[Step]:
    """How far grouped scores are from exact ones, on some neurons."""
    key, now = _key(spec, ""), "the exact way on some neurons"
    if key not in _differences:
        trials = trials_at(results.recording, spec.level)
        future = _FITS.submit(grouped_difference, checkpoint(spec.model), trials, asking)
        yield from _waiting(future, replace(results, now=now))
        _differences.keep(key, future.result())
    yield 1.0, replace(results, grouped=_differences[key], now=now)


def _compare(spec: Spec, name: str, results: Results) -> Iterator[Step]:
    """One baseline on all tasks."""
    results = replace(results, now=f"baseline: {BASELINE_NAMES.get(name, name)}")
    future = _fit(name, spec.session, spec.model, spec.level, spec.scoring.tasks)
    yield from _waiting(future, results)
    for task, other in future.result().items():  # not every baseline exists for every task
        old, found = results.tasks[task], against(_scores[_key(spec, task)], other)
        results = _with(results, replace(old, against={**old.against, name: found}), results.now)
        yield 1.0, results


def _with(results: Results, done: TaskTables, now: str) -> Results:
    return replace(results, tasks={**results.tasks, done.task: done}, now=now)


# --- in the other thread ----------------------------------------------------------------------------------------------


def _waiting(future: Future, results: Results) -> Iterator[Step]:
    while not future.done():
        wait([future], TURN)
        yield 0.0, results


@lru_cache(maxsize=16)
def _fit(name: str, session: str, model: str, level: str, tasks: tuple[str, ...]) -> Future[dict[str, Score]]:
    """A baseline's scores; whoever asks for the same shares the work."""
    return _FITS.submit(score_baseline, name, trials_at(recording(session, model), level), tasks)


@lru_cache(maxsize=4)
def _find_duplicates(session: str, model: str) -> Future[Duplicates]:
    opened = recording(session, model)
    return _FITS.submit(likely_duplicates, opened.trials, opened.units)


def _duplicates_of(spec: Spec, opened: Recording) -> Duplicates | None:
    return _find_duplicates(spec.session, spec.model).result() if spec.scoring.duplicates else None
