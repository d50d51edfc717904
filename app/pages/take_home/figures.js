// The figures and tables that are on the page now, and the files they become. Nothing leaves the browser.

/** Every Bokeh view of the page, however deep in Panel's components it lies. */
function views() {
  const found = new Set()
  const visit = (view) => {
    if (!view || found.has(view)) return
    found.add(view)
    const below = [view.child_views, view._child_views?.values?.(), view.children?.()]
    for (const some of below) if (some) for (const child of some) visit(child)
  }
  for (const root of window.Bokeh.index.roots) visit(root)
  return [...found]
}

const seen = (element) => Boolean(element) && element.getClientRects().length > 0

/** [{title, view}] of the figures that can be seen; a figure without a title goes by the label of its axis. */
function figures() {
  const shown = views().filter((view) => view.canvas_view && view.export && seen(view.el))
  return shown.map((view, i) => {
    const { title, left, below } = view.model
    const axis = [...(left ?? []), ...(below ?? [])].find((one) => typeof one.axis_label === "string" && one.axis_label)
    return { title: title?.text || axis?.axis_label || `Figure ${i + 1}`, view }
  })
}

/** The picture as a file that says in its metadata what it shows and where it comes from. */
async function picture(figure, kind, caption, link) {
  const blob = await figure.view.export(kind).to_blob()
  const facts = { Title: figure.title, Description: caption, Source: link }
  return kind === "svg" ? described(await blob.text(), facts) : annotated(await blob.arrayBuffer(), facts)
}

function described(text, facts) {
  const drawing = new DOMParser().parseFromString(text, "image/svg+xml")
  const root = drawing.documentElement
  const say = (tag, words) => {
    const element = drawing.createElementNS("http://www.w3.org/2000/svg", tag)
    element.textContent = words
    return element
  }
  root.prepend(say("title", facts.Title), say("desc", `${facts.Description}\n${facts.Source}`))
  return new Blob([new XMLSerializer().serializeToString(drawing)], { type: "image/svg+xml" })
}

function annotated(buffer, facts) {
  const HEAD = 33 // bytes: the signature and the first chunk, after which text may stand
  const chunks = Object.entries(facts).map(([keyword, words]) => textChunk(keyword, words))
  return new Blob([buffer.slice(0, HEAD), ...chunks, buffer.slice(HEAD)], { type: "image/png" })
}

/** A chunk iTXt of the PNG specification (11.3.3.4): text in UTF-8, not compressed. */
function textChunk(keyword, words) {
  const body = new TextEncoder().encode(`iTXt${keyword}\0\0\0\0\0${words}`)
  const chunk = new DataView(new ArrayBuffer(body.length + 8))
  chunk.setUint32(0, body.length - 4)
  new Uint8Array(chunk.buffer).set(body, 4)
  chunk.setUint32(body.length + 4, checksum(body))
  return chunk.buffer
}

function checksum(bytes) {
  let sum = 0xffffffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0)
  }
  return (sum ^ 0xffffffff) >>> 0
}

/** [{title, table}] of the plain tables that can be seen; sortable tables have a button of their own. */
function tables() {
  const found = []
  const visit = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.matches("table") && element.querySelector("th") && seen(element)) found.push(element)
      if (element.shadowRoot) visit(element.shadowRoot)
    }
  }
  visit(document)
  return found.map((table, i) => ({ title: words(table.caption) || `Table ${i + 1}`, table }))
}

const words = (element) => (element?.textContent ?? "").replace(/\s+/g, " ").trim()

/** A table as CSV: what is in small print, such as an interval, gets a column of its own. */
function csv(table) {
  const rows = [...table.rows].map((row) => [...row.cells].flatMap((cell) => parts(cell)))
  // Small print stands in the odd places, under a head of its own that says nothing where there is none.
  const kept = rows[0].map((_, place) => rows.slice(place % 2).some((row) => row[place]))
  return rows.map((row) => row.filter((_, place) => kept[place]).map(field).join(",") + "\n").join("")
}

function parts(cell) {
  const copy = cell.cloneNode(true)
  const small = copy.querySelector("small")
  for (const part of copy.querySelectorAll("small, svg")) part.remove()
  const more = cell.tagName === "TH" && words(copy) ? `${words(copy)}, small print` : words(small)
  return [words(copy), more]
}

/** One field: numbers as programs read them, and no text that a spreadsheet would run as a formula. */
function field(text) {
  const number = text.replace("−", "-").replace(/,(?=\d{3})/g, "")
  if (/^-?\d+(\.\d+)?$/.test(number)) return number
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
