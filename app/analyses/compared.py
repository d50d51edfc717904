"""What is known of one comparison: who, whether it is fair, the scores, their differences and one trial."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mtm_core.evaluation.metrics import LOG_2, spike_sums
from mtm_core.evaluation.score import Score

from ..comparison import EXPLORE, Comparison, Contender
from ..recordings import Recording
from ..spec import Spec, part
from .comparable import LETTERS, Judged, name_of
from .compare_tables import Line, Pair

READS = ("session", "model", "level", "comparison", "hide", "pin", "trial")  # what of a spec the page shows


def asked(spec: Spec) -> Spec:
    """What of a spec the numbers depend on."""
    if spec.comparison.task == EXPLORE:
        names = ("session", "model", "level", "hide", "pin")
        return Spec(comparison=Comparison(task=EXPLORE), **{name: getattr(spec, name) for name in names})
    return part(spec, ("session", "model", "level", "comparison"))


@dataclass(frozen=True, eq=False)
class OneTrial:
    """One held-out trial. All arrays are (T, N); rates are expected spikes per bin, NaN where nothing is scored."""

    trial: int  # position among the kept trials
    counts: np.ndarray
    target: np.ndarray
    rates: tuple[np.ndarray, np.ndarray]  # of A and B

    @property
    def gain(self) -> float | None:
        """How much better B knew this trial than A, in bits per spike of all scored entries; None without a spike."""
        a, b = (spike_sums(np.where(self.target, rates, 1.0), self.counts, self.target) for rates in self.rates)
        spikes = a.spikes.sum()
        return float((b.log_likelihood() - a.log_likelihood()).sum() / (spikes * LOG_2)) if spikes else None


@dataclass(frozen=True, eq=False)
class Compared:
    """What is known so far of one comparison."""

    asked: Spec  # what it answers
    recording: Recording
    contenders: tuple[Contender, ...]
    judged: Judged
    scores: dict[Contender, Score] = field(default_factory=dict)  # complete ones
    pairs: dict[Contender, Pair] = field(default_factory=dict)  # each minus A
    one: OneTrial | None = None
    now: str = ""  # what is being done

    @property
    def task(self) -> str:
        return self.asked.comparison.task

    @property
    def fast(self) -> bool:
        return self.asked.comparison.fast

    @property
    def pair(self) -> Pair | None:
        """B minus A."""
        return self.pairs.get(self.contenders[1])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name_of(one, self.task) for one in self.contenders)

    @property
    def lines(self) -> list[Line]:
        """All contenders in order."""
        lines = []
        for letter, name, one in zip(LETTERS, self.names, self.contenders, strict=False):
            pair = self.pairs.get(one)
            reason = self.judged.refusals.get(one, "") or ("" if pair is None else pair.reason)
            lines.append(Line(letter, name, self.scores.get(one), pair, reason))
        return lines


def trial_of(opened: Recording, chosen: int) -> int:
    """A held-out trial for what the address says: the first one where it names none."""
    test = np.flatnonzero(opened.trials.split == "test")
    return chosen if chosen in test else int(test[0])
