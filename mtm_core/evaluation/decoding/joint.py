"""Decode with one reduced-rank decoder for several sessions, or with one of a tuned rank for a single session.

Fitted on training trials, stopped (and the rank of a single session chosen) on validation trials, scored on test
trials. It has no null of its own: one fit takes as long as thousands of linear decoders. Judge it beside `decode`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...session import Trials
from .behaviors import Target, behavior_names, target_of, too_little
from .decode import Found, Plan, Progress, Records
from .features import WHOLE_WINDOW
from .measures import BALANCED, of_stream
from .nested import Decoded
from .records import NullScores, record
from .reduced_rank import Examples, ReducedRankDecoder, Settings, fit_reduced_rank

REDUCED_RANK = "reduced_rank"  # name of the source
RANK = 4  # for several sessions
RANKS = (2, 4, 8, 16)  # tried for a single one
NO_NULL = "none: see the linear decoder from counts"


def decode_jointly(sessions: Sequence[Trials], plan: Plan) -> Iterator[Progress]:
    """Decode step by step; sources of the records are named reduced_rank:SESSION. Behaviors that not all sessions hold
    are decoded from those that do. Raises ValueError if a session occurs twice or none holds a behavior."""
    ids = [trials.session_id for trials in sessions]
    if len(set(ids)) < len(ids):
        raise ValueError("a session was given twice; give each one once")
    if plan.split != "test":
        raise ValueError("a decoder of several sessions is stopped on validation trials; score it on test trials")
    names = plan.behaviors or tuple(dict.fromkeys(name for trials in sessions for name in behavior_names(trials)))
    records: Records = {}
    problems: list[str] = []
    for done, name in enumerate(names):
        chosen, reasons = _usable(sessions, name)
        problems += reasons
        if not chosen:
            continue
        for fit in _fit(chosen):
            yield Progress((done + fit.share) / len(names), f"{name}: {fit.doing}", records, tuple(problems))
        found = [_found(trials, target, fit.best, len(chosen)) for trials, target in chosen]
        records = {**records, name: {each.source: each.record for each in found}}
        yield Progress((done + 1) / len(names), name, records, tuple(problems), found[-1])
    yield Progress(1.0, "done", records, tuple(problems))


def _usable(sessions: Sequence[Trials], name: str) -> tuple[list[tuple[Trials, Target]], list[str]]:
    chosen, reasons = [], []
    for trials in sessions:
        if name not in trials.behaviors:
            reasons.append(f"session {trials.session_id} does not hold {name}")
            continue
        train, test = (np.flatnonzero(trials.split == split) for split in ("train", "test"))
        target = target_of(name, trials.behaviors[name], train)
        reason = too_little(target, train, test)
        if reason:
            reasons.append(f"session {trials.session_id}: {reason}")
        else:
            chosen.append((trials, target))
    return chosen, reasons


@dataclass(frozen=True, eq=False)
class _Fit:
    share: float
    best: ReducedRankDecoder  # so far
    doing: str


def _fit(chosen: Sequence[tuple[Trials, Target]]) -> Iterator[_Fit]:
    """One epoch a step."""
    examples = [_examples(trials, target) for trials, target in chosen]
    ranks = (RANK,) if len(chosen) > 1 else RANKS
    best = None
    for number, rank in enumerate(ranks):
        settings = Settings(rank)
        for epoch, decoder in enumerate(fit_reduced_rank(examples, settings), start=1):
            if best is None or decoder.validation_loss < best.validation_loss:
                best = decoder
            share = (number + epoch / settings.most_epochs) / len(ranks)
            yield _Fit(share, best, f"rank {rank}, epoch {epoch}")


def _examples(trials: Trials, target: Target) -> Examples:
    counts = np.where(trials.valid[:, :, None], trials.counts, 0)[target.known]
    return Examples(trials.session_id, counts, target.values[target.known], trials.split[target.known])


def _found(trials: Trials, target: Target, decoder: ReducedRankDecoder, n_sessions: int) -> Found:
    examples = _examples(trials, target)
    train, test = examples.split == "train", examples.split == "test"
    measures = BALANCED if target.two_sided else of_stream(examples.values[train].mean(axis=0))
    settings = {
        "decoder": f"reduced-rank regression, rank {decoder.model.shared.shape[0]}, {n_sessions} session(s)",
    }
    predicted = decoder.predict(trials.session_id, examples.counts[test])
    decoded = Decoded(examples.values[test], predicted, measures, settings, int(train.sum()))
    about: dict[str, Any] = {
        **record(decoded, None),
        **NullScores(NO_NULL, decoded).to_json(),
        "n_left_out": target.n_left_out(np.arange(trials.n_trials)),
        "features": f"smoothed spike counts of {trials.n_neurons} neurons in {trials.n_bins} bins",
        "caveat": WHOLE_WINDOW,
        "protocol": REDUCED_RANK,
        "selection": "fitted to training trials, stopped on validation trials",
        "session": trials.session_id,
        "split": "test",
        "model": None,
    }
    scored = np.flatnonzero(target.known & (trials.split == "test"))
    return Found(target.name, f"{REDUCED_RANK}:{trials.session_id}", about, decoded, scored)
