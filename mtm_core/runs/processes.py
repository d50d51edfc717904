"""Is a process still the one that was started? A process id alone does not tell: systems use them again."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROC, BOOT = Path("/proc"), Path("/proc/sys/kernel/random/boot_id")
START_TIME = 19  # field 22 of /proc/PID/stat, counted from the state (field 3) on; see proc(5)
ENDED = ("Z", "X")  # states of a process that has ended but was not waited for


@dataclass(frozen=True)
class Process:
    pid: int
    born: str  # when it was started, as the system says it

    @property
    def alive(self) -> bool:
        return self.born == born(self.pid)

    def interrupt(self) -> None:
        """Send SIGINT, the Ctrl-C of the terminal; nothing happens if it has ended."""
        if self.alive:
            os.kill(self.pid, signal.SIGINT)


def born(pid: int) -> str:
    """When the process was started; "" if there is none."""
    if BOOT.is_file():
        return _born_linux(pid)
    # As long as lstart is whole seconds, a process id would have to come round within one second.
    shown = subprocess.run(["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
    state, _, started = shown.stdout.strip().partition(" ")
    return "" if state.startswith(ENDED) else started.strip()


def _born_linux(pid: int) -> str:
    try:
        # The name of the program stands in parentheses and may hold anything, parentheses included.
        fields = (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ENDED else f"{BOOT.read_text().strip()} {fields[START_TIME]}"


def to_json(process: Process) -> dict[str, Any]:
    return {"pid": process.pid, "born": process.born}


def from_json(value: Any) -> Process | None:
    """None for anything else than a process; ids below 2 mean all processes, or the first."""
    pid, when = (value.get("pid"), value.get("born")) if isinstance(value, dict) else (None, None)
    return Process(pid, when) if type(pid) is int and pid > 1 and isinstance(when, str) and when else None


def this_process() -> Process:
    return Process(os.getpid(), born(os.getpid()))
