"""The schemes as small true pictures of this trial; a click chooses one."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import panel as pn
import param
from panel.custom import JSComponent

from ...analyses.masking import SchemeMask, as_drawn
from ...compute import Picture
from ...plots.masking import small_picture, small_tones
from ...spec import SCHEMES
from ...state import State
from ...theme import look
from ...words import SCHEME_NAMES
from ..parts import card, follow, guarded, heading, prose
from .said import QUESTIONS, scheme_numbers
from .shown import PAGE, newest

N_ROWS = 118  # of a small picture, as many as it has pixels; of more neurons a part is drawn


class Gallery(JSComponent):
    """One button per scheme: its name, a picture, its question and the numbers of this trial. Texts, never markup."""

    items = param.List(doc="name, question, facts and the picture: columns, rows and its bytes in base64")
    tones = param.List(doc="colour of each number of the pictures")
    current = param.Integer(default=-1, doc="which is chosen; -1 for none")

    _esm = """
    export function render({ model }) {
      const list = document.createElement("ul")
      list.setAttribute("aria-label", "Masking schemes")
      const colour = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16))
      const paint = (canvas, item) => {
        if (!item.bytes) { canvas.style.display = "none"; return }
        const bytes = Uint8Array.from(atob(item.bytes), (c) => c.charCodeAt(0)), tones = model.tones.map(colour)
        canvas.width = item.columns
        canvas.height = item.rows
        const context = canvas.getContext("2d"), image = context.createImageData(item.columns, item.rows)
        bytes.forEach((kind, i) => image.data.set([...tones[kind], 255], 4 * i))
        context.putImageData(image, 0, 0)
      }
      const make = (item, i) => {
        const entry = document.createElement("li"), button = document.createElement("button")
        const parts = ["b", "canvas", "span", "small"].map((tag) => document.createElement(tag))
        button.type = "button"
        parts[0].textContent = item.name
        parts[2].textContent = item.question
        parts[3].textContent = item.facts
        parts[1].setAttribute("aria-hidden", "true")  // the facts say what it shows
        paint(parts[1], item)
        button.disabled = !item.bytes
        button.append(...parts)
        button.addEventListener("click", () => model.send_msg(i))
        entry.append(button)
        return entry
      }
      const mark = () => [...list.querySelectorAll("button")].forEach((button, i) => {
        button.setAttribute("aria-pressed", i === model.current ? "true" : "false")
      })
      const show = () => {
        const place = [...list.children].findIndex((entry) => entry.contains(list.getRootNode().activeElement))
        list.replaceChildren(...model.items.map(make))
        mark()
        if (place >= 0) list.children[place]?.firstChild.focus()
      }
      show()
      model.on("items", show)
      model.on("tones", show)
      model.on("current", mark)
      return list
    }
    """
    _stylesheets = [
        """
    ul { display: grid; gap: 10px; margin: 6px 0; padding: 0; list-style: none;
      grid-template-columns: repeat(auto-fill, minmax(min(270px, 100%), 1fr)); }
    button { font: inherit; width: 100%; height: 100%; padding: 8px 10px; text-align: left; cursor: pointer;
      display: flex; flex-direction: column; gap: 5px; color: inherit; background: transparent;
      border: 1px solid rgba(128, 136, 145, .5); border-radius: 8px; }
    button:hover:enabled { background: rgba(128, 136, 145, .12); }
    button[aria-pressed=true] { border-color: currentColor; box-shadow: inset 0 -4px 0 #a3307e; }
    button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
    button:disabled { cursor: default; opacity: .7; }
    canvas { width: 100%; height: 118px; image-rendering: pixelated; border: 1px solid rgba(128, 136, 145, .4);
      box-sizing: border-box; }
    b { font-size: 13.5px; font-weight: 600; } span { font-size: 12.5px; line-height: 1.4; }
    small { font-size: 12px; font-weight: 600; margin-top: auto; }
    """
    ]


def view(state: State) -> pn.viewable.Viewable:
    gallery, drawn = Gallery(sizing_mode="stretch_width"), []

    def draw() -> None:
        shown, picture = newest(state), state.picture
        scheme = state.spec.hide.scheme
        gallery.param.update(
            current=SCHEMES.index(scheme) if scheme in SCHEMES else -1, tones=small_tones(look(state.dark))
        )
        fits = shown is not None and picture is not None and _fits(picture, shown.schemes)
        now = [picture, shown.schemes] if fits else []
        if fits and not (drawn and all(a is b for a, b in zip(drawn, now, strict=True))):
            drawn[:] = now
            gallery.items = [item(picture, each) for each in shown.schemes]

    def choose(event: Any) -> None:
        if isinstance(event.data, int) and 0 <= event.data < len(SCHEMES):
            state.go(hide=as_drawn(state.spec.hide, SCHEMES[event.data]))

    gallery.on_msg(guarded(state, choose))
    follow(state, ["views", "picture", "spec", "dark"], draw, page=PAGE)
    return card(heading("What each scheme hides"), prose("masking_schemes", margin=(0, 4)), gallery)


def _fits(picture: Picture, schemes: tuple[SchemeMask, ...]) -> bool:
    """Not those of the recording before."""
    return all(each.problem or each.hidden.shape == picture.counts.shape for each in schemes)


def item(picture: Picture, found: SchemeMask) -> dict[str, Any]:
    about = {
        "name": SCHEME_NAMES[found.scheme],
        "question": QUESTIONS[found.scheme],
        "facts": scheme_numbers(found),
        "columns": 0,
        "rows": 0,
        "bytes": "",
    }
    if found.problem:
        return about
    kinds = np.where(found.target, 2, np.where(found.hidden, 1, 0)).astype(np.uint8)
    small = small_picture(picture.counts.T[picture.order], kinds.T[picture.order], N_ROWS)
    rows, columns = small.shape
    return {**about, "columns": columns, "rows": rows, "bytes": base64.b64encode(small.tobytes()).decode("ascii")}
