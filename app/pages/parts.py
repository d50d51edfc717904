"""Small pieces that pages are made of."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from panel.custom import JSComponent

from ..spec import Spec
from ..state import State
from ..words import TIPS

MARKDOWN_STYLE = """
p { margin: 0 0 6px } h3 { margin: 6px 0; font-size: 15px }
ul { margin: 0; padding-left: 18px } li { margin: 3px 0 }
"""
TIGHT = {"minWidth": 0, "paddingLeft": "9px", "paddingRight": "9px", "whiteSpace": "nowrap"}
TEXTS = Path(__file__).parent.parent / "text"


def follow(
    state: State, names: Sequence[str], draw: Callable[[], None], page: str = "", tab: str = ""
) -> Callable[..., None]:
    """Call draw now and whenever one of the parameters changed.

    With `page`, or a `tab` of Explore, only while that is open; what was missed meanwhile is drawn when it opens again.
    Drawing happens on the document's next tick: results arrive outside its lock, and a burst becomes one drawing.
    Returns what asks for the same drawing once more, for changes that the state does not know.
    """
    part = _Part(state, draw, "explore" if tab else page, tab)
    state.param.watch(part.later, list(names))
    if part.page and "spec" not in names:
        state.param.watch(part.opened, ["spec"])
    part.tick()
    return part.later


class _Part:
    """Something drawn, and whether it is due."""

    def __init__(self, state: State, draw: Callable[[], None], page: str, tab: str) -> None:
        self.state, self.draw, self.page, self.tab = state, draw, page, tab
        self.doc = pn.state.curdoc
        self.queued = self.missed = False

    @property
    def closed(self) -> bool:
        spec = self.state.spec
        return bool(self.page and spec.page != self.page) or bool(self.tab and spec.tab != self.tab)

    def tick(self) -> None:
        self.queued, self.missed = False, self.closed
        if not self.missed:
            # Panel queues what it changes while the line is busy; what Bokeh sends by itself would overtake it and
            # speak of models that the browser does not know yet. Held, both go the same way.
            with pn.io.hold(self.doc):
                guarded(self.state, self.draw)()  # one broken part must not take the page with it

    def later(self, *_: Any) -> None:
        if not self.queued:
            self.queued = True
            served = self.doc and self.doc.session_context
            self.doc.add_next_tick_callback(self.tick) if served else self.tick()

    def opened(self, *_: Any) -> None:
        if self.missed and not self.closed:
            self.later()


def repeat(state: State, act: Callable[[], None], period: int, page: str = "") -> None:
    """Call act every `period` ms, with `page` only while that is open; it ends with the visitor.

    Bokeh's clock, not Panel's: every tick of that one marks the whole process as busy and free again, of which all
    pages of all visitors are told, at the cost of a walk through everything on them.
    """
    doc, ticking = pn.state.curdoc, []
    if doc is None or doc.session_context is None:
        return  # nobody is there, as in tests

    def switch() -> None:
        here = not page or state.spec.page == page
        if here and not ticking:
            ticking.append(doc.add_periodic_callback(guarded(state, act), period))
        elif ticking and not here:
            doc.remove_periodic_callback(ticking.pop())

    follow(state, ["spec"], switch)


def on_zoom(state: State, ranges: Sequence[Range1d], draw: Callable[[], None]) -> None:
    """Call draw after the view changed: once, when the ends of all ranges are known."""
    queued = []

    def tick() -> None:
        queued.clear()
        with pn.io.hold(ranges[0].document):
            guarded(state, draw)()

    def later(attr: str, old: Any, new: Any) -> None:
        if not queued and (doc := ranges[0].document) is not None:
            queued.append(True)
            doc.add_next_tick_callback(tick)

    for one in ranges:
        one.on_change("start", later)
        one.on_change("end", later)


def on_tap(state: State, dots: ColumnDataSource, look_at: Callable[[int], None]) -> None:
    """Call look_at with the neuron of a dot that was tapped; the column "neuron" holds positions."""

    def tapped(attr: str, old: Any, new: list[int]) -> None:
        if new:
            dots.selected.indices = []
            guarded(state, look_at)(int(dots.data["neuron"][new[0]]))

    dots.selected.on_change("indices", tapped)


def guarded(state: State, act: Callable[..., None]) -> Callable[..., None]:
    """An event handler whose failure becomes one sentence instead of a traceback."""

    def handle(*arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as error:  # events come from browsers: anything may be in them
            state.fail(error)

    return handle


def bind(
    state: State, widget: Any, read: Callable[[Spec], Any], write: Callable[[Any], None], on: str = "value"
) -> Any:
    """Keep a widget and the spec equal; `on` names the widget parameter that a visitor's act changes."""
    syncing: list[bool] = []

    def show() -> None:
        syncing.append(True)
        try:
            if widget.value != (value := read(state.spec)):
                widget.value = value
        finally:
            syncing.clear()

    def act(event: Any) -> None:
        if not syncing and event.new is not None:  # None: nothing to choose from
            write(event.new)

    widget.param.watch(guarded(state, act), on)
    follow(state, ["spec", "picture"], show)
    return widget


