"""Training NEDS: its trials on the device, the masks of a step, the loss and the score that picks the best weights.

arXiv 2504.08201, sections 3.2 and 4. The loss is the weighted mean over the modalities that have targets of each one's
mean over its targets. (The released code divides the loss of choice and block by the number of their masked copies, a
hundred per trial, and counts trials in which they are visible.) The score is the mean of bits per spike, AUC and R2,
under masks that hide all spikes or all behaviors of the validation trials. (The paper has the accuracy in place of the
AUC. On the few dozen validation trials of a recording it jumps from one validation to the next, and its luckiest moment
would pick the weights.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from ..device import has_bf16
from ..evaluation.metrics import SpikeSums
from ..masking_modalities import (
    ROWS,
    SPIKES_ROW,
    Draw,
    ModalityMask,
    NedsScheme,
    draw_mask,
    hold_out_behaviors,
    hold_out_spikes,
    join,
)
from ..modality import BEHAVIORS, UNKNOWN
from ..models.neds import Neds, NedsBatch, Predicted
from ..session import Trials
from ..translate import in_pieces, to_batch
from .config import TrainConfig
from .loss import poisson_sum
from .shares import scheme_shares
from .world import World

CHANCE = {True: 0.5, False: 0.0}  # static -> AUC or R2 of a guess
HOPELESS = 1e9  # counts per bin, or standard deviations, in place of an overflow
RATIO_RANGE = (0.1, 0.5)  # of hidden bins, drawn anew for every batch
FIXED_RATIO = 0.3
# Of the mean over entries of the spikes, beside 1 for any behavior. One neuron in one bin holds a hundredth of the nats
# of a wheel speed; with equal weights nothing is learned of spikes from choice. Validation scores (Lederberg, 50 ms,
# 400 steps) with 1, 10, 100 and 400: encoding .043, .069, .084, .088 bits per spike; wheel R2 .54, .55, .56, .54.
SPIKE_WEIGHT = 100.0


@dataclass(frozen=True)
class NedsTrials:
    """One session's trials of one split as the model reads them."""

    batch: NedsBatch
    valid: Bool[Tensor, "K T"]

    @property
    def n_trials(self) -> int:
        return len(self.valid)

    def pick(self, chosen: slice | Int[Tensor, "B"]) -> NedsTrials:
        return replace(self, batch=self.batch.pick(chosen), valid=self.valid[chosen])

    def check(self, schemes: tuple[NedsScheme, ...], session_id: str) -> None:
        """Raises ValueError for a session that cannot be trained on."""
        if not self.batch.present:
            raise ValueError(f"session {session_id} has no behavior that NEDS could translate; train MtM on it")

    def draw(self, config: TrainConfig, rng: torch.Generator) -> ModalityMask:
        """A mask with every scheme on an equal share of the trials; the few trials of a small part take turns."""
        masks = []
        for scheme, n_trials in scheme_shares(config.schemes, self.n_trials, rng):
            low, high = RATIO_RANGE
            drawn = low + (high - low) * float(torch.rand((), generator=rng, device=rng.device))
            ratio = FIXED_RATIO if config.fixed_ratios else drawn
            draw = Draw((n_trials, self.valid.shape[1]), self.batch.present, ratio, rng)
            masks.append(draw_mask(scheme, draw))
        return join(masks).restrict(self.valid, self.scored())

    def scored(self) -> Bool[Tensor, "B M T"]:
        known = self.batch.known()
        known[:, SPIKES_ROW] &= self.valid
        return known

    def spikes(self, model: Neds, mask: ModalityMask) -> tuple[Float[Tensor, "B T N"], Bool[Tensor, "B T N"]]:
        """Log expected counts under the mask, and which entries are scored."""
        log_rates = in_pieces(model, self.batch, mask).log_rates
        return log_rates, mask.target[:, SPIKES_ROW, :, None].expand(log_rates.shape)


