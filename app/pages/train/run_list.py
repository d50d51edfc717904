"""The list of runs: which are drawn, what each does, and its buttons. One component, so that polling stays cheap."""

from __future__ import annotations

import param
from panel.custom import JSComponent


class RunList(JSComponent):
    """Rows are dicts of id, title, about, said, state, share (0..1, below 0: no bar), chosen, colour, dash, actions.

    Text enters as text, so that names cannot carry markup. An item stays the same element as long as its run is listed:
    whoever is on one of its buttons with the keyboard stays there.
    """

    rows = param.List()
    labels = param.Dict(doc="what the button of an action says")

    _esm = """
    const element = (tag, name, parent) => {
      const made = document.createElement(tag)
      made.className = name
      parent.append(made)
      return made
    }
    const write = (node, text) => { if (node.textContent !== text) node.textContent = text }

    function make(model, row) {
      const item = document.createElement("li"), parts = { item, row }
      const head = element("label", "head", item)
      parts.box = element("input", "", head)
      parts.box.type = "checkbox"
      parts.box.addEventListener("change", () => model.send_msg({ act: "draw", id: row.id }))
      parts.swatch = element("span", "swatch", head)
      parts.title = element("span", "title", head)
      parts.state = element("span", "state", head)
      parts.about = element("p", "about", item)
      parts.bar = element("div", "bar", item)
      parts.bar.setAttribute("role", "progressbar")
      parts.done = element("div", "done", parts.bar)
      parts.said = element("p", "said", item)
      parts.buttons = element("div", "buttons", item)
      parts.acts = ""
      return parts
    }

    function update(model, parts, row) {
      write(parts.title, row.title)
      write(parts.state, row.state)
      write(parts.about, row.about)
      write(parts.said, row.said)
      parts.item.dataset.state = row.state
      parts.box.checked = row.chosen
      parts.box.setAttribute("aria-label", "Draw the curves of " + row.title)
      parts.swatch.style.borderTop = row.chosen ? "3px " + row.dash + " " + row.colour : "3px solid transparent"
      parts.bar.hidden = row.share < 0
      parts.bar.setAttribute("aria-valuenow", Math.round(100 * Math.max(0, row.share)))
      parts.done.style.width = 100 * Math.max(0, row.share) + "%"
      parts.bar.setAttribute("aria-label", "Progress of " + row.title)
      if (parts.acts === row.actions.join()) return
      const inside = parts.buttons.contains(parts.buttons.getRootNode().activeElement)
      parts.acts = row.actions.join()
      parts.buttons.replaceChildren()
      for (const act of row.actions) {
        const button = element("button", act, parts.buttons)
        button.type = "button"
        button.textContent = model.labels[act]
        button.setAttribute("aria-label", model.labels[act] + ": " + row.title)
        button.addEventListener("click", () => model.send_msg({ act, id: row.id }))
      }
      if (inside) (parts.buttons.firstChild || parts.box).focus()
    }

    export function render({ model }) {
      const list = document.createElement("ul"), items = new Map()
      list.setAttribute("aria-label", "Training runs")
      const show = () => {
        const ids = new Set(model.rows.map((row) => row.id))
        for (const [id, parts] of items) if (!ids.has(id)) { parts.item.remove(); items.delete(id) }
        model.rows.forEach((row, i) => {
          if (!items.has(row.id)) items.set(row.id, make(model, row))
          const parts = items.get(row.id)
          if (list.children[i] !== parts.item) list.insertBefore(parts.item, list.children[i] || null)
          update(model, parts, row)
        })
      }
      show()
      model.on("rows", show)
      return list
    }
    """
    _stylesheets = [
        """
    ul { list-style: none; margin: 0; padding: 0; color: inherit; }
    li { padding: 9px 2px 10px; border-top: 1px solid rgba(128, 136, 145, .3); }
    li:first-child { border-top: 0; }
    .head { display: flex; align-items: center; gap: 8px; cursor: pointer; flex-wrap: wrap; }
    input { width: 17px; height: 17px; margin: 0; accent-color: #a3307e; }
    .swatch { width: 30px; height: 0; display: inline-block; }
    .title { font-weight: 600; overflow-wrap: anywhere; }
    .state { font-size: 12px; border: 1px solid currentColor; border-radius: 9px; padding: 0 8px; opacity: .75; }
    li[data-state=running] .state { border-color: #0f7f6f; background: rgba(15, 127, 111, .14); opacity: 1; }
    li[data-state=failed] .state { border-color: #c62828; background: rgba(198, 40, 40, .14); opacity: 1; }
    p { margin: 2px 0 2px 63px; font-size: 13px; line-height: 1.45; overflow-wrap: anywhere; }
    .about { opacity: .72; }
    .bar { height: 6px; margin: 5px 2px 5px 63px; border-radius: 3px; background: rgba(128, 136, 145, .28); }
    .bar[hidden] { display: none; }
    .done { height: 100%; border-radius: 3px; background: #a3307e; }
    .buttons { display: flex; flex-wrap: wrap; gap: 6px; margin: 5px 0 0 63px; }
    .buttons:empty { display: none; }
    button { font: inherit; font-size: 13px; font-weight: 500; padding: 4px 10px; border-radius: 4px; cursor: pointer;
      color: inherit; background: transparent; border: 1px solid currentColor; opacity: .85; min-height: 32px; }
    button.explore, button.fine-tune { background: #4a2a6b; border-color: #4a2a6b; color: #ffffff; opacity: 1; }
    button:hover { opacity: 1; }
    button:focus-visible, input:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
    @media (max-width: 600px) { p, .buttons, .bar { margin-left: 0; } }
    """
    ]
