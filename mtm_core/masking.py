"""What a model may not read (`hidden`) and what it is scored on (`target`), as pure functions.

Training schemes: MtM (arXiv 2407.14668, section 3.1 and appendix A.4). Every draw is per trial; the paper draws one
region per batch. Evaluation masks: section 4.2 of the same paper. The caller owns the random generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from .regions import NEVER_TARGET

PATCH_NEURONS = 128  # a random token is this many neighbouring neurons in one bin (NDT2 patches)


class Scheme(IntEnum):
    """Masking schemes; the number is also the row of the prompt embedding."""

    NEURON = 0
    CAUSAL = 1
    INTRA_REGION = 2
    INTER_REGION = 3
    TEMPORAL = 4
    RANDOM_TOKEN = 5

    @property
    def label(self) -> str:
        return self.name.lower()


MTM_SCHEMES = (Scheme.NEURON, Scheme.CAUSAL, Scheme.INTRA_REGION, Scheme.INTER_REGION)
DEFAULT_RATIO = {
    Scheme.NEURON: 0.3,
    Scheme.CAUSAL: 0.6,  # as in the released code; 0.3 everywhere else
    Scheme.INTRA_REGION: 0.3,
    Scheme.INTER_REGION: 1.0,  # the whole region
    Scheme.TEMPORAL: 0.3,
    Scheme.RANDOM_TOKEN: 0.3,
}


@dataclass(frozen=True)
class Mask:
    """`hidden` entries cannot be read by the model; `target` entries, a subset of them, are scored.

    scheme is the prompt given to the model, one for all trials or one per trial; `Scheme.CAUSAL` also makes the model
    look at past bins only.
    """

    hidden: Bool[Tensor, "B T N"]
    target: Bool[Tensor, "B T N"]
    scheme: Scheme | Int[Tensor, "B"]

    def __post_init__(self) -> None:
        if self.hidden.shape != self.target.shape:
            raise ValueError(
                f"hidden has shape {tuple(self.hidden.shape)}, target {tuple(self.target.shape)}; give one"
            )
        if bool((self.target & ~self.hidden).any()):
            raise ValueError("a target entry is visible to the model; targets must be hidden")

    @property
    def prompts(self) -> Int[Tensor, "B"]:
        """The scheme of each trial as a number."""
        if isinstance(self.scheme, Tensor):
            return self.scheme
        return torch.full((len(self.hidden),), int(self.scheme), device=self.hidden.device)

    def restrict(self, valid: Bool[Tensor, "B T"]) -> Mask:
        """Hide bins in which the recording holds no data, and never score them."""
        missing = ~valid[:, :, None]
        return replace(self, hidden=self.hidden | missing, target=self.target & ~missing)

    def to(self, device: torch.device | str) -> Mask:
        scheme = self.scheme.to(device) if isinstance(self.scheme, Tensor) else self.scheme
        return Mask(self.hidden.to(device), self.target.to(device), scheme)

    def repeat(self, n_trials: int) -> Mask:
        """The mask of one trial for each of so many; raises ValueError if it is of several."""
        if len(self.hidden) != 1:
            raise ValueError(f"a mask of {len(self.hidden)} trials cannot be repeated; give the mask of one")
        shape = (n_trials, *self.hidden.shape[1:])
        scheme = self.scheme.expand(n_trials) if isinstance(self.scheme, Tensor) else self.scheme
        return Mask(self.hidden.expand(shape), self.target.expand(shape), scheme)

    def rows(self, chosen: slice | Int[Tensor, " rows"]) -> Mask:
        """The mask of a part of the batch."""
        scheme = self.scheme[chosen] if isinstance(self.scheme, Tensor) else self.scheme
        return Mask(self.hidden[chosen], self.target[chosen], scheme)


def join(masks: Sequence[Mask]) -> Mask:
    """Masks of several trials or schemes as one batch."""
    return Mask(
        torch.cat([m.hidden for m in masks]),
        torch.cat([m.target for m in masks]),
        torch.cat([m.prompts for m in masks]),
    )


def region_codes(regions: Sequence[str] | np.ndarray, min_neurons: int = 1) -> Int[Tensor, "N"]:
    """Region of each neuron as 0, 1, 2 ... in alphabetical order; -1 for neurons that are never a region's target."""
    names, codes, sizes = np.unique(np.asarray(regions, dtype=str), return_inverse=True, return_counts=True)
    allowed = np.array([n not in NEVER_TARGET for n in names]) & (sizes >= min_neurons)
    new = np.where(allowed, np.cumsum(allowed) - 1, -1)
    return torch.as_tensor(new[codes], dtype=torch.long)