def put_on_device(model: Neds, trials: Trials) -> NedsTrials:
    """Copy once; a step then only indexes."""
    return NedsTrials(to_batch(model, trials), torch.tensor(trials.valid, device=model.device))


def fixed_masks(trials: NedsTrials, trained: tuple[NedsScheme, ...]) -> list[ModalityMask]:
    """All spikes hidden, and all behaviors hidden, whatever is trained."""
    present, shape = trials.batch.present, tuple(trials.valid.shape)
    masks = [hold_out_spikes(shape, present, present), hold_out_behaviors(shape, present)]
    return [mask.to(trials.valid.device).restrict(trials.valid, trials.scored()) for mask in masks]


# --- loss -------------------------------------------------------------------------------------------------------------


def modality_weights(parts: Sequence[tuple[NedsTrials, ModalityMask]]) -> list[Float[Tensor, "B M"]]:
    """Weight of each target of each modality, one number per trial: targets average, then modalities, by weight."""
    device = parts[0][1].hidden.device
    n_targets = torch.zeros(len(ROWS) + 1, device=device)
    for part, mask in parts:
        found = mask.target.sum((0, 2)).float()
        found[SPIKES_ROW] *= part.batch.counts.shape[2]
        for name in part.batch.classes:
            found[ROWS[name]] = mask.target[:, ROWS[name], 0].sum()
        n_targets += found
    of_modality = torch.ones_like(n_targets)
    of_modality[SPIKES_ROW] = SPIKE_WEIGHT
    weights = of_modality / n_targets.clamp_min(1.0) / of_modality[n_targets > 0].sum().clamp_min(1.0)
    return [weights.expand(len(mask.hidden), -1) for _, mask in parts]


def gaussian_loss(
    predicted: Float[Tensor, "B T"], values: Float[Tensor, "B T"], target: Bool[Tensor, "B T"], weights: Tensor
) -> Float[Tensor, ""]:
    """Half the weighted sum of squared errors, in standard deviations of the training trials."""
    error = (predicted - values).masked_fill(~target, 0.0)
    return (0.5 * error.square().sum(1) * weights).sum()


def categorical_loss(
    logits: Float[Tensor, "B C"], classes: Int[Tensor, "B"], target: Bool[Tensor, "B"], weights: Tensor
) -> Float[Tensor, ""]:
    """Weighted sum of cross-entropies."""
    entropy = F.cross_entropy(logits, classes.masked_fill(~target, 0), reduction="none")
    return (entropy.masked_fill(~target, 0.0) * weights).sum()


class NedsLoss(nn.Module):
    """From trials of several sessions to one number: what DistributedDataParallel wraps."""

    def __init__(self, model: Neds) -> None:
        super().__init__()
        self.model, self.of_targets = model, poisson_sum

    def forward(
        self, batches: Sequence[NedsBatch], masks: Sequence[ModalityMask], weights: Sequence[Tensor]
    ) -> Float[Tensor, ""]:
        found = self.model.together(batches, masks)
        return torch.stack(
            [self._of(*each) for each in zip(found, batches, masks, weights, strict=True)],
        ).sum()

    def _of(self, found: Predicted, batch: NedsBatch, mask: ModalityMask, weights: Float[Tensor, "B M"]) -> Tensor:
        target = mask.target
        spikes = target[:, SPIKES_ROW, :, None]
        losses = [self.of_targets(found.log_rates, batch.counts, spikes, weights[:, SPIKES_ROW])]
        for name, predicted in found.traces.items():
            values, row = self.model.standardised(name, batch.traces[name].float(), batch.session_row), ROWS[name]
            # What is unknown is no target, but 0 * NaN would be NaN.
            losses.append(gaussian_loss(predicted, values.nan_to_num(), target[:, row], weights[:, row]))
        for name, logits in found.logits.items():
            row = ROWS[name]
            losses.append(categorical_loss(logits, batch.classes[name], target[:, row, 0], weights[:, row]))
        return torch.stack(losses).sum()


