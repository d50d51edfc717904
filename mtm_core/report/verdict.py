"""What the numbers say, in words and computed from the intervals alone; where the model loses comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .words import ORACLES, baseline_name, count, interval, listed, number, pair, real, task_name, whole, within

UNIT, BOTH = "bits per spike", "mean and pooled"
AS = {"mean": "in the mean over neurons", "pooled": "pooled over spikes"}


class Outcome(Enum):
    """Who is better, as the table says it."""

    BASELINE = "baseline better"
    MIXED = "mixed: mean and pooled disagree"
    UNDECIDED = "undecided"
    MODEL = "model better"
    UNTESTED = "no interval"
    ORACLE = "not a competitor"


@dataclass(frozen=True)
class Duel:
    """Model against one baseline in one task."""

    task: str
    baseline: str
    comparison: Mapping[str, Any]
    outcome: Outcome
    measures: str  # "mean and pooled", or the only one of the two that is decided

    @property
    def words(self) -> str:
        """The outcome, with the measure where only one of the two is decided."""
        if self.outcome is Outcome.ORACLE:
            return ORACLES[self.baseline]
        one_sided = self.outcome in (Outcome.MODEL, Outcome.BASELINE) and self.measures != BOTH
        return f"{self.outcome.value} ({self.measures} only)" if one_sided else self.outcome.value

    @property
    def measured(self) -> str:
        """The difference that decides, with its interval."""
        return self.by("pooled" if self.measures == "pooled" else "mean")

    def by(self, kind: str) -> str:
        """The difference in one measure, with its interval."""
        value, ends = self.comparison.get(f"{kind}_difference"), self.comparison.get(f"{kind}_ci")
        name = "pooled" if kind == "pooled" else "mean over neurons"
        return f"{name} {number(value, signed=True)} {interval(ends, signed=True)}".strip()

    @property
    def place(self) -> str:
        return f"{within(baseline_name(self.baseline))} in {within(task_name(self.task))}"


def side(ends: Any) -> int:
    """+1 where an interval lies above 0, -1 below, 0 where it includes 0 or does not exist."""
    found = pair(ends)
    return 0 if found is None else int(found[0] > 0) - int(found[1] < 0)


def duel(task: str, baseline: str, comparison: Mapping[str, Any]) -> Duel:
    sides = {kind: side(comparison.get(f"{kind}_ci")) for kind in ("mean", "pooled")}
    measures = " and ".join(kind for kind, sign in sides.items() if sign) or BOTH
    signs = set(sides.values()) - {0}
    if baseline in ORACLES:
        outcome = Outcome.ORACLE
    elif pair(comparison.get("mean_ci")) is None and pair(comparison.get("pooled_ci")) is None:
        outcome = Outcome.UNTESTED
    elif len(signs) == 2:
        outcome = Outcome.MIXED
    else:
        outcome = {1: Outcome.MODEL, -1: Outcome.BASELINE, 0: Outcome.UNDECIDED}[sum(signs)]
    return Duel(task, baseline, comparison, outcome, measures)


def duels(result: Mapping[str, Any]) -> list[Duel]:
    """Every comparison of the result, by task and then by baseline, in the order of the result."""
    compared = result.get("comparisons") or {}
    return [
        duel(task, baseline, by_task[task])
        for task in result["tasks"]
        for baseline, by_task in compared.items()
        if task in by_task
    ]


def incomplete(result: Mapping[str, Any]) -> str:
    """Which tasks were stopped early; "" if none."""
    partial = [task_name(task) for task, score in result["tasks"].items() if not score.get("complete", True)]
    return (
        f"{listed(partial)}: stopped before all questions were asked; the numbers are provisional." if partial else ""
    )


def verdict(result: Mapping[str, Any]) -> list[str]:
    """Sentences, the worst news first."""
    fought = [d for d in duels(result) if d.outcome is not Outcome.ORACLE]
    return [
        *_losses(fought),
        *_worse_than_flat(result["tasks"]),
        *_undecided(fought),
        *_wins(fought),
        *_without_score(result["tasks"]),
    ]


def _losses(fought: list[Duel]) -> list[str]:
    if not fought:
        return ["No baseline was compared, so nothing here says whether a simpler method would do as well."]
    lost = [f"{d.place} ({d.measured})" for d in fought if d.outcome is Outcome.BASELINE]
    mixed = [d for d in fought if d.outcome is Outcome.MIXED]
    sentences = [f"The model loses to {'; to '.join(lost)} {UNIT}."] if lost else []
    # A loss by one measure is a loss, whatever the other says.
    for kind, other in (("mean", "pooled"), ("pooled", "mean")):
        if half := [f"{d.place} ({d.by(kind)})" for d in mixed if side(d.comparison[f"{kind}_ci"]) < 0]:
            sentences.append(f"By the {kind} score it loses to {'; to '.join(half)}, though it wins {AS[other]}.")
    if not sentences and any(d.outcome is not Outcome.UNTESTED for d in fought):
        sentences.append("The model loses to none of the baselines compared.")
    return sentences


def _worse_than_flat(tasks: Mapping[str, Any]) -> list[str]:
    """Tasks in which a flat guess at each neuron's own test mean is better, or as good."""
    flat = "a flat guess at each neuron's test mean (mean over neurons)"
    where: dict[int, list[str]] = {-1: [], 0: []}
    for task, score in tasks.items():
        ends = pair(score.get("mean_ci"))
        if ends is not None and side(ends) <= 0:
            where[side(ends)].append(f"{within(task_name(task))} ({number(score.get('mean'))} {interval(ends)})")
    worse = [f"It is worse than {flat} in {listed(where[-1])}."] if where[-1] else []
    return worse + ([f"It is not clearly better than {flat} in {listed(where[0])}."] if where[0] else [])


def _undecided(fought: list[Duel]) -> list[str]:
    close = [f"{d.place} ({d.measured})" for d in fought if d.outcome is Outcome.UNDECIDED]
    untested = [d.place for d in fought if d.outcome is Outcome.UNTESTED]
    sentences = [f"No clear difference from {'; from '.join(close)}."] if close else []
    return sentences + ([f"Without an interval, so not decided: {listed(untested)}."] if untested else [])


def _wins(fought: list[Duel]) -> list[str]:
    won = [d for d in fought if d.outcome is Outcome.MODEL]
    if not won:
        return ["It is clearly better than no baseline."] if fought else []
    closest = min(won, key=_gap)
    which = "every comparison" if len(won) == len(fought) else f"{len(won)} of {len(fought)} comparisons"
    return [f"It is better in {which}; the closest of these is {closest.place} ({closest.measured} {UNIT})."]


def _gap(d: Duel) -> float:
    value = real(d.comparison.get("mean_difference"))
    return float("inf") if value is None else value


def _without_score(tasks: Mapping[str, Any]) -> list[str]:
    return [
        f"In {within(task_name(task))} nothing could be scored: "
        f"{count(whole(score.get('n_silent')), 'silent neuron')}, {whole(score.get('n_excluded'))} excluded."
        for task, score in tasks.items()
        if whole(score.get("n")) == 0
    ]