# --- training schemes -----------------------------------------------------------------------------------------------


def _bernoulli(shape: tuple[int, ...], ratio: float, rng: torch.Generator) -> Tensor:
    """True with probability `ratio`."""
    return torch.rand(shape, generator=rng, device=rng.device) < ratio


def _one_region(codes: Tensor, n_trials: int, rng: torch.Generator) -> Bool[Tensor, "B N"]:
    """The neurons of one region per trial, every region equally likely."""
    n_regions = int(codes.max()) + 1
    if n_regions < 1:
        raise ValueError("no neuron has a known region; use neuron, temporal or causal masking for this session")
    picked = torch.randint(n_regions, (n_trials, 1), generator=rng, device=rng.device)
    return codes.to(rng.device)[None] == picked


def neuron(shape: tuple[int, int, int], codes: Tensor, ratio: float, rng: torch.Generator) -> Mask:
    """Hide random neurons in all bins (trains co-smoothing)."""
    hidden = _bernoulli((shape[0], 1, shape[2]), ratio, rng).expand(shape)
    return Mask(hidden, hidden, Scheme.NEURON)


def _random_bins(shape: tuple[int, int, int], ratio: float, rng: torch.Generator) -> Tensor:
    return _bernoulli((shape[0], shape[1], 1), ratio, rng).expand(shape)


def temporal(shape: tuple[int, int, int], codes: Tensor, ratio: float, rng: torch.Generator) -> Mask:
    """Hide random bins of all neurons (the NDT1 baseline)."""
    hidden = _random_bins(shape, ratio, rng)
    return Mask(hidden, hidden, Scheme.TEMPORAL)


def causal(shape: tuple[int, int, int], codes: Tensor, ratio: float, rng: torch.Generator) -> Mask:
    """Hide bins of all neurons, to be filled from earlier visible bins only (trains forward prediction).

    Half of the trials hide single random bins as in the paper; the other half hides everything after a random bin, as
    the evaluation does, since scattered bins hardly ever leave a gap as long as the one that is scored.
    """
    n_trials, n_bins, _ = shape
    hidden = _random_bins(shape, ratio, rng)
    longest = max(1, round(ratio * n_bins))
    length = torch.randint(1, longest + 1, (n_trials, 1, 1), generator=rng, device=rng.device)
    tail = torch.arange(n_bins, device=rng.device)[None, :, None] >= n_bins - length
    hidden = torch.where(_bernoulli((n_trials, 1, 1), 0.5, rng), tail.expand(shape), hidden)
    return Mask(hidden, hidden, Scheme.CAUSAL)


def intra_region(shape: tuple[int, int, int], codes: Tensor, ratio: float, rng: torch.Generator) -> Mask:
    """Show one region only and hide some of its neurons, which are scored."""
    inside = _one_region(codes, shape[0], rng)
    target = inside & _bernoulli((shape[0], shape[2]), ratio, rng)
    return Mask((target | ~inside)[:, None].expand(shape), target[:, None].expand(shape), Scheme.INTRA_REGION)


def inter_region(shape: tuple[int, int, int], codes: Tensor, ratio: float, rng: torch.Generator) -> Mask:
    """Hide a whole region (or the share `ratio` of its neurons) and predict it from the others."""
    inside = _one_region(codes, shape[0], rng)
    hidden = (inside & _bernoulli((shape[0], shape[2]), ratio, rng))[:, None].expand(shape)
    return Mask(hidden, hidden, Scheme.INTER_REGION)


