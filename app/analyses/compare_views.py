"""Two views of Explore on the same entries: what A and B both hide and both predict, in all held-out trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import numpy as np

from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.score import Score
from mtm_core.evaluation.tasks import neurons_of, protocol
from mtm_core.masking import Mask
from mtm_core.predict import predict
from mtm_core.session import Trials

from ..compute import TRIALS_PER_STEP, mask
from ..recordings import checkpoint, trials_at
from ..spec import Spec
from .comparable import present_view
from .compare_tables import pair_of
from .compared import Compared, OneTrial, asked, trial_of
from .kept import Kept

TASK = "explore"
NOTHING_IN_COMMON = "A and B hide nothing in common, so there is no entry that both predict; let them overlap."
_done = Kept(8)


def views(spec: Spec, found: Compared) -> Iterator[Compared]:
    """found: the comparison as it was judged; refused as well if A and B have no hidden entry in common."""
    if found.judged.refused:
        return
    both = [(pin.model, mask(pin.session, pin.model, pin.hide)) for pin in (spec.pin, present_view(spec))]
    target = (both[0][1].target & both[1][1].target)[0].numpy()
    if not target.any():
        yield replace(found, judged=replace(found.judged, refused=NOTHING_IN_COMMON))
        return
    trials, key = trials_at(found.recording, spec.level), asked(spec)
    if key not in _done:
        sums = ()
        for sums in _scored(trials, both, target):  # noqa: B007 (the last ones are complete)
            yield found
        _done.keep(key, _with_scores(found, trials, target, sums))
    found = _done[key]
    yield found
    yield replace(found, one=_one_trial(trials, both, target, trial_of(found.recording, spec.trial)))


def _scored(trials: Trials, both: list[tuple[str, Mask]], target: np.ndarray) -> Iterator[tuple[SpikeSums, SpikeSums]]:
    """Sums (K, N) of A and B over the held-out trials, which fill up step by step."""
    test = np.flatnonzero(trials.split == "test")
    sums = tuple(SpikeSums.empty(test.size, trials.n_neurons) for _ in both)
    for start in range(0, test.size, TRIALS_PER_STEP):
        place = slice(start, min(start + TRIALS_PER_STEP, test.size))
        some = trials.select(test[place])
        for one, (model, drawn) in zip(sums, both, strict=True):
            one.add(some.counts, _rates(model, drawn, some), target & some.valid[:, :, None], trials=place)
            yield sums


def _rates(model: str, drawn: Mask, some: Trials) -> np.ndarray:
    """Expected counts (K, T, N); every trial gets the same mask."""
    shape = some.counts.shape
    every = replace(drawn, hidden=drawn.hidden.expand(shape), target=drawn.target.expand(shape))
    return predict(checkpoint(model), some, every)


def _with_scores(found: Compared, trials: Trials, target: np.ndarray, sums: tuple[SpikeSums, SpikeSums]) -> Compared:
    who = replace(neurons_of("co_smoothing", trials), eligible=target.any(0))
    shared = {"target_sha256": sha256(np.packbits(target).tobytes()).hexdigest()}
    scores = {}
    for one, each in zip(found.contenders, sums, strict=True):
        about = protocol(trials, TASK, "test", {"model": one.model, "prompt": one.prompt}) | shared
        scores[one] = Score(TASK, each, who, about, complete=True)
    first, second = scores.values()
    return replace(found, scores=scores, pairs={found.contenders[1]: pair_of(first, second)})


def _one_trial(trials: Trials, both: list[tuple[str, Mask]], target: np.ndarray, trial: int) -> OneTrial:
    one = trials.select(np.array([trial]))
    scored = target & one.valid[0, :, None]
    rates = [np.where(scored, _rates(model, drawn, one)[0], np.nan) for model, drawn in both]
    return OneTrial(trial, one.counts[0], scored, (rates[0], rates[1]))
