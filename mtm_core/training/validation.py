"""The score that picks the best weights: masks drawn once, the same for every validation of a run.

All four tasks are watched; the weights are picked by the mean over the schemes that are trained, so that a model with
one scheme is as good as it can be at its own.
"""

from __future__ import annotations

import math

import torch

from ..device import has_bf16
from ..evaluation.metrics import SpikeSums
from ..evaluation.questions import n_future_bins
from ..masking import MTM_SCHEMES, Mask, Scheme, draw_mask, hold_out_future
from ..models.mtm import MtM
from ..predict import MICRO_BATCH, in_pieces
from .batches import DeviceTrials, step_generator
from .world import World

# Near the evaluation's masks; the future is hidden as the evaluation does.
SHARE_HIDDEN = {
    Scheme.NEURON: 0.1,
    Scheme.INTRA_REGION: 0.2,
    Scheme.INTER_REGION: 1.0,
    Scheme.TEMPORAL: 0.3,
    Scheme.RANDOM_TOKEN: 0.3,
}
REPEATS = 2  # draws per trial
HOPELESS = 1e9  # counts per bin, in place of an overflow: a score so bad that these weights are never the best


def fixed_masks(trials: DeviceTrials, trained: tuple[Scheme, ...]) -> list[Mask]:
    """Masks of one session's validation trials for the four tasks and what is trained, the same whenever asked for."""
    shape = tuple(trials.batch.counts.shape)
    device = trials.valid.device
    masks = [hold_out_future(shape, n_future_bins(shape[1])).to(device)]
    watched = (scheme for scheme in SHARE_HIDDEN if scheme in MTM_SCHEMES or scheme in trained)
    for scheme in trials.schemes(tuple(watched)):
        for repeat in range(REPEATS):
            rng = step_generator(int(scheme), repeat, device)
            masks.append(draw_mask(scheme, shape, trials.codes, rng, SHARE_HIDDEN[scheme]))
    return [mask.restrict(trials.valid) for mask in masks]


@torch.inference_mode()
def validate(
    model: MtM,
    sessions: list[tuple[DeviceTrials, list[Mask]]],
    trained: tuple[Scheme, ...],
    world: World = World(),  # noqa: B008 (frozen)
) -> dict[str, float]:
    """Bits per spike over the training mean, pooled over neurons, mean over sessions: a number per scheme, and the mean
    of the trained ones. Several processes take turns with the sessions."""
    scores: dict[Scheme, list[float]] = {}
    device = model.device
    for trials, masks in sessions[world.rank :: world.size]:
        null = model.units.mean[trials.batch.unit_rows].double().cpu().numpy()
        sums: dict[Scheme, SpikeSums] = {}
        for mask in masks:
            with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device)):
                rates = in_pieces(model, trials.batch, mask, MICRO_BATCH[device.type]).float().exp()
            rates = rates.nan_to_num(nan=HOPELESS, posinf=HOPELESS)
            total = sums.setdefault(mask.scheme, SpikeSums.empty(len(rates), len(null)))
            total.add(trials.batch.counts.cpu().numpy(), rates.cpu().numpy(), mask.target.cpu().numpy())
        for scheme, by_trial in sums.items():
            scores.setdefault(scheme, []).append(by_trial.total().pooled(null))
    by_scheme = _over_processes(scores, world, device)
    known = [by_scheme[scheme] for scheme in trained if not math.isnan(by_scheme.get(scheme, math.nan))]
    mean = sum(known) / len(known) if known else math.nan
    return {**{scheme.label: value for scheme, value in by_scheme.items()}, "mean": mean}


def _over_processes(scores: dict[Scheme, list[float]], world: World, device: torch.device) -> dict[Scheme, float]:
    """Mean over sessions of the numbers that exist: targets without a spike have no score, and must not cost others
    theirs."""
    sums = torch.zeros(3, len(Scheme), dtype=torch.float64)  # asked, known, sum of the known
    for scheme, values in scores.items():
        known = [value for value in values if not math.isnan(value)]
        sums[:, scheme] = torch.tensor([len(values), len(known), sum(known)], dtype=torch.float64)
    asked, known, total = world.total(sums.to(device)).tolist()
    return {s: total[s] / known[s] if known[s] else math.nan for s in Scheme if asked[s]}
