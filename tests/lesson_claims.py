"""The numbers of the lessons, each computed from the link that stands beside it, through what the app itself shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from app import compute
from app.analyses import guess, translate
from app.analyses.single_neuron import one_neuron
from app.recordings import Recording, recording
from app.spec import Spec, decode, part
from mtm_core.evaluation.metrics import SpikeSums, spike_sums

QUANTITIES: dict[str, Callable[..., float]] = {}


def quantity(function: Callable[..., float]) -> Callable[..., float]:
    QUANTITIES[function.__name__] = function
    return function


def value_of(text: str, link: str) -> float:
    """ "neuron_bits 32" at a link."""
    name, *arguments = text.split(" ")
    spec, understood = decode(link)
    assert understood, link
    return float(QUANTITIES[name](spec, *arguments))


def holds(value: float, relation: str, stated: str) -> bool:
    """= to the digits that are stated."""
    if relation == "=":
        digits = len(stated.partition(".")[2])
        return abs(value - float(stated)) <= 0.5 * 10**-digits + 1e-9
    return value < float(stated) if relation == "<" else value > float(stated)


def opened(spec: Spec) -> Recording:
    return recording(spec.session, spec.model)


def training(spec: Spec) -> np.ndarray:
    trials = opened(spec).trials
    return trials.counts[trials.split == "train"]


# --- the recording ----------------------------------------------------------------------------------------------------


@quantity
def neurons(spec: Spec) -> float:
    return opened(spec).trials.n_neurons


@quantity
def bins(spec: Spec) -> float:
    return opened(spec).trials.n_bins


@quantity
def spikes_in_trial(spec: Spec) -> float:
    return opened(spec).trials.counts[opened(spec).trial(spec.trial)].sum()


@quantity
def percent_with_spikes(spec: Spec) -> float:
    return 100 * (opened(spec).trials.counts[opened(spec).trial(spec.trial)] > 0).mean()


@quantity
def rate(spec: Spec, neuron: str) -> float:
    return training(spec)[:, :, int(neuron)].mean() / opened(spec).trials.bin_size


@quantity
def mean_rate(spec: Spec) -> float:
    return training(spec).mean() / opened(spec).trials.bin_size


@quantity
def median_rate(spec: Spec) -> float:
    return np.median(training(spec).mean((0, 1))) / opened(spec).trials.bin_size


@quantity
def variance_over_mean(spec: Spec) -> float:
    """Of spikes per trial in the training trials, mean over neurons."""
    totals = training(spec).sum(1, dtype=np.float64)
    return (totals.var(0, ddof=1) / totals.mean(0)).mean()


@quantity
def scored_spikes(spec: Spec, neuron: str) -> float:
    """Spikes of a neuron in the held-out trials that Explore scores."""
    return opened(spec).trials.counts[opened(spec).test][:, :, int(neuron)].sum()


@quantity
def percent_choice(spec: Spec, side: str) -> float:
    """Of the test trials with a choice."""
    trials = opened(spec).trials
    choice = trials.behaviors["choice"][trials.split == "test"]
    return 100 * (choice[choice != 0] == {"left": 1, "right": -1}[side]).mean()


@quantity
def median_response_time(spec: Spec) -> float:
    return np.nanmedian(opened(spec).trials.behaviors["response_time"])


# --- Explore ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _scores(key: Spec) -> tuple[compute.Scores, SpikeSums]:
    """What Explore says of hidden entries, and the sums of the true rates on the same entries."""
    *_, last = compute.scores(key)
    some = last.recording.trials.select(last.recording.test)
    target = np.broadcast_to(compute.mask(key.session, key.model, key.hide).target.numpy(), some.counts.shape)
    return last, spike_sums(some.true_rates, some.counts, target)


def scores(spec: Spec) -> compute.Scores:
    return _scores(part(spec, ("session", "model", "hide")))[0]


def oracle(spec: Spec) -> np.ndarray:
    return _scores(part(spec, ("session", "model", "hide")))[1].bits_per_spike()


@quantity
def mean_bits(spec: Spec) -> float:
    return np.nanmean(scores(spec).bits)


@quantity
def pooled_bits(spec: Spec) -> float:
    return scores(spec).pooled


@quantity
def mean_bits_train(spec: Spec) -> float:
    found = scores(spec)
    return np.nanmean(found.bits_train[found.scored])


@quantity
def mean_ceiling(spec: Spec) -> float:
    return np.nanmean(oracle(spec))


@quantity
def percent_of_ceiling(spec: Spec) -> float:
    return 100 * mean_bits(spec) / mean_ceiling(spec)


@quantity
def silent(spec: Spec) -> float:
    return scores(spec).silent.sum()


@quantity
def scored(spec: Spec) -> float:
    return np.isfinite(scores(spec).bits).sum()


@quantity
def neuron_bits(spec: Spec, neuron: str) -> float:
    return scores(spec).bits[int(neuron)]


@quantity
def neuron_ceiling(spec: Spec, neuron: str) -> float:
    return oracle(spec)[int(neuron)]


@quantity
def region_bits(spec: Spec, region: str) -> float:
    return np.nanmean(scores(spec).bits[opened(spec).region_names == region])


@quantity
def leaks(spec: Spec) -> float:
    """Outputs that change when the hidden counts do."""
    *_, (_, rows) = compute.leak(spec)
    return sum(row.n_changed for row in rows)


# --- other pages ------------------------------------------------------------------------------------------------------


@quantity
def judged(spec: Spec, name: str, what: str = "value") -> float:
    """A score of the page "Neuron": value, low or high (its interval), or ceiling."""
    explained = getattr(one_neuron(spec).judged.scores, name)
    if what == "ceiling":
        return explained.ceiling.measured.value
    measured = explained.measured
    return {"value": measured.value, "low": measured.interval[0], "high": measured.interval[1]}[what]


@lru_cache(maxsize=32)
def _newest(key: Spec) -> translate.Newest:
    *_, last = translate.newest(key)
    return last


@quantity
def translated(spec: Spec, name: str, measure: str) -> float:
    """A score of the page "Translate" over the test trials."""
    return _newest(part(spec, translate.READS)).scores.measures[name, measure].value


@quantity
def by_chance(spec: Spec, name: str) -> float:
    return _newest(part(spec, translate.READS)).scores.chance[name]


@quantity
def round_bits(spec: Spec, who: str) -> float:
    """Of one round of the page "Guess"."""
    *_, last = guess.play(spec)
    return last.answer.bits[who]


@quantity
def usual_low(spec: Spec) -> float:
    *_, last = guess.play(spec)
    return last.answer.usual[0]


@quantity
def usual_high(spec: Spec) -> float:
    *_, last = guess.play(spec)
    return last.answer.usual[1]


def decimals(text: str) -> list[str]:
    """Numbers with a decimal point in a text, links left out."""
    return re.findall(r"(?<![\w.])\d+\.\d+", re.sub(r"\]\(\?[^)]*\)", "]", text))
