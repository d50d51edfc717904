"""Scores of a translation from its predictions alone, whoever made them: a model or a baseline.

Encoding: bits per spike over all bins with data and all neurons, as all other scores of spikes (NEDS, arXiv 2504.08201,
section 5). Decoding: accuracy and balanced accuracy of a class, R2 of a trace as it is and after the average trace of
the training trials was subtracted (what NEDS's code and its paper call R2). What cannot be measured is None, and says
why. Intervals: 95 %, over resampled trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ...modality import BEHAVIORS, UNKNOWN, class_of
from ...session import Trials
from ..bootstrap import interval, resamples
from ..decoding.behaviors import TWO_SIDED
from ..decoding.measures import SEED, accuracy, mean_recall, r2, r2_beyond, roc_auc
from ..metrics import SpikeSums
from ..score import Score
from ..tasks import ceiling_of, neurons_of, part_of, protocol, target_entries
from .encoders import TASK
from .features import average_trace

Weighted = Callable[[Float[ndarray, "R K"]], Float[ndarray, " R"]]  # a measure of resampled trials


def encoding_score(
    rates: Float[ndarray, "K T N"], trials: Trials, split: str = "test", predictor: Mapping[str, Any] | None = None
) -> Score:
    """Score of the task "encoding"; rates: expected counts per bin of the trials of the split, in their order.

    trials: the whole session, with its splits. predictor: who predicted from what, for the protocol of the score.
    Raises ValueError for rates of another shape, and for negative or unknown ones.
    """
    part, who = part_of(trials, split), neurons_of(TASK, trials)
    _check_shape(rates, part.counts.shape, split)
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    sums.add(part.counts, rates, target_entries(TASK, part))
    about = protocol(trials, TASK, split, dict(predictor or {}))
    return Score(TASK, sums, who, about, True, ceiling_of(TASK, part, who))


@dataclass(frozen=True)
class Measure:
    """One number with its 95 % interval. None: not measurable, for the reason."""

    value: float | None
    ci: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True)
class DecodingScore:
    """How well one behavior was decoded.

    measures: balanced_accuracy, accuracy and auc of a class; r2 and r2_residual of a trace. n: scored trials.
    chance: balanced accuracy of any constant answer, or R2 of the mean. constant: accuracy of always naming the most
    frequent class of the training trials; None for a trace.
    """

    behavior: str
    split: str
    measures: dict[str, Measure]
    n: int
    n_left_out: dict[str, int]
    chance: float | None
    constant: float | None
    classes: dict[str, int]  # scored trials of each class

    def to_json(self) -> dict[str, Any]:
        """Plain values; JSON has no NaN."""
        return asdict(self)


def decoding_score(
    predicted: Float[ndarray, "K ..."], trials: Trials, behavior: str, split: str = "test"
) -> DecodingScore:
    """Score of a decoded behavior over the known entries of the trials of a split.

    predicted: probabilities (K, C) of the classes in the table of behaviors, or a trace (K, T) in its unit, of the
    trials of the split, in their order. trials: the whole session, with its splits. Raises ValueError for another
    shape, for a behavior that the session does not hold, and for predictions of known entries that are no numbers.
    """
    if behavior not in BEHAVIORS or behavior not in trials.behaviors:
        here = ", ".join(name for name in BEHAVIORS if name in trials.behaviors) or "none"
        raise ValueError(f"session {trials.session_id} does not hold {behavior!r}; it holds {here}")
    part = part_of(trials, split)
    modality = BEHAVIORS[behavior]
    _check_shape(predicted, (part.n_trials, len(modality.classes) if modality.static else part.n_bins), split)
    return (_of_classes if modality.static else _of_trace)(predicted, trials, part, behavior, split)


def _check_shape(predicted: ndarray, shape: tuple[int, ...], split: str) -> None:
    if np.shape(predicted) != shape:
        raise ValueError(f"predictions have shape {np.shape(predicted)}; the {split} trials need {shape}")


def _check_numbers(predicted: ndarray, behavior: str) -> None:
    if not np.isfinite(predicted).all():
        raise ValueError(f"predictions of {behavior} hold NaN or infinity where it is known")


def _measured(of: Weighted, n_trials: int) -> Measure:
    value = of(np.ones((1, n_trials)))[0]
    low, high = interval(of(resamples(n_trials, np.random.default_rng(SEED))))
    both = n_trials > 1 and np.isfinite([low, high]).all()
    return Measure(float(value), (float(low), float(high)) if both else None)


# --- classes ----------------------------------------------------------------------------------------------------------


def _of_classes(probabilities: ndarray, trials: Trials, part: Trials, behavior: str, split: str) -> DecodingScore:
    modality, values = BEHAVIORS[behavior], np.asarray(part.behaviors[behavior], dtype=np.float64)
    labels = class_of(modality, values)
    scored = labels != UNKNOWN
    labels, found = labels[scored], np.asarray(probabilities, dtype=np.float64)[scored]
    _check_numbers(found, behavior)
    there = np.unique(labels)
    constant = _most_frequent(trials, behavior)
    return DecodingScore(
        behavior,
        split,
        _class_measures(labels, found, split),
        n=len(labels),
        n_left_out=_left_out(behavior, values, scored),
        chance=1 / len(there) if len(there) > 1 else None,
        constant=float(np.mean(labels == constant)) if constant is not None and len(labels) else None,
        classes={name: int((labels == number).sum()) for number, name in enumerate(modality.classes)},
    )


def _class_measures(labels: ndarray, found: Float[ndarray, "K C"], split: str) -> dict[str, Measure]:
    n, there = len(labels), np.unique(labels)
    if n == 0:
        return dict.fromkeys(("balanced_accuracy", "accuracy", "auc"), Measure(None, None, f"no known {split} trial"))
    named = found.argmax(axis=1)
    right = (named == labels).astype(np.float64)
    measures = {"accuracy": _measured(lambda w: accuracy(np.ones(n), right, w), n)}
    if len(there) < 2:
        undefined = Measure(None, None, f"only one class in the {split} trials")
        return {"balanced_accuracy": undefined, **measures, "auc": undefined}
    measures = {"balanced_accuracy": _measured(lambda w: mean_recall(labels, named, w, there), n), **measures}
    if len(there) > 2:
        return {**measures, "auc": Measure(None, None, f"{len(there)} classes in the {split} trials; it needs two")}
    low, high = found[:, there].T
    share = np.divide(high, low + high, out=np.full(n, 0.5), where=low + high > 0)
    ones = (labels == there[1]).astype(np.float64)
    return {**measures, "auc": _measured(lambda w: roc_auc(ones, share, w), n)}


def _most_frequent(trials: Trials, behavior: str) -> int | None:
    labels = class_of(BEHAVIORS[behavior], trials.select("train").behaviors[behavior])
    counts = np.bincount(labels[labels != UNKNOWN], minlength=1)
    return int(counts.argmax()) if counts.any() else None


def _left_out(behavior: str, values: ndarray, scored: Bool[ndarray, " K"]) -> dict[str, int]:
    """Reason -> number of trials that are not scored."""
    of_no_class = TWO_SIDED["choice"].neither if behavior == "choice" else "no class"
    counts = {"missing value": ~np.isfinite(values), of_no_class: np.isfinite(values) & ~scored}
    return {reason: int(flags.sum()) for reason, flags in counts.items() if flags.any()}


# --- traces -----------------------------------------------------------------------------------------------------------


def _of_trace(trace: ndarray, trials: Trials, part: Trials, behavior: str, split: str) -> DecodingScore:
    values = np.asarray(part.behaviors[behavior], dtype=np.float64)
    entries = np.isfinite(values) & part.valid
    scored = entries.any(axis=1)
    _check_numbers(np.asarray(trace)[entries], behavior)
    truth = np.where(entries, values, np.nan)[scored]
    found = np.where(entries, trace, np.nan)[scored].astype(np.float64)
    missing = {"missing values": int((~scored).sum())} if not scored.all() else {}
    return DecodingScore(
        behavior,
        split,
        _trace_measures(truth, found, average_trace(trials.select("train").behaviors[behavior]), split),
        n=int(scored.sum()),
        n_left_out=missing,
        chance=0.0,
        constant=None,
        classes={},
    )


def _trace_measures(truth: ndarray, found: ndarray, average: Float[ndarray, " T"], split: str) -> dict[str, Measure]:
    kinds = {"r2": (truth, r2), "r2_residual": (truth - average, r2_beyond(average))}
    measures = {}
    for name, (deviations, of) in kinds.items():
        some = deviations[np.isfinite(deviations)]
        if some.size == 0:
            measures[name] = Measure(None, None, f"no known {split} trial")
        elif np.ptp(some) <= 1e-9 * max(1.0, np.abs(some).max()):
            measures[name] = Measure(None, None, f"it never changes in the {split} trials")
        else:
            measures[name] = _measured(lambda w, of=of: of(truth, found, w), len(truth))
    return measures
