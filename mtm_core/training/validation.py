"""The score that picks the best weights: four tasks, masks drawn once, the same for every validation of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from ..device import has_bf16
from ..evaluation.metrics import SpikeSums
from ..evaluation.tasks import n_future_bins
from ..masking import Mask, Scheme, draw_mask, hold_out_future
from ..models.mtm import MtM
from ..predict import MICRO_BATCH, log_rates
from .batches import DeviceTrials, step_generator

SHARE_HIDDEN = {Scheme.NEURON: 0.1, Scheme.INTRA_REGION: 0.2, Scheme.INTER_REGION: 1.0}  # near the evaluation's masks
REPEATS = 2  # draws per trial
HOPELESS = 1e9  # counts per bin, in place of an overflow: a score so bad that these weights are never the best


def fixed_masks(trials: DeviceTrials) -> list[Mask]:
    """Masks of one session's validation trials, the same whenever they are asked for."""
    shape = tuple(trials.batch.counts.shape)
    device = trials.valid.device
    masks = [hold_out_future(shape, n_future_bins(shape[1])).to(device)]
    for scheme in trials.schemes(tuple(SHARE_HIDDEN)):
        for repeat in range(REPEATS):
            rng = step_generator(int(scheme), repeat, device)
            masks.append(draw_mask(scheme, shape, trials.codes, rng, SHARE_HIDDEN[scheme]))
    return [mask.restrict(trials.valid) for mask in masks]


@torch.inference_mode()
def validate(model: MtM, sessions: list[tuple[DeviceTrials, list[Mask]]]) -> dict[str, float]:
    """Bits per spike over the training mean, pooled over neurons and sessions: one number per scheme and their mean."""
    scores: dict[Scheme, list[float]] = {}
    device = model.units.mean.device
    for trials, masks in sessions:
        null = model.units.mean[trials.batch.unit_rows].double().cpu().numpy()
        sums: dict[Scheme, SpikeSums] = {}
        for mask in masks:
            with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device)):
                rates = log_rates(model, trials.batch, mask, MICRO_BATCH[device.type]).float().exp()
            rates = rates.nan_to_num(nan=HOPELESS, posinf=HOPELESS)
            total = sums.setdefault(mask.scheme, SpikeSums.empty(len(null)))
            total.add(trials.batch.counts.cpu().numpy(), rates.cpu().numpy(), mask.target.cpu().numpy())
        for scheme, total in sums.items():
            scores.setdefault(scheme, []).append(total.pooled(null))
    by_scheme = {scheme.label: _mean(values) for scheme, values in scores.items()}
    return {**by_scheme, "mean": _mean(by_scheme.values())}


def _mean(values: Iterable[float]) -> float:
    """Mean of the numbers that exist: targets without a spike have no score, and must not cost the others theirs."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
