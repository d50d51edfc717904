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
from ..models.tables import AnimalTables
from ..session import Trials
from .averaging import follow, start_average
from .batches import Part, draw_step, pieces, share_of
from .compiling import compile_parts, pays
from .config import TrainConfig, one_cycle
from .objective import objective_of
from .optimizer import Optimizers, clip_gradients
from .world import World, together

MOST_SKIPPED = 10  # steps with a loss that is not finite, before the run stops


class TrainingFailed(RuntimeError):
    """The loss stopped being a number; the best weights so far are kept."""


@dataclass(frozen=True)
class Step:
    """What one step did."""

    number: int  # 1, 2, ...
    epoch: float  # trials drawn so far, in units of all training trials
    progress: float  # share of the budget used up
    seconds_left: float
    loss: float  # nats per target entry, schemes averaged; without log count!
    validation: dict[str, float] | None  # bits per spike by scheme, when this step was followed by a validation
    is_best: bool
    notices: tuple[str, ...]  # sentences for the user, for example that memory ran out


@dataclass
class Run:
    """The state of a training run."""

    model: AnimalTables
    average: AnimalTables  # of the weights, see averaging.py: what is validated and kept
    optimizers: Optimizers
    step: int = 0
    elapsed: float = 0.0  # s spent in steps and validations
    n_skipped: int = 0
    n_validations: int = 0
    n_worse: int = 0  # validations since the best one
    micro_batch: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)  # checkpoint that the trunk comes from


def new_run(model: AnimalTables, config: TrainConfig) -> Run:
    return Run(model, start_average(model), Optimizers(model, config), micro_batch=config.batch_size)


