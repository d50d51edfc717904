"""Trials on the device, and the batch of any step as a pure function of seed and step number.

No sampler has a state, so a resumed run needs nothing but its step number to draw the same batches again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..masking import DEFAULT_RATIO, Mask, Scheme, draw_mask, join, region_codes
from ..masking_modalities import ModalityMask
from ..models.mtm import Batch, MtM
from ..predict import MICRO_BATCH, in_pieces
from ..session import Trials
from .config import RATIO_RANGE, TrainConfig
from .shares import scheme_shares
from .translation import NedsTrials

REGION_SCHEMES = (Scheme.INTRA_REGION, Scheme.INTER_REGION)


@dataclass(frozen=True)
class DeviceTrials:
    """One session's trials of one split as the model reads them; counts keep their small integer type."""

    batch: Batch
    valid: Bool[Tensor, "K T"]
    codes: Int[Tensor, "N"]

    @property
    def n_trials(self) -> int:
        return len(self.valid)

    def pick(self, chosen: slice | Int[Tensor, "B"]) -> DeviceTrials:
        return replace(self, batch=replace(self.batch, counts=self.batch.counts[chosen]), valid=self.valid[chosen])

    def schemes(self, wanted: tuple[Scheme, ...]) -> tuple[Scheme, ...]:
        """Those of the wanted schemes that the session allows: one without known regions has no region to hide."""
        if int(self.codes.max()) >= 0:
            return wanted
        return tuple(s for s in wanted if s not in REGION_SCHEMES)

    def check(self, wanted: tuple[Scheme, ...], session_id: str) -> None:
        """Raises ValueError for a session that cannot be trained on."""
        if not self.schemes(wanted):
            raise ValueError(f"session {session_id}: no neuron has a known region; add another scheme")

    def draw(self, config: TrainConfig, rng: torch.Generator) -> Mask:
        """A mask with all schemes, each on its share of the trials."""
        return draw_mixed(self, self.schemes(config.schemes), rng, config.fixed_ratios).restrict(self.valid)

    def spikes(self, model: MtM, mask: Mask) -> tuple[Float[Tensor, "B T N"], Bool[Tensor, "B T N"]]:
        """Log expected counts under the mask, and which entries are scored."""
        log_rates = in_pieces(model, self.batch, mask, MICRO_BATCH[self.valid.device.type])
        return log_rates, mask.target.expand(log_rates.shape)


def put_on_device(model: MtM, trials: Trials) -> DeviceTrials:
    """Copy once; a step then only indexes."""
    device = model.device
    rows, session_row = model.rows(trials.session_id, tuple(trials.unit_ids))
    starts = torch.as_tensor(trials.bin_starts, dtype=torch.float32, device=device)
    batch = Batch(torch.tensor(trials.counts, device=device), rows, session_row, starts)
    codes = region_codes(trials.regions).to(device)
    return DeviceTrials(batch, torch.tensor(trials.valid, device=device), codes)


def step_generator(seed: int, step: int, device: torch.device) -> torch.Generator:
    """The randomness of one step."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + step)


AnyTrials = DeviceTrials | NedsTrials
Part = tuple[DeviceTrials, Mask] | tuple[NedsTrials, ModalityMask]  # trials of one session, what is hidden in them
Held = tuple[DeviceTrials, list[Mask]] | tuple[NedsTrials, list[ModalityMask]]  # trials with their validation masks


def draw_step(sessions: Sequence[AnyTrials], config: TrainConfig, step: int) -> list[Part]:
    """The batch of a step: some sessions, trials of each, and a mask with every scheme on an equal share."""
    device = sessions[0].valid.device
    rng = step_generator(config.seed, step, device)
    sizes = torch.tensor([float(s.n_trials) for s in sessions], device=device) ** config.alpha
    n_sessions = min(config.sessions_per_batch, len(sessions))
    chosen = torch.multinomial(sizes, n_sessions, generator=rng).tolist()
    shares = torch.arange(config.batch_size).tensor_split(n_sessions)
    return [_draw_part(sessions[i], len(share), config, rng) for i, share in zip(chosen, shares, strict=True)]


def _draw_part(session: AnyTrials, n_trials: int, config: TrainConfig, rng: torch.Generator) -> Part:
    order = torch.randperm(session.n_trials, generator=rng, device=rng.device)
    part = session.pick(order[: min(n_trials, session.n_trials)])
    return part, part.draw(config, rng)


def pieces(parts: list[Part], weights: list[Tensor], most: int) -> list[list[tuple[Part, Tensor]]]:
    """The batch in pieces of at most `most` trials, with each trial's weight."""
    found: list[list[tuple[Part, Tensor]]] = [[]]
    room = most
    for (part, mask), weight in zip(parts, weights, strict=True):
        start = 0
        while start < part.n_trials:
            if room == 0:
                found.append([])
                room = most
            rows = slice(start, min(start + room, part.n_trials))
            found[-1].append(((part.pick(rows), mask.rows(rows)), weight[rows]))
            start, room = rows.stop, room - (rows.stop - rows.start)
    return found


def share_of(parts: list[Part], weights: list[Tensor], chosen: slice) -> tuple[list[Part], list[Tensor]]:
    """Some trials of the batch, counted through its parts; in place of none, one that weighs nothing: a process must
    go through all steps of the others, who wait for its gradients."""
    if chosen.start >= chosen.stop:
        (part, mask), one = parts[0], slice(0, 1)
        return [(part.pick(one), mask.rows(one))], [torch.zeros_like(weights[0][one])]
    found, kept, first = [], [], 0
    for (part, mask), weight in zip(parts, weights, strict=True):
        rows = slice(max(0, chosen.start - first), max(0, min(part.n_trials, chosen.stop - first)))
        if rows.stop > rows.start:
            found.append((part.pick(rows), mask.rows(rows)))
            kept.append(weight[rows])
        first += part.n_trials
    return found, kept


def draw_mixed(part: DeviceTrials, schemes: tuple[Scheme, ...], rng: torch.Generator, fixed: bool = False) -> Mask:
    """One mask with all schemes, each on its share of the trials; the few trials of a small part take turns."""
    shape, masks = part.batch.counts.shape, []
    for scheme, n_trials in scheme_shares(schemes, shape[0], rng):
        low, high = (DEFAULT_RATIO[scheme],) * 2 if fixed else RATIO_RANGE[scheme]
        ratio = low + (high - low) * float(torch.rand((), generator=rng, device=rng.device))
        masks.append(draw_mask(scheme, (n_trials, *shape[1:]), part.codes, rng, ratio))
    return join(masks)
