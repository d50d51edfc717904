"""What all pages share: the navigation, the address, the line of warnings and the progress of what runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import panel as pn
import panel_material_ui as pmui
import param
from bokeh.document import Document
from panel.custom import JSComponent

from ..analyses.models import model_facts
from ..garbage import page_left
from ..sentences import unknown_session
from ..spec import Spec, decode, encode
from ..state import State
from ..words import PROMPT_NAMES, seconds
from ..work import Job
from .parts import Announce, button, card, follow

TIDY_S = 2.0  # s that Panel gets to tidy up after a visitor


class Navigation(JSComponent):
    """Links to the pages. A click stays in the app; opened in another tab, a link leads to the same choices."""

    names = param.List(doc="of the pages, as the address says them")
    titles = param.List()
    current = param.String()

    _esm = """
    export function render({ model }) {
      const nav = document.createElement("nav")
      nav.setAttribute("aria-label", "Pages")
      const links = model.names.map((name, i) => {
        const link = document.createElement("a")
        link.textContent = model.titles[i]
        const aim = () => {
          const query = new URLSearchParams(window.location.search)
          i ? query.set("page", name) : query.delete("page")
          link.href = window.location.pathname + (query.size ? "?" + query : "")
        }
        aim()
        for (const event of ["pointerenter", "pointerdown", "focus"]) link.addEventListener(event, aim)
        link.addEventListener("click", (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return
          event.preventDefault()
          model.send_msg(name)
        })
        nav.append(link)
        return link
      })
      const mark = () => links.forEach((link, i) => {
        const here = model.names[i] === model.current
        here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")
        if (here) nav.scrollLeft = link.offsetLeft - nav.clientWidth / 3
      })
      mark()
      setTimeout(mark, 300)  // once more when it has a width to scroll in
      model.on("current", mark)
      return nav
    }
    """
    _stylesheets = [
        """
    :host { min-width: 0; flex: 1 1 auto; }
    nav { display: flex; gap: 2px; margin-left: 12px; color: #ffffff; overflow-x: auto; scrollbar-width: none; }
    a { color: inherit; text-decoration: none; font-size: 15px; padding: 12px 12px 9px; white-space: nowrap;
      border-bottom: 3px solid transparent; opacity: .85; }
    a:hover { opacity: 1; background: rgba(255, 255, 255, .08); }
    /* One line that scrolls: as many lines as fourteen pages need would leave no room for the page. */
    @media (max-width: 600px) { nav { margin: 0 0 0 -12px } a { font-size: 14px; padding: 12px 9px 9px } }
    a[aria-current] { opacity: 1; font-weight: 600; border-bottom-color: currentColor; }
    a:focus-visible { outline: 2px solid currentColor; outline-offset: -3px; }
    """
    ]


class Address(JSComponent):
    """The address of the page. Another page is a step of the browser's history, another choice is not."""

    search = param.String(doc="what the address says")

    _esm = """
    export function render({ model }) {
      const page = (search) => new URLSearchParams(search).get("page")
      const write = (first) => {
        if (window.location.search === model.search) return
        const same = first || page(window.location.search) === page(model.search)
        const how = same ? "replaceState" : "pushState"
        window.history[how]({}, "", window.location.pathname + model.search + window.location.hash)
      }
      write(true)
      model.on("search", () => write(false))
      window.addEventListener("popstate", () => model.send_msg(window.location.search))
      return document.createElement("span")
    }
    """


def navigation(state: State, titles: Mapping[str, str]) -> Navigation:
    shown = Navigation(names=list(titles), titles=list(titles.values()), current=state.spec.page, margin=0)

    def visit(event: Any) -> None:
        if event.data in titles:
            # Not while the page is still connecting: what changes then does not reach the browser.
            pn.state.onload(lambda: state.go(page=event.data))

    shown.on_msg(visit)
    follow(state, ["spec"], lambda: shown.param.update(current=state.spec.page))
    return shown


def address(state: State, known: Callable[[Spec], bool]) -> Address:
    """The whole address follows the spec; back and forward lead to specs that are `known` to exist."""
    shown = Address(margin=0)

    def write() -> None:
        query = encode(state.spec)
        shown.search = f"?{query}" if query else ""

    def visit(event: Any) -> None:
        spec, _ = decode(str(event.data))
        if known(spec):
            state.go(**vars(spec))
        shown.search = str(event.data)  # what the browser says now; `write` corrects it if need be
        write()

    shown.on_msg(visit)
    follow(state, ["spec"], write)
    return shown


def places(state: State, builders: Mapping[str, Callable[[State], Any]]) -> pn.Column:
    """One place per page, of which the open one is visible; a page is built when it is first opened."""
    made = {name: pn.Column(sizing_mode="stretch_width", visible=False) for name in builders}

    def show() -> None:
        here = made[state.spec.page]
        if not here.objects:
            here.objects = [builders[state.spec.page](state)]
        for name, place in made.items():
            place.visible = name == state.spec.page

    follow(state, ["spec"], show)
    return pn.Column(*made.values(), sizing_mode="stretch_width", margin=(10, 14))


def warning(state: State) -> pn.viewable.Viewable:
    """What the visitor must know before reading the pictures; hidden when there is nothing to say."""
    line = Announce(label="alert", sizing_mode="stretch_width", margin=0)
    tune = button(
        state, "Fine-tune this model on this recording", lambda: state.go(page="train", train="finetune"), visible=False
    )
    box = pn.Column(line, tune, sizing_mode="stretch_width", margin=(10, 14, 0, 14), visible=False)
    box.styles = {"padding": "8px 12px", "border-left": "4px solid #d98e04", "background": "rgba(217, 142, 4, .12)"}

    def draw() -> None:
        # Where a model need not know the recording, or is another one.
        training = state.spec.page in ("train", "translate")
        unknown = unknown_session(state.picture.recording) if state.picture is not None and not training else ""
        model = model_facts(state.spec.model)
        about = f"{model.label}." if model.warning and not training else ""
        line.text = " ".join(filter(None, [state.message, about, unknown, untrained_prompt(state)]))
        may_tune = "train" in state.pages and not model.released
        tune.visible, box.visible = bool(unknown) and may_tune, bool(line.text)

    follow(state, ["picture", "message", "spec"], draw)
    return box


def untrained_prompt(state: State) -> str:
    """Empty if the model was trained with the present prompt."""
    picture = state.picture
    trained = picture.trained_prompts if picture is not None and state.spec.page == "explore" else ()
    if not trained or not picture.recording.known or picture.prompt in trained:
        return ""
    return f"This model was never trained with the {PROMPT_NAMES[picture.prompt]} prompt; expect little of it."


def forget_busy(page: pmui.Page) -> None:
    """Panel's page follows the busy flag of the whole process, for as long as the process lives: all that a visitor had
    would stay in memory, and be told of every tick of every other visitor. Nothing here shows that flag."""
    for watcher in list(pn.state.param.watchers.get("busy", {}).get("value", ())):
        if getattr(getattr(watcher.fn, "__self__", None), "self_or_cls", None) is page:
            pn.state.param.unwatch(watcher)


def leave_nothing(doc: Document) -> None:
    """When the visitor of a document has left, take it out of Panel's tables.

    They have weak keys, but what they hold for a document refers to it in turn, which keeps both for ever. Not at once:
    Panel itself still tidies up by them.
    """

    def forget() -> None:
        for table in vars(type(pn.state)).values():
            if isinstance(table, WeakKeyDictionary):
                table.pop(doc, None)
        page_left()

    pn.state.on_session_destroyed(lambda _: asyncio.get_running_loop().call_later(TIDY_S, forget))


def progress(state: State, names: Mapping[str, str]) -> pn.viewable.Viewable:
    """The one place that shows what is running, on every page, and stops it."""
    about = Announce(label="status", margin=(4, 8), css_classes=["progress"])
    bar = pmui.LinearProgress(
        value=0, variant="determinate", sizing_mode="stretch_width", styles={"flex": "1 1 160px"}, margin=(4, 8)
    )
    cancel = button(state, "Cancel", state.cancel, color="secondary")
    strip = card(pn.FlexBox(about, bar, cancel, align_items="center"), margin=(10, 14, 0, 14), visible=False)

    def draw() -> None:
        job = state.running
        strip.visible = job is not None
        if job is not None:
            bar.value, about.text = round(100 * job.share), progress_text(names.get(job.kind, job.kind), job)

    follow(state, ["jobs"], draw)
    return strip


def progress_text(name: str, job: Job) -> str:
    left = f", about {seconds(job.seconds_left)} left" if job.seconds_left is not None else ""
    return f"{name}: {job.share:.0%} done{left}."
