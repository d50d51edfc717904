// The button "Take home" and the dialog it opens. Files are made here or arrive as text; the server writes none.

function save(blob, name) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

const fileName = (...words) =>
  words.join(" ").toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 80).replace(/^-|-$/g, "")

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

function button(label, act, name = label) {
  const made = make("button", { type: "button", "aria-label": name }, label)
  made.addEventListener("click", act)
  return made
}

/** Without a secure connection browsers keep the clipboard away; then what is shown is selected and copied. */
async function copy(source, status) {
  try {
    await navigator.clipboard.writeText(source.value)
    status.textContent = "Copied."
  } catch {
    source.select()
    status.textContent = document.execCommand("copy") ? "Copied." : "Selected: press Ctrl+C to copy."
  }
}

function list(element, items, empty, line) {
  element.replaceChildren(...(items.length ? items.map((item, i) => make("li", {}, ...line(item, i))) : [empty]))
}

export function render({ model }) {
  const open = make("button", { type: "button", class: "open", "aria-haspopup": "dialog", "aria-label": "Take home" })
  open.innerHTML = "<span aria-hidden='true'>⤓</span><span class='words'> Take home</span>"
  const dialog = make("dialog", { "aria-labelledby": "take-home-title" })
  const status = make("p", { role: "status", "aria-live": "polite" })
  const about = make("p", {})
  const link = make("input", { readonly: "", "aria-label": "Link to this view" })
  const code = make("textarea", { readonly: "", rows: "9", spellcheck: "false", "aria-label": "Python script" })
  const why = make("p", {})
  const later = make("p", { class: "small" }, "The HTML report holds the complete scores of the page Scores, once there are some.")
  const [pictures, sheets] = [make("ul"), make("ul")]

  const ask = (what) => {
    status.textContent = "Preparing the file…"
    model.send_msg({ what, link: window.location.href })
  }
  const script = button("Copy as Python", () => copy(code, status))
  const notebook = button("Download notebook", () => ask("notebook"), "Download notebook (.ipynb)")
  const report = button("Download HTML report", () => ask("report"))
  const section = (title, ...parts) => make("section", {}, make("h3", {}, title), ...parts)
  const close = button("×", () => dialog.close(), "Close")
  close.className = "close"
  dialog.append(
    make("header", {}, make("h2", { id: "take-home-title" }, "Take home"), close),
    about,
    section("Link", make("div", { class: "row" }, link, button("Copy link", () => copy(link, status)))),
    section("The same numbers in Python", code, why, make("div", { class: "row" }, script, notebook, report), later),
    section("Figures on this page", pictures),
    section("Tables on this page", sheets),
    status,
  )

  const export_figure = async (figure, kind) => {
    try {
      const blob = await picture(figure, kind, model.caption, window.location.href)
      save(blob, `${fileName(model.page, figure.title)}.${kind}`)
      status.textContent = `Saved: ${figure.title}.`
    } catch (error) {
      status.textContent = `This figure could not be saved (${error}).`
    }
  }

  const show = () => {
    dialog.classList.toggle("dark", model.dark)
    about.textContent = model.caption
    code.value = model.code
    why.textContent = model.code || model.why ? model.why : "Writing the script…"
    code.hidden = !model.code
    for (const one of [script, notebook]) one.disabled = !model.code
    report.disabled = !model.report
    later.hidden = model.report
  }
  const look = () => {
    link.value = window.location.href
    status.textContent = ""
    list(pictures, figures(), "There is no figure on this page now.", (figure) => [
      make("span", {}, figure.title),
      ...["png", "svg"].map((kind) =>
        button(kind.toUpperCase(), () => export_figure(figure, kind), `${figure.title} as ${kind.toUpperCase()}`)),
    ])
    list(sheets, tables(), "There is no plain table on this page now. Sortable tables have their own button.",
      ({ title, table }) => [
        make("span", {}, title),
        button("CSV", () => save(new Blob([csv(table)], { type: "text/csv" }), `${fileName(model.page, title)}.csv`),
          `${title} as CSV`),
      ])
  }

  open.addEventListener("click", () => {
    model.send_msg({ what: "open", link: window.location.href })
    look()
    show()
    dialog.showModal()
  })
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close() }) // beside it
  model.on("msg:custom", (event) => {
    const { name, text, type, said } = event.data ?? event
    status.textContent = said
    if (name) save(new Blob([text], { type }), name)
  })
  for (const name of ["code", "why", "caption", "report", "dark"]) model.on(name, show)
  return make("div", {}, open, dialog)
}