def offer(widget: Any, options: dict[str, Any]) -> None:
    """Give a list of choices other names: of a value that stays, the browser would go on showing the old name."""
    if widget.options != options:
        widget.options = options
        widget.param.trigger("value")


def button(state: State, label: str, act: Callable[[], None], **options: Any) -> pmui.Button:
    made = pmui.Button(label=label, size="small", **{"variant": "outlined", "margin": (4, 3), "sx": TIGHT, **options})
    made.on_click(guarded(state, lambda _: act()))
    return made


def download(label: str, filename: str, text: Callable[[], str], **options: Any) -> pmui.FileDownload:
    """A button that gives the text as a file; the text is made when it is pressed."""
    return pmui.FileDownload(
        callback=lambda: io.StringIO(text()),
        filename=filename,
        label=label,
        size="small",
        **{"variant": "outlined", "margin": (4, 3), "sx": TIGHT, **options},
    )


def card(*objects: Any, **options: Any) -> pmui.Paper:
    """A quiet surface that groups what belongs together."""
    return pmui.Paper(
        *objects,
        elevation=0,
        sizing_mode="stretch_width",
        sx={"border": "1px solid", "borderColor": "divider", "borderRadius": "10px", "p": "10px 12px", "minWidth": 0},
        # Paper's own max-height of 100 % lets a card that is taller than the window overlap the next one.
        **{"margin": (0, 0, 12, 0), "styles": {"max-height": "none"}, **options},
    )


def flexible(plot: figure, width: int, visible: bool = True) -> pn.pane.Bokeh:
    """A figure that shares its line with others and wraps below `width` px."""
    plot.styles = {"flex": f"1 1 {width}px", "min-width": "0"}  # of the figure: styles of its pane are not passed on
    plot.visible = visible  # of both: the pane passes on later changes only
    return pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=0, visible=visible)


def heading(text: str) -> pmui.Typography:
    return pmui.Typography(text, variant="overline", margin=(8, 12, 0, 12), sx={"lineHeight": 1.8, "opacity": 0.75})


def prose(name: str, **options: Any) -> pn.pane.Markdown:
    """A text file of the project as a pane; never text from elsewhere."""
    text = (TEXTS / f"{name}.md").read_text(encoding="utf-8")
    return pn.pane.Markdown(
        text, **{"sizing_mode": "stretch_width", "stylesheets": [MARKDOWN_STYLE], "margin": 0, **options}
    )


def explained(question: str, name: str) -> pmui.Details:
    """A text that opens on request."""
    return pmui.Details(prose(name), title=question, collapsed=True, sizing_mode="stretch_width", margin=(8, 0, 0, 0))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str, tips: Mapping[str, str] = TIPS) -> str:
    """An HTML table; every cell is escaped here, so cells may come from files. Known words explain themselves.

    A cell may be a pair: what it says, and below it in small print how sure that is.
    """
    cells = "".join(f"<th scope='col'>{_cell(cell, tips)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell, tips)}</td>" for cell in row) + "</tr>" for row in rows)
    above = f"<caption><span>{html.escape(caption)}</span></caption>"
    return f"<table>{above}<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _cell(content: object, tips: Mapping[str, str]) -> str:
    if isinstance(content, tuple):
        return f"{_cell(content[0], tips)}<small>{html.escape(str(content[1]))}</small>"
    text = html.escape(str(content))
    tip = tips.get(str(content))
    return f"<abbr tabindex='0' title='{html.escape(tip)}'>{text}</abbr>" if tip else text


TABLE_STYLE = """
abbr { text-decoration: underline dotted; text-underline-offset: 3px; cursor: help; }
:host { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%; font-variant-numeric: tabular-nums; }
small { display: block; font-size: 11px; opacity: .75; }
caption { text-align: left; padding: 2px 0 6px; opacity: .75; }
caption span { display: block; position: sticky; left: 0; max-width: calc(100vw - 80px); }
th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid rgba(128, 136, 145, .25); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; white-space: normal; vertical-align: bottom; }
"""


class Announce(JSComponent):
    """One sentence that screen readers speak when it changes. Text only: it cannot carry markup."""

    text = param.String()
    label = param.String(default="status")

    _esm = """
    export function render({ model }) {
      const line = document.createElement("p")
      line.setAttribute("role", model.label)
      line.setAttribute("aria-live", "polite")
      line.style.cssText = "margin:0;font:inherit;line-height:1.45"
      const show = () => { line.textContent = model.text }
      show()
      model.on("text", show)
      return line
    }
    """


class CopyLink(JSComponent):
    """Copy the address of the page, which holds everything the visitor chose."""

    _esm = """
    export function render() {
      const button = document.createElement("button")
      button.type = "button"
      button.textContent = "Copy link"
      button.addEventListener("click", async () => {
        try { await navigator.clipboard.writeText(window.location.href); button.textContent = "Copied" }
        catch (error) { window.prompt("Copy this address:", window.location.href) }
        setTimeout(() => { button.textContent = "Copy link" }, 1600)
      })
      return button
    }
    """
    _stylesheets = [
        """
    button { font: inherit; font-size: 13px; font-weight: 500; padding: 4px 10px; border-radius: 4px; cursor: pointer;
      color: inherit; background: transparent; border: 1px solid currentColor; opacity: .85; min-height: 32px; }
    button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
    """
    ]
