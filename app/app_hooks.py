"""When the server starts: guard it, and open what the first visitor will see, so that nobody waits for it."""

from __future__ import annotations

import gc
import logging
import threading

from . import compute
from .recordings import predictors
from .serving import install
from .spec import Spec

SELDOM = (50_000, 20, 20)  # new objects until the collector looks at the young ones; then the older ones
install()  # here: Bokeh runs this file before it makes the server


def on_server_loaded(server_context: object) -> None:
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
        _rest()
    except Exception:  # a broken bundle is reported to the visitor who opens it
        logging.getLogger(__name__).exception("could not warm up")


def _rest() -> None:
    """Look for garbage seldom: pages consist of many small objects, of which most live as long as their visitor.

    The collector's walks through all libraries were a sixth of the time that building a page takes.
    """
    gc.collect()
    gc.set_threshold(*SELDOM)
