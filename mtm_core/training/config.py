"""What may be chosen for a training run, and why the defaults are what they are."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..masking import MTM_SCHEMES, Scheme
from ..masking_modalities import NedsScheme

# Ratios are drawn anew for every batch: evaluation hides one neuron, a region or the future, so the model should meet
# few and many hidden entries. MtM keeps 0.3 (0.6 causal) throughout; its own table 7 favours less.
RATIO_RANGE = {
    Scheme.NEURON: (0.05, 0.5),
    Scheme.CAUSAL: (0.1, 0.6),
    Scheme.INTRA_REGION: (0.05, 0.5),
    Scheme.INTER_REGION: (1.0, 1.0),
    Scheme.TEMPORAL: (0.1, 0.5),
    Scheme.RANDOM_TOKEN: (0.1, 0.5),
}
BINS_PER_STEP, FEWEST_STEPS = 3, 300
WARM_UP, START_DIVISOR, END_DIVISOR = 0.15, 10.0, 1e4  # one-cycle as in MtM (paper, appendix B; released config)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run. Give `steps`, or else `minutes` of training time."""

    steps: int | None = None
    minutes: float = 5.0
    most_steps: int | None = None  # end of a run in minutes on a fast machine; see `steps_that_pay`
    batch_size: int = 16  # trials; as in MtM
    learning_rate: float = 2e-3  # peak of the one-cycle schedule; 5e-3 diverged, 1e-4 (MtM) is far from done in minutes
    weight_decay: float = 0.01
    gradient_clip: float = 1.0  # norm
    schemes: tuple[Scheme, ...] | tuple[NedsScheme, ...] = MTM_SCHEMES
    fixed_ratios: bool = False  # True: MtM's ratios instead of ratios drawn anew for every batch
    sessions_per_batch: int = 1  # trials of a batch come from so many sessions, in equal shares
    alpha: float = 1.0  # a session is drawn with probability ~ (its training trials)^alpha
    trunk_learning_rate: float = 1.0  # times learning_rate: what the trunk learns by; 0 trains new rows only
    patience: int = 0  # validations without a better score after which a run ends; 0: never
    n_validations: int = 20
    save_every: float = 60.0  # s; what a killed run can lose
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1 or not 0 < self.minutes < math.inf:
            raise ValueError(f"{self.steps} steps, {self.minutes} minutes; give more than nothing, and an end")
        if not 1 <= self.sessions_per_batch <= self.batch_size or not 0 <= self.alpha < math.inf:
            raise ValueError(
                f"{self.sessions_per_batch} sessions in a batch of {self.batch_size} trials, alpha {self.alpha}; give "
                "at least a trial per session, and an alpha of 0 or more"
            )
        if not self.schemes or self.batch_size < len(self.schemes):
            raise ValueError(f"a batch of {self.batch_size} trials cannot hold {len(self.schemes)} schemes")

    def to_json(self) -> dict[str, Any]:
        """All settings by name, schemes by their labels."""
        return {**asdict(self), "schemes": [scheme.label for scheme in self.schemes]}

    def progress(self, step: int, elapsed: float) -> float:
        """Share of the budget that is used up, 0 to 1; elapsed in seconds."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        by_steps = step / self.most_steps if self.most_steps is not None else 0.0
        return min(1.0, max(elapsed / (60.0 * self.minutes), by_steps))


def steps_that_pay(n_bins: int) -> int:
    """Steps after which more training stops to pay, for the number of bins (trials times bins) of the training trials.

    A long run at a high learning rate learns a small recording by heart before it settles. Validation scores, pooled,
    of runs of different length: 3,520 bins: 700 steps .259, 1,200 .265, 2,970 .229; 12,850 bins: 4,320 steps .281,
    lower at 8,140; 23,800 bins: still rising at the end of 4,050.
    """
    return max(FEWEST_STEPS, n_bins // BINS_PER_STEP)


def one_cycle(progress: float, peak: float) -> float:
    """Learning rate: cosine up to the peak, cosine down to almost nothing.

    torch's OneCycleLR counts steps; a budget in minutes knows only the share that has passed.
    """
    if progress < WARM_UP:
        low, share = peak / START_DIVISOR, 1.0 - progress / WARM_UP
    else:
        low, share = peak / (START_DIVISOR * END_DIVISOR), (progress - WARM_UP) / (1.0 - WARM_UP)
    return low + (peak - low) * 0.5 * (1.0 + math.cos(math.pi * share))
