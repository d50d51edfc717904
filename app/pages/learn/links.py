"""Links of lessons: a click stays in the app, a new tab opens the same. What opens is seen from its top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import param
from panel.custom import JSComponent

from ...spec import Spec, decode
from ...state import State
from ...teaching import place_text
from ..parts import follow, guarded


class Links(JSComponent):
    """Sends the address of a clicked link that belongs to a lesson; scrolls up with every new place. Draws nothing."""

    place = param.String(doc="page and step that are open")

    _esm = """
    export function render({ model }) {
      const here = document.createElement("span")
      const up = () => { for (let each = here; each; each = each.parentNode || each.host) each.scrollTop = 0 }
      const follow = (event) => {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return
        const link = event.composedPath().find((each) => each.tagName === "A")
        const address = (link && link.getAttribute("href")) || ""
        if (!address.startsWith("?") || !new URLSearchParams(address).has("lesson")) return
        event.preventDefault()
        model.send_msg(address)
      }
      document.addEventListener("click", follow)
      model.on("remove", () => document.removeEventListener("click", follow))
      model.on("place", up)
      return here
    }
    """


def links(state: State, known: Callable[[Spec], bool]) -> Links:
    """What the links of lessons say is done, if it can be done here."""
    listening = Links(margin=0)

    def visit(event: Any) -> None:
        spec, understood = decode(str(event.data))
        if not understood or not known(spec):
            raise ValueError("This link leads to a recording, model or page that does not exist here.")
        state.go(**vars(spec))

    def move() -> None:
        if state.spec.lesson.lesson:  # without a lesson the pages keep their places as ever
            listening.place = f"{state.spec.page}.{place_text(state.spec.lesson)}"

    listening.on_msg(guarded(state, visit))
    follow(state, ["spec"], move)
    return listening
