"""How wide the visitor's window is, which decides where the sidebar lies."""

from __future__ import annotations

import param
from panel.custom import JSComponent


class Width(JSComponent):
    """The width of the visitor's window in CSS pixels, once it is known and whenever it has changed."""

    pixels = param.Integer(default=0)

    _esm = """
    export function render({ model }) {
      const measure = () => { model.pixels = window.innerWidth }
      let waiting = setTimeout(measure, 0)  // after the page is wired up
      window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(measure, 150) })
      return document.createElement("span")
    }
    """
