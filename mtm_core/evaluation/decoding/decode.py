"""Decode behaviors of a session from several sources, each against its null, in small steps.

A decoder is fitted to training and validation trials, on which the model was trained and chosen as well, and scored on
the test trials, which neither has seen. Each null goes through all of it again, from the choice of the penalty on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from ...checkpoint import Checkpoint
from ...session import Trials
from ..tasks import check_protocol
from .behaviors import Target, behavior_names, target_of, too_little
from .features import Source, default_sources, features, open_source
from .mtm_protocol import MtmProtocol
from .nested import Decoded, Nested
from .nulls import Donor, choose_null
from .records import NullScores, record

PROTOCOLS = {"nested": Nested, "mtm": MtmProtocol}
FITTED_ON = {"test": ("train", "validation"), "validation": ("train",)}  # by the split that is scored
Decoder = Nested | MtmProtocol
Records = dict[str, dict[str, dict[str, Any]]]  # behavior -> source -> record


@dataclass(frozen=True)
class Plan:
    """What to decode from where. Empty behaviors or sources: all there are, and the usual ones."""

    behaviors: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    protocol: str = "nested"
    n_nulls: int = 50  # p can then be as small as 1/51
    seed: int = 0
    split: str = "test"


@dataclass(frozen=True)
class Progress:
    """How far it is (0..1), what is being done, the records so far, and what cannot be decoded, in words."""

    share: float
    doing: str
    records: Records
    problems: tuple[str, ...] = ()
    newest: Found | None = None


@dataclass(frozen=True)
class Found:
    """The record of one behavior from one source so far, and predictions and truth of the scored trials."""

    behavior: str
    source: str
    record: dict[str, Any]
    decoded: Decoded
    trials: ndarray  # positions of the scored trials


@dataclass(frozen=True, eq=False)
class Setting:
    """What all decoders of one run share."""

    model: Checkpoint | None
    trials: Trials
    donors: Sequence[Donor]
    plan: Plan
    train: ndarray = field(repr=False)  # positions of trials
    test: ndarray = field(repr=False)

    @property
    def order(self) -> ndarray:
        """The trials a decoder knows, training trials first: it never holds another one."""
        return np.concatenate([self.train, self.test])

    def picked(self, target: Target) -> Target:
        return Target(target.name, target.values[self.order])


def decode(
    model: Checkpoint | None, trials: Trials, donors: Sequence[Donor] = (), plan: Plan | None = None
) -> Iterator[Progress]:
    """Decode step by step; stop iterating to cancel, the records so far are usable.

    trials: the whole session with its splits. donors: behaviors of other sessions around the same event, for nulls.
    Raises ValueError for an unknown behavior, source or split, and for a split the model may have been trained on.
    """
    setting = _setting(model, trials, donors, plan or Plan())
    targets, problems = _targets(setting)
    sources = [open_source(name, trials) for name in setting.plan.sources or default_sources(model, trials)]
    records: Records = {target.name: {} for target in targets}
    of_counts: dict[str, Decoded] = {}
    total, done = max(1, len(sources) * len(targets) * (1 + setting.plan.n_nulls)), 0
    for source in sources:
        doing, newest = "", None
        for step in _steps(setting, source, targets, of_counts):
            if isinstance(step, Found):
                done, newest = done + 1, step
                records = {**records, step.behavior: {**records[step.behavior], source.name: step.record}}
                doing = f"{step.behavior} from {source.name}: {step.record['n_nulls']} nulls"
            else:
                doing = f"{source.name}: {step}"
            yield Progress(done / total, doing, records, problems, newest)
    yield Progress(1.0, "done", records, problems)


def _setting(model: Checkpoint | None, trials: Trials, donors: Sequence[Donor], plan: Plan) -> Setting:
    if plan.split not in FITTED_ON:
        raise ValueError(f"decoders are fitted to the {plan.split} trials; score them on test or validation")
    if plan.protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {plan.protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    if model is not None:
        check_protocol(model, trials)
    train = np.flatnonzero(np.isin(trials.split, FITTED_ON[plan.split]))
    return Setting(model, trials, donors, plan, train, np.flatnonzero(trials.split == plan.split))


def _targets(setting: Setting) -> tuple[list[Target], tuple[str, ...]]:
    """The behaviors that can be decoded, and why others cannot."""
    trials, asked = setting.trials, setting.plan.behaviors
    known = behavior_names(trials)
    if unknown := [name for name in asked if name not in known]:
        here = ", ".join(known) or "none"
        raise ValueError(f"session {trials.session_id} does not hold {', '.join(unknown)}; it holds {here}")
    targets = [target_of(name, trials.behaviors[name], setting.train) for name in asked or known]
    reasons = [too_little(target, setting.train, setting.test) for target in targets]
    usable = [target for target, reason in zip(targets, reasons, strict=True) if not reason]
    return usable, tuple(reason for reason in reasons if reason)


def _steps(
    setting: Setting, source: Source, targets: Sequence[Target], of_counts: dict[str, Decoded]
) -> Iterator[str | Found]:
    """What is being done while features are prepared, then all that is found. of_counts is what others compare with;
    decoding from counts fills it."""
    decoder = yield from prepare(setting, source)
    for target in targets:
        for found in decode_one(setting, source, decoder, target, of_counts.get(target.name)):
            if source.name == "counts":
                of_counts[target.name] = found.decoded
            yield found


def prepare(setting: Setting, source: Source) -> Generator[str, None, Decoder]:
    """Features, and all of a decoder that needs no labels.

    The model is asked about training and test trials separately, so that not even rounding joins them.
    """
    parts = []
    for positions in (setting.train, setting.test):
        values = yield from features(source, setting.model, setting.trials, positions)
        parts.append(values)
    n_train, n_trials = len(setting.train), len(setting.order)
    kind = PROTOCOLS[setting.plan.protocol]
    values, size = np.concatenate(parts), setting.trials.bin_size
    return (yield from kind.on(values, size, np.arange(n_train), np.arange(n_train, n_trials)))


def decode_one(
    setting: Setting, source: Source, decoder: Decoder, target: Target, of_counts: Decoded | None
) -> Iterator[Found]:
    """One behavior from one source: first without null, then after each null score."""
    decoded = decoder.decode(setting.picked(target))
    scored = setting.test[target.known[setting.test]]
    about = {**record(decoded, of_counts), **_about(setting, source, decoder, target)}
    training = np.isin(np.arange(setting.trials.n_trials), setting.train)
    null = choose_null(target.name, setting.trials, training, setting.donors)
    scores = NullScores(null.kind, decoded)
    yield Found(target.name, source.name, about | scores.to_json(), decoded, scored)
    rng = np.random.default_rng(setting.plan.seed)
    for values in null.draws(setting.plan.n_nulls, rng):
        drawn = target_of(target.name, values, setting.train)
        unusable = too_little(drawn, setting.train, setting.test)
        scores = scores.with_one(None if unusable else decoder.decode(setting.picked(drawn)))
        yield Found(target.name, source.name, about | scores.to_json(), decoded, scored)


def _about(setting: Setting, source: Source, decoder: Decoder, target: Target) -> dict[str, Any]:
    """What a reader needs to know about where a score comes from."""
    return {
        "n_left_out": target.n_left_out(setting.order),
        "features": source.about,
        "caveat": source.caveat,
        "protocol": decoder.name,
        "selection": decoder.about,
        "session": setting.trials.session_id,
        "split": setting.plan.split,
        "model": setting.model.manifest["hash"] if source.asks_model and setting.model else None,
        "seed": setting.plan.seed,
    }
