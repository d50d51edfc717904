"""The sidebar: which recording, model and trial, and what is hidden from the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import panel as pn
import panel_material_ui as pmui

from ..analyses.models import model_labels, translator_labels, translator_of
from ..compute import default_prompt, default_ratio
from ..recordings import catalogue, device_name
from ..sentences import trial_sentence
from ..spec import HAND, SCHEMES, SORTS, Hide, Spec
from ..state import State
from ..words import PROMPT_NAMES, SCHEME_NAMES
from .parts import Announce, bind, button, follow, heading, offer, repeat

NARROW = {"size": "small", "sizing_mode": "stretch_width", "margin": (6, 12)}
SMALL = {"margin": (0, 12, 4, 12), "styles": {"font-size": "12.5px", "opacity": ".8"}}
NEW_MODELS = 3000  # ms between looks for models that were not there before
WINDOW = "Hide a time window"
WRAP = {"& .MuiMenuItem-root": {"whiteSpace": "normal"}}


def view(state: State) -> list[pn.viewable.Viewable]:
    """The recording and the model, for all pages; the trial and what is hidden, for Explore."""
    explore = pn.Column(
        *_trial(state),
        heading("Hide from the model"),
        *_masking(state),
        heading("By hand"),
        *_by_hand(state),
        sizing_mode="stretch_width",
        margin=0,
    )
    follow(state, ["spec"], lambda: explore.param.update(visible=state.spec.page == "explore"))
    return [heading("Recording"), *_recording(state), explore]


def _recording(state: State) -> list[pn.viewable.Viewable]:
    sessions = pmui.Select(
        label="Session",
        options=session_labels(),
        value=state.spec.session,
        searchable=True,
        sx=WRAP,
        **NARROW,
    )
    model = pmui.Select(label="Model", options=model_labels(), value=state.spec.model, sx=WRAP, **NARROW)
    offer_sessions(state, sessions, session_labels)
    bind(state, sessions, lambda spec: spec.session, lambda value: open_session(state, value))
    # Runs end while visitors look at other pages: their models appear in the list by themselves.
    repeat(state, lambda: offer_models(state, model), NEW_MODELS)
    follow(state, ["spec"], lambda: offer_models(state, model))
    bind(state, model, lambda spec: spec.model, lambda value: state.go(model=value))
    translator = translator_list(state, "translate")

    def show() -> None:
        """One list of models at a time: the page "Translate" needs another kind."""
        model.visible, translator.visible = state.spec.page != "translate", state.spec.page == "translate"

    follow(state, ["spec"], show)
    return [sessions, _facts(state), model, translator]


def translator_list(state: State, page: str) -> pmui.Select:
    """The models between spikes and behavior, kept up to date while `page` is open."""
    made = pmui.Select(label="Model of spikes and behavior", options=translator_labels(), sx=WRAP, **NARROW)

    def offer_all() -> None:
        labels = translator_labels()
        if made.options != labels:
            chosen = translator_of(state.spec.session, state.spec.translator) or None
            made.param.update(options=labels, value=chosen)
            made.param.trigger("value")  # as in `offer`

    def choose(value: str) -> None:
        if value != translator_of(state.spec.session, state.spec.translator):
            state.go(translator=value)

    repeat(state, offer_all, NEW_MODELS, page=page)
    follow(state, ["spec"], offer_all, page=page)
    return bind(state, made, lambda spec: translator_of(spec.session, spec.translator) or None, choose)


def offer_models(state: State, select: pmui.Select) -> None:
    """Give a list all models there are now. Before it is bound: a value must be among the options."""
    labels = model_labels()
    if select.options != labels:
        # With the model of the spec, which may be as new as the list: the old value would be taken for a choice.
        model = state.spec.model if state.spec.model in labels.values() else next(iter(labels.values()), None)
        select.param.update(options=labels, value=model)
        select.param.trigger("value")  # as in `offer`


def session_labels() -> dict[str, str]:
    return {entry.label: entry.id for entry in catalogue().values()}


def offer_sessions(state: State, select: pmui.Select, labels: Callable[[], dict[str, str]]) -> None:
    """Keep a list of recordings up to date: some are imported, some removed. To be called before it is bound."""

    def offer_all() -> None:
        there = labels()
        if select.options != there:
            chosen = state.spec.session if state.spec.session in there.values() else next(iter(there.values()), None)
            select.param.update(options=there, value=chosen)
            select.param.trigger("value")  # as in `offer`

    follow(state, ["spec"], offer_all)


def open_session(state: State, session: str) -> None:
    """Another recording has other neurons, regions and trials: what was chosen by hand goes."""
    hide = Hide(scheme=state.spec.hide.scheme, prompt=state.spec.hide.prompt, ratio=state.spec.hide.ratio)
    if hide.by_hand:
        hide = Hide()
    state.go(session=session, trial=-1, neuron=-1, hide=hide)


def _facts(state: State) -> pn.viewable.Viewable:
    facts = Announce(label="note", **SMALL)

    def draw() -> None:
        if (picture := state.picture) is not None:
            names, numbers = np.unique(picture.recording.region_names, return_counts=True)
            regions = ", ".join(f"{name} {n}" for name, n in zip(names, numbers, strict=True))
            facts.text = f"{picture.counts.shape[1]} neurons: {regions}. Model on {device_name()}."

    follow(state, ["picture"], draw)
    return facts


def _trial(state: State) -> list[pn.viewable.Viewable]:
    slider = pmui.IntSlider(label="Trial", start=0, end=1, **NARROW)
    facts = Announce(label="note", **SMALL)

    def draw() -> None:
        if (picture := state.picture) is not None:
            last = max(1, picture.recording.trials.n_trials - 1)
            slider.param.update(end=last, label=f"Trial (0 to {last})")
            facts.text = trial_sentence(picture.recording, picture.trial)

    def present(spec: Spec) -> int:
        return state.picture.recording.trial(spec.trial) if state.picture is not None else 0

    sort = pmui.Select(label="Order of neurons", options={f"by {name}": name for name in SORTS}, **NARROW)
    follow(state, ["picture"], draw)
    bind(state, slider, present, lambda value: state.go(trial=value))
    bind(state, sort, lambda spec: spec.sort, lambda value: state.go(sort=value))
    return [slider, facts, sort]


def _masking(state: State) -> list[pn.viewable.Viewable]:
    scheme = pmui.Select(
        label="Masking scheme",
        options={SCHEME_NAMES[name]: name for name in (*SCHEMES, HAND)},
        description="Which neurons or bins are hidden at random. The Help tab explains each scheme.",
        **NARROW,
    )
    prompt = pmui.Select(
        label="Prompt",
        options={"as the scheme": "", **{name: key for key, name in PROMPT_NAMES.items()}},
        description="The hint that tells the model what is hidden.",
        **NARROW,
    )
    ratio = pmui.IntSlider(label="Share hidden (%)", start=5, end=100, step=5, **NARROW)
    again = button(
        state,
        "Draw again",
        lambda: state.hide(seed=(state.spec.hide.seed + 1) % 1_000_000),
        icon="casino",
        margin=(0, 12, 6, 12),
    )

    def draw() -> None:
        ratio.visible = again.visible = not state.spec.hide.by_hand
        own = PROMPT_NAMES[default_prompt(state.spec.hide)]
        offer(prompt, {f"as the scheme ({own})": "", **{name: key for key, name in PROMPT_NAMES.items()}})

    def present(spec: Spec) -> int:
        if spec.hide.by_hand:
            return ratio.value
        return spec.hide.ratio if spec.hide.ratio >= 5 else round(100 * default_ratio(spec.hide.scheme))

    follow(state, ["spec"], draw)
    bind(state, scheme, lambda spec: spec.hide.scheme, lambda value: choose_scheme(state, value))
    bind(state, prompt, lambda spec: spec.hide.prompt, lambda value: state.hide(prompt=value))
    bind(state, ratio, present, lambda value: state.hide(ratio=value), on="value_throttled")
    return [scheme, ratio, again, prompt]


def choose_scheme(state: State, scheme: str) -> None:
    state.go(hide=Hide(scheme=scheme, prompt=state.spec.hide.prompt, seed=state.spec.hide.seed))


def _by_hand(state: State) -> list[pn.viewable.Viewable]:
    chosen = list(state.spec.hide.regions)
    regions = pmui.MultiChoice(label="Regions", options=chosen, sizing_mode="stretch_width", margin=(6, 12))
    window = pmui.RangeSlider(label=WINDOW, start=-0.5, end=1.5, step=0.02, show_value=False, **NARROW)

    def draw() -> None:
        if (picture := state.picture) is not None:
            times = picture.recording.times
            regions.options = sorted({*picture.recording.regions, *state.spec.hide.regions})
            ends, chosen = (float(times[0]), float(times[-1])), seconds(state.spec)
            window.param.update(start=ends[0], end=ends[1], step=picture.recording.trials.bin_size, value=chosen)
            window.label = (
                f"{WINDOW}: {chosen[0]:.2f} to {chosen[1]:.2f} s" if state.hand.window[1] else f"{WINDOW}: none"
            )

    def seconds(spec: Spec) -> tuple[float, float]:
        if state.picture is None:
            return (-0.5, -0.5)
        times = state.picture.recording.times
        first, last = np.clip(spec.hide.window, 0, times.size - 1)
        return round(float(times[first]), 4), round(float(times[last]), 4)

    def pick_window(value: tuple[float, float]) -> None:
        if state.picture is None:
            return
        times, size = state.picture.recording.times, state.picture.recording.trials.bin_size
        first, last = (round((edge - times[0]) / size) for edge in value)
        state.by_hand(window=(first, last) if last > first else (0, 0))

    follow(state, ["picture"], draw)
    bind(
        state, regions, lambda spec: list(spec.hide.regions), lambda value: state.by_hand(regions=tuple(sorted(value)))
    )
    bind(state, window, seconds, pick_window, on="value_throttled")
    return [regions, window]
