"""What the model sees: a switch per modality, the usual ways to set them, and the time in which things are hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import panel as pn
import panel_material_ui as pmui

from ...analyses.translate import Shown
from ...state import State
from ...theme import look
from ...translation import MODALITIES, Translation, in_order
from ..parts import follow, guarded, offer
from .shown import PAGE, drawn, label, newest

SPIKES = MODALITIES[0]
OWN = "own"  # what the switches say
PRESETS = {
    "Encode: behavior → spikes": "encode",
    "Decode: spikes → behavior": "decode",
    "One behavior → spikes": "one",
    "Own mix": OWN,
}
ONE_LINE = {
    "flexDirection": {"xs": "column", "sm": "row"},
    "& .MuiToggleButton-root": {"whiteSpace": "nowrap", "padding": "4px 10px", "textTransform": "none"},
}
SPAN = "Hidden time"


def preset_of(hidden: tuple[str, ...], present: tuple[str, ...]) -> tuple[str, str | None]:
    """The preset that hides this, and the one behavior that is read."""
    hidden, read = set(hidden), [name for name in present if name not in hidden]
    if hidden == {SPIKES}:
        return "encode", None
    if hidden == set(present):
        return "decode", None
    return ("one", read[0]) if SPIKES in hidden and len(read) == 1 else (OWN, None)


def preset(kind: str, one: str, present: tuple[str, ...]) -> tuple[str, ...]:
    """The modalities that a preset hides."""
    hidden = {"encode": (SPIKES,), "decode": present}.get(kind)
    return in_order(hidden if hidden is not None else (SPIKES, *(name for name in present if name != one)))


def views(state: State) -> list[pn.viewable.Viewable]:
    made = Switches(state)
    return [made.first(), made.second()]


class Switches:
    def __init__(self, state: State) -> None:
        self.state, self.quiet = state, False
        self.presets = pmui.RadioButtonGroup(
            options=PRESETS, value="encode", size="small", margin=(6, 8, 6, 4), sx=ONE_LINE
        )
        self.one = pmui.Select(label="The one behavior", options={}, size="small", width=190, margin=(4, 8))
        self.switches = {name: _switch(name) for name in MODALITIES}
        self.span = pmui.RangeSlider(
            label=SPAN,
            start=-0.5,
            end=1.5,
            step=0.02,
            value=(-0.5, 1.5),
            show_value=False,
            size="small",
            width=240,
            margin=(4, 16, 0, 14),
        )
        self._on(self.presets, "value", lambda value: self.use(value, self.one.value))
        self._on(self.one, "value", lambda value: self.use("one", value))
        self._on(self.span, "value_throttled", self.choose_span)
        for name, switch in self.switches.items():
            self._on(switch, "value", lambda value, name=name: self.turn(name, value))
        drawn(state, self.draw)
        follow(state, ["spec"], self.follow_spec, page=PAGE)
        follow(state, ["dark"], self.recolour, page=PAGE)

    def first(self) -> pn.viewable.Viewable:
        return pn.FlexBox(self.presets, self.one, self.span, align_items="center", sizing_mode="stretch_width")

    def second(self) -> pn.viewable.Viewable:
        title = pn.pane.HTML("<b style='font-size:13px'>The model sees</b>", margin=(8, 6, 0, 4))
        return pn.FlexBox(title, *self.switches.values(), align_items="center", sizing_mode="stretch_width")

    def _on(self, widget: Any, what: str, act: Callable[[Any], None]) -> None:
        def acted(event: Any) -> None:
            if not self.quiet and event.new is not None:
                act(event.new)

        widget.param.watch(guarded(self.state, acted), what)

    # --- acts ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Translation:
        return self.state.spec.translation

    @property
    def present(self) -> tuple[str, ...]:
        shown = newest(self.state).shown
        return () if shown is None else shown.present

    def use(self, kind: str, one: str | None) -> None:
        if self.present and kind != OWN:
            one = one if one in self.present else self.present[0]
            self.state.go(translation=replace(self.now, hidden=preset(kind, one, self.present), span=(0, 0)))

    def turn(self, name: str, visible: bool) -> None:
        hidden = set(self.now.hidden) - {name} if visible else {*self.now.hidden, name}
        self.state.go(translation=replace(self.now, hidden=in_order(hidden)))

    def choose_span(self, ends: tuple[float, float]) -> None:
        if (shown := newest(self.state).shown) is None:
            return
        trials = shown.recording.trials
        first, end = (round((edge - trials.window[0]) / trials.bin_size) for edge in ends)
        whole = end <= first or (first <= 0 and end >= trials.n_bins)
        self.state.go(translation=replace(self.now, span=(0, 0) if whole else (first, end)))

    # --- drawing ------------------------------------------------------------------------------------------------------

    def draw(self, shown: Shown) -> None:
        """What there is in this recording."""
        times = shown.recording.times
        self.quiet = True
        try:
            offer(self.one, {label(name): name for name in shown.present})
            self.span.param.update(start=float(times[0]), end=float(times[-1]), step=shown.recording.trials.bin_size)
        finally:
            self.quiet = False
        for name, switch in self.switches.items():
            switch.disabled = name in shown.absent
        self.follow_spec()

    def follow_spec(self) -> None:
        if (shown := newest(self.state).shown) is None:
            return
        hidden = tuple(name for name in self.now.hidden if name not in shown.absent)
        kind, one = preset_of(hidden, shown.present)
        self.quiet = True
        try:
            self.presets.value = kind
            self.one.value = one or (self.one.value if self.one.value in shown.present else shown.present[0])
            for name, switch in self.switches.items():
                switch.value = name not in hidden and name not in shown.absent
                switch.label = _said(name, switch.value, shown.absent.get(name, ""))
            self._draw_span(shown)
        finally:
            self.quiet = False

    def _draw_span(self, shown: Shown) -> None:
        times, (first, end) = shown.recording.times, self.now.span
        end = min(end, times.size - 1)
        whole = end <= first
        ends = (times[0], times[-1]) if whole else (times[first], times[end])
        self.span.value = tuple(round(float(edge), 4) for edge in ends)
        said = "the whole trial" if whole else f"{ends[0]:.2f} to {ends[1]:.2f} s"
        self.span.label = f"{SPAN}: {said}"

    def recolour(self) -> None:
        colours = look(self.state.dark).modalities
        for name, switch in self.switches.items():
            on = "& .MuiSwitch-switchBase.Mui-checked"
            switch.sx = {on: {"color": colours[name]}, f"{on} + .MuiSwitch-track": {"backgroundColor": colours[name]}}


def _switch(name: str) -> pmui.Switch:
    return pmui.Switch(label=label(name), value=name != SPIKES, size="small", margin=(4, 8, 2, 4))


def _said(name: str, visible: bool, absent: str) -> str:
    if absent:
        return f"{label(name)}: {'not recorded' if absent == 'not recorded' else 'unknown to the model'}"
    return f"{label(name)}: {'shown' if visible else 'hidden'}"
