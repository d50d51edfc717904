"""Where a decoder may look. A source never reads behavior: its features are a function of spikes, mask and model.

counts               spike counts of all neurons
rates                log rates of all neurons, by a model that reads the whole recording of the trial
latents              the model's last states, from which it predicts the rates
region:XX            spike counts of one region
without:XX           spike counts of all other neurons
reconstruction:XX    log rates of one region, by a model from which the whole region is hidden
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from ...checkpoint import Checkpoint
from ...masking import Mask, Scheme, hold_out_region, region_codes
from ...predict import latents, predict
from ...regions import NEVER_TARGET
from ...session import Trials

OF_COUNTS, OF_MODEL = ("counts",), ("rates", "latents")
OF_REGION = ("region", "without", "reconstruction")
PIECE = 64  # trials per step, so that a step takes well under a second
SMALLEST_RATE = 1e-9

WHOLE_WINDOW = (
    "Every moment of behavior is decoded from the whole window, later spikes included: this measures how much the "
    "spikes tell, and is no forecast."
)
SAW_ALL = "The model read every neuron and bin of the decoded trial, so the rates hold nothing that the spikes do not."
SAW_OTHERS = "The model read all other regions but no spike of this one."


@dataclass(frozen=True)
class Source:
    """A place to decode from. neurons: positions that are read out."""

    name: str
    about: str  # the features in words, complete
    caveat: str
    neurons: Int[ndarray, " n"]
    compute: Callable[[Checkpoint | None, Trials, Source], Float[ndarray, "K T F"]]
    prompt: Scheme = Scheme.NEURON  # given to the model, where one is asked

    @property
    def asks_model(self) -> bool:
        return self.compute is not _counts


def default_sources(model: Checkpoint | None, trials: Trials) -> tuple[str, ...]:
    """Counts, and what a model makes of them if it knows the session."""
    knows = model is not None and trials.session_id in model.session_ids
    return (*OF_COUNTS, *(OF_MODEL if knows else ()))


def decodable_regions(trials: Trials) -> tuple[str, ...]:
    """Regions that have a name, in alphabetical order."""
    return tuple(sorted(set(map(str, trials.regions)) - NEVER_TARGET))


def open_source(name: str, trials: Trials) -> Source:
    """The source of this name; raises ValueError naming the sources there are."""
    kind, _, region = name.partition(":")
    everyone, n = np.arange(trials.n_neurons), trials.n_bins
    if name == "counts":
        return Source(name, f"spike counts of {len(everyone)} neurons in {n} bins", WHOLE_WINDOW, everyone, _counts)
    if name == "rates":
        about = f"log rates of {len(everyone)} neurons in {n} bins, nothing hidden, prompt 'neuron'"
        return Source(name, about, f"{SAW_ALL} {WHOLE_WINDOW}", everyone, _rates)
    if name == "latents":
        about = f"last states of the model in {n} bins, nothing hidden, prompt 'neuron'"
        return Source(name, about, f"{SAW_ALL} {WHOLE_WINDOW}", everyone, _latents)
    if kind in OF_REGION and region in decodable_regions(trials):
        return _of_region(kind, region, trials)
    raise ValueError(
        f"nothing can be decoded from {name!r}; choose counts, rates or latents, or {', '.join(OF_REGION)} followed by "
        f":REGION, with a region of {', '.join(decodable_regions(trials))}"
    )


def _of_region(kind: str, region: str, trials: Trials) -> Source:
    inside, name, n = trials.regions == region, f"{kind}:{region}", trials.n_bins
    here, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    if kind == "region":
        return Source(name, f"spike counts of {len(here)} {region} neurons in {n} bins", WHOLE_WINDOW, here, _counts)
    if kind == "without":
        about = f"spike counts of the {len(others)} neurons outside {region} in {n} bins"
        return Source(name, about, WHOLE_WINDOW, others, _counts)
    about = (
        f"log rates of {len(here)} {region} neurons in {n} bins, all of {region} hidden from the model, "
        "prompt 'inter_region'"
    )
    return Source(name, about, f"{SAW_OTHERS} {WHOLE_WINDOW}", here, _rates, Scheme.INTER_REGION)


def features(
    source: Source, model: Checkpoint | None, trials: Trials, positions: Int[ndarray, " k"]
) -> Generator[str, None, Float[ndarray, "k T F"]]:
    """Features of the trials at `positions`, a few trials a step.

    Raises ValueError if the source needs a model that knows the session, and there is none.
    """
    if source.asks_model and (model is None or trials.session_id not in model.session_ids):
        raise ValueError(f"{source.name} needs a model that was trained on session {trials.session_id}; choose counts")
    size = PIECE if source.asks_model else max(1, len(positions))
    found = []
    for start in range(0, len(positions), size):
        found.append(source.compute(model, trials.select(positions[start : start + size]), source))
        yield "reading spikes"
    return np.concatenate(found)


def _counts(model: Checkpoint | None, part: Trials, source: Source) -> ndarray:
    # Bins without data hold zeros in every trial or in some; where they differ between trials they would be a feature.
    return np.where(part.valid[:, :, None], part.counts[:, :, source.neurons], 0).astype(np.float32)


def _rates(model: Checkpoint | None, part: Trials, source: Source) -> ndarray:
    return np.log(np.maximum(predict(model, part, _mask(part, source), source.neurons), SMALLEST_RATE))


def _latents(model: Checkpoint | None, part: Trials, source: Source) -> ndarray:
    return latents(model, part, _mask(part, source))


def _mask(part: Trials, source: Source) -> Mask:
    """Nothing hidden, or the source's region."""
    shape = part.counts.shape
    if source.prompt is Scheme.INTER_REGION:
        codes = region_codes(part.regions)
        return hold_out_region(shape, codes, int(codes[source.neurons[0]]))
    nothing = torch.zeros(1, 1, 1, dtype=torch.bool).expand(shape)
    return Mask(nothing, nothing, source.prompt)


def in_wider_bins(values: Float[ndarray, "k T F"], n_bins: int) -> Float[ndarray, "k W F"]:
    """Means over n_bins neighbouring bins; the last one may be shorter."""
    starts = np.arange(0, values.shape[1], n_bins)
    lengths = np.diff([*starts, values.shape[1]])
    return np.add.reduceat(values, starts, axis=1, dtype=np.float64) / lengths[:, None]
