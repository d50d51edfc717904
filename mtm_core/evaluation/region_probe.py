"""Can the region of a neuron be read from its embedding by a line? A linear probe, its baseline and its null.

NEDS (arXiv 2504.08201, section 5.3) reads the region with a linear support vector classifier in 5-fold cross-validation
over the pooled neurons, and reports accuracy. Three things are added, as that number alone can mislead:
* Neurons of one session share its day and its probes, so folds over neurons may recognize the session. In
  leave-one-session-out no neuron of the asked session is known. It scores the regions that are known from other
  sessions; the probe is not told which of them occur in this one.
* Regions differ in size: balanced accuracy and macro F1 give every region the same weight.
* What is above chance is told by labels that are shuffled within each session, and what is more than firing statistics
  by the same probe on those (firing_features.py).

Scaling, the strength of regularization and the probe itself see neither embeddings nor labels of the neurons that are
asked. The embeddings come from training that knew all neurons' activity, and MtM's masking schemes hide neurons by
region (masking.py), so labels had a part in which questions the model was trained on: a property of what is probed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from sklearn.model_selection import StratifiedKFold

from ..regions import NEVER_TARGET, sort_regions
from .linear_probe import fit_probe
from .probe_scores import Answers, Difference, ProbeScore, balanced_accuracy, difference, macro_f1, score_answers

EMBEDDING, FIRING = "embedding", "firing"
N_FOLDS = 5
FEWEST_NEURONS = 10  # of a region: two in each fold


class Protocol(Enum):
    """Which neurons a probe is asked about that it has not seen."""

    FOLDS = "folds"
    SESSIONS = "sessions"


PROTOCOL_NAMES = {Protocol.FOLDS: "5 folds over neurons", Protocol.SESSIONS: "leave one session out"}


@dataclass(frozen=True)
class Settings:
    min_neurons: int = FEWEST_NEURONS
    n_shuffles: int = 20  # p can then be as small as .048
    seed: int = 0

    def __post_init__(self) -> None:
        if self.min_neurons < FEWEST_NEURONS or self.n_shuffles < 0:
            raise ValueError(f"a region needs at least {FEWEST_NEURONS} neurons, and shuffles are counted from 0")


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of neurons. `session` is the one that is left out, "" in folds."""

    train: Int[ndarray, " m"]
    test: Int[ndarray, " n"]
    session: str = ""


@dataclass(frozen=True, eq=False)
class Neurons:
    """Region and session of N neurons."""

    regions: Shaped[ndarray, " N"]
    sessions: Shaped[ndarray, " N"]

    @property
    def names(self) -> tuple[str, ...]:
        """All regions, in Allen order; labels are positions in it."""
        return sort_regions(self.regions)

    @property
    def labels(self) -> Int[ndarray, " N"]:
        place = {name: i for i, name in enumerate(self.names)}
        return np.array([place[str(region)] for region in self.regions], dtype=np.int64)


@dataclass(frozen=True)
class Null:
    """The same scores with labels that mean nothing: one value per shuffle."""

    balanced_accuracy: tuple[float, ...]
    macro_f1: tuple[float, ...]

    def p(self, found: float) -> float:
        """Chance of a balanced accuracy at least as good with meaningless labels (Phipson & Smyth 2010)."""
        return (1 + sum(value >= found for value in self.balanced_accuracy)) / (1 + len(self.balanced_accuracy))


@dataclass(frozen=True)
class Probed:
    """All results of one protocol, or the reason why there are none."""

    scores: dict[str, ProbeScore] = field(default_factory=dict)  # by name of the features
    against: dict[str, Difference] = field(default_factory=dict)  # embedding minus each other
    by_session: dict[str, dict[str, ProbeScore]] = field(default_factory=dict)  # features -> session left out
    null: Null | None = None
    not_asked: dict[str, str] = field(default_factory=dict)  # session -> why
    problem: str = ""


@dataclass(frozen=True)
class Step:
    """Share of the work done, what is being done, and what is known so far."""

    share: float
    doing: str
    found: dict[Protocol, Probed]


# --- who is asked -----------------------------------------------------------------------------------------------------


def class_names(regions: Shaped[ndarray, " N"], fewest: int) -> tuple[str, ...]:
    """Regions with enough neurons to be a class, in Allen order."""
    names, n = np.unique(regions.astype(np.str_), return_counts=True)
    return sort_regions(set(names[n >= fewest].tolist()) - NEVER_TARGET)


def fold_splits(neurons: Neurons, settings: Settings) -> list[Split]:
    """Five folds over the neurons of all sessions, every region spread over all; raises ValueError if impossible."""
    asked = np.flatnonzero(np.isin(neurons.regions, class_names(neurons.regions, settings.min_neurons)))
    if len(set(neurons.regions[asked].tolist())) < 2:
        raise ValueError(f"fewer than two regions have {settings.min_neurons} neurons")
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=settings.seed)
    return [Split(asked[train], asked[test]) for train, test in folds.split(asked, neurons.regions[asked])]


def session_splits(neurons: Neurons, settings: Settings) -> tuple[list[Split], dict[str, str]]:
    """Each session by the others, and why sessions are not asked; raises ValueError if none can be."""
    ids = list(dict.fromkeys(neurons.sessions.tolist()))
    if len(ids) < 2:
        raise ValueError("the model's neurons are of one session; leaving it out leaves nothing to learn from")
    splits, not_asked = [], {}
    for session in ids:
        inside = neurons.sessions == session
        known = class_names(neurons.regions[~inside], settings.min_neurons)
        taught = np.isin(neurons.regions, known)
        train, test = np.flatnonzero(taught & ~inside), np.flatnonzero(taught & inside)
        if len(known) < 2:
            not_asked[session] = f"fewer than two regions have {settings.min_neurons} neurons in the other sessions"
        elif len(test) == 0:
            not_asked[session] = "none of its regions is known from other sessions"
        else:
            splits.append(Split(train, test, session))
    if not splits:
        raise ValueError(f"no session can be asked: {'; '.join(sorted(set(not_asked.values())))}")
    return splits, not_asked


