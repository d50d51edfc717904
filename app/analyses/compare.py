"""Contenders on one task of one recording: their scores, their paired differences and their answers for one trial."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from mtm_core.evaluation.baselines import FITS, Baseline, score_fitted
from mtm_core.evaluation.questions import Asking, n_questions
from mtm_core.evaluation.score import Score
from mtm_core.evaluation.task_rates import task_rates
from mtm_core.evaluation.tasks import score_task, target_entries
from mtm_core.masking import Scheme

from ..comparison import EXPLORE, Contender
from ..recordings import checkpoint, recording, trials_at
from ..spec import Spec
from ..words import count
from .comparable import judge, name_of, reference, resolved
from .compare_tables import pair_of
from .compare_views import views
from .compared import READS, Compared, OneTrial, asked, trial_of
from .kept import Kept

__all__ = ["READS", "opened", "ready", "steps"]

TURN = 0.02  # s that one step waits for work in the other thread
# What fits take, in questions to the model: measured on one core with 260 neurons, for the time that is left.
COSTS = {"condition_psth": 15.0, "coupling": 60.0, "ridge": 90.0, "autoregression": 95.0, "reduced_rank": 140.0}
LITTLE = 5.0
# Fits take seconds in one piece. In a thread of their own they hold up nobody's turn with the model.
_FITS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compared-fits")
_scores, _pairs, _trials = Kept(24), Kept(24), Kept(64)


Step = tuple[float, Compared]  # share done, 0..1


# --- what is there already --------------------------------------------------------------------------------------------


def opened(spec: Spec) -> Compared:
    """Who is to be compared, whether that is allowed, and what any visitor has had computed of it."""
    shown = reference(spec)
    empty = Compared(asked(spec), shown, resolved(spec), judge(spec, shown))
    return empty if empty.judged.refused or spec.comparison.task == EXPLORE else _with_kept(spec, empty)


def ready(spec: Spec) -> Iterator[Compared]:
    """What is there, and then the answers for the trial that is looked at, if A and B are scored.

    Two views of Explore are quickly scored, so that happens here as well.
    """
    found = opened(spec)
    yield found
    if spec.comparison.task == EXPLORE:
        yield from views(spec, found)
        return
    if found.pair is not None:
        for _, with_trial in _look_at_trial(spec, found):
            yield with_trial


def _with_kept(spec: Spec, found: Compared) -> Compared:
    scores = {one: _scores[key] for one in found.contenders if (key := _key(spec, found, one)) in _scores}
    first, pairs = found.contenders[0], {}
    for one in found.contenders[1:]:
        if one != first and first in scores and one in scores:
            key = (_key(spec, found, first), _key(spec, found, one))
            pairs[one] = _pairs[key] if key in _pairs else _pairs.keep(key, pair_of(scores[first], scores[one]))
    return replace(found, scores=scores, pairs=pairs)


def _key(spec: Spec, found: Compared, one: Contender) -> tuple[Any, ...]:
    """A baseline depends on the trials only; `fast` is a matter of models."""
    return spec.session, found.recording.model, spec.level, found.task, found.fast and not one.baseline, one


# --- computing --------------------------------------------------------------------------------------------------------


def steps(spec: Spec) -> Iterator[Step]:
    """Score who is not scored yet, then ask A and B about the trial. Raises ValueError if they cannot be compared."""
    found = opened(spec)
    if found.judged.refused:
        raise ValueError(found.judged.refused)
    yield 0.0, replace(found, now="getting ready")
    missing = [one for one in found.contenders if one not in found.scores and one not in found.judged.refusals]
    costs = [_cost(spec, found, one) for one in missing]
    total, paid = sum(costs) + LITTLE, 0.0
    for one, cost in zip(missing, costs, strict=True):
        name = name_of(one, found.task)
        for share, doing in (_fit if one.baseline else _ask)(spec, found, one):
            yield (paid + share * cost) / total, replace(found, now=f"{name}{doing}")
        found, paid = _with_kept(spec, found), paid + cost
        yield paid / total, replace(found, now=name)
    for share, with_trial in _look_at_trial(spec, found):
        yield (paid + 0.99 * share * LITTLE) / total, replace(with_trial, now="one trial")
    yield 1.0, with_trial


def _asking(found: Compared, one: Contender) -> Asking:
    return Asking(grouped=found.fast, prompt=Scheme[one.prompt.upper()] if one.prompt else None)


def _cost(spec: Spec, found: Compared, one: Contender) -> float:
    if one.baseline:
        return COSTS.get(one.baseline, LITTLE)
    return float(n_questions(found.task, trials_at(found.recording, spec.level), _asking(found, one)))


def _ask(spec: Spec, found: Compared, one: Contender) -> Iterator[tuple[float, str]]:
    """The model's answers to the whole task; share done and what to say of it."""
    trials = trials_at(found.recording, spec.level)
    for step in score_task(checkpoint(one.model), trials, found.task, _asking(found, one)):
        yield step.done / max(step.total, 1), f", {step.done} of {count(step.total, 'question')}"
        score = step.score
    _scores.keep(_key(spec, found, one), score)