class Trainer:
    """Runs steps. Long because it alone touches weights; everything it needs is a pure function elsewhere."""

    def __init__(self, run: Run, sessions: list[Trials], config: TrainConfig, world: World = World()) -> None:  # noqa: B008
        self.run, self.sessions, self.config, self.world = run, sessions, config, world
        if config.batch_size < world.size:
            raise ValueError(f"{world.size} processes share batches of {config.batch_size} trials; use larger batches")
        self.notices: list[str] = []
        self._load_data()

    def _load_data(self) -> None:
        model = self.run.model
        self.device, self.objective = model.device, objective_of(model)
        put, schemes = self.objective.put, self.config.schemes
        if not all(isinstance(scheme, self.objective.schemes) for scheme in schemes):
            # Unnoticed they would count as those with the same numbers.
            names, known = ", ".join(s.label for s in schemes), ", ".join(s.label for s in self.objective.schemes)
            raise ValueError(f"schemes {names} are not this model's; choose from {known}")
        frozen = self.config.trunk_learning_rate == 0
        loss = self.objective.loss(model)
        if pays(self.device, self.config):
            compile_parts(loss)
        tables = [f"model.{name}" for name in model.row_tables()]
        self.loss = together(loss, tables, self.world, frozen or not self.objective.all_used)
        if frozen:
            for _, weight in model.trunk():
                weight.requires_grad_(False)
        self.train = [put(model, trials.select("train")) for trials in self.sessions]
        for own, trials in zip(self.train, self.sessions, strict=True):
            own.check(schemes, trials.session_id)
        held = [put(model, trials.select("validation")) for trials in self.sessions]
        self.validation = [(trials, self.objective.masks(trials, schemes)) for trials in held if trials.n_trials]
        if not self.validation:
            raise ValueError("no validation trials to choose the best weights by; use sessions with more trials")

    def steps(self) -> Iterator[Step]:
        """Train until the budget is used up; raises TrainingFailed after ten losses that are not finite."""
        run = self.run
        while (progress := self._progress()) < 1.0 and not self._gave_up():
            start = time.perf_counter()
            loss = self._step(progress)
            run.step += 1
            run.elapsed += time.perf_counter() - start
            scores, is_best = self._validate_when_due()
            yield self._report(loss, scores, is_best)
            if run.n_skipped >= MOST_SKIPPED:
                raise TrainingFailed(
                    f"{run.n_skipped} steps had a loss that is not finite; try another --seed, or --preset paper "
                    "with its lower rate"
                )

    def _progress(self) -> float:
        """Share of the budget used up; the first process's clock counts for all."""
        return self.config.progress(self.run.step, self.world.agreed(self.run.elapsed, self.device))

    def _gave_up(self) -> bool:
        return 0 < self.config.patience <= self.run.n_worse

    def _step(self, progress: float) -> float:
        """One update; a loss or gradient that is not finite changes nothing and is counted."""
        run, config = self.run, self.config
        run.optimizers.set_rate(one_cycle(progress, config.learning_rate))
        run.model.train()
        loss = self._gradients()
        norm = clip_gradients(list(run.model.parameters()), config.gradient_clip)
        if math.isfinite(loss) and bool(torch.isfinite(norm)):
            run.optimizers.step()
            follow(run.average, run.model, run.optimizers, run.step + 1)
        else:
            run.n_skipped += 1
            self.notices.append(f"step {run.step + 1}: loss or gradient not finite, step skipped ({run.n_skipped})")
        return loss

    def _gradients(self) -> float:
        """Loss and gradients of the current step's batch, in as many pieces as memory demands; no step is lost."""
        while True:
            self.run.model.zero_grad(set_to_none=True)
            try:
                return self._accumulate(draw_step(self.train, self.config, self.run.step))
            except (RuntimeError, MemoryError) as error:
                # Several processes would have to agree on smaller pieces while some wait for gradients.
                last = self.world.size > 1 or (self.run.micro_batch == 1 and self.device.type == "cpu")
                if last or not is_out_of_memory(error):
                    raise
            self._make_room()

    def _accumulate(self, parts: list[Part]) -> float:
        n_trials = sum(part.n_trials for part, _ in parts)
        parts, weights = share_of(parts, self.objective.weights(parts), self.world.share(n_trials))
        total = torch.zeros((), device=self.device)
        for number, piece in enumerate(pieces(parts, weights, self.run.micro_batch)):
            loss = self._piece_loss(piece, number)
            # Processes average the trunk's gradients; the loss is their sum.
            (loss * self.world.size).backward()
            total += loss.detach()
        for table in self.run.model.row_tables().values():
            if table.grad is not None and self.world.size > 1:
                table.grad = table.grad / self.world.size
            self.world.add_rows(table)
        return float(self.world.total(total))

    def _piece_loss(self, piece: list[tuple[Part, Tensor]], number: int) -> Tensor:
        """Dropout has no generator argument, so torch's own is set for a piece; no two pieces of a step share it."""
        batches = [part.batch for (part, _), _ in piece]
        masks, weights = [mask for (_, mask), _ in piece], [weight for _, weight in piece]
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            own = number * self.world.size + self.world.rank
            torch.manual_seed((self.config.seed * 1_000_003 + self.run.step) * 1_009 + own)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bf16(self.device)):
                return self.loss(batches, masks, weights)

    def _make_room(self) -> None:
        """Halve the pieces; when one trial is still too much for the card, go on with the processor."""
        run = self.run
        if run.micro_batch > 1:
            run.micro_batch //= 2
            self.notices.append(f"out of memory: now {run.micro_batch} trials at a time (the same batches, slower)")
        else:
            run.micro_batch = self.config.batch_size
            run.model.to("cpu")
            run.model.transformer._compiled_call_impl = None  # compiled for the card
            run.average.to("cpu")
            for _, state in run.optimizers.states():
                state.update({name: value.cpu() for name, value in state.items()})
            self._load_data()
            self.notices.append("out of memory with one trial at a time: going on with the CPU")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _validate_when_due(self) -> tuple[dict[str, float] | None, bool]:
        run, config = self.run, self.config
        progress = self._progress()
        if progress < 1.0 and progress * config.n_validations < run.n_validations + 1:
            return None, False
        start = time.perf_counter()
        scores = self.objective.validate(run.average, self.validation, config.schemes, self.world)
        run.elapsed += time.perf_counter() - start
        run.n_validations = max(run.n_validations + 1, int(progress * config.n_validations))
        finite = {name: value for name, value in scores.items() if math.isfinite(value)}
        run.history.append({"step": run.step, "seconds": round(run.elapsed, 1), **finite})
        is_best = scores["mean"] > run.best_score
        run.n_worse = 0 if is_best else run.n_worse + 1
        if is_best:
            run.best_score, run.best_step = scores["mean"], run.step
            run.best = {name: value.detach().cpu().clone() for name, value in run.average.state_dict().items()}
        return scores, is_best

    def _report(self, loss: float, scores: dict[str, float] | None, is_best: bool) -> Step:
        run = self.run
        progress = self.config.progress(run.step, run.elapsed)
        epoch = run.step * self.config.batch_size / sum(trials.n_trials for trials in self.train)
        left = run.elapsed * (1.0 - progress) / max(progress, 1e-9)
        notices, self.notices = tuple(self.notices), []
        return Step(run.step, epoch, progress, left, loss, scores, is_best, notices)


def best_model(run: Run) -> AnimalTables:
    """The model with the weights that scored best in validation; before the first validation, the present average."""
    if run.best:
        run.average.load_state_dict(run.best)
    return run.average
