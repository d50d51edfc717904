"""Training runs for the page "Train": who may start them, what each does now, and what can be done with it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from mtm_core import runs
from mtm_core.runs import Point, Progress, Run, State
from mtm_core.serve import LOOPBACK

from ..recordings import catalogue, runs_changed
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


# --- runs -------------------------------------------------------------------------------------------------------------


def act(action: str, run_id: str) -> None:
    """pause, resume, stop, delete or restore a run, if visitors may."""
    must_be_allowed()
    {"pause": runs.pause, "resume": runs.resume, "stop": runs.stop, "delete": runs.delete, "restore": runs.restore}[
        action
    ](run_id)
    runs_changed()


def must_be_allowed() -> None:
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
        mix = "NEDS" if asked.model == "neds" else ", ".join(PROMPT_NAMES[name] for name in asked.schemes)
        how = f"{asked.preset} model · {mix}"
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
    # NEDS is picked by the mean of bits per spike, balanced accuracies and R², which has no unit.
    unit = "" if "encoding" in (best.validation or {}) else " bits per spike"
    return f"Best validation {mean}{unit}, at step {best.step:,}."


def plain_sentence(text: str) -> str:
    """A line of a log as harmless text of its full length, without a full stop."""
    return "".join(plain(text[i : i + 60]) for i in range(0, len(text), 60)).rstrip(". ")


def session_name(session: str) -> str:
    """Subject and date, as far as the recording is there."""
    entry = catalogue().get(session)
    return plain(session) if entry is None else f"{entry.subject} {entry.date}"
