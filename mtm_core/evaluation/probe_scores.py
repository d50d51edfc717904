"""Scores of answers among several classes, from the table of confusions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from .bootstrap import interval, resamples


@dataclass(frozen=True, eq=False)
class Answers:
    """What probes said about n neurons that they were not fitted to. Labels are positions in a list of regions."""

    neurons: Int[ndarray, " n"]  # positions among all neurons
    truth: Int[ndarray, " n"]
    said: Int[ndarray, " n"]

    def confusion(self, n_classes: int) -> Float[ndarray, "C C"]:
        """[true, said]: number of neurons."""
        return np.bincount(self.truth * n_classes + self.said, minlength=n_classes**2).reshape(n_classes, -1) * 1.0

    def resampled(self, n_classes: int, rng: np.random.Generator) -> Float[ndarray, "R C C"]:
        """Confusions when the neurons are drawn again with replacement; the same draws for the same number."""
        weights = resamples(len(self.truth), rng)
        cells = self.truth * n_classes + self.said
        found = np.zeros((len(weights), n_classes**2))
        for cell in np.unique(cells):
            found[:, cell] = weights[:, cells == cell].sum(axis=1)
        return found.reshape(-1, n_classes, n_classes)


def recalls(confusion: Float[ndarray, "... C C"]) -> Float[ndarray, "... C"]:
    """Share of each class that was found; NaN for a class without neurons."""
    inside = confusion.sum(axis=-1)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.divide(right, inside, out=np.full(right.shape, np.nan), where=inside > 0)


def balanced_accuracy(confusion: Float[ndarray, "... C C"]) -> Float[ndarray, "..."]:
    """Mean recall of the classes that occur: 1 / C for one who always says the same."""
    return _mean_known(recalls(confusion))


def macro_f1(confusion: Float[ndarray, "... C C"]) -> Float[ndarray, "..."]:
    """Mean over the classes that occur of 2 right / (occurring + said)."""
    occurring, said = confusion.sum(axis=-1), confusion.sum(axis=-2)
    twice = 2 * np.diagonal(confusion, axis1=-2, axis2=-1)
    return _mean_known(np.divide(twice, occurring + said, out=np.full(twice.shape, np.nan), where=occurring > 0))


def _mean_known(values: Float[ndarray, "... C"]) -> Float[ndarray, "..."]:
    known = np.isfinite(values)
    n = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    return np.divide(total, n, out=np.full(np.shape(total), np.nan), where=n > 0)


@dataclass(frozen=True, eq=False)
class ProbeScore:
    """How well regions were read; intervals are 95 % over neurons drawn again (see `Answers.resampled`)."""

    balanced_accuracy: float
    balanced_accuracy_ci: tuple[float, float]
    macro_f1: float
    macro_f1_ci: tuple[float, float]
    accuracy: float
    n_neurons: int
    classes: tuple[str, ...]  # that occur among these neurons, or that were said
    recall: dict[str, float]
    n_per_class: dict[str, int]
    confusion: Float[ndarray, "C C"]  # [true, said]

    def to_json(self) -> dict[str, Any]:
        named = {name: value for name, value in vars(self).items() if name != "confusion"}
        return {**named, "confusion": self.confusion.astype(int).tolist()}


def score_answers(answers: Answers, regions: tuple[str, ...], seed: int) -> ProbeScore:
    """Scores of `answers`, whose labels are positions in `regions`."""
    confusion = answers.confusion(len(regions))
    used = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    drawn = answers.resampled(len(regions), np.random.default_rng(seed))
    occurring = [c for c in used if confusion[c].sum()]
    return ProbeScore(
        balanced_accuracy=float(balanced_accuracy(confusion)),
        balanced_accuracy_ci=_ends(balanced_accuracy(drawn)),
        macro_f1=float(macro_f1(confusion)),
        macro_f1_ci=_ends(macro_f1(drawn)),
        accuracy=float(np.trace(confusion) / confusion.sum()),
        n_neurons=len(answers.truth),
        classes=tuple(regions[c] for c in used),
        recall={regions[c]: float(recalls(confusion)[c]) for c in occurring},
        n_per_class={regions[c]: int(confusion[c].sum()) for c in occurring},
        confusion=confusion[np.ix_(used, used)],
    )


@dataclass(frozen=True)
class Difference:
    """Balanced accuracy of one minus that of another on the same neurons, with its 95 % interval."""

    balanced_accuracy: float
    balanced_accuracy_ci: tuple[float, float]


def difference(one: Answers, other: Answers, n_classes: int, seed: int) -> Difference:
    """Paired: both are scored on the same drawn neurons."""
    if not np.array_equal(one.neurons, other.neurons):
        raise ValueError("a paired difference needs the same neurons on both sides")
    found, drawn = [], []
    for each in (one, other):
        found.append(float(balanced_accuracy(each.confusion(n_classes))))
        drawn.append(balanced_accuracy(each.resampled(n_classes, np.random.default_rng(seed))))
    return Difference(found[0] - found[1], _ends(drawn[0] - drawn[1]))


def _ends(values: Float[ndarray, " R"]) -> tuple[float, float]:
    low, high = interval(values)
    return float(low), float(high)
