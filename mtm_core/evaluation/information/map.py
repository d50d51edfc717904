"""The information map: what each source region adds to the prediction of each target region, in bits per spike.

lost     source s, target r: score of r with r hidden and all others visible, minus the score with s hidden as well.
         What s knows of r that no other visible region knows. On the diagonal: score of neurons of r while the rest of
         r is visible too (a fifth of r is hidden at a time), minus the score with all of r hidden.
alone    score of r with only s visible, minus the score with nothing visible: what s knows of r at all. On the
         diagonal only the rest of r is visible.

The region tasks and prompts are those of MtM (arXiv 2407.14668, sections 3.1 and 4.2). Inter-region training hides one
region at a time, so two hidden ones are a step beyond it; a region that is visible alone was only ever asked about its
own neurons, so the map of kind "alone" is outside the training, off its diagonal, and says so.

A gain is no cause: it says what this model can read, from neurons that may share a third source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from ...checkpoint import Checkpoint
from ...masking import Scheme
from ...session import Trials
from ..metrics import SpikeSums
from ..tasks import check_protocol, protocol
from .null import N_FLIPS, Draws, sign_flip_p
from .questions import OWN_GROUPS, Groups, Question, ask, gain, groups_of, mean_gain, n_steps
from .table import Cell, InformationMap

UNTRAINED = "in training a region that was visible alone was never asked about other regions"


class Kind(str, Enum):
    """Which context the source is taken from (lost: all other regions) or added to (alone: nothing)."""

    LOST = "lost"
    ALONE = "alone"


OWN_PROMPT = {Kind.LOST: Scheme.NEURON, Kind.ALONE: Scheme.INTRA_REGION}  # on the diagonal
OTHER_PROMPT = Scheme.INTER_REGION


@dataclass(frozen=True)
class Settings:
    """How a map is measured; all of it goes into its protocol."""

    kind: Kind = Kind.LOST
    split: str = "test"
    min_neurons: int = 2  # of a region; the diagonal needs a second neuron
    nulls: int = 3  # shifts of the source's trials; 0: no control and no p
    seed: int = 0  # of resampled trials, shifts and sign flips


DEFAULT = Settings()


def information_map(
    model: Checkpoint, trials: Trials, settings: Settings = DEFAULT
) -> Iterator[tuple[float, InformationMap]]:
    """Share done (0 to 1) and the map so far after every step; stop iterating to cancel. Only the last is complete.

    trials: the whole session, with its splits; sources and targets are the regions in `trials.regions`. Raises
    ValueError for other splits than those of the training, for a split without trials and if no region qualifies.
    """
    study = open_study(model, trials, settings)
    total = n_questions(settings.kind, study.groups, len(study.draws.shifts)) * n_steps(study.part)
    for done, _ in enumerate(_PLANS[settings.kind](study), start=1):
        yield done / total, study.result(complete=False)
    yield 1.0, study.result(complete=True)


def n_questions(kind: Kind, groups: Groups, n_shifts: int) -> int:
    """Passes over all trials that a map takes. Hiding s and r at once answers for both, so pairs count once."""
    n = len(groups.regions)
    own = sum(len(groups.own(region)) for region in range(n)) * (1 + n_shifts)
    if kind is Kind.ALONE:
        return 1 + n * (1 + n_shifts) + own
    return n + n * (n - 1) // 2 + n * (n - 1) * n_shifts + own


@dataclass(frozen=True, eq=False)
class Study:
    """A map while it is measured."""

    model: Checkpoint
    part: Trials  # of one split
    groups: Groups
    draws: Draws
    kind: Kind
    about: dict[str, Any]
    cells: dict[tuple[int, int], Cell]  # (source, target) -> what is known so far

    def answers(self, pose: Callable[[int], list[Question]], shifts: Sequence[int]) -> Iterator[None]:
        """Pose questions once per shift; a generator that returns a list of SpikeSums (K, N)."""
        found = []
        for shift in shifts:
            found.append((yield from ask(self.model, self.part, pose(shift))))
        return found

    def fill(self, cell: tuple[int, int], better: SpikeSums, worse: SpikeSums, controls: list[SpikeSums]) -> None:
        """Write one cell; all sums of the target's neurons (K, n), controls: answers to the shifted source."""
        control, p = float("nan"), float("nan")
        if controls and better.n_entries.any():
            control = float(np.mean([mean_gain(each, worse) for each in controls]))
            by_chance = np.mean([each.log_likelihood().sum(axis=1) for each in controls], axis=0)
            p = sign_flip_p(better.log_likelihood().sum(axis=1) - by_chance, self.draws.signs)
        self.cells[cell] = Cell(gain(better, worse, self.draws.weights), control, p)

    def result(self, complete: bool) -> InformationMap:
        silent = self.part.counts[self.part.valid].sum(axis=0) == 0
        return InformationMap(
            session=self.part.session_id,
            kind=self.kind.value,
            regions=self.groups.regions,
            n_neurons=tuple(len(members) for members in self.groups.members),
            n_silent=tuple(int(silent[members].sum()) for members in self.groups.members),
            excluded=self.groups.excluded,
            cells=dict(self.cells),
            protocol=self.about,
            complete=complete,
        )