def random_token(shape: tuple[int, int, int], codes: Tensor, ratio: float, rng: torch.Generator) -> Mask:
    """Hide random patches of 128 neurons x 1 bin (the NDT2 baseline)."""
    n_patches = -(-shape[2] // PATCH_NEURONS)
    patches = _bernoulli((shape[0], shape[1], n_patches), ratio, rng)
    hidden = patches.repeat_interleave(PATCH_NEURONS, dim=2)[:, :, : shape[2]]
    return Mask(hidden, hidden, Scheme.RANDOM_TOKEN)


_DRAW: dict[Scheme, Callable[..., Mask]] = {
    Scheme.NEURON: neuron,
    Scheme.CAUSAL: causal,
    Scheme.INTRA_REGION: intra_region,
    Scheme.INTER_REGION: inter_region,
    Scheme.TEMPORAL: temporal,
    Scheme.RANDOM_TOKEN: random_token,
}


def draw_mask(
    scheme: Scheme,
    shape: tuple[int, int, int],
    codes: Int[Tensor, "N"],
    rng: torch.Generator,
    ratio: float | None = None,
) -> Mask:
    """Draw one training mask of `shape` (B, T, N); codes from `region_codes`; ratio in 0..1, None for the default."""
    ratio = DEFAULT_RATIO[scheme] if ratio is None else ratio
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"mask ratio {ratio} for {scheme.label} masking; give a number from 0 to 1")
    return _DRAW[scheme](shape, codes, ratio, rng)


# --- evaluation masks -----------------------------------------------------------------------------------------------


def _columns(shape: tuple[int, int, int], flags: Tensor) -> Bool[Tensor, "B T N"]:
    """The flagged neurons in all bins. Whoever asks to hold out what is not there must not get everything to see."""
    if not bool(flags.any()):
        raise ValueError(f"there is no such neuron or region among {shape[2]} neurons; count from 0")
    return flags.view(1, 1, -1).expand(shape)


def hold_out_neuron(shape: tuple[int, int, int], held_out: int) -> Mask:
    """Co-smoothing: one neuron is hidden in all bins and scored."""
    hidden = _columns(shape, torch.arange(shape[2]) == held_out)
    return Mask(hidden, hidden, Scheme.NEURON)


def hold_out_future(shape: tuple[int, int, int], n_future: int) -> Mask:
    """Forward prediction: the last bins of all neurons are hidden and scored."""
    if not 1 <= n_future <= shape[1]:
        raise ValueError(f"{n_future} future bins of {shape[1]}; give 1 to {shape[1]}")
    hidden = (torch.arange(shape[1]) >= shape[1] - n_future).view(1, -1, 1).expand(shape)
    return Mask(hidden, hidden, Scheme.CAUSAL)


def hold_out_within_region(shape: tuple[int, int, int], codes: Tensor, held_out: int) -> Mask:
    """Intra-region: one neuron is scored; only the other neurons of its region are visible."""
    target = torch.arange(shape[2]) == held_out
    return Mask(_columns(shape, target | (codes != codes[held_out])), _columns(shape, target), Scheme.INTRA_REGION)


def hold_out_region(shape: tuple[int, int, int], codes: Tensor, region: int) -> Mask:
    """Inter-region: all neurons of one region are hidden and scored."""
    hidden = _columns(shape, codes == region)
    return Mask(hidden, hidden, Scheme.INTER_REGION)


# --- masks by hand --------------------------------------------------------------------------------------------------


def free_mask(
    shape: tuple[int, int, int],
    *,
    neurons: Sequence[int] = (),
    bins: Sequence[int] = (),
    rectangles: Sequence[tuple[int, int, int, int]] = (),
    scheme: Scheme = Scheme.NEURON,
) -> Mask:
    """Hide whole neurons, whole bins and rectangles (first neuron, end neuron, first bin, end bin; ends excluded)."""
    hidden = torch.zeros(shape[1:], dtype=torch.bool)
    hidden[:, list(neurons)] = True
    hidden[list(bins), :] = True
    for n0, n1, t0, t1 in rectangles:
        hidden[t0:t1, n0:n1] = True
    hidden = hidden.expand(shape)
    return Mask(hidden, hidden, scheme)
