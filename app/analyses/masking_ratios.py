"""How a score falls as more is hidden: bits per spike against the mask ratio of one scheme.

Every test trial gets masks of its own, drawn with fixed seeds. A seed draws one number per neuron (or bin), of which
those below the ratio are hidden: whatever is hidden at one ratio is hidden at all larger ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from mtm_core.evaluation.bootstrap import interval, resamples
from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.score import SEED, Interval
from mtm_core.evaluation.tasks import train_means
from mtm_core.masking import Mask, Scheme, draw_mask
from mtm_core.predict import predict
from mtm_core.session import Trials

from ..compute import TRIALS_PER_STEP
from ..recordings import Recording, checkpoint, codes, recording
from ..spec import Spec
from .kept import Kept

RATIOS = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)  # percent
SEEDS = (0, 1)  # masks per trial
_kept = Kept(16)


@dataclass(frozen=True)
class RatioScore:
    """Pooled bits per spike against the mean of the training trials; 95 % over resampled test trials."""

    ratio: int  # percent
    bits: float  # NaN: nothing was scored
    ci: Interval | None
    share_hidden: float  # of all entries, on average
    n_spikes: int  # in the scored entries


@dataclass(frozen=True)
class Ratios:
    scheme: str
    prompt: str
    scores: tuple[RatioScore, ...]  # so far
    n_trials: int
    complete: bool = False


def kept(spec: Spec) -> Ratios | None:
    """What some visitor has asked for already."""
    return None if spec.hide.by_hand else _kept.get(_key(spec))


def steps(spec: Spec) -> Iterator[tuple[float, Ratios]]:
    """Share done and the curve so far."""
    if (known := kept(spec)) is not None:
        yield 1.0, known
        return
    opened = _checked(spec)
    prompt = spec.hide.prompt or spec.hide.scheme
    found, null = Ratios(spec.hide.scheme, prompt, (), opened.test.size), _null(opened)
    per_ratio = len(SEEDS) * -(-opened.test.size // TRIALS_PER_STEP)
    total, done = len(RATIOS) * per_ratio, 0
    for ratio in RATIOS:
        sums, share = SpikeSums.empty(opened.test.size, opened.trials.n_neurons), 0.0
        for part, rows, drawn in parts(opened, spec, ratio):
            sums.add(part.counts, predict(checkpoint(spec.model), part, drawn), _target(drawn, part), trials=rows)
            share, done = share + float(drawn.hidden.float().mean()) / per_ratio, done + 1
            yield done / total * 0.999, found
        found = replace(found, scores=(*found.scores, _score(ratio, share, sums, null)))
    yield 1.0, _kept.keep(_key(spec), replace(found, complete=True))


def parts(opened: Recording, spec: Spec, ratio: int) -> Iterator[tuple[Trials, slice, Mask]]:
    """Some test trials at a time, with the mask of each; every trial comes once per seed."""
    n_trials, trials = opened.test.size, opened.trials
    scheme, prompt = Scheme[spec.hide.scheme.upper()], Scheme[(spec.hide.prompt or spec.hide.scheme).upper()]
    for seed in SEEDS:
        rng = torch.Generator().manual_seed(seed)
        drawn = draw_mask(scheme, (n_trials, trials.n_bins, trials.n_neurons), codes(trials), rng, ratio / 100)
        drawn = replace(drawn, scheme=prompt)
        for start in range(0, n_trials, TRIALS_PER_STEP):
            rows = slice(start, min(start + TRIALS_PER_STEP, n_trials))
            yield trials.select(opened.test[rows]), rows, drawn.rows(rows)


def _target(drawn: Mask, part: Trials) -> np.ndarray:
    return drawn.target.numpy() & part.valid[:, :, None]


def _score(ratio: int, share: float, sums: SpikeSums, null: np.ndarray) -> RatioScore:
    total = sums.total()
    n_spikes, bits = int(total.spikes.sum()), total.pooled(null)
    if not n_spikes:
        return RatioScore(ratio, float("nan"), None, share, 0)
    weights = resamples(len(sums.spikes), np.random.default_rng(SEED))
    return RatioScore(ratio, bits, tuple(interval(sums.total(weights).pooled(null)).tolist()), share, n_spikes)


def _null(opened: Recording) -> np.ndarray:
    # A neuron that is hidden in a few trials only is nearly guessed by its own mean in these: a null that knows the
    # test trials would bend the curve down where little is hidden.
    return train_means(replace(opened.trials, true_rates=None))


def _checked(spec: Spec) -> Recording:
    """The recording; raises ValueError with what the visitor should know if there is no curve."""
    opened = recording(spec.session, spec.model)
    if spec.hide.by_hand:
        raise ValueError("what is hidden by hand has no ratio; choose a scheme first")
    if not opened.known:
        raise ValueError("this model has not been trained on this recording, so it cannot be asked")
    if opened.test.size < 2:
        raise ValueError("this recording has fewer than two test trials, so there is no interval over trials")
    return opened


def _key(spec: Spec) -> tuple[str, ...]:
    return spec.session, spec.model, spec.hide.scheme, spec.hide.prompt or spec.hide.scheme
