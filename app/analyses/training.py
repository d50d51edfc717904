"""Training runs for the page "Train": what may be asked for, what each run does now, and its curves."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np

from mtm_core import list_sessions, runs
from mtm_core.runs import Point, Progress, Request, Run, State
from mtm_core.runs.request import check_recordings, present_cache
from mtm_core.serve import LOOPBACK
from mtm_core.training.presets import PRESETS

from ..recordings import Entry, catalogue, models, runs_changed, runs_now
from ..words import PROMPT_NAMES, number, plain, seconds
from .models import model_facts

ALLOW = "MTM_ALLOW_TRAINING"
ORIGINS = "BOKEH_ALLOW_WS_ORIGIN"
NOT_HERE = (
    "Training is off on this server, because it can be reached from other machines. It is on when the app is opened "
    f"for this machine alone, or when whoever runs the server sets {ALLOW}=1. Runs can be looked at."
)
COMMANDS = {"scratch": "train", "pretrain": "pretrain", "finetune": "finetune"}  # what the page says -> the command
KINDS = {"train": "From scratch", "pretrain": "Pre-training", "finetune": "Fine-tuning"}
MOST_POINTS = 100  # of a loss curve: single batches are noise, what is drawn are means
_progress: dict[Path, Progress] = {}  # what was read so far, for all visitors


def allowed(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether visitors may start and stop runs: nobody from elsewhere may fill this machine.

    A server that names no address listens on every network, but takes browsers only from pages of this machine, as long
    as no other origin is allowed.
    """
    if (said := environment.get(ALLOW, "")) in ("0", "1"):
        return said == "1"
    # not sys.argv, which Bokeh replaces while a page is built
    given = sys.orig_argv if arguments is None else arguments
    words = [word for argument in given for word in argument.split("=", 1)]
    after = dict(zip(words, words[1:], strict=False))
    from_elsewhere = "--allow-websocket-origin" in words or environment.get(ORIGINS)  # as behind a proxy
    return after.get("--address", "localhost") in LOOPBACK and not from_elsewhere


@dataclass(frozen=True)
class Form:
    """What a visitor filled in."""

    kind: str  # scratch, pretrain or finetune
    sessions: tuple[str, ...]
    model: str  # to fine-tune
    schemes: tuple[str, ...]
    preset: str
    minutes: float
    name: str
    only_stitcher: bool


def start(form: Form) -> Run:
    """Begin the run that a form describes; ValueError with a sentence if it cannot be."""
    _must_be_allowed()
    run = runs.start(request_of(form))
    runs_changed()
    return run


def request_of(form: Form) -> Request:
    tuned = form.kind == "finetune"
    if tuned and form.model not in models():
        raise ValueError(f"there is no model named {plain(form.model)}; pick one from the list")
    if tuned and model_facts(form.model).released:
        raise ValueError("released weights run as they are; choose a model that was trained with this program")
    return Request(
        command=COMMANDS[form.kind],
        sessions=form.sessions,
        name=" ".join(form.name.split()) or _not_taken(default_name(form)),
        preset=form.preset,
        schemes=form.schemes,
        minutes=form.minutes,
        checkpoint=str(Path(models()[form.model]).absolute()) if tuned else "",
        only_stitcher=tuned and form.only_stitcher,
        cache_dir=present_cache(),
    )


def default_name(form: Form) -> str:
    """What the run is called if the visitor says nothing."""
    named = [session_name(session) for session in form.sessions]
    where = named[0] if len(named) == 1 else f"{len(named)} recordings"
    what = {"scratch": "Scratch", "pretrain": "Pre-trained", "finetune": "Fine-tuned"}[form.kind]
    return f"{what}: {where}" if named else what


def _not_taken(name: str) -> str:
    """Two runs that nobody named can be told apart."""
    taken = {run.title for run in runs_now()}
    return next(each for n in count(1) if (each := name if n == 1 else f"{name}, {n}") not in taken)


def session_name(session: str) -> str:
    """Subject and date, as far as the recording is there."""
    entry = catalogue().get(session)
    return plain(session) if entry is None else f"{entry.subject} {entry.date}"


def usable() -> dict[str, str]:
    """Label -> id of every recording that a model can be trained on."""
    return {
        " · ".join([e.subject, e.date, f"{e.n_neurons} neurons", f"{e.n_trials} trials", short(e)]): e.id
        for e in catalogue().values()
        if not e.problem
    }


def short(entry: Entry) -> str:
    return entry.id if entry.simulated else entry.id[:8]


def problem(form: Form) -> str:
    """Why the form cannot be started; "" if it can. Before it is sent, so that the visitor sees it while choosing."""
    try:
        if not form.sessions or (form.kind == "pretrain" and len(form.sessions) < 2):
            raise ValueError("choose at least two recordings" if form.kind == "pretrain" else "choose a recording")
        check_recordings(form.sessions, _rows())
        if not form.schemes and form.kind != "finetune":
            raise ValueError("choose at least one masking scheme")
        request_of(form)
    except ValueError as error:
        return str(error)
    return ""


@cache
def _rows() -> list[dict]:
    """The catalogue as the library has it; like that of the app, read once."""
    return list_sessions().to_dict("records")


def preset_words() -> dict[str, str]:
    """name -> one line about a size of model."""
    return {name: preset.about for name, preset in PRESETS.items()}


# --- runs -------------------------------------------------------------------------------------------------------------


