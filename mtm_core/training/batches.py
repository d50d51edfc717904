"""Trials on the device, and the batch of any step as a pure function of seed and step number.

No sampler has a state, so a resumed run needs nothing but its step number to draw the same batches again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..masking import Mask, Scheme, draw_mask, join, region_codes
from ..models.mtm import Batch, MtM
from ..session import Trials
from .config import RATIO_RANGE, TrainConfig

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

    def pick(self, chosen: Int[Tensor, "B"]) -> DeviceTrials:
        return replace(self, batch=replace(self.batch, counts=self.batch.counts[chosen]), valid=self.valid[chosen])

    def schemes(self, wanted: tuple[Scheme, ...]) -> tuple[Scheme, ...]:
        """Those of the wanted schemes that the session allows: one without known regions has no region to hide."""
        if int(self.codes.max()) >= 0:
            return wanted
        return tuple(s for s in wanted if s not in REGION_SCHEMES)


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


def draw_step(sessions: list[DeviceTrials], config: TrainConfig, step: int) -> tuple[DeviceTrials, Mask]:
    """Trials of one session (in proportion to its number of trials) and a mask, every scheme on an equal share."""
    device = sessions[0].valid.device
    rng = step_generator(config.seed, step, device)
    sizes = torch.tensor([float(s.n_trials) for s in sessions], device=device)
    session = sessions[int(torch.multinomial(sizes, 1, generator=rng))]
    n_trials = min(config.batch_size, session.n_trials)
    part = session.pick(torch.randperm(session.n_trials, generator=rng, device=device)[:n_trials])
    return part, draw_mixed(part, session.schemes(config.schemes), rng).restrict(part.valid)


def draw_mixed(part: DeviceTrials, schemes: tuple[Scheme, ...], rng: torch.Generator) -> Mask:
    """One mask with all schemes, each on its share of the trials."""
    shape = part.batch.counts.shape
    masks = []
    for scheme, trials in zip(schemes, torch.arange(shape[0]).tensor_split(len(schemes)), strict=True):
        if len(trials):
            low, high = RATIO_RANGE[scheme]
            ratio = low + (high - low) * float(torch.rand((), generator=rng, device=rng.device))
            masks.append(draw_mask(scheme, (len(trials), *shape[1:]), part.codes, rng, ratio))
    return join(masks)
