"""From a spec to arrays, through mtm_core. Cached across visitors; called in the model thread only; no widgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from mtm_core.evaluation.metrics import spike_sums
from mtm_core.evaluation.tasks import train_means
from mtm_core.masking import DEFAULT_RATIO, Mask, Scheme, draw_mask, free_mask
from mtm_core.predict import predict

from .recordings import Recording, checkpoint, codes, recording
from .spec import Hide, Spec, part

TRIALS_PER_STEP = 8  # one turn of the gate: short enough that other visitors do not wait long
NOISE_DRAWS = 20
torch.set_num_threads(1)  # inference of many visitors: one core each time, none oversubscribed


@dataclass(frozen=True, eq=False)
class Average:
    """What was recorded on average, in spikes per bin."""

    recorded: tuple[np.ndarray, np.ndarray]  # mean and s.e.m. over the test trials, (T, N)
    true: np.ndarray | None  # mean true rate over the same trials, (T, N)
    train: np.ndarray  # mean over the training trials, (N,)


@dataclass(frozen=True, eq=False)
class Picture:
    """One trial: what was recorded, hidden and reconstructed. All arrays are (T, N)."""

    recording: Recording
    trial: int
    prompt: str
    trained_prompts: tuple[str, ...]
    ratio: float | None
    sort: str
    order: np.ndarray  # neurons from the bottom row to the top row
    counts: np.ndarray
    hidden: np.ndarray
    target: np.ndarray
    rates: np.ndarray | None  # expected spikes per bin; None if the model does not know the session
    true_rates: np.ndarray | None
    average: Average


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of the hidden entries over test trials, in bits per spike against two nulls."""

    recording: Recording
    n_done: int
    n_trials: int
    bits: np.ndarray  # (N,) null: mean of the scored entries; NaN where not scored or silent
    bits_train: np.ndarray  # (N,) null: mean of the training trials
    scored: np.ndarray  # (N,) bool: has target entries
    silent: np.ndarray  # (N,) bool: scored, but fired no spike in the scored entries
    pooled: float  # of all scored entries together
    pooled_train: float
    predicted: tuple[np.ndarray, np.ndarray]  # mean and s.e.m. of the rates, (T, N) in spikes per bin


@dataclass(frozen=True)
class LeakRow:
    poison: str
    n_changed: int
    largest: float  # largest |difference|; inf if an output is not finite


def default_ratio(scheme: str) -> float:
    return DEFAULT_RATIO[Scheme[scheme.upper()]]


def _ratio(hide: Hide) -> float | None:
    if hide.by_hand:
        return None
    return hide.ratio / 100 if hide.ratio >= 0 else default_ratio(hide.scheme)


def default_prompt(hide: Hide) -> str:
    """The prompt that suits what is hidden."""
    if not hide.by_hand:
        return hide.scheme
    if hide.neurons or hide.boxes:
        return "neuron"
    return "inter_region" if hide.regions else "causal" if hide.window[1] else "neuron"


@lru_cache(maxsize=64)
def mask(session: str, model: str, hide: Hide) -> Mask:
    """The mask of one trial; every trial of the session gets the same."""
    opened = recording(session, model)
    trials = opened.trials
    shape = (1, trials.n_bins, trials.n_neurons)
    prompt = Scheme[(hide.prompt or default_prompt(hide)).upper()]
    if hide.by_hand:
        return _hand_mask(opened, hide, prompt)
    scheme = Scheme[hide.scheme.upper()]
    rng = torch.Generator().manual_seed(hide.seed)
    drawn = draw_mask(scheme, shape, codes(trials), rng, None if hide.ratio < 0 else hide.ratio / 100)
    return replace(drawn, scheme=prompt)


def _hand_mask(opened: Recording, hide: Hide, prompt: Scheme) -> Mask:
    n_bins, n_neurons = opened.trials.n_bins, opened.trials.n_neurons
    in_regions = np.flatnonzero(np.isin(opened.region_names, hide.regions))
    chosen = sorted({n for n in hide.neurons if n < n_neurons} | set(in_regions.tolist()))
    boxes = [
        (int(n), int(n) + 1, box.bin0, min(box.bin1, n_bins))
        for box in hide.boxes
        for n in opened.order(box.sort)[box.row0 : box.row1]
    ]
    bins = range(min(hide.window[0], n_bins), min(hide.window[1], n_bins))
    return free_mask((1, n_bins, n_neurons), neurons=chosen, bins=bins, rectangles=boxes, scheme=prompt)


def picture(key: Spec) -> Picture:
    """Everything the rasters show for one trial."""
    inferred = _inferred(replace(key, sort="region"))
    return replace(inferred, sort=key.sort, order=inferred.recording.order(key.sort))


def looked_at(shown: Picture, chosen: int) -> int:
    """The neuron of the address, or else the scored one that fired most in this trial."""
    if 0 <= chosen < shown.counts.shape[1]:
        return chosen
    return int(np.argmax(shown.counts.sum(0) + 1e6 * shown.target.any(0)))


