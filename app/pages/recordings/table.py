"""The catalogue as a table that can be searched, sorted and opened with mouse or keyboard."""

from __future__ import annotations

import param
from panel.custom import JSComponent


class RecordingTable(JSComponent):
    """Rows are dicts: id, cells (texts, one per column), sort (numbers or texts, one per column), note, state, acts.

    Text enters as text, so that names cannot carry markup. state: "" | "here" | "broken". acts: "open", "remove".
    """

    columns = param.List(doc="titles, and the name of a class for each")
    rows = param.List()

    _esm = """
    const element = (tag, parent, text, name) => {
      const made = document.createElement(tag)
      if (text) made.textContent = text
      if (name) made.className = name
      parent.append(made)
      return made
    }

    export function render({ model }) {
      const root = document.createElement("div"), bar = element("div", root, "", "bar")
      const label = element("label", bar, "Search ")
      const search = element("input", label)
      search.type = "search"
      search.placeholder = "animal, region, date, lab, model…"
      const count = element("p", bar)
      count.setAttribute("role", "status")
      const scroll = element("div", root, "", "scroll"), table = element("table", scroll)
      const head = element("tr", element("thead", table)), body = element("tbody", table)
      let order = { column: -1, down: false }
      const send = (act, id) => model.send_msg({ act, id })

      const heads = model.columns.map(([title, name], i) => {
        const cell = element("th", head, "", name), button = element("button", cell, title)
        cell.scope = "col"
        button.type = "button"
        button.addEventListener("click", () => {
          order = { column: i, down: order.column === i && !order.down }
          show()
        })
        return cell
      })
      element("span", element("th", head, "", "acts"), "Actions", "unseen")

      function line(row) {
        const tr = element("tr", body)
        tr.dataset.state = row.state
        row.cells.forEach((text, i) => {
          const cell = element(i ? "td" : "th", tr, "", model.columns[i][1])
          if (i) { cell.textContent = text; return }
          cell.scope = "row"
          if (row.acts.includes("open")) {
            const open = element("button", cell, text, "open")
            open.type = "button"
            open.setAttribute("aria-label", "Open " + text + ", " + row.id + ", in Explore")
            if (row.state === "here") open.setAttribute("aria-current", "true")
          } else cell.append(text)
          if (row.note) element("small", cell, row.note)
        })
        const acts = element("td", tr, "", "acts")
        if (row.acts.includes("remove")) {
          const remove = element("button", acts, "Remove", "remove")
          remove.type = "button"
          remove.setAttribute("aria-label", "Remove " + row.id + " from the list")
          remove.addEventListener("click", (event) => {
            event.stopPropagation()
            if (remove.textContent === "Remove") { remove.textContent = "Really?"; return }
            send("remove", row.id)
          })
          remove.addEventListener("blur", () => { remove.textContent = "Remove" })
        }
        if (row.acts.includes("open")) tr.addEventListener("click", () => send("open", row.id))
      }

      function show() {
        const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean)
        const text = (row) => [row.id, row.note, ...row.cells, row.more].join(" ").toLowerCase()
        const found = model.rows.filter((row) => words.every((word) => text(row).includes(word)))
        const by = (row) => row.sort[order.column]
        const sign = order.down ? -1 : 1
        if (order.column >= 0) found.sort((a, b) => sign * (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0))
        body.replaceChildren()
        found.forEach(line)
        heads.forEach((cell, i) => {
          if (i === order.column) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending")
          else cell.removeAttribute("aria-sort")
        })
        const all = model.rows.length
        count.textContent = found.length === all ? all + " recordings" : found.length + " of " + all + " recordings"
      }
      search.addEventListener("input", show)
      show()
      model.on("rows", show)
      return root
    }
    """
    _stylesheets = [
        """
    :host { width: 100%; color: inherit; }
    .bar { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; font-size: 14px; }
    .bar p { margin: 0; font-size: 13px; opacity: .8; }
    input { font: inherit; padding: 6px 9px; border: 1px solid rgba(128, 136, 145, .8); border-radius: 5px;
      background: transparent; color: inherit; width: min(320px, 62vw); }
    .scroll { overflow-x: auto; max-height: 540px; overflow-y: auto; margin-top: 8px; }
    table { border-collapse: collapse; font-size: 13px; width: 100%; font-variant-numeric: tabular-nums; }
    th, td { text-align: left; padding: 5px 8px; border-bottom: 1px solid rgba(128, 136, 145, .25);
      vertical-align: top; font-weight: 400; }
    thead th { position: sticky; top: 0; z-index: 1;
      background: var(--mui-palette-background-paper, var(--panel-surface-color, canvas)); }
    thead button { font-weight: 600; padding: 2px 0; border: 0; text-align: left; }
    th[aria-sort=ascending] button::after { content: " ▲"; font-size: 9px; }
    th[aria-sort=descending] button::after { content: " ▼"; font-size: 9px; }
    .number { text-align: right; white-space: nowrap; }
    .date { white-space: nowrap; }
    .animal { max-width: 190px; }
    .lab, .kind { overflow-wrap: break-word; max-width: 150px; }
    .kind { white-space: nowrap; }
    .regions, .models { min-width: 130px; max-width: 300px; overflow-wrap: anywhere; }
    tbody tr { cursor: pointer; }
    tbody tr:hover { background: rgba(163, 48, 126, .09); }
    tr[data-state=here] { background: rgba(163, 48, 126, .14); }
    tr[data-state=broken] { cursor: default; }
    small { display: block; font-size: 12px; opacity: .8; max-width: 340px; overflow-wrap: anywhere; }
    button { font: inherit; color: inherit; background: transparent; cursor: pointer; border-radius: 4px; }
    button.open { border: 0; padding: 0; font-weight: 600; text-decoration: underline; text-underline-offset: 3px; }
    button.remove { border: 1px solid currentColor; padding: 1px 8px; opacity: .85; white-space: nowrap; }
    button:focus-visible, input:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
    .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
    @media (max-width: 700px) {
      .lab, .duration, .kind { display: none; }
      th, td { padding: 5px 5px; }
      .regions, .models { min-width: 90px; }
      .models { display: none; }
    }
    """
    ]
