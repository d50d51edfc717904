"""What spikes and the model tell about behavior, for the page "Decoding"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mtm_core.evaluation.decoding.behaviors import TWO_SIDED, behavior_names
from mtm_core.evaluation.decoding.decode import Found, Plan, Records, decode
from mtm_core.evaluation.decoding.features import decodable_regions, default_sources
from mtm_core.session import Trials

from ..recordings import Recording, checkpoint, recording
from ..spec import Spec
from .kept import Kept

REGION_NULLS = 20  # p can then be as small as .048; there are many regions
_kept = Kept(8)


@dataclass(frozen=True, eq=False)
class Decodings:
    """All that was decoded so far: records as `mtm decode` writes them, and predictions for the held-out trials."""

    trials: Trials
    records: Records
    found: dict[tuple[str, str], Found] = field(default_factory=dict)  # by behavior and source
    problems: tuple[str, ...] = ()
    complete: bool = False

    def joined(self, other: Decodings) -> Decodings:
        """Both together; they are about the same trials."""
        names = dict.fromkeys([*self.records, *other.records])
        records = {name: {**self.records.get(name, {}), **other.records.get(name, {})} for name in names}
        problems = tuple(dict.fromkeys(self.problems + other.problems))
        found = {**self.found, **other.found}
        return Decodings(self.trials, records, found, problems, self.complete and other.complete)


@dataclass(frozen=True, eq=False)
class Example:
    """Held-out trials of one behavior as decoded from one source."""

    trials: np.ndarray  # positions (m,)
    truth: np.ndarray  # (m,) labels 0 and 1, or (m, T)
    decoded: np.ndarray  # (m,) probabilities of label 1, or (m, T)
    times: np.ndarray  # middles of the bins, s; empty for labels
    average: np.ndarray  # the average trace of the training trials (T,); empty for labels
    classes: tuple[str, str]  # names of labels 0 and 1; empty for a stream


def names_of(opened: Recording) -> tuple[str, ...]:
    """The behaviors of a recording that can be decoded."""
    return behavior_names(opened.trials)


def usual(spec: Spec) -> Iterator[tuple[float, Decodings]]:
    """Share done and what was found so far: from the counts of all neurons, and from what the model makes of them."""
    trials, model = recording(spec.session, spec.model).trials, checkpoint(spec.model)
    yield from _steps(spec, "decoding", Plan(sources=default_sources(model, trials)))


def by_region(spec: Spec) -> Iterator[tuple[float, Decodings]]:
    """Share done and what was found so far: from each region's counts, and from what the model thinks is in it."""
    opened = recording(spec.session, spec.model)
    kinds = ("region", "reconstruction") if opened.known else ("region",)
    sources = tuple(f"{kind}:{name}" for name in decodable_regions(opened.trials) for kind in kinds)
    if not sources:
        raise ValueError("the region of no neuron is known in this recording")
    yield from _steps(spec, "decoding_regions", Plan(sources=sources, n_nulls=REGION_NULLS))


def kept(spec: Spec) -> dict[str, Decodings]:
    """The complete results that some visitor has asked for already: kind -> result."""
    found = {kind: _kept.get((spec.session, spec.model, kind)) for kind in ("decoding", "decoding_regions")}
    return {kind: each for kind, each in found.items() if each is not None}


def example(shown: Decodings, behavior: str, source: str) -> Example | None:
    """Predictions and truth; None where this was not decoded."""
    if (found := shown.found.get((behavior, source))) is None:
        return None
    trials, decoded = shown.trials, found.decoded
    if behavior in TWO_SIDED:
        none = np.zeros(0)
        return Example(found.trials, decoded.truth, decoded.predicted, none, none, TWO_SIDED[behavior].names)
    raw = trials.behaviors[behavior]
    recorded = np.isfinite(raw).any(axis=0)
    times = (trials.bin_starts + trials.bin_size / 2)[recorded]
    average = np.nanmean(raw[np.isin(trials.split, ("train", "validation"))][:, recorded], axis=0)
    return Example(found.trials, decoded.truth, decoded.predicted, times, average, ())


def _steps(spec: Spec, kind: str, plan: Plan) -> Iterator[tuple[float, Decodings]]:
    key = (spec.session, spec.model, kind)
    if (known := _kept.get(key)) is not None:
        yield 1.0, known
        return
    opened = recording(spec.session, spec.model)
    model = checkpoint(spec.model) if opened.known else None
    shown = Decodings(opened.trials, {})
    for step in decode(model, opened.trials, (), plan):
        found = shown.found
        if step.newest is not None:
            found = {**found, (step.newest.behavior, step.newest.source): step.newest}
        shown = Decodings(opened.trials, step.records, found, step.problems)
        yield min(step.share, 0.999), shown
    yield 1.0, _kept.keep(key, Decodings(shown.trials, shown.records, shown.found, shown.problems, complete=True))
