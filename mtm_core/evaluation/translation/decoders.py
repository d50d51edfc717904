"""Behaviors from spikes, without a network: what a model that decodes has to beat.

Fitted to training trials, tuned on validation trials; of the scored trials nothing is read but their spikes. Any number
of classes; those that no training trial has get probability 0. (`../decoding` asks another question, what spikes tell
at all: two sides, the validation trials among those fitted to, nulls.)

linear        NEDS's baseline (Zhang et al., ICML 2025, arXiv 2504.08201, appendix): all bins of the trial, each feature
              with its own scale, in a logistic regression or a ridge regression of each bin.
ridge         the same in wider bins, classes weighing the same; a trace also from the smoothed counts of the bin alone,
              with the same weights in all bins. What predicts the validation trials best is taken.
reduced_rank  ../decoding/reduced_rank.py; with three classes each against the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.linear_model import LogisticRegression

from ...modality import BEHAVIORS, UNKNOWN, class_of
from ...session import Trials
from ..decoding.joint import RANKS
from ..decoding.nested import LOGISTIC_PENALTIES, RAREST, RIDGE_PENALTIES, WIDTHS
from ..decoding.reduced_rank import Examples, ReducedRankDecoder, Settings, fit_reduced_rank
from ..decoding.row_space import RowSpace, row_space
from ..tasks import part_of
from .features import average_trace, chosen_behaviors, no_news
from .trace_lines import Around, Deviations, Spikes, WholeTrial, tuned, wide

# As scikit-learn's alpha and 1 / C. NEDS's search goes down to 1e-4 for classes as well, where trials are separable and
# all strengths below 1 predict the same.
STRENGTHS = (1e4, 1e3, 100.0, 10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4)
CLASS_STRENGTHS = STRENGTHS[:6]
SIGMAS = (0.05, 0.1)  # s, of the smoothing where a bin is decoded from its own counts
MOST_STEPS = 1000  # of the logistic regression


@dataclass(frozen=True, eq=False)
class Predicted:
    """Probabilities (K, C) of the classes in the table of behaviors, or a trace (K, T) in its unit."""

    values: Float[ndarray, "K C"] | Float[ndarray, "K T"]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Labels:
    """Class of each training and validation trial, as a position in `seen`; of these all are known."""

    train: Int[ndarray, " n"]
    held: Int[ndarray, " h"]
    n: int


Found = tuple[ndarray, dict[str, Any]]  # probabilities of the seen classes, or deviations, and settings


def decode_from_spikes(trials: Trials, behavior: str, method: str, split: str = "test") -> Predicted:
    """A behavior in the trials of a split, from their spikes alone; trials: the whole session, with its splits.

    Raises ValueError for an unknown method, and for a behavior that the session does not have.
    """
    if method not in DECODERS:
        raise ValueError(f"unknown method {method!r}; choose from {', '.join(DECODERS)}")
    chosen_behaviors(trials, (behavior,))
    asked = _counts(part_of(trials, split))
    train, held = trials.select("train"), trials.select("validation")
    if BEHAVIORS[behavior].static:
        return _classes(train, held, asked, behavior, DECODERS[method].of_classes)
    return _trace(train, held, asked, behavior, DECODERS[method].of_trace)


def _counts(part: Trials) -> Float[ndarray, "K T N"]:
    return np.where(part.valid[:, :, None], part.counts, 0).astype(np.float64)


def _classes(
    train: Trials, held: Trials, asked: ndarray, behavior: str, fit: Callable[[Spikes, Labels], Found]
) -> Predicted:
    modality = BEHAVIORS[behavior]
    labels, others = (class_of(modality, part.behaviors[behavior]) for part in (train, held))
    seen = np.unique(labels[labels != UNKNOWN])
    known, usable = np.isin(labels, seen), np.isin(others, seen)
    spikes = Spikes(_counts(train)[known], _counts(held)[usable], asked, train.bin_size)
    places = Labels(*(np.searchsorted(seen, each) for each in (labels[known], others[usable])), len(seen))
    found, settings = fit(spikes, places)
    values = np.zeros((len(asked), len(modality.classes)))
    values[:, seen] = found
    return Predicted(values, settings)


def _trace(
    train: Trials, held: Trials, asked: ndarray, behavior: str, fit: Callable[[Spikes, Deviations], Found]
) -> Predicted:
    values, others = (np.asarray(part.behaviors[behavior], dtype=np.float64) for part in (train, held))
    known, usable = (np.isfinite(each).any(axis=1) for each in (values, others))
    average = average_trace(values)
    spikes = Spikes(_counts(train)[known], _counts(held)[usable], asked, train.bin_size)
    found, settings = fit(spikes, Deviations(values[known] - average, others[usable] - average))
    return Predicted(average + found, settings)


# --- classes ----------------------------------------------------------------------------------------------------------


def _linear_classes(spikes: Spikes, labels: Labels) -> Found:
    return _logistic(spikes, labels, 1, None)


def _ridge_classes(spikes: Spikes, labels: Labels) -> Found:
    losses = {n: _losses(spikes, labels, n, "balanced") for n in sorted({spikes.bins_of(width) for width in WIDTHS})}
    return _logistic(spikes, labels, min(losses, key=lambda n: losses[n].min()), "balanced")


def _logistic(spikes: Spikes, labels: Labels, n_bins: int, weighing: str | None) -> Found:
    """Logistic regression from bins of n_bins bins, with the penalty that suits the validation trials best."""
    space = row_space(wide(spikes.train, n_bins), wide(spikes.asked, n_bins))
    best = int(np.argmin(_losses(spikes, labels, n_bins, weighing)))
    penalty = _penalties(space, weighing)[best]
    settings = {"C": 1 / penalty, "bin_width_s": round(n_bins * spikes.bin_size, 6)}
    return _probabilities(space, labels, penalty, weighing), settings


def _penalties(space: RowSpace, weighing: str | None) -> list[float]:
    return list(CLASS_STRENGTHS) if weighing is None else [each * space.unit for each in LOGISTIC_PENALTIES]


def _probabilities(space: RowSpace, labels: Labels, penalty: float, weighing: str | None) -> Float[ndarray, "m c"]:
    # Trials of length one, whatever the number of features: the solver needs far fewer steps.
    length = np.sqrt(space.unit)
    model = LogisticRegression(C=space.unit / penalty, class_weight=weighing, max_iter=MOST_STEPS)
    return model.fit(space.train / length, labels.train).predict_proba(space.test / length)


def _losses(spikes: Spikes, labels: Labels, n_bins: int, weighing: str | None) -> Float[ndarray, " penalties"]:
    """Log loss of the validation trials for every penalty; weighing: as in the regression."""
    space = row_space(wide(spikes.train, n_bins), wide(spikes.held, n_bins))
    penalties = _penalties(space, weighing)
    if len(labels.held) == 0:
        return np.zeros(len(penalties))
    share = np.bincount(labels.held, minlength=labels.n)[labels.held] if weighing else np.ones(len(labels.held))
    losses = []
    for penalty in penalties:
        right = _probabilities(space, labels, penalty, weighing)[np.arange(len(labels.held)), labels.held]
        losses.append(np.average(-np.log(right.clip(RAREST)), weights=1 / share))
    return np.array(losses)


def _reduced_classes(spikes: Spikes, labels: Labels) -> Found:
    """Two classes in one decoder; of more, each against the others, made to sum to 1."""
    asked, ranks = [], []
    for number in range(labels.n) if labels.n > 2 else (1,):
        decoder = _reduced(spikes, *(np.where(each == number, 1.0, 0.0) for each in (labels.train, labels.held)))
        asked.append(decoder.predict("", spikes.asked))
        ranks.append(decoder.model.shared.shape[0])
    found = np.stack(asked if labels.n > 2 else [1 - asked[0], asked[0]], axis=1)
    return found / found.sum(axis=1, keepdims=True), {"rank": ranks}


# --- traces -----------------------------------------------------------------------------------------------------------


def _linear_trace(spikes: Spikes, values: Deviations) -> Found:
    line = WholeTrial(spikes.train, values.train, 1)
    return tuned([(line, STRENGTHS)], spikes, values)


def _ridge_trace(spikes: Spikes, values: Deviations) -> Found:
    widths = sorted({1, *(spikes.bins_of(width) for width in WIDTHS)})
    lines = [WholeTrial(spikes.train, values.train, n_bins) for n_bins in widths]
    lines += [Around(spikes.train, values.train, sigma / spikes.bin_size) for sigma in SIGMAS]
    return tuned([(line, [each * line.unit for each in RIDGE_PENALTIES]) for line in lines], spikes, values)


def _reduced_trace(spikes: Spikes, values: Deviations) -> Found:
    decoder = _reduced(spikes, no_news(values.train), no_news(values.held))
    return decoder.predict("", spikes.asked), {"rank": decoder.model.shared.shape[0]}


def _reduced(spikes: Spikes, train: ndarray, held: ndarray) -> ReducedRankDecoder:
    """The rank and the epoch with the smallest loss on the validation trials."""
    split = np.repeat(["train", "validation"], [len(train), len(held)])
    examples = Examples("", np.concatenate([spikes.train, spikes.held]), np.concatenate([train, held]), split)
    last = [list(fit_reduced_rank([examples], Settings(rank)))[-1] for rank in RANKS]
    return min(last, key=lambda decoder: decoder.validation_loss)


@dataclass(frozen=True)
class Decoder:
    of_classes: Callable[[Spikes, Labels], Found]
    of_trace: Callable[[Spikes, Deviations], Found]
    about: str


DECODERS: dict[str, Decoder] = {
    "linear": Decoder(_linear_classes, _linear_trace, "Linear regression from all bins of the trial, as NEDS's."),
    "ridge": Decoder(_ridge_classes, _ridge_trace, "The same in wider bins, or for a trace from each bin alone."),
    "reduced_rank": Decoder(_reduced_classes, _reduced_trace, "Linear regression through a few shared dimensions."),
}
