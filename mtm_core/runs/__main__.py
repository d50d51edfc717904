"""`python -m mtm_core.runs FOLDER`: wait for the machine, then do in this process what the folder's run.json asks.

One run at a time: the system takes the lock back whenever and however this process ends.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

from filelock import FileLock

from ..__main__ import main as mtm
from ..atomic import write_json
from .control import forget_resume
from .folder import CHECKPOINT, LOCK, REQUEST, RESUME, STOP, WISH, WORKER, State, read_json
from .processes import this_process, to_json
from .request import parse_request

POLITE = 10  # niceness: whoever sits at the machine comes first
ASK_EVERY = 0.5  # s between attempts to get the lock
INTERRUPTED, FAILED = 130, 1  # exit status, as `mtm` has it


def work(folder: Path) -> int:
    """Wait, then run; the exit status of the command."""
    tell(folder, State.WAITING)
    with FileLock(folder.parent / LOCK).acquire(poll_interval=ASK_EVERY):
        if (folder / CHECKPOINT).is_file() and not (folder / RESUME).is_file():
            return 0  # somebody else resumed it as well, and it is done
        tell(folder, State.RUNNING)
        return mtm(parse_request(read_json(folder / REQUEST)["request"]).arguments(folder))


def tell(folder: Path, phase: State) -> None:
    write_json(folder / WORKER, {**to_json(this_process()), "phase": phase.value})


def main(folder: Path) -> int:
    # Started by a server that ignores Ctrl-C, this process would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.nice(POLITE)
    try:
        status = work(folder)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SystemExit as error:  # of the command line; the reason is in the log
        status = error.code if isinstance(error.code, int) else FAILED
    except Exception:  # so that the run is known to have failed, and not to have been killed
        traceback.print_exc()
        status = FAILED
    if (read_json(folder / WISH) or {}).get("wish") == STOP and (folder / RESUME).is_file():
        forget_resume(folder)
    write_json(folder / WORKER, {**to_json(this_process()), "exit": status})
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
