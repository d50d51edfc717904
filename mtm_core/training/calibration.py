"""A model's last touch: how far its predictions should be believed, learned from the validation trials.

A network that is trained until it predicts best is still too sure of itself, most of all about neurons of which it has
seen a handful of spikes: it learned those by heart. Neurons are grouped by their number of training spikes, and each
group gets two numbers, fitted by Poisson regression over the validation masks of all tasks: with the training mean m
and the predicted rate r, the calibrated rate is exp(shift) m (r / m)^gain. Both fold into the read-out, so a calibrated
model is a model like any other. On 1,070 neurons with 176 training trials the groups' gains rose from .14 (fewer than 5
spikes) to .86, and test co-smoothing from .163 to .207 (mean over neurons; pooled .294 to .299).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from ..evaluation.poisson import fit_poisson
from ..models.tables import AnimalTables
from ..session import Trials
from .batches import Held

FIRST_EDGE = 5  # training spikes; every further group starts at twice as many
FEWEST_SPIKES = 50  # in the validation targets of a group; one with fewer is joined with the next
MOST_ENTRIES = 20_000_000  # of all validation masks; two numbers per group need no more
PENALTY = 10.0  # pulls the gain towards 1, as ten spikes or so would


@dataclass(frozen=True)
class Group:
    """Neurons with similar numbers of training spikes, and what was fitted to them."""

    n_neurons: int
    n_spikes: int  # in the validation targets
    shift: float
    gain: float


@dataclass(frozen=True, eq=False)
class _Entries:
    """The target entries of the validation masks of all sessions."""

    rows: ndarray  # of the unit table
    log_rates: Float[ndarray, " E"]
    counts: Float[ndarray, " E"]


def calibrated(model: AnimalTables, sessions: list[Trials], validation: list[Held]) -> tuple[AnimalTables, list[Group]]:
    """A calibrated copy of the model, and its groups. validation: held-out trials of the sessions and their masks."""
    new, found = copy.deepcopy(model), []
    entries, train_spikes = _entries(model, validation), _train_spikes(model, sessions)
    log_mean = model.units.mean.log().double().cpu().numpy()
    for inside in _groups(train_spikes, entries):
        chosen = inside[entries.rows]
        log_rates, counts = entries.log_rates[chosen], entries.counts[chosen]
        deviation = log_rates - log_mean[entries.rows[chosen]]
        shift, weight = fit_poisson(deviation[:, None, None], counts[:, None], np.exp(log_rates)[:, None], PENALTY)
        group = Group(int(inside.sum()), int(counts.sum()), float(shift[0]), 1.0 + float(weight[0, 0]))
        _fold(new, torch.as_tensor(np.flatnonzero(inside), device=new.units.mean.device), group)
        found.append(group)
    return new, found


@torch.inference_mode()
def _entries(model: AnimalTables, validation: list[Held]) -> _Entries:
    rows, log_rates, counts = [], [], []
    n_entries = sum(held.batch.counts.numel() * len(masks) for held, masks in validation)
    every = max(1, -(-n_entries // MOST_ENTRIES))
    for held, masks in validation:
        for mask in masks:
            predicted, target = held.spikes(model, mask)
            predicted = predicted.float()
            rows.append(held.batch.unit_rows[target.nonzero()[::every, 2]].cpu().numpy())
            log_rates.append(predicted[target][::every].double().cpu().numpy())
            counts.append(held.batch.counts[target][::every].double().cpu().numpy())
    return _Entries(*(np.concatenate(each) for each in (rows, log_rates, counts)))


def _train_spikes(model: AnimalTables, sessions: list[Trials]) -> Int[ndarray, " units"]:
    """Training spikes of each row of the unit table."""
    spikes = np.zeros(len(model.unit_ids), dtype=np.int64)
    for trials in sessions:
        train = trials.select("train")
        rows, _ = model.rows(trials.session_id, tuple(trials.unit_ids))
        spikes[rows.cpu().numpy()] = train.counts[train.valid].sum(0, dtype=np.int64)
    return spikes


def _groups(train_spikes: Int[ndarray, " units"], entries: _Entries) -> list[Bool[ndarray, " units"]]:
    """Ranges of training spikes that double, joined until each holds enough validation spikes to fit two numbers."""
    spikes = np.bincount(entries.rows, entries.counts, minlength=len(train_spikes))
    edges = FIRST_EDGE * 2 ** np.arange(40)
    steps = np.searchsorted(edges, train_spikes, side="right")  # 0: fewer than FIRST_EDGE
    found, waiting = [], np.zeros(len(train_spikes), dtype=bool)
    for step in range(steps.max(initial=0) + 1):
        waiting |= steps == step
        if spikes[waiting].sum() >= FEWEST_SPIKES:
            found.append(waiting)
            waiting = np.zeros_like(waiting)
    if found:  # the busiest neurons may be too few for a group of their own
        found[-1] = found[-1] | waiting
    return found


@torch.no_grad()
def _fold(model: AnimalTables, rows: torch.Tensor, group: Group) -> None:
    units = model.units
    log_mean = units.mean[rows].log()
    units.readout[rows] *= group.gain
    units.bias[rows] = log_mean + group.shift + group.gain * (units.bias[rows] - log_mean)
