"""Reading files and fetching them: work that waits for disks and networks, in a thread of its own, and who may ask."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtm_core.data.importing import (
    Account,
    Cancelled,
    Choices,
    Found,
    Report,
    Step,
    bench_url,
    check,
    download,
    fetch_session,
    inspect,
    keep,
    prepare,
)
from mtm_core.data.importing.fetch import SESSIONS
from mtm_core.data.importing.found import Tell

from .training import ALLOW as ALLOW_TRAINING
from .training import allowed as reached_by_nobody_else

ALLOW = "MTM_ALLOW_IMPORT"
NOT_HERE = (
    "Recordings cannot be added on this server, because it can be reached from other machines. It is possible when the "
    f"app is opened for this machine alone, or when whoever runs the server sets {ALLOW}=1."
)
log = logging.getLogger(__name__)


def allowed() -> bool:
    """Whether visitors may name folders of this machine and fetch files to it."""
    return reached_by_nobody_else(environment={**os.environ, ALLOW_TRAINING: os.environ.get(ALLOW, "")})


class Errand:
    """Something under way in a thread: how far it is, and what came of it. `cancel` takes effect at the next word."""

    def __init__(self, work: Callable[[Tell], Any]) -> None:
        self.share, self.said = 0.0, "Starting"
        self.result: Any = None
        self.error = ""
        self.cancelled = False
        self.begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(work,), name="errand", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    @property
    def seconds_left(self) -> float | None:
        spent = time.monotonic() - self.begun
        return spent * (1 - self.share) / self.share if 0.02 < self.share < 1 and spent > 1 else None

    def cancel(self) -> None:
        self.cancelled = True

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _tell(self, share: float, what: str) -> None:
        if self.cancelled:
            raise Cancelled
        self.share, self.said = share, what

    def _run(self, work: Callable[[Tell], Any]) -> None:
        try:
            self.result = work(self._tell)
        except Cancelled:
            self.said = "Cancelled"
        except (ValueError, OSError) as error:
            self.error = str(error)
        except Exception as error:  # whatever is in a file of a stranger, the page stays usable
            log.exception("an errand failed")
            self.error = f"this could not be read ({type(error).__name__}); check the files, or export them again"


@dataclass(frozen=True, eq=False)
class Looked:
    """What was read, and the report on it with the choices so far."""

    found: Found
    report: Report


def look(path: str, format_name: str) -> Callable[[Tell], Looked]:
    """Read a folder of this machine."""

    def work(tell: Tell) -> Looked:
        if not path.strip():
            raise ValueError("type the path of a folder that holds one recording")
        found = inspect(Path(path.strip().strip('"')), format_name, tell)
        return Looked(found, prepare(found))

    return work


def fetch_bench(session_id: str, regime: str, build: str) -> Callable[[Tell], Looked]:
    """Download a public session, then read it."""

    def work(tell: Tell) -> Looked:
        return look(str(download(bench_url(session_id, regime, build), tell)), "bwb")(tell)

    return work


def fetch_one(session_id: str, username: str, password: str) -> Callable[[Tell], Looked]:
    """Download a session through ONE, then read it."""

    def work(tell: Tell) -> Looked:
        return look(str(fetch_session(session_id, Account(username, password), tell)), "alf")(tell)

    return work


def choose(looked: Looked, choices: Choices) -> Callable[[Tell], Looked]:
    """The report with other choices."""

    def work(tell: Tell) -> Looked:
        tell(0.2, "Applying the choices")
        return Looked(looked.found, prepare(looked.found, choices))

    return work


def keep_it(looked: Looked, replaced: bool) -> Callable[[Tell], str]:
    """Write the recording into our folder; gives its id."""

    def work(tell: Tell) -> str:
        return keep(looked.report, tell, replaced)

    return work


def known_sessions() -> dict[str, str]:
    """Ids of public sessions that can be picked -> the set that they belong to."""
    return dict(SESSIONS)


def connection_check() -> Callable[[Tell], list[Step]]:
    """Whether a session can come through ONE."""

    def work(tell: Tell) -> list[Step]:
        steps: list[Step] = []
        for step in check():
            steps.append(step)
            tell(len(steps) / 5, f"{step.name} checked")
        return steps

    return work
