"""What happens inside the model on the way from the spikes of one trial to its guess, for the page "Masking"."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from mtm_core.evaluation.metrics import spike_sums
from mtm_core.masking import Scheme
from mtm_core.models.attention_maps import attention_maps, by_bins
from mtm_core.models.mtm import Batch, MtM
from mtm_core.models.patches import N_PREFIX
from mtm_core.predict import to_batch

from ..compute import Picture, mask
from ..recordings import checkpoint, recording
from ..spec import SCHEMES, Hide, Spec
from . import masking_prompts, masking_ratios

READS = ("session", "model", "trial", "hide")


@dataclass(frozen=True, eq=False)
class Read:
    """What the entries of a trial are to the model before they become tokens."""

    values: np.ndarray  # (T, N) deviation from the training mean in standard deviations; hidden entries are 0
    signal: np.ndarray | None  # (T * patches, D) sum of the learned vectors of the hidden neurons; None: has none
    said: np.ndarray  # (T * patches, D) sum of what the visible entries say
    hidden_length: float  # mean length of the learned vector of a hidden neuron
    spike_length: float  # mean length of what one spike more adds to a token


@dataclass(frozen=True, eq=False)
class Inside:
    """The numbers between the steps. Tokens are ordered by bin, then by patch; two come first: session and prompt."""

    trial: int
    hidden: np.ndarray  # (T, N) bool, as the model was told
    read: Read
    sequence: np.ndarray  # (2 + T * patches, D) the tokens that enter the first layer
    weights: np.ndarray  # (L, H, 2 + T, 2 + T) attention: rows read columns, and sum to 1
    n_patches: int  # tokens per bin
    causal: bool  # no bin reads a later one
    released: bool  # weights of the authors
    n_parameters: int


@dataclass(frozen=True, eq=False)
class SchemeMask:
    """What a scheme would hide in this trial."""

    scheme: str
    hidden: np.ndarray  # (T, N) bool
    target: np.ndarray  # (T, N) bool
    problem: str = ""  # why it cannot be drawn


@dataclass(frozen=True, eq=False)
class Shown:
    """What the page knows of the present choices without being asked for more."""

    schemes: tuple[SchemeMask, ...]
    inside: Inside | None = None
    problem: str = ""  # why there is nothing inside
    prompts: masking_prompts.Prompts | None = None  # complete, if some visitor has asked for it
    ratios: masking_ratios.Ratios | None = None


def shown(spec: Spec) -> Shown:
    """The page for these choices."""
    schemes = scheme_masks(spec.session, spec.model, spec.hide)
    found = Shown(schemes, prompts=masking_prompts.kept(spec), ratios=masking_ratios.kept(spec))
    opened = recording(spec.session, spec.model)
    if not opened.known:
        return replace(found, problem="This model has not been trained on this recording, so nothing is predicted.")
    return replace(found, inside=_inside(spec.session, spec.model, opened.trial(spec.trial), spec.hide))


def as_drawn(hide: Hide, scheme: str) -> Hide:
    """A scheme with the present draw: as it is if it is the present one, else with its usual ratio and prompt."""
    return hide if hide.scheme == scheme else Hide(scheme=scheme, seed=hide.seed)


@lru_cache(maxsize=32)
def scheme_masks(session: str, model: str, hide: Hide) -> tuple[SchemeMask, ...]:
    return tuple(_scheme_mask(session, model, as_drawn(hide, name), name) for name in SCHEMES)


def _scheme_mask(session: str, model: str, hide: Hide, name: str) -> SchemeMask:
    try:
        drawn = mask(session, model, hide)
    except ValueError as error:  # no neuron has a known region
        nothing = np.zeros((1, 1), dtype=bool)
        return SchemeMask(name, nothing, nothing, str(error))
    return SchemeMask(name, drawn.hidden[0].numpy(), drawn.target[0].numpy())


@lru_cache(maxsize=12)
def _inside(session: str, model: str, trial: int, hide: Hide) -> Inside:
    loaded = checkpoint(model)
    network, one = loaded.model, recording(session, model).trials.select(np.array([trial]))
    batch = to_batch(network, one)
    drawn = mask(session, model, hide).restrict(torch.as_tensor(one.valid)).to(network.device)
    with torch.inference_mode():
        maps = attention_maps(network, batch, drawn)
        ours = isinstance(network, MtM)
        read = (_read if ours else _read_released)(network, batch, drawn.hidden)
        weights = by_bins(maps.weights[0], one.n_bins)
    return Inside(
        trial=trial,
        hidden=drawn.hidden[0].cpu().numpy(),
        read=read,
        sequence=_array(maps.sequence[0]),
        weights=_array(weights),
        n_patches=(maps.sequence.shape[1] - N_PREFIX) // one.n_bins,
        causal=drawn.scheme == Scheme.CAUSAL,
        released=not ours,
        n_parameters=int(loaded.manifest.get("n_parameters", 0)),
    )


def _array(values: torch.Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def _read(model: MtM, batch: Batch, hidden: torch.Tensor) -> Read:
    rows, units = batch.unit_rows, model.units
    mean = units.mean[rows]
    visible = torch.where(hidden, mean, batch.counts.float())
    # Visible entries at their mean say nothing, so what is left is the signal of the hidden ones; and the other way.
    signal = model.embed(mean.expand_as(visible), hidden, rows) if model.config.hidden_signal else None
    said = model.embed(visible, torch.zeros_like(hidden), rows)
    values = units.deviation(visible, rows)
    one_more = units.deviation((mean + 1).expand_as(visible), rows)[0, 0] * units.input[rows].norm(dim=1)
    ever = hidden[0].any(0)
    lengths = units.hidden_signal[rows[ever]].norm(dim=1)
    return Read(
        values=_array(values[0]),
        signal=None if signal is None else _array(signal[0].flatten(0, 1)),
        said=_array(said[0].flatten(0, 1)),
        hidden_length=float(lengths.mean()) if len(lengths) else 0.0,
        spike_length=float(one_more.mean()),
    )


def _read_released(model: torch.nn.Module, batch: Batch, hidden: torch.Tensor) -> Read:
    """The authors' network reads counts, and 0 where something is hidden."""
    visible = batch.counts.float().masked_fill(hidden, 0)
    return Read(_array(visible[0]), None, _array(model.tokens(batch, hidden)[0].flatten(0, 1)), 0.0, 0.0)


# --- the guess --------------------------------------------------------------------------------------------------------


def sample(picture: Picture, draw: int) -> np.ndarray:
    """(T, N) counts: recorded where the model saw them, drawn from its rates where it did not."""
    rng = np.random.default_rng([draw, picture.trial])
    return np.where(picture.hidden, rng.poisson(picture.rates), picture.counts)


def trial_bits(picture: Picture) -> float:
    """Pooled bits per spike of the scored entries of this one trial, against the training mean."""
    if not picture.target.any():
        return float("nan")
    return spike_sums(picture.rates, picture.counts, picture.target).pooled(picture.average.train)


def expected(picture: Picture) -> tuple[float, int]:
    """Spikes in the scored entries: expected by the model, and recorded."""
    return float(picture.rates[picture.target].sum()), int(picture.counts[picture.target].sum())