@lru_cache(maxsize=128)
def _inferred(key: Spec) -> Picture:
    opened = recording(key.session, key.model)
    position = opened.trial(key.trial)
    one = opened.trials.select(np.array([position]))
    drawn = mask(key.session, key.model, key.hide)
    shown = drawn.restrict(torch.as_tensor(one.valid))
    return Picture(
        recording=opened,
        trial=position,
        prompt=drawn.scheme.label,
        trained_prompts=tuple(str(scheme).lower() for scheme in checkpoint(key.model).manifest.get("schemes", ())),
        ratio=_ratio(key.hide),
        order=opened.order("region"),
        sort="region",
        counts=one.counts[0],
        hidden=shown.hidden[0].numpy(),
        target=shown.target[0].numpy(),
        rates=predict(checkpoint(key.model), one, drawn)[0] if opened.known else None,
        true_rates=None if one.true_rates is None else one.true_rates[0],
        average=_average(key.session, key.model),
    )


@lru_cache(maxsize=6)
def _average(session: str, model: str) -> Average:
    trials, test = recording(session, model).trials, recording(session, model).test
    return Average(
        recorded=_mean_sem(trials.counts[test], trials.valid[test]),
        true=None if trials.true_rates is None else trials.true_rates[test].mean(0),
        train=train_means(replace(trials, true_rates=None)),  # selecting trials would copy the true rates
    )


@lru_cache(maxsize=24)
def _predicted(key: Spec, step: int) -> np.ndarray:
    """Predictions for one step of test trials."""
    opened = recording(key.session, key.model)
    some = opened.trials.select(opened.test[step * TRIALS_PER_STEP : (step + 1) * TRIALS_PER_STEP])
    return predict(checkpoint(key.model), some, mask(key.session, key.model, key.hide).repeat(some.n_trials))


def scores(key: Spec) -> Iterator[Scores]:
    """Scores over the test trials with the mask of this spec, so far: new ones each time the trials have doubled."""
    opened = recording(key.session, key.model)
    if not opened.known or not opened.test.size:
        return
    rates: list[np.ndarray] = []
    n_steps = -(-opened.test.size // TRIALS_PER_STEP)
    for step in range(1, n_steps + 1):
        rates.append(_predicted(key, step - 1))
        if step == n_steps or step.bit_count() == 1:
            found = _scores(opened, np.concatenate(rates), mask(key.session, key.model, key.hide))
        yield found


def _scores(opened: Recording, rates: np.ndarray, drawn: Mask) -> Scores:
    done = opened.trials.select(opened.test[: len(rates)])
    target = drawn.repeat(len(rates)).restrict(torch.as_tensor(done.valid)).target.numpy()
    scored = target.any((0, 1))
    sums = spike_sums(rates, done.counts, target)
    train = _average(opened.entry.id, opened.model).train
    return Scores(
        recording=opened,
        n_done=len(rates),
        n_trials=opened.test.size,
        bits=sums.bits_per_spike(),
        bits_train=sums.bits_per_spike(train),
        scored=scored,
        silent=scored & (sums.spikes == 0),
        pooled=sums.pooled(),
        pooled_train=sums.pooled(train),
        predicted=_mean_sem(rates, done.valid),
    )


def _mean_sem(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over trials and its standard error, NaN where no trial holds data."""
    weights = valid[:, :, None].astype(np.float32)
    n = weights.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (values * weights).sum(0) / n
        variance = ((values - mean) ** 2 * weights).sum(0) / (n - 1)
        return mean, np.sqrt(variance / n)


def leak(spec: Spec) -> Iterator[tuple[float, tuple[LeakRow, ...]]]:
    """Replace the hidden counts of this trial by noise, 1e6 and NaN: no output may change."""
    shown = picture(part(spec, ("session", "model", "trial", "sort", "hide")))
    if shown.rates is None:
        raise ValueError("this model has not been trained on this recording, so there is no output to check")
    if not shown.hidden.any():
        raise ValueError("nothing is hidden, so nothing can leak; hide a neuron first")
    one = shown.recording.trials.select(np.array([shown.trial]))
    drawn = mask(spec.session, spec.model, spec.hide)
    poisons = [*_noise(shown.counts.shape), ("one million", 1e6), ("not a number (NaN)", np.nan)]
    rows: tuple[LeakRow, ...] = ()
    for i, (name, poison) in enumerate(poisons):
        poisoned = np.where(shown.hidden, poison, shown.counts).astype(np.float32)[None]
        rates = predict(checkpoint(spec.model), replace(one, counts=poisoned), drawn)[0]
        rows = (*rows, _compare(name, shown.rates, rates))
        yield (i + 1) / len(poisons), rows


def _noise(shape: tuple[int, ...]) -> list[tuple[str, Any]]:
    rng = np.random.default_rng(0)
    return [(f"random counts, draw {i + 1}", rng.poisson(3.0, shape)) for i in range(NOISE_DRAWS)]


def _compare(name: str, before: np.ndarray, after: np.ndarray) -> LeakRow:
    same = before.view(np.uint32) == np.ascontiguousarray(after).view(np.uint32)
    difference = np.abs(after.astype(np.float64) - before)
    largest = float(difference.max()) if np.isfinite(after).all() else float("inf")
    return LeakRow(name, int((~same).sum()), largest)
