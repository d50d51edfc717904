"""`mtm train`: from recordings to a checkpoint. Ctrl-C keeps the best weights; the same command goes on with it."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any

from ..checkpoint import save_checkpoint
from ..data.catalogue import list_sessions, open_session
from ..data.simulate import SIMULATED_IDS
from ..device import describe, pick_device
from ..masking import MTM_SCHEMES, Scheme
from ..models.mtm import MtMConfig
from ..session import Session, Trials, identity
from ..training.calibration import calibrated
from ..training.config import TrainConfig, steps_that_pay
from ..training.loop import MOST_SKIPPED, Run, Step, Trainer, TrainingFailed, best_model, build_model, new_run
from ..training.resume import delete_run, load_run, save_run
from .console import ProgressLine, clock

WIDEST_WINDOW = (-0.5, 1.5)  # s around the event; as in MtM


def default_window(session: Session) -> tuple[float, float]:
    """MtM's window, as far as the recording holds spikes."""
    if session.coverage is None:
        return WIDEST_WINDOW
    return max(WIDEST_WINDOW[0], session.coverage.start), min(WIDEST_WINDOW[1], session.coverage.end)


def open_trials(options: argparse.Namespace) -> list[Trials]:
    """The chosen sessions, aligned; raises ValueError naming the session that cannot be used."""
    found = []
    if options.session and len(options.session) > 1:
        refuse_twins(options.session, options.cache_dir)
    for session_id in SIMULATED_IDS if options.simulated else options.session:
        session = open_session(session_id, options.cache_dir)
        for problem in session.problems:
            print(f"{session.id}: {problem}")
        window = tuple(options.window) if options.window else default_window(session)
        trials = session.align(options.event, window, options.bin_size, options.region_level)
        excluded = "".join(f", {n} trials left out: {reason}" for reason, n in trials.excluded.items())
        print(f"{session.id} {session.subject}: {trials.n_trials} trials, {trials.n_neurons} neurons{excluded}")
        found.append(trials)
    return found


def refuse_twins(session_ids: list[str], cache_dir: str | None) -> None:
    """Two entries of one recording would train on each other's test trials; raises ValueError."""
    known = {row["id"]: row["same_recording_as"] for row in list_sessions(cache_dir).to_dict("records")}
    chosen = [full for full in known if any(full.startswith(session_id) for session_id in session_ids)]
    for one in chosen:
        if known[one] in chosen:
            raise ValueError(f"sessions {one} and {known[one]} are one recording; train on one of them")


def settings(options: argparse.Namespace, sessions: list[Trials]) -> tuple[MtMConfig, TrainConfig]:
    size = {"width": options.width, "n_layers": options.layers}
    model = replace(MtMConfig(), **{name: value for name, value in size.items() if value is not None})
    minutes = options.minutes if options.minutes is not None else TrainConfig.minutes
    most = steps_that_pay(sum(int(trials.select("train").valid.sum()) for trials in sessions))
    mix = tuple(Scheme[name.upper()] for name in options.schemes) if options.schemes else MTM_SCHEMES
    budget = TrainConfig(steps=options.steps, minutes=minutes, most_steps=most, seed=options.seed)
    return model, replace(budget, schemes=mix)


def facts(run: Run, sessions: list[Trials], config: TrainConfig) -> dict[str, Any]:
    """What a checkpoint says of its training."""
    return {
        "data": [identity(trials) for trials in sessions],
        "schemes": [scheme.label for scheme in config.schemes],
        "training": {
            **asdict(config),
            "schemes": [scheme.label for scheme in config.schemes],
            "steps_done": run.step,
            "seconds": round(run.elapsed, 1),
            "best_step": run.best_step,
            "best_validation": run.best_score if run.best else None,
            "n_skipped": run.n_skipped,
            "history": run.history,
        },
    }


def line(step: Step) -> str:
    return f"step {step.number}  {100 * step.progress:3.0f} %  {clock(step.seconds_left)} left  loss {step.loss:.4f}"


class Saver:
    """Keeps a resumable state on disk: after validations, at most every `save_every` seconds."""

    def __init__(self, path: Path, run: Run, sessions: list[Trials], config: TrainConfig) -> None:
        self.path, self.run, self.sessions, self.config = path, run, sessions, config
        self.last = monotonic()

    def after(self, step: Step) -> None:
        if monotonic() - self.last >= self.config.save_every or step.is_best:
            save_run(self.path, self.run, self.sessions, self.config)
            self.last = monotonic()


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed. Within a step the weights are half old, half new, and such a run could not go on
    exactly; so the first Ctrl-C waits for the end of the step, and only the second one stops at once."""
    pressed = threading.Event()

    def press(number: int, frame: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield pressed.is_set
        return
    previous = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def show(shown: ProgressLine, step: Step) -> None:
    shown.show(line(step), step.progress)
    for notice in step.notices:
        shown.say(notice)
    if step.validation:
        scores = "  ".join(f"{name} {value:.3f}" for name, value in step.validation.items())
        shown.say(f"step {step.number}  validation bits per spike (pooled): {scores}{'  *' * step.is_best}")


def train_to_end(trainer: Trainer, saver: Saver) -> str:
    """Run all steps; the reason why they ended early, or an empty string."""
    shown = ProgressLine()
    try:
        with interrupts() as interrupted:
            for step in trainer.steps():
                show(shown, step)
                saver.after(step)
                if interrupted():
                    return "interrupted; run the same command again to go on"
    except TrainingFailed as error:
        return str(error)
    finally:
        shown.end()
    return ""


def run(options: argparse.Namespace) -> int:
    out, device = Path(options.out), pick_device(options.device)
    sessions = open_trials(options)
    model_config, config = settings(options, sessions)
    state = new_run(build_model(model_config, sessions, config.seed).to(device), config)
    out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is refused now, not after the training
    if load_run(out, state, sessions, config):
        print(f"going on at step {state.step} of the run in {out}")
    n_parameters = sum(p.numel() for p in state.model.parameters())
    print(f"{n_parameters:,} parameters on {describe(device)}")
    saver = Saver(out, state, sessions, config)
    trainer = Trainer(state, sessions, config)
    stopped = train_to_end(trainer, saver)
    if stopped:
        save_run(out, state, sessions, config)
    model, groups = calibrated(best_model(state), sessions, trainer.validation)
    about = {**facts(state, sessions, config), "calibration": [asdict(group) for group in groups]}
    saved = save_checkpoint(out, model, about)
    if not stopped:  # only now: whoever is killed before this line loses nothing
        delete_run(out)
    print(f"{out}: weights of step {state.best_step} of {state.step}, checkpoint {saved.manifest['hash'][:12]}")
    if stopped:
        print(stopped)
    return int(state.n_skipped >= MOST_SKIPPED)
