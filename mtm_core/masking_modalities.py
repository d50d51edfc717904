"""What a model of several modalities may not read (`hidden`) and what it is scored on (`target`): whole tokens.

NEDS (Zhang et al., ICML 2025, arXiv 2504.08201, section 3.2). A token is one bin of the spikes of all neurons or of a
trace, or the one value that a static behavior has in a trial. Deviations from the paper and its released code:

* Every trial has masks of its own (the code drew one mask of bins for the whole batch, and before March 2026 hid the
  inputs of every trial by the mask of the first).
* A static behavior is hidden all or nothing. Copies of it in visible bins would give the answer away.
* Within-modality masking is named by whether the other modality can be seen; in the released code it always can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from .modality import BEHAVIORS

SPIKES_ROW = 0  # of the axis M: spikes, then the behaviors in the order of the table
ROWS = {name: row for row, name in enumerate(BEHAVIORS, start=1)}
N_MODALITIES = 1 + len(BEHAVIORS)
STATIC_ROWS = tuple(ROWS[name] for name, modality in BEHAVIORS.items() if modality.static)
RATIO = 0.3  # of bins, as the released code really uses; its README says 0.1


class NedsScheme(IntEnum):
    """Masking schemes of training."""

    ENCODING = 0  # spikes from all behaviors
    ENCODING_FROM_ONE = 1  # spikes from one behavior alone
    DECODING = 2  # all behaviors from spikes
    WITHIN_SPIKES = 3  # some bins of the spikes; behaviors are visible
    WITHIN_SPIKES_ALONE = 4  # the same, behaviors are hidden
    WITHIN_BEHAVIOR = 5  # some bins of each behavior; spikes are visible
    WITHIN_BEHAVIOR_ALONE = 6  # the same, spikes are hidden
    CROSS_MODALITY = 7  # the same bins of spikes and behaviors

    @property
    def label(self) -> str:
        return self.name.lower()


NEDS_SCHEMES = (
    NedsScheme.ENCODING,
    NedsScheme.ENCODING_FROM_ONE,
    NedsScheme.DECODING,
    NedsScheme.WITHIN_SPIKES,
    NedsScheme.WITHIN_BEHAVIOR,
    NedsScheme.CROSS_MODALITY,
)


@dataclass(frozen=True)
class ModalityMask:
    """`hidden` tokens cannot be read by the model; `target` tokens, a subset of them, are scored."""

    hidden: Bool[Tensor, "B M T"]
    target: Bool[Tensor, "B M T"]
    scheme: NedsScheme | Int[Tensor, "B"]

    def __post_init__(self) -> None:
        shape = tuple(self.hidden.shape)
        if self.hidden.shape != self.target.shape or self.hidden.dim() != 3 or shape[1] != N_MODALITIES:
            raise ValueError(
                f"hidden has shape {shape}, target {tuple(self.target.shape)}; give (trials, {N_MODALITIES}, bins)"
            )
        if bool((self.target & ~self.hidden).any()):
            raise ValueError("a target token is visible to the model; targets must be hidden")
        static = self.hidden[:, list(STATIC_ROWS)]
        if bool((static.any(2) != static.all(2)).any()):
            raise ValueError("a behavior with one value per trial is hidden in some bins only; hide it in all or none")

    @property
    def schemes(self) -> Int[Tensor, "B"]:
        """The scheme of each trial as a number."""
        if isinstance(self.scheme, Tensor):
            return self.scheme
        return torch.full((len(self.hidden),), int(self.scheme), device=self.hidden.device)

    def restrict(self, valid: Bool[Tensor, "B T"], known: Bool[Tensor, "B M T"]) -> ModalityMask:
        """Hide bins in which the recording holds no spikes, and score nothing that is not known."""
        hidden = self.hidden.clone()
        hidden[:, SPIKES_ROW] |= ~valid
        return replace(self, hidden=hidden, target=self.target & known)

    def to(self, device: torch.device | str) -> ModalityMask:
        scheme = self.scheme.to(device) if isinstance(self.scheme, Tensor) else self.scheme
        return ModalityMask(self.hidden.to(device), self.target.to(device), scheme)

    def rows(self, chosen: slice | Int[Tensor, " rows"]) -> ModalityMask:
        """The mask of a part of the batch."""
        scheme = self.scheme[chosen] if isinstance(self.scheme, Tensor) else self.scheme
        return ModalityMask(self.hidden[chosen], self.target[chosen], scheme)


def join(masks: list[ModalityMask]) -> ModalityMask:
    """Masks of several trials or schemes as one batch."""
    return ModalityMask(
        torch.cat([m.hidden for m in masks]),
        torch.cat([m.target for m in masks]),
        torch.cat([m.schemes for m in masks]),
    )


def rows_of(names: tuple[str, ...]) -> list[int]:
    """Rows of behaviors by name; raises ValueError for an unknown one."""
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise ValueError(f"behavior {unknown[0]!r} is not known; choose from {', '.join(ROWS)}")
    return [ROWS[name] for name in names]


# --- masks of training ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """What a mask is drawn for: (trials, bins), the behaviors of the session, the share of bins, the randomness."""

    shape: tuple[int, int]
    present: tuple[str, ...]
    ratio: float
    rng: torch.Generator

    def nothing(self) -> Tensor:
        n_trials, n_bins = self.shape
        return torch.zeros(n_trials, N_MODALITIES, n_bins, dtype=torch.bool, device=self.rng.device)

    def rows(self, rows: list[int]) -> Tensor:
        """These modalities whole."""
        found = self.nothing()
        found[:, rows] = True
        return found

    def chance(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.rng, device=self.rng.device) < self.ratio

    def behaviors(self) -> Tensor:
        return self.rows(rows_of(self.present))

    def spikes(self) -> Tensor:
        return self.rows([SPIKES_ROW])

    def bins(self, together: bool) -> Tensor:
        """Random bins of every modality, the same of all or independent ones; statics all or nothing."""
        n_trials, n_bins = self.shape
        found = self.chance(n_trials, 1 if together else N_MODALITIES, n_bins).expand(-1, N_MODALITIES, -1).clone()
        found[:, list(STATIC_ROWS)] = self.chance(n_trials, len(STATIC_ROWS), 1)
        return found


def encoding(draw: Draw) -> tuple[Tensor, Tensor]:
    return draw.spikes(), draw.spikes()


def encoding_from_one(draw: Draw) -> tuple[Tensor, Tensor]:
    rows = torch.tensor(rows_of(draw.present), device=draw.rng.device)
    picked = torch.randint(len(rows), (draw.shape[0],), generator=draw.rng, device=draw.rng.device)
    hidden = draw.spikes() | draw.behaviors()
    hidden[torch.arange(len(picked)), rows[picked]] = False
    return hidden, draw.spikes()


def decoding(draw: Draw) -> tuple[Tensor, Tensor]:
    return draw.behaviors(), draw.behaviors()


def within_spikes(draw: Draw) -> tuple[Tensor, Tensor]:
    target = draw.bins(together=False) & draw.spikes()
    return target, target


def within_spikes_alone(draw: Draw) -> tuple[Tensor, Tensor]:
    target = within_spikes(draw)[1]
    return target | draw.behaviors(), target


def within_behavior(draw: Draw) -> tuple[Tensor, Tensor]:
    target = draw.bins(together=False) & draw.behaviors()
    return target, target


def within_behavior_alone(draw: Draw) -> tuple[Tensor, Tensor]:
    target = within_behavior(draw)[1]
    return target | draw.spikes(), target


def cross_modality(draw: Draw) -> tuple[Tensor, Tensor]:
    target = draw.bins(together=True) & (draw.spikes() | draw.behaviors())
    return target, target


_DRAW: dict[NedsScheme, Callable[[Draw], tuple[Tensor, Tensor]]] = {
    NedsScheme.ENCODING: encoding,
    NedsScheme.ENCODING_FROM_ONE: encoding_from_one,
    NedsScheme.DECODING: decoding,
    NedsScheme.WITHIN_SPIKES: within_spikes,
    NedsScheme.WITHIN_SPIKES_ALONE: within_spikes_alone,
    NedsScheme.WITHIN_BEHAVIOR: within_behavior,
    NedsScheme.WITHIN_BEHAVIOR_ALONE: within_behavior_alone,
    NedsScheme.CROSS_MODALITY: cross_modality,
}


def draw_mask(scheme: NedsScheme, draw: Draw) -> ModalityMask:
    """Draw one training mask; raises ValueError for a session without behaviors, or a ratio outside 0..1."""
    if not draw.present:
        raise ValueError("the session has no behavior to translate to or from")
    if not 0.0 <= draw.ratio <= 1.0:
        raise ValueError(f"mask ratio {draw.ratio} for {scheme.label}; give a number from 0 to 1")
    return ModalityMask(*_DRAW[scheme](draw), scheme)


# --- masks of evaluation and by hand ----------------------------------------------------------------------------------


def hide(
    shape: tuple[int, int],
    spikes: tuple[int, int] | None = None,
    behaviors: dict[str, tuple[int, int]] | None = None,
) -> ModalityMask:
    """Hide spikes and behaviors by name in ranges of bins (first, end; end excluded). shape: (trials, bins).

    All that is hidden is scored. A behavior with one value per trial is hidden whole, whatever the range; an empty
    range hides nothing. Raises ValueError for a range outside the bins.
    """
    asked = {SPIKES_ROW: spikes} if spikes is not None else {}
    asked |= {rows_of((name,))[0]: span for name, span in (behaviors or {}).items()}
    hidden = torch.zeros(shape[0], N_MODALITIES, shape[1], dtype=torch.bool)
    for row, (first, end) in asked.items():
        if not 0 <= first <= end <= shape[1]:
            raise ValueError(f"bins {first} to {end} of {shape[1]}; give 0 <= first <= end <= {shape[1]}")
        hidden[:, row, slice(None) if row in STATIC_ROWS and end > first else slice(first, end)] = True
    scheme = NedsScheme.ENCODING if spikes is not None else NedsScheme.DECODING
    return ModalityMask(hidden, hidden, scheme)


def hold_out_spikes(shape: tuple[int, int], read: tuple[str, ...], present: tuple[str, ...]) -> ModalityMask:
    """Encoding: all spikes are hidden and scored; of the behaviors present, only those in `read` are visible."""
    hidden = torch.zeros(shape[0], N_MODALITIES, shape[1], dtype=torch.bool)
    hidden[:, [SPIKES_ROW, *rows_of(present)]] = True
    hidden[:, rows_of(read)] = False
    target = torch.zeros_like(hidden)
    target[:, SPIKES_ROW] = True
    return ModalityMask(hidden, target, NedsScheme.ENCODING)


def hold_out_behaviors(shape: tuple[int, int], present: tuple[str, ...]) -> ModalityMask:
    """Decoding: all behaviors are hidden and scored."""
    everything = (0, shape[1])
    return hide(shape, None, {name: everything for name in present})
