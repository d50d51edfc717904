"""The training loop: an iterator of steps that keeps the best weights, can be stopped anywhere and resumed exactly.

Every step's randomness is a function of the seed and the step's number. The state of a run is therefore its weights,
its optimizer's moments and a few numbers; continuing from it repeats, bit for bit on a CPU, what would have happened.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..device import has_bf16, is_out_of_memory
from ..masking import Mask
from ..models.mtm import MtM, MtMConfig
from ..session import Trials
from .averaging import follow, start_average
from .batches import DeviceTrials, draw_step, put_on_device
from .config import TrainConfig, one_cycle
from .loss import poisson_loss, trial_weights
from .validation import fixed_masks, validate

MOST_SKIPPED = 10  # steps with a loss that is not finite, before the run stops


class TrainingFailed(RuntimeError):
    """The loss stopped being a number; the best weights so far are kept."""


@dataclass(frozen=True)
class Step:
    """What one step did."""

    number: int  # 1, 2, ...
    progress: float  # share of the budget used up
    seconds_left: float
    loss: float  # nats per target entry, schemes averaged; without log count!
    validation: dict[str, float] | None  # bits per spike by scheme, when this step was followed by a validation
    is_best: bool
    notices: tuple[str, ...]  # sentences for the user, for example that memory ran out


@dataclass
class Run:
    """The state of a training run."""

    model: MtM
    average: MtM  # of the weights, see averaging.py: what is validated and kept
    optimizer: torch.optim.AdamW
    step: int = 0
    elapsed: float = 0.0  # s spent in steps and validations
    n_skipped: int = 0
    n_validations: int = 0
    micro_batch: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def build_model(config: MtMConfig, sessions: list[Trials], seed: int = 0) -> MtM:
    """A fresh model with a row per neuron, its read-out at the neuron's mean over valid bins of training trials."""
    unit_ids = tuple(str(uuid) for trials in sessions for uuid in trials.unit_ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MtM(config, unit_ids, tuple(trials.session_id for trials in sessions))
    for trials in sessions:
        train = trials.select("train")
        if not train.valid.any():
            raise ValueError(f"session {trials.session_id}: no training trial holds data; choose another window")
        means = torch.as_tensor(train.counts[train.valid].mean(axis=0), dtype=torch.float32)
        model.units.set_means(model.rows(trials.session_id, tuple(trials.unit_ids))[0], means)
    return model


def new_run(model: MtM, config: TrainConfig) -> Run:
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    return Run(model, start_average(model), optimizer, micro_batch=config.batch_size)


class Trainer:
    """Runs steps. Long because it alone touches weights; everything it needs is a pure function elsewhere."""

    def __init__(self, run: Run, sessions: list[Trials], config: TrainConfig) -> None:
        self.run, self.sessions, self.config = run, sessions, config
        self.notices: list[str] = []
        self._load_data()

    def _load_data(self) -> None:
        model = self.run.model
        self.device = model.device
        self.train = [put_on_device(model, trials.select("train")) for trials in self.sessions]
        held = [put_on_device(model, trials.select("validation")) for trials in self.sessions]
        self.validation = [(trials, fixed_masks(trials, self.config.schemes)) for trials in held if trials.n_trials]
        if not self.validation:
            raise ValueError("no validation trials to choose the best weights by; use sessions with more trials")

    def steps(self) -> Iterator[Step]:
        """Train until the budget is used up; raises TrainingFailed after ten losses that are not finite."""
        run, config = self.run, self.config
        while (progress := config.progress(run.step, run.elapsed)) < 1.0:
            start = time.perf_counter()
            loss = self._step(one_cycle(progress, config.learning_rate))
            run.step += 1
            run.elapsed += time.perf_counter() - start
            scores, is_best = self._validate_when_due()
            yield self._report(loss, scores, is_best)
            if run.n_skipped >= MOST_SKIPPED:
                raise TrainingFailed(f"{run.n_skipped} steps had a loss that is not finite; lower the learning rate")

    def _step(self, learning_rate: float) -> float:
        """One update; a loss or gradient that is not finite changes nothing and is counted."""
        run = self.run
        for group in run.optimizer.param_groups:
            group["lr"] = learning_rate
        run.model.train()
        loss = self._gradients()
        norm = torch.nn.utils.clip_grad_norm_(run.model.parameters(), self.config.gradient_clip)
        if math.isfinite(loss) and bool(torch.isfinite(norm)):
            run.optimizer.step()
            follow(run.average, run.model, run.step + 1)
        else:
            run.n_skipped += 1
            self.notices.append(f"step {run.step + 1}: loss or gradient not finite, step skipped ({run.n_skipped})")
        return loss

    def _gradients(self) -> float:
        """Loss and gradients of the current step's batch, in as many pieces as memory demands; no step is lost."""
        while True:
            part, mask = draw_step(self.train, self.config, self.run.step)
            self.run.optimizer.zero_grad(set_to_none=True)
            try:
                return self._accumulate(part, mask)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or (self.run.micro_batch == 1 and self.device.type == "cpu"):
                    raise
            self._make_room()

    def _accumulate(self, part: DeviceTrials, mask: Mask) -> float:
        weights = trial_weights(mask)
        total = 0.0
        # Dropout has no generator argument, so torch's own is set for the step and restored after it.
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.config.seed * 1_000_003 + self.run.step)
            for rows in torch.arange(part.n_trials, device=self.device).split(self.run.micro_batch):
                piece = part.pick(rows).batch
                with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bf16(self.device)):
                    log_rates = self.run.model(piece, mask.rows(rows))
                loss = poisson_loss(log_rates, piece.counts, mask.rows(rows), weights[rows])
                loss.backward()
                total += float(loss.detach())
        return total

    def _make_room(self) -> None:
        """Halve the pieces; when one trial is still too much for the card, go on with the processor."""
        run = self.run
        if run.micro_batch > 1:
            run.micro_batch //= 2
            self.notices.append(f"out of memory: now {run.micro_batch} trials at a time (the same batches, slower)")
        else:
            run.micro_batch = self.config.batch_size
            run.model.to("cpu")
            run.average.to("cpu")
            for state in run.optimizer.state.values():
                state.update({name: value.cpu() for name, value in state.items()})
            self._load_data()
            self.notices.append("out of memory with one trial at a time: going on with the CPU")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _validate_when_due(self) -> tuple[dict[str, float] | None, bool]:
        run, config = self.run, self.config
        progress = config.progress(run.step, run.elapsed)
        if progress < 1.0 and progress * config.n_validations < run.n_validations + 1:
            return None, False
        start = time.perf_counter()
        scores = validate(run.average, self.validation, config.schemes)
        run.elapsed += time.perf_counter() - start
        run.n_validations = max(run.n_validations + 1, int(progress * config.n_validations))
        finite = {name: value for name, value in scores.items() if math.isfinite(value)}
        run.history.append({"step": run.step, "seconds": round(run.elapsed, 1), **finite})
        is_best = scores["mean"] > run.best_score
        if is_best:
            run.best_score, run.best_step = scores["mean"], run.step
            run.best = {name: value.detach().cpu().clone() for name, value in run.average.state_dict().items()}
        return scores, is_best

    def _report(self, loss: float, scores: dict[str, float] | None, is_best: bool) -> Step:
        run = self.run
        progress = self.config.progress(run.step, run.elapsed)
        left = run.elapsed * (1.0 - progress) / max(progress, 1e-9)
        notices, self.notices = tuple(self.notices), []
        return Step(run.step, progress, left, loss, scores, is_best, notices)


def best_model(run: Run) -> MtM:
    """The model with the weights that scored best in validation; before the first validation, the present average."""
    if run.best:
        run.average.load_state_dict(run.best)
    return run.average
