"""When Python looks for objects that only refer to each other, and when free memory goes back to the system.

A page is made of many small objects, of which most live as long as their visitor. Python would look so often that it
took a sixth of the time of building a page, and Bokeh and, some seconds later, Panel look whenever somebody leaves: a
second in which a class waits.
So they look seldom, pass over what the server itself is made of, and what visitors left is looked for when nobody asks
for anything or when enough of it is there.
"""

from __future__ import annotations

import ctypes
import gc
from types import SimpleNamespace

from bokeh.document import document as bokeh_document
from panel.io import document as panel_document

SELDOM = (50_000, 20, 20)  # new objects until the collector looks at the young ones; then the older ones
MOST_LEFT = 16  # pages of visitors who left: some 100 MB

_left = 0


def look_seldom() -> None:
    """Once, when the server has loaded what it keeps and before it makes a page, which would be kept as well."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)
    for module in (bokeh_document, panel_document):
        module.gc = SimpleNamespace(collect=lambda: None)


def page_left() -> None:
    """A page was taken apart."""
    global _left
    _left += 1
    if _left >= MOST_LEFT:
        sweep()


def sweep() -> bool:
    """Look for what visitors left, if any did; whether that took time."""
    global _left
    found, _left = _left > 0, 0
    if found:
        gc.collect()
    return found


def give_back() -> None:
    """Give free memory back to the system; a few milliseconds. glibc by itself does so at the end of its heap only."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, TypeError, OSError):  # another C library
        pass
