"""Start, pause, resume, stop and delete runs. Commands are lists of arguments; no shell reads them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Collection
from datetime import datetime, timezone
from pathlib import Path

from ..atomic import write_json
from .folder import (
    LOG,
    PAUSE,
    PROCESS,
    REQUEST,
    RESUME,
    STOP,
    TRASH,
    WISH,
    WORKER,
    Run,
    State,
    find,
    process_of,
    read_run,
    runs_dir,
)
from .processes import Process, born, to_json
from .request import CACHE_VARIABLE, Request

PROGRAM = (sys.executable, "-m", "mtm_core.runs")
MOST_AT_ONCE = 16  # running or waiting; each waiting one is a process
SLUG = 36  # characters of a name in the id


def start(request: Request) -> Run:
    """Begin a run, or let it wait behind another one. ValueError for a request that cannot be met."""
    if os.name != "posix":
        raise ValueError("runs can be started on Linux and macOS; elsewhere use the command `mtm train`")
    request.check()
    root = runs_dir()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sum(run.alive for run in list_runs()) >= MOST_AT_ONCE:
        raise ValueError(f"{MOST_AT_ONCE} runs are at work or waiting already; wait for one, or stop one")
    now = datetime.now(timezone.utc)
    folder = _new_folder(root, request, now)
    shutil.rmtree(root / TRASH, ignore_errors=True)  # only now: the new id differs from those of deleted runs
    write_json(folder / REQUEST, {"request": request.to_json(), "created": now.isoformat(timespec="seconds")})
    return _launch(folder, request)


def list_runs() -> list[Run]:
    """All runs, the newest first."""
    root = runs_dir()
    folders = [f for f in root.iterdir() if not f.name.startswith(".")] if root.is_dir() else []
    found = [run for folder in folders if (run := read_run(folder)) is not None]
    return sorted(found, key=lambda run: (run.created, run.id), reverse=True)


def pause(run_id: str) -> None:
    """Ask a run to save its state and end."""
    _ask(_get(run_id), PAUSE)


def stop(run_id: str) -> None:
    """Ask a run to end for good; the best weights so far are its result."""
    run = _get(run_id)
    if run.alive:
        _ask(run, STOP)
    elif run.state is State.PAUSED:
        write_json(run.folder / WISH, {"wish": STOP})
        forget_resume(run.folder)
    else:
        raise ValueError(f"{run.title} has ended")


def resume(run_id: str) -> Run:
    """The same command again, which goes on where it was."""
    run = _get(run_id)
    if run.state not in (State.PAUSED, State.FAILED):
        raise ValueError(f"{run.title} is {run.state.value}; only a paused or failed run can go on")
    for name in (WISH, WORKER):  # what the process before this one was asked and said
        (run.folder / name).unlink(missing_ok=True)
    return _launch(run.folder, run.request)


def delete(run_id: str) -> None:
    """Move a run that has ended to the trash, where it stays until the next run is started."""
    run = _get(run_id)
    if run.alive:
        raise ValueError(f"{run.title} is {run.state.value}; stop it first")
    trash = runs_dir() / TRASH
    trash.mkdir(exist_ok=True)
    os.replace(run.folder, trash / run.id)


def restore(run_id: str) -> None:
    """Take a run back out of the trash."""
    folder = runs_dir() / TRASH / run_id
    if not re.fullmatch(r"[a-z0-9-]{1,64}", run_id) or not folder.is_dir():
        raise ValueError("this run has been removed for good: another one was started since")
    os.replace(folder, runs_dir() / run_id)


def forget_resume(folder: Path) -> None:
    """Remove what a run would go on from; the checkpoint stays. Without the first file the others mean nothing."""
    for file in (folder / RESUME, *folder.glob("resume-*.safetensors")):
        file.unlink(missing_ok=True)


def _get(run_id: str) -> Run:
    run = read_run(find(run_id))
    if run is None:
        raise ValueError("there is no such run any more")
    return run


def _ask(run: Run, wish: str) -> None:
    process = process_of(run.folder)
    if process is None:
        raise ValueError(f"{run.title} has ended")
    write_json(run.folder / WISH, {"wish": wish})
    if not run.wish:  # a second signal would end the process at once, without its result
        process.interrupt()


def _new_folder(root: Path, request: Request, now: datetime) -> Path:
    """A folder of a readable name. The time makes ids unlike those of runs deleted earlier, which caches may know."""
    words = re.sub(r"[^a-z0-9]+", "-", (request.name or f"{request.command}-{request.sessions[0]}").lower())
    base = f"{words.strip('-')[:SLUG].strip('-') or request.command}-{now:%m%d-%H%M%S}"
    taken: Collection[str] = [f.name for f in (root / TRASH).iterdir()] if (root / TRASH).is_dir() else ()
    for name in (base, *(f"{base}-{n}" for n in range(2, 1000))):
        if name not in taken and not (root / name).exists():
            (root / name).mkdir()
            return root / name
    raise ValueError("there are too many runs of this name; choose another one")


def _launch(folder: Path, request: Request) -> Run:
    environment = {**os.environ, CACHE_VARIABLE: request.cache_dir, "PYTHONUNBUFFERED": "1"}
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [*PROGRAM, str(folder)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # neither the server's end nor its terminal's Ctrl-C reaches the run
        )
    write_json(folder / PROCESS, to_json(Process(process.pid, born(process.pid))))
    threading.Thread(target=process.wait, daemon=True).start()  # or it stays as a zombie for the server's life
    return _get(folder.name)
