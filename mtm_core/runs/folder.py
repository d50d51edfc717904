"""Folders of runs, and what state a run is in: read from files and processes, never remembered."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from .processes import Process, from_json
from .request import Request, parse_request

VARIABLE = "MTM_RUNS"
REQUEST, PROCESS, WORKER, WISH = "run.json", "process.json", "worker.json", "wish.json"
PROGRESS, LOG, RESUME, CHECKPOINT = "progress.jsonl", "log.txt", "resume.json", "checkpoint.json"
TRASH, LOCK = ".trash", ".lock"
PAUSE, STOP = "pause", "stop"
LOG_END = 4096  # bytes of the log that are searched for its last sentence
LONGEST_REASON = 300  # characters
INTERRUPTED = (0, 130, None)  # how a process ends that was asked to; None: before it could say anything
KILLED = "it ended without a word: killed, or the machine was switched off"


class State(Enum):
    WAITING = "waiting"  # for another run to end
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"  # ended before its time; the best weights so far are the result
    FAILED = "failed"


@dataclass(frozen=True)
class Run:
    """A run as it is now."""

    id: str
    folder: Path
    request: Request
    created: str  # ISO 8601, UTC
    state: State
    wish: str  # "pause" or "stop": asked for, possibly not done yet; else ""
    reason: str  # why it failed, else ""
    has_result: bool  # a checkpoint that will not change any more

    @property
    def alive(self) -> bool:
        return self.state in (State.WAITING, State.RUNNING)

    @property
    def title(self) -> str:
        return self.request.name or self.id


def runs_dir() -> Path:
    """MTM_RUNS, else a folder of the user's; not created here."""
    if given := os.environ.get(VARIABLE):
        return Path(given).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mtm-explorer" / "runs"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mtm-explorer" / "runs"


def find(run_id: str) -> Path:
    """The folder of a run; ValueError for what is no run, whatever was typed."""
    folder = runs_dir() / run_id
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", run_id) or folder.is_symlink() or not folder.is_dir():
        raise ValueError("there is no such run any more")
    return folder


def read_json(file: Path) -> Any:
    """None where there is no file or no JSON in it."""
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def read_run(folder: Path) -> Run | None:
    """None for a folder that holds no run."""
    asked = read_json(folder / REQUEST)
    started = (folder / PROCESS).is_file() or (folder / WORKER).is_file()
    try:
        request, created = parse_request(asked["request"]), str(asked["created"])
    except (TypeError, KeyError, ValueError):
        return None
    if not started:  # its process is being started at this moment
        return None
    wish = (read_json(folder / WISH) or {}).get("wish", "")
    state = _state(folder, wish)
    reason = _reason(folder) if state is State.FAILED else ""
    result = state in (State.DONE, State.STOPPED) and (folder / CHECKPOINT).is_file()
    return Run(folder.name, folder, request, created, state, wish, reason, result)


def process_of(folder: Path) -> Process | None:
    """The process that works on the run now."""
    found = (from_json(read_json(folder / name)) for name in (WORKER, PROCESS))
    return next((process for process in found if process is not None and process.alive), None)


def _state(folder: Path, wish: str) -> State:
    worker = read_json(folder / WORKER) or {}
    if (process := process_of(folder)) is not None:
        at_work = from_json(worker) == process and worker.get("phase") == State.RUNNING.value
        return State.RUNNING if at_work else State.WAITING
    if wish == STOP:
        return State.STOPPED
    if (folder / CHECKPOINT).is_file() and not (folder / RESUME).is_file():
        return State.DONE
    return State.PAUSED if wish == PAUSE and worker.get("exit") in INTERRUPTED else State.FAILED


def _reason(folder: Path) -> str:
    """The last sentence of the log, if the process had the time to say one."""
    if (read_json(folder / WORKER) or {}).get("exit") is None:
        return KILLED
    return last_line(folder / LOG) or KILLED


def last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_END))
            lines = re.split(r"[\r\n]+", file.read().decode("utf-8", "replace"))
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return said[-1].removeprefix("mtm: ")[:LONGEST_REASON] if said else ""
