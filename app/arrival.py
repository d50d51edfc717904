"""What happens to a page that was built before anybody asked for it, as events of its document.

A server with many visitors builds pages while it is idle (app/serving/prepared.py), because building one takes longer
than all that opening it takes otherwise. Such a page shows what the app opens with, until somebody comes.
"""

from __future__ import annotations

from collections.abc import Callable

from bokeh.events import DocumentEvent


class Ahead(DocumentEvent):
    """Nobody is there yet: compute what the app opens with. Whoever does tells by `ready` when all of it is there."""

    event_name = "mtm_ahead"
    ready: Callable[[], bool] = staticmethod(lambda: True)


class Arrived(DocumentEvent):
    """Somebody opened the page; the session's arguments are now those of that address."""

    event_name = "mtm_arrived"
