"""When the server starts: guard it, and open what the first visitor will see, so that nobody waits for it."""

from __future__ import annotations

import logging
import threading

from . import compute
from .garbage import look_seldom
from .recordings import predictors
from .serving import install
from .spec import Spec

install()  # here: Bokeh runs this file before it makes the server


def on_server_loaded(server_context: object) -> None:
    look_seldom()  # before any page is made: what is there now is kept for ever
    # In the background: the page itself is served at once, and shares what is ready by then.
    threading.Thread(target=_warm, name="warm", daemon=True).start()


def _warm() -> None:
    spec = Spec()
    if spec.model not in predictors():
        return
    try:
        compute.picture(spec)
        for _ in compute.scores(spec):
            pass
    except Exception:  # a broken bundle is reported to the visitor who opens it
        logging.getLogger(__name__).exception("could not warm up")
