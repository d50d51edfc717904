"""The steps as a row of buttons with the size of what they hold, and Back and Next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from ...chain import STEPS
from ...state import State
from ..parts import button, follow, guarded
from .said import TITLES, shapes
from .shown import PAGE, trial


class StepBar(JSComponent):
    """Numbered buttons; what a screen reader hears is the title and the size."""

    titles = param.List()
    shapes = param.List(doc="the size of what each step holds; text")
    current = param.Integer(doc="counted from 1")

    _esm = """
    export function render({ model }) {
      const list = document.createElement("ol")
      list.setAttribute("aria-label", "From spikes to a guess, step by step")
      const buttons = model.titles.map((title, i) => {
        const item = document.createElement("li"), button = document.createElement("button")
        const name = document.createElement("b"), shape = document.createElement("small")
        button.type = "button"
        name.textContent = `${i + 1} ${title}`
        button.append(name, shape)
        button.addEventListener("click", () => model.send_msg(i + 1))
        item.append(button)
        list.append(item)
        return button
      })
      const show = () => buttons.forEach((button, i) => {
        button.lastChild.textContent = model.shapes[i] ?? ""
        i + 1 === model.current ? button.setAttribute("aria-current", "step") : button.removeAttribute("aria-current")
      })
      show()
      model.on("shapes", show)
      model.on("current", show)
      return list
    }
    """
    _stylesheets = [
        """
    ol { display: flex; flex-wrap: wrap; gap: 6px; margin: 4px 0; padding: 0; list-style: none; }
    li { flex: 1 1 118px; }
    button { font: inherit; width: 100%; min-height: 46px; padding: 5px 8px; text-align: left; cursor: pointer;
      color: inherit; background: transparent; border: 1px solid rgba(128, 136, 145, .5); border-radius: 8px; }
    button:hover { background: rgba(128, 136, 145, .12); }
    button[aria-current] { border-color: currentColor; box-shadow: inset 0 -4px 0 #a3307e; }
    button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
    b { display: block; font-size: 13px; font-weight: 600; } small { font-size: 11.5px; opacity: .85; }
    """
    ]


def steps(state: State) -> StepBar:
    made = StepBar(titles=[TITLES[name] for name in STEPS], shapes=[""] * len(STEPS), current=state.spec.chain.step)
    made.sizing_mode = "stretch_width"

    def visit(event: Any) -> None:
        if isinstance(event.data, int) and 1 <= event.data <= len(STEPS):
            go_to(state, event.data)

    made.on_msg(guarded(state, visit))

    def draw() -> None:
        shown = trial(state)
        known = shapes(shown) if shown is not None else made.shapes
        made.param.update(current=state.spec.chain.step, shapes=known)

    follow(state, ["spec", "picture", "views"], draw, page=PAGE)
    return made


def go_to(state: State, step: int) -> None:
    state.go(chain=replace(state.spec.chain, step=step))


def back_and_next(state: State) -> pn.FlexBox:
    """After the last step comes the first: a button that disappears would take the keyboard's place with it."""

    def move(by: int) -> None:
        go_to(state, (state.spec.chain.step - 1 + by) % len(STEPS) + 1)

    back = button(state, "Back", lambda: move(-1))
    on = button(state, "Next", lambda: move(1), variant="contained")

    def draw() -> None:
        on.label = "Start again" if state.spec.chain.step == len(STEPS) else "Next"

    follow(state, ["spec"], draw, page=PAGE)
    return pn.FlexBox(back, on, align_items="center")
