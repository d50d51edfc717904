"""Training runs as processes of their own: one folder each, which outlives the browser and the server.

run.json         what was asked; never changes
process.json     which process was started for it;  worker.json: what that process says of itself
wish.json        "pause" or "stop", once asked for
progress.jsonl, log.txt, resume.json, checkpoint.json: written by the `mtm` command that runs
"""

from .control import delete, list_runs, pause, restore, resume, start, stop
from .folder import Run, State, runs_dir
from .progress import Point, Progress
from .request import COMMANDS, PRESETS, Request

__all__ = [
    "COMMANDS",
    "PRESETS",
    "Point",
    "Progress",
    "Request",
    "Run",
    "State",
    "delete",
    "list_runs",
    "pause",
    "restore",
    "resume",
    "runs_dir",
    "start",
    "stop",
]
