"""What the app refuses to do, and under which names it may be asked; settings of the server, not of a visitor.

`panel serve app/` sets none of them. `mtm app`, `mtm app --class` and `mtm app --desktop` set them in the environment
of the server that they start (mtm_core/serve.py).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

CLASS = os.environ.get("MTM_CLASS", "") == "1"  # read-only: nothing is trained, imported or fetched for a visitor


@dataclass(frozen=True)
class Limits:
    """What one visitor, and all of them together, may ask for."""

    visitors: float = math.inf
    pages_ahead: int = 0  # built before anybody asks for them, each of several MB
    values: float = math.inf  # neurons x bins x trials of one request
    neurons: float = math.inf
    bins: float = math.inf  # of a trial
    view_seconds: float = math.inf  # of work on what follows the choices; also the longest wait, but for a picture
    rest_seconds: float = 0.0  # after a choice until work begins on what follows the picture
    show_seconds: float = 0.0  # between results so far that are shown; drawing them costs as much as the picture
    job_seconds: float = math.inf  # of work on what was started with a button
    queue: float = math.inf  # turns at the model that wait, of all visitors
    idle_seconds: float = math.inf  # without a message from the browser
    address_chars: float = math.inf
    pictures_per_second: float = math.inf  # of one visitor, in the long run
    pictures_at_once: int = 12  # before that counts: a minute of thoughtful clicks, or a drag through trials
    messages_per_second: float = math.inf  # from one browser, in the long run
    burst: int = 60  # messages at once before that counts; dragging a slider sends twenty a second


IN_CLASS = Limits(
    visitors=int(os.environ.get("MTM_VISITORS", "32")),
    pages_ahead=32,  # never more than there are places left
    values=2e7,
    neurons=4096,
    bins=500,
    view_seconds=10,
    rest_seconds=1,
    show_seconds=math.inf,
    job_seconds=60,
    queue=64,
    idle_seconds=30 * 60,
    address_chars=2048,
    pictures_per_second=1,
    messages_per_second=4,
)
LIMITS = IN_CLASS if CLASS else Limits()

# Names and ports ("localhost:5006") that a browser may have typed; others are refused, so that no page of another site
# can reach the app under a name of its own. Empty: as Panel has it.
HOSTS = frozenset(filter(None, os.environ.get("MTM_HOSTS", "").split(",")))
# A secret that opens the app once, in exchange for a cookie. Empty: everybody may open it.
KEY = os.environ.get("MTM_KEY", "")


def refuse_large(n_neurons: int, n_bins: int, n_trials: int) -> None:
    """ValueError if a request of this size is more than one visitor may ask for."""
    for number, most, what in (
        (n_neurons, LIMITS.neurons, "neurons"),
        (n_bins, LIMITS.bins, "bins in a trial"),
        (n_neurons * n_bins * n_trials, LIMITS.values, "values (neurons × bins × trials) at once"),
    ):
        if number > most:
            raise ValueError(f"{number:,} {what} are more than a class can share ({most:,.0f}); open it with mtm app")