def shuffled(neurons: Neurons, rng: np.random.Generator) -> Neurons:
    """The same neurons with regions exchanged within each session: a session keeps its regions and their numbers."""
    regions = neurons.regions.copy()
    for session in dict.fromkeys(neurons.sessions.tolist()):
        # root and void stay where they are: they are never asked about
        inside = np.flatnonzero((neurons.sessions == session) & ~np.isin(regions, list(NEVER_TARGET)))
        regions[inside] = rng.permutation(regions[inside])
    return Neurons(regions, neurons.sessions)


# --- the probes -------------------------------------------------------------------------------------------------------


def _asked(
    features: Float[ndarray, "N F"], neurons: Neurons, splits: list[Split], seed: int
) -> Iterator[tuple[Split, Answers]]:
    """The answers for each split."""
    labels = neurons.labels
    for split in splits:
        probe = fit_probe(features[split.train], labels[split.train], seed)
        yield split, Answers(split.test, labels[split.test], probe.predict(features[split.test]))


def _all_of(parts: list[Answers]) -> Answers:
    return Answers(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("neurons", "truth", "said")))


# --- everything -------------------------------------------------------------------------------------------------------


def region_probe(features: Mapping[str, Float[ndarray, "N F"]], neurons: Neurons, settings: Settings) -> Iterator[Step]:
    """Probe each of the features by both protocols; the last step holds everything. Steps take about a second.

    `features`: EMBEDDING and what it is compared with; the null shuffles the labels of EMBEDDING.
    """
    runs = {protocol: _Run(protocol, features, neurons, settings) for protocol in Protocol}
    total, done = sum(run.n_steps for run in runs.values()), 0
    found = {protocol: Probed(not_asked=run.not_asked, problem=run.problem) for protocol, run in runs.items()}
    # What a visitor waits for comes first, then what it is worth.
    for work in (_Run.true_steps, _Run.null_steps):
        for protocol, run in runs.items():
            for doing, changes in work(run):
                found = {**found, protocol: replace(found[protocol], **changes)}
                done += 1
                yield Step(done / total, f"{PROTOCOL_NAMES[protocol]}: {doing}", found)
    yield Step(1.0, "done", found)


class _Run:
    """One protocol. What cannot be asked is a problem, not an error."""

    def __init__(
        self, protocol: Protocol, features: Mapping[str, ndarray], neurons: Neurons, settings: Settings
    ) -> None:
        self.protocol, self.features, self.neurons, self.settings = protocol, features, neurons, settings
        self.problem, self.splits, self.not_asked = "", [], {}
        try:
            self.splits, self.not_asked = self.split(neurons)
        except ValueError as error:
            self.problem = str(error)

    def split(self, neurons: Neurons) -> tuple[list[Split], dict[str, str]]:
        if self.protocol is Protocol.FOLDS:
            return fold_splits(neurons, self.settings), {}
        return session_splits(neurons, self.settings)

    @property
    def n_steps(self) -> int:
        """Of `steps`; shuffled labels have as many splits as the true ones."""
        return len(self.splits) * (len(self.features) + self.settings.n_shuffles)

    def true_steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What is being done, and the fields of `Probed` that are now known, after every split of every features."""
        answers: dict[str, list[tuple[Split, Answers]]] = {}
        for name, values in self.features.items():
            parts = []
            for one in _asked(values, self.neurons, self.splits, self.settings.seed):
                parts.append(one)
                complete = len(parts) == len(self.splits)
                if complete:
                    answers[name] = parts
                yield name, self.scored(answers) if complete else {}

    def null_steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The same for shuffled labels."""
        rng, found = np.random.default_rng(self.settings.seed), []
        for shuffle in range(self.settings.n_shuffles if self.splits else 0):
            labels, parts = shuffled(self.neurons, rng), []
            doing = f"shuffled labels, {shuffle + 1} of {self.settings.n_shuffles}"
            for _, one in _asked(self.features[EMBEDDING], labels, self.split(labels)[0], self.settings.seed):
                parts.append(one)
                if len(parts) < len(self.splits):
                    yield doing, {}
            confusion = _all_of(parts).confusion(len(labels.names))
            found.append((float(balanced_accuracy(confusion)), float(macro_f1(confusion))))
            yield doing, {"null": Null(*(tuple(values) for values in zip(*found, strict=True)))}

    def scored(self, answers: dict[str, list[tuple[Split, Answers]]]) -> dict[str, Any]:
        """Scores of the features that have been asked about by all splits."""
        names, seed = self.neurons.names, self.settings.seed
        pooled = {name: _all_of([one for _, one in parts]) for name, parts in answers.items()}
        by_session = {
            name: {split.session: score_answers(one, names, seed) for split, one in parts if split.session}
            for name, parts in answers.items()
        }
        others = {name: each for name, each in pooled.items() if name != EMBEDDING}
        return {
            "scores": {name: score_answers(each, names, seed) for name, each in pooled.items()},
            "against": {name: difference(pooled[EMBEDDING], each, len(names), seed) for name, each in others.items()},
            "by_session": {name: each for name, each in by_session.items() if each},
        }