def act(action: str, run_id: str) -> None:
    """pause, resume, stop, delete or restore a run, if visitors may."""
    _must_be_allowed()
    {"pause": runs.pause, "resume": runs.resume, "stop": runs.stop, "delete": runs.delete, "restore": runs.restore}[
        action
    ](run_id)
    runs_changed()


def _must_be_allowed() -> None:
    if not allowed():
        raise ValueError(NOT_HERE)


def progress_of(run: Run) -> Progress:
    """Everything the run has reported until now."""
    found = _progress.setdefault(run.folder, Progress(run.folder))
    found.update()
    return found


def actions(run: Run, may: bool) -> tuple[str, ...]:
    """What can be done with a run now, in the order of the buttons."""
    look = ("explore" if model_facts(run.id).sessions else "fine-tune",) if run.has_result else ()
    if not may:
        return look
    if run.alive:
        return {"": ("pause", "stop"), "pause": ("stop",)}.get(run.wish, ())
    ways = {State.PAUSED: ("resume", "stop"), State.FAILED: ("resume",)}.get(run.state, ())
    return (*look, *ways, "delete")


def about(run: Run) -> str:
    """What was asked for, in one line."""
    asked = run.request
    where = ", ".join(map(session_name, asked.sessions[:3]))
    where += f" and {len(asked.sessions) - 3} more" if len(asked.sessions) > 3 else ""
    budget = f"{asked.steps:,} steps" if asked.steps is not None else f"{asked.minutes:g} min"
    if asked.command == "finetune":
        part = ", stitcher only" if asked.only_stitcher else ""
        how = f"of {model_facts(Path(asked.checkpoint).name).label}{part}"
    else:
        how = f"{asked.preset} model · {', '.join(PROMPT_NAMES[name] for name in asked.schemes)}"
    when = datetime.fromisoformat(run.created).astimezone()
    return f"{KINDS[asked.command]} · {plain(where)} · {how} · {budget} · {when:%d %b %H:%M}"


def sentence(run: Run, progress: Progress) -> str:
    """What the run does now, or how it ended."""
    last, best = progress.last, _best_words(progress.best)
    if run.alive and run.wish:
        return "Pausing…" if run.wish == "pause" else "Stopping; the best weights so far will be kept…"
    if run.state is State.WAITING:
        return "Waiting for its turn: one run at a time."
    if run.state is State.RUNNING:
        return _running(last, best)
    if run.state is State.FAILED:
        return f"Failed: {plain_sentence(run.reason)}."
    if run.state is State.PAUSED:
        return f"Paused{'' if last is None else f' at {last.share:.0%}'}. {best}".strip()
    if not run.has_result:
        return "Stopped before there was a result."
    steps = "" if last is None else f" after {last.step:,} steps, {seconds(last.elapsed)}"
    return f"{'Done' if run.state is State.DONE else 'Stopped'}{steps}. {best}".strip()


def _running(last: Point | None, best: str) -> str:
    if last is None:
        return "Opening the recordings…"
    left = f", about {seconds(last.seconds_left)} left" if math.isfinite(last.seconds_left) else ""
    return f"Step {last.step:,}, {last.share:.0%}{left}. {best}".strip()


def _best_words(best: Point | None) -> str:
    if best is None:
        return ""
    mean = number((best.validation or {}).get("mean"), 3)
    return f"Best validation {mean} bits per spike, at step {best.step:,}."


def plain_sentence(text: str) -> str:
    """A line of a log as harmless text of its full length, without a full stop."""
    return "".join(plain(text[i : i + 60]) for i in range(0, len(text), 60)).rstrip(". ")


# --- curves -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity of one run. All arrays have one value per point."""

    steps: np.ndarray
    minutes: np.ndarray  # of training
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Learned:
    """What a run has learned so far."""

    id: str
    name: str
    loss: Curve  # nats per target entry, mean over neighbouring steps
    scores: dict[str, Curve] = field(default_factory=dict)  # scheme -> bits per spike in validation
    best: tuple[int, float] | None = None  # step and minutes of the weights that are kept
    best_scores: dict[str, float] = field(default_factory=dict)  # scheme, or "mean" -> bits per spike


def learned(run_id: str) -> Learned | None:
    """The curves of a run; None if there is no such run."""
    run = next((run for run in runs_now() if run.id == run_id), None)
    if run is None:
        return None
    progress = progress_of(run)
    validated = [point for point in progress.points if point.validation]
    names = dict.fromkeys(name for point in validated for name in point.validation if name != "mean")
    scores = {name: _curve([(p, p.validation.get(name, math.nan)) for p in validated]) for name in names}
    best = progress.best
    return Learned(
        id=run.id,
        name=plain(run.title),
        loss=_thinned(_curve([(point, point.loss) for point in progress.points])),
        scores=scores,
        best=None if best is None else (best.step, best.elapsed / 60),
        best_scores={} if best is None else dict(best.validation or {}),
    )


def _curve(points: Sequence[tuple[Point, float]]) -> Curve:
    table = np.array([(point.step, point.elapsed / 60, value) for point, value in points], dtype=float).reshape(-1, 3)
    return Curve(*table.T)


def _thinned(curve: Curve) -> Curve:
    """Means of neighbouring points, at most MOST_POINTS of them."""
    n = curve.steps.size
    if n <= MOST_POINTS:
        return curve
    edges = np.linspace(0, n, MOST_POINTS + 1).astype(int)[:-1]
    sizes = np.diff(np.append(edges, n))
    return Curve(*(np.add.reduceat(values, edges) / sizes for values in (curve.steps, curve.minutes, curve.values)))
