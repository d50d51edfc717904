"""What each target region loses if a context, any neurons or regions, is hidden as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jaxtyping import Bool
from numpy import ndarray

from ...atomic import json_sha256
from ...checkpoint import Checkpoint
from ...session import Trials
from ..bootstrap import interval
from ..metrics import SpikeSums
from .map import DEFAULT, OTHER_PROMPT, Settings, Study, open_study
from .questions import Excluded, Question, ask, bits_gained, gain, n_steps

REGION_COLUMNS = ("region", "loss_mean", "loss_pooled", "ci_low", "ci_high", "n_neurons", "n_silent")
NEURON_COLUMNS = ("uuid", "region", "loss", "ci_low", "ci_high", "n_spikes")


@dataclass(frozen=True, eq=False)
class ContextLoss:
    """Loss = score with the target region hidden, minus the score with the context hidden too; bits per spike."""

    session: str
    n_hidden: int  # neurons of the context
    regions: pd.DataFrame  # REGION_COLUMNS, one row per target region that has been asked about
    neurons: pd.DataFrame  # NEURON_COLUMNS, one row per neuron of these
    excluded: tuple[Excluded, ...]
    protocol: dict[str, Any]
    complete: bool


def context_loss(
    model: Checkpoint, trials: Trials, hidden: Bool[ndarray, "N"], settings: Settings = DEFAULT
) -> Iterator[tuple[float, ContextLoss]]:
    """Share done (0 to 1) and the losses so far after every step; stop iterating to cancel. Only the last is complete.

    hidden: the context, as flags of the session's neurons. Target is every region that has a part of the context
    outside it; a region that holds the whole context is hidden in any case and can lose nothing by it. For a context
    that is one region s, the loss of r is the gain (s, r) of the information map of kind "lost".
    Raises ValueError as `information_map` does, and for a context without neurons.
    """
    study = open_study(model, trials, settings)
    if hidden.shape != (trials.n_neurons,) or not hidden.any():
        raise ValueError(f"the context hides none of {trials.n_neurons} neurons; give one flag per neuron, some True")
    losses = _Losses(study, hidden)
    total = 2 * len(losses.targets) * n_steps(study.part)
    for done, _ in enumerate(losses.measure(), start=1):
        yield done / total, losses.result(complete=False)
    yield 1.0, losses.result(complete=True)


class _Losses:
    """Losses while they are measured."""

    def __init__(self, study: Study, hidden: Bool[ndarray, "N"]) -> None:
        self.study, self.hidden = study, hidden
        groups = study.groups
        outside = [bool((hidden & ~groups.flags(region)).any()) for region in range(len(groups.regions))]
        self.targets = [region for region, some in enumerate(outside) if some]
        reason = "holds the whole context, which is hidden with it in any case"
        self.excluded = groups.excluded + tuple(
            Excluded(name, len(members), reason)
            for name, members, some in zip(groups.regions, groups.members, outside, strict=True)
            if not some
        )
        self.regions: list[tuple] = []
        self.neurons: list[pd.DataFrame] = []

    def measure(self) -> Iterator[None]:
        study, part = self.study, self.study.part
        for target in self.targets:
            region, members = study.groups.flags(target), study.groups.members[target]
            better = yield from ask(study.model, part, [Question(region, members, OTHER_PROMPT)])
            worse = yield from ask(study.model, part, [Question(region | self.hidden, members, OTHER_PROMPT)])
            self._add(target, better.some(members), worse.some(members))

    def _add(self, target: int, better: SpikeSums, worse: SpikeSums) -> None:
        name, members = self.study.groups.regions[target], self.study.groups.members[target]
        weights, spikes = self.study.draws.weights, better.total().spikes
        loss = gain(better, worse, weights)
        n_silent = int((spikes == 0).sum())
        self.regions.append((name, loss.mean, loss.pooled, loss.low, loss.high, len(members), n_silent))
        low, high = interval(better.resampled_bits(weights) - worse.resampled_bits(weights))
        bits = bits_gained(better.total(), worse.total())
        columns = (self.study.part.unit_ids[members].astype(str), name, bits, low, high, spikes.astype(int))
        self.neurons.append(pd.DataFrame(dict(zip(NEURON_COLUMNS, columns, strict=True))))

    def result(self, complete: bool) -> ContextLoss:
        nothing = pd.DataFrame(columns=list(NEURON_COLUMNS))
        return ContextLoss(
            session=self.study.part.session_id,
            n_hidden=int(self.hidden.sum()),
            regions=pd.DataFrame(self.regions, columns=list(REGION_COLUMNS)),
            neurons=pd.concat(self.neurons, ignore_index=True) if self.neurons else nothing,
            excluded=self.excluded,
            protocol={**self.study.about, "context_sha256": json_sha256(sorted(self._context()))},
            complete=complete,
        )

    def _context(self) -> list[str]:
        return [str(unit) for unit in self.study.part.unit_ids[self.hidden]]