# --- validation -------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def validate(
    model: Neds,
    sessions: list[tuple[NedsTrials, list[ModalityMask]]],
    trained: tuple[NedsScheme, ...],
    world: World = World(),  # noqa: B008 (frozen)
) -> dict[str, float]:
    """encoding: bits per spike over the training mean, pooled; each behavior: AUC or R2. Mean over
    sessions, and the mean of encoding and decoding as far as they are trained. Several processes take turns."""
    names = ["encoding", *ROWS]
    sums = torch.zeros(2, len(names), dtype=torch.float64)
    for trials, (spikes_hidden, behaviors_hidden) in sessions[world.rank :: world.size]:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=has_bf16(model.device)):
            found = {"encoding": _encoding(model, trials, spikes_hidden)}
            found |= _decoding(model, trials, behaviors_hidden)
        for name, value in found.items():
            if math.isfinite(value):
                sums[:, names.index(name)] += torch.tensor([1.0, value], dtype=torch.float64)
    n, total = world.total(sums.to(model.device)).tolist()
    scores = {name: total[i] / n[i] for i, name in enumerate(names) if n[i]}
    return {**scores, "mean": _mean(scores, trained)}


def _mean(scores: dict[str, float], trained: tuple[NedsScheme, ...]) -> float:
    """A unimodal model is picked by its own direction. A behavior below chance counts as at chance: by how much a
    drifting pupil is missed says nothing about the rest."""
    behaviors = [max(scores[name], CHANCE[BEHAVIORS[name].static]) for name in ROWS if name in scores]
    encoding = [scores["encoding"]] if "encoding" in scores else []
    decoding = [sum(behaviors) / len(behaviors)] if behaviors else []
    encodes = not {NedsScheme.ENCODING, NedsScheme.ENCODING_FROM_ONE}.isdisjoint(trained)
    decodes = NedsScheme.DECODING in trained
    neither = not (encodes or decodes)
    values = encoding * (encodes or neither) + decoding * (decodes or neither)
    return sum(values) / len(values) if values else math.nan


def _auc(truth: Int[ndarray, " K"], shares: Float[ndarray, "K C"]) -> float:
    """Mean over the classes that occur of the AUC of each against the rest; NaN where there is only one."""
    there = np.unique(truth)
    if len(there) < 2:
        return math.nan
    shares = np.nan_to_num(shares)  # of hopeless weights
    return float(np.mean([roc_auc_score(truth == each, shares[:, each]) for each in there]))


def _encoding(model: Neds, trials: NedsTrials, mask: ModalityMask) -> float:
    null = model.units.mean[trials.batch.unit_rows].double().cpu().numpy()
    log_rates, target = trials.spikes(model, mask)
    rates = log_rates.float().exp().nan_to_num(nan=HOPELESS, posinf=HOPELESS)
    sums = SpikeSums.empty(len(rates), len(null))
    sums.add(trials.batch.counts.cpu().numpy(), rates.cpu().numpy(), target.cpu().numpy())
    return sums.total().pooled(null)


def _decoding(model: Neds, trials: NedsTrials, mask: ModalityMask) -> dict[str, float]:
    batch = trials.batch
    found, scores = in_pieces(model, batch, mask), {}
    for name, logits in found.logits.items():
        known = (batch.classes[name] != UNKNOWN).cpu().numpy()
        truth, shares = batch.classes[name].cpu().numpy()[known], logits.float().softmax(1).cpu().numpy()[known]
        scores[name] = _auc(truth, shares)
    for name, predicted in found.traces.items():
        target = mask.target[:, ROWS[name]]
        values = model.standardised(name, batch.traces[name].float(), batch.session_row)[target].double()
        predicted = predicted.double().nan_to_num(HOPELESS, HOPELESS, -HOPELESS)
        error = (predicted[target] - values).square().sum()
        scores[name] = float(1 - error / (values - values.mean()).square().sum()) if len(values) > 1 else math.nan
    return scores
