"""When Python looks for objects that only refer to each other.

A page is made of many small objects, of which most live as long as their visitor. Python would look so often that it
took a sixth of the time of building a page, and Bokeh looks whenever somebody leaves: a second in which a class waits.
So they look seldom, pass over what the server itself is made of, and what visitors left is looked for when nobody asks
for anything or when enough of it is there.
"""

from __future__ import annotations

import gc
from types import SimpleNamespace

from bokeh.document import document as bokeh_document

SELDOM = (50_000, 20, 20)  # new objects until the collector looks at the young ones; then the older ones
MOST_LEFT = 16  # pages of visitors who left: some 100 MB

_left = 0


def look_seldom() -> None:
    """Once, when the server has loaded what it keeps and before it makes a page, which would be kept as well."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)
    bokeh_document.gc = SimpleNamespace(collect=lambda: None)


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
