"""What stands between the network and the app: who comes in, under which name, how often, with which headers.

Bokeh's server makes one Tornado application; `install` puts a subclass of it in its place (gatekeeper.py), as Panel
itself does with its handlers. Nothing here is imported by the pages.
"""

from __future__ import annotations

import bokeh.server.server

from . import rendered, serialising
from .gatekeeper import Gatekeeper


def install() -> None:
    """From now on servers of this process are guarded; to be called before one is made. Twice is once."""
    bokeh.server.server.BokehTornado = Gatekeeper
    serialising.install()
    rendered.install()
