"""All scores of one session in one table: a model, other models, the baselines, and the paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..checkpoint import Checkpoint
from ..session import Trials
from .baselines import score_baseline
from .compare import Comparison, compare, differing
from .questions import Asking
from .score import Score
from .tasks import GroupedDifference, grouped_difference, score_task
from .untrained import untrained

ByTask = dict[str, Score]
MODEL = "mtm"
UNTRAINED = "untrained"  # as a baseline: the same network with fresh weights, asked in groups, as it knows nothing


@dataclass(frozen=True)
class SessionScores:
    """Scores so far; predictors are keyed by name, the model itself is MODEL."""

    by_predictor: dict[str, ByTask] = field(default_factory=dict)
    grouped: GroupedDifference | None = None  # measured where the grouped mode was used

    @property
    def model(self) -> ByTask:
        return self.by_predictor.get(MODEL, {})

    @property
    def others(self) -> dict[str, ByTask]:
        return {name: by_task for name, by_task in self.by_predictor.items() if name != MODEL}

    def comparisons(self) -> dict[str, dict[str, Comparison]]:
        """Model minus each other predictor, by predictor and task; only what is complete and of one protocol."""
        return {
            name: {task: compare(self.model[task], other) for task, other in by_task.items() if self._fair(task, other)}
            for name, by_task in self.others.items()
        }

    def _fair(self, task: str, other: Score) -> bool:
        mine = self.model.get(task)
        return (
            mine is not None and mine.complete and other.complete and mine.summary.n > 0 and not differing(mine, other)
        )

    def with_scores(self, name: str, scores: Mapping[str, Score]) -> SessionScores:
        """The same with some scores more."""
        return replace(self, by_predictor={**self.by_predictor, name: {**self.by_predictor.get(name, {}), **scores}})

    def to_json(self) -> dict[str, Any]:
        """{"tasks": ..., "baselines": {name: {"tasks": ...}}, "comparisons": {name: {task: ...}}}"""
        found = {
            name: {task: s.to_json() for task, s in by_task.items()} for name, by_task in self.by_predictor.items()
        }
        compared = {n: {task: asdict(c) for task, c in by_task.items()} for n, by_task in self.comparisons().items()}
        difference = {} if self.grouped is None else {"grouped_difference": asdict(self.grouped)}
        return {
            "tasks": found.pop(MODEL, {}),
            "baselines": {name: {"tasks": by_task} for name, by_task in found.items()},
            "comparisons": compared,
            **difference,
        }


def result_of(checkpoint: Checkpoint, scores: SessionScores) -> dict[str, Any]:
    """Everything about the scores of one session as JSON, which a report is made of."""
    first = next(iter(scores.model.values()))
    return {
        "session": first.protocol["session"],
        "protocol": {name: value for name, value in first.protocol.items() if name not in ("prompt", "exact")},
        "checkpoint": {"hash": checkpoint.manifest["hash"], "config": asdict(checkpoint.model.config)},
        **scores.to_json(),
    }


@dataclass(frozen=True)
class Plan:
    """What to score, and how."""

    tasks: Sequence[str]
    asking: Asking = field(default_factory=Asking)
    baselines: Sequence[str] = ()
    against: Mapping[str, Checkpoint] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """One step: how much is done, of what, with which result so far."""

    share: float
    what: str
    scores: SessionScores


def score_session(model: Checkpoint, trials: Trials, plan: Plan) -> Iterator[Done]:
    """Score everything in the plan; stop iterating to cancel, what is there until then stays valid."""
    models, grouped = _models(model, plan), plan.asking.grouped and "co_smoothing" in plan.tasks
    baselines = [name for name in plan.baselines if name != UNTRAINED]
    # A baseline takes about a tenth of the time of a model's task.
    n_parts = len(models) * len(plan.tasks) + len(baselines) * 0.1 + grouped
    scores, done = SessionScores(), 0.0
    for name, each in models.items():
        for task in plan.tasks:
            asking = replace(plan.asking, grouped=True) if name == UNTRAINED else plan.asking
            for step in score_task(each, trials, task, asking):
                scores = scores.with_scores(name, {task: step.score})
                share = (done + step.done / max(step.total, 1)) / n_parts
                yield Done(share, f"{name}, {task}: {step.done} of {step.total} questions", scores)
            done += 1
    if grouped:
        scores = replace(scores, grouped=grouped_difference(model, trials, plan.asking))
        yield Done((done := done + 1) / n_parts, "grouped against exact", scores)
    for name in baselines:
        if found := score_baseline(name, trials, plan.tasks, plan.asking):
            scores = scores.with_scores(name, found)
        yield Done((done := done + 0.1) / n_parts, name, scores)


def _models(model: Checkpoint, plan: Plan) -> dict[str, Checkpoint]:
    """All models of the plan by name; raises ValueError if two predictors have one name."""
    taken = {MODEL, *plan.baselines} & plan.against.keys()
    if taken:
        raise ValueError(f"{', '.join(taken)} names another predictor of the table; give the models other names")
    fresh = {UNTRAINED: untrained(model)} if UNTRAINED in plan.baselines else {}
    return {MODEL: model, **plan.against, **fresh}
