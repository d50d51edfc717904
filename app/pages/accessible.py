"""Names and roles that the widgets of the libraries lack, put in where they appear.

The progress bar, the drawer and the handle of the page, the arrows of number fields, the marks of descriptions and
Tabulator's tables have roles that do not fit what they hold, or no name that a screen reader could speak. None of them
can be set from Python.
"""

from __future__ import annotations

from panel.custom import JSComponent


class Accessible(JSComponent):
    """Walks the page now and then: what the libraries draw comes and goes unannounced, in shadow trees of its own."""

    _esm = """
    const EVERY = 1500  // ms; one walk takes a few
    const set = (found, attributes) => {
      for (const [name, value] of Object.entries(attributes))
        if (found.getAttribute(name) !== value) found.setAttribute(name, value)
    }
    const MENDED = [
      ["[role=progressbar]:not([aria-label])", () => ({ "aria-label": "Progress" })],
      ["div[aria-label='Resize sidebar']:not([role])", () => ({ role: "separator", "aria-orientation": "vertical" })],
      [".MuiDrawer-paper[role=dialog]:not([aria-label])", () => ({ "aria-label": "Controls" })],
      ["span[aria-label]:not([role])", () => ({ role: "note" })],
      [".MuiInputAdornment-positionStart > button:not([aria-label])", () => ({ "aria-label": "Less" })],
      [".MuiInputAdornment-positionEnd > button:not([aria-label])", () => ({ "aria-label": "More" })],
      // The pages of a table are buttons within its grid; its head and its body are grids of their own instead.
      [".tabulator[role=grid]", () => ({ role: "group", "aria-label": "Table" })],
      [".tabulator > .tabulator-header:not([role=grid])", () => ({ role: "grid", "aria-label": "Columns" })],
      [".tabulator > .tabulator-tableholder:not([role=grid])", () => ({ role: "grid", "aria-label": "Rows" })],
    ]
    const mend = (root) => {
      for (const [selector, attributes] of MENDED)
        for (const found of root.querySelectorAll(selector)) set(found, attributes())
      for (const each of root.querySelectorAll("*")) if (each.shadowRoot) mend(each.shadowRoot)
    }
    export function render() {
      const walk = () => mend(document)
      setTimeout(walk, 0)
      setInterval(walk, EVERY)
      return document.createElement("span")
    }
    """