def _fit(spec: Spec, found: Compared, one: Contender) -> Iterator[tuple[float, str]]:
    """A baseline, fitted on the training trials and scored in the other thread."""
    future = _scored(one.baseline, spec.session, found.recording.model, spec.level, found.task)
    while not future.done():
        wait([future], TURN)
        yield 0.0, " is fitted"
    _scores.keep(_key(spec, found, one), future.result())


@lru_cache(maxsize=4)
def _fitted(name: str, session: str, model: str, level: str) -> Future[Baseline]:
    """Fitted on the training trials; whoever asks for the same shares the work."""
    return _FITS.submit(FITS[name], trials_at(recording(session, model), level))


@lru_cache(maxsize=8)
def _scored(name: str, session: str, model: str, level: str, task: str) -> Future[Score]:
    fitted, trials = _fitted(name, session, model, level), trials_at(recording(session, model), level)
    return _FITS.submit(lambda: score_fitted(name, fitted.result(), trials, task))  # one worker: fitted comes first


# --- one trial --------------------------------------------------------------------------------------------------------


def _look_at_trial(spec: Spec, found: Compared) -> Iterator[Step]:
    """The answers of A and B; the last step holds them."""
    trial, rates = trial_of(found.recording, spec.trial), []
    trials = trials_at(found.recording, spec.level)
    for place, one in enumerate(found.contenders[:2]):
        key = (_key(spec, found, one), trial)
        if key not in _trials:
            answer = np.zeros(0)
            for share, answer in _answers(spec, found, one, trial):  # noqa: B007 (the last one is kept)
                yield (place + share) / 2, found
            _trials.keep(key, answer[0])
        rates.append(_trials[key])
    target = np.isfinite(rates[0]) & np.isfinite(rates[1])
    yield 1.0, replace(found, one=OneTrial(trial, trials.counts[trial], target, (rates[0], rates[1])))


def _answers(spec: Spec, found: Compared, one: Contender, trial: int) -> Iterator[tuple[float, np.ndarray]]:
    """Expected counts (1, T, N) of one trial, NaN where nothing is scored."""
    trials, place = trials_at(found.recording, spec.level), np.array([trial])
    if not one.baseline:
        yield from task_rates(checkpoint(one.model), trials, found.task, place, _asking(found, one))
        return
    future = _fitted(one.baseline, spec.session, found.recording.model, spec.level)
    while not future.done():
        wait([future], TURN)
        yield 0.0, np.zeros(0)
    some = trials.select(place)
    scored = target_entries(found.task, some) & found.scores[one].who.eligible
    yield 1.0, np.where(scored, future.result().rates(found.task, some), np.nan).astype(np.float32)