def open_study(model: Checkpoint, trials: Trials, settings: Settings) -> Study:
    """Everything that is settled before the first question."""
    check_protocol(model, trials)
    part = trials.select(settings.split)
    if part.n_trials == 0:
        raise ValueError(f"session {trials.session_id} has no {settings.split} trials; choose another split")
    draws = Draws.draw(part.n_trials, settings.nulls, np.random.default_rng(settings.seed))
    groups = groups_of(part, settings.min_neurons)
    return Study(model, part, groups, draws, settings.kind, _protocol(model, trials, settings, draws), {})


def _protocol(model: Checkpoint, trials: Trials, settings: Settings, draws: Draws) -> dict[str, Any]:
    """What two maps must share to be compared."""
    own, other = OWN_PROMPT[settings.kind].label, OTHER_PROMPT.label
    said = {
        "model": model.manifest["hash"],
        "path": model.path.name,
        "prompt": {"own region": own, "other regions": other},
        "outside_training": UNTRAINED if settings.kind is Kind.ALONE else "",
        "own_region": f"up to {OWN_GROUPS} groups of its neurons, one hidden at a time",
        "min_neurons": settings.min_neurons,
        "seed": settings.seed,
        "shifts": list(draws.shifts),
        "n_resamples": len(draws.weights),
        "n_sign_flips": N_FLIPS if draws.shifts else 0,
    }
    return protocol(trials, f"information_{settings.kind.value}", settings.split, said)


# --- the two plans ----------------------------------------------------------------------------------------------------


def _lost(study: Study) -> Iterator[None]:
    groups, shifts = study.groups, study.draws.shifts
    regions, visible = range(len(groups.regions)), []

    def without(*hidden: int) -> list[Question]:
        flags = groups.flags(*hidden)
        return [Question(flags, np.flatnonzero(flags), OTHER_PROMPT)]

    def moved(source: int, target: int, shift: int) -> list[Question]:
        members = groups.members[target]
        return [Question(groups.flags(target), members, OTHER_PROMPT, groups.flags(source), shift)]

    for target in regions:
        answer = yield from ask(study.model, study.part, without(target))
        visible.append(answer.some(groups.members[target]))
    for pair in combinations(regions, 2):
        both_hidden = yield from ask(study.model, study.part, without(*pair))
        for source, target in (pair, pair[::-1]):
            members = groups.members[target]
            controls = yield from study.answers(partial(moved, source, target), shifts)
            controls = [each.some(members) for each in controls]
            study.fill((source, target), visible[target], both_hidden.some(members), controls)
    for region in regions:
        yield from _own(study, region, groups.flags(), visible[region])


def _alone(study: Study) -> Iterator[None]:
    groups, shifts = study.groups, study.draws.shifts
    regions = range(len(groups.regions))
    everyone, named = ~groups.flags(), groups.flags(*regions)

    def only(source: int, shift: int) -> list[Question]:
        shown = groups.flags(source)
        return [Question(~shown, np.flatnonzero(named & ~shown), OTHER_PROMPT, shown, shift)]

    nothing = yield from ask(study.model, study.part, [Question(everyone, np.flatnonzero(named), OTHER_PROMPT)])
    for source in regions:
        better, *controls = yield from study.answers(partial(only, source), (0, *shifts))
        for target in set(regions) - {source}:
            of_target = [each.some(groups.members[target]) for each in (better, nothing, *controls)]
            study.fill((source, target), of_target[0], of_target[1], of_target[2:])
        yield from _own(study, source, ~groups.flags(source), nothing.some(groups.members[source]))


def _own(study: Study, region: int, others: Bool[ndarray, "N"], worse: SpikeSums) -> Iterator[None]:
    """The cell on the diagonal: the rest of the region is visible, and what is not in `others`."""

    def rest(shift: int) -> list[Question]:
        shown, prompt = study.groups.flags(region), OWN_PROMPT[study.kind]
        return [Question(others | _flags(group, others), group, prompt, shown, shift) for group in own]

    own = study.groups.own(region)
    answers = yield from study.answers(rest, (0, *study.draws.shifts))
    better, *controls = (each.some(study.groups.members[region]) for each in answers)
    study.fill((region, region), better, worse, controls)


def _flags(positions: ndarray, like: Bool[ndarray, "N"]) -> Bool[ndarray, "N"]:
    return np.isin(np.arange(len(like)), positions)


_PLANS: dict[Kind, Callable[[Study], Iterator[None]]] = {Kind.LOST: _lost, Kind.ALONE: _alone}
