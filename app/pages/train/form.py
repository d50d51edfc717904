"""What to train: from nothing, on several recordings, or from a model; on what, for how long."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from ...analyses import train_form, training
from ...analyses.models import model_facts, model_labels, translator_of
from ...analyses.train_form import MTM, NEDS, NETWORKS, Form
from ...spec import SCHEMES
from ...state import State
from ...words import PROMPT_NAMES
from ..controls import offer_models, offer_sessions, open_session, translator_list
from ..parts import Announce, bind, button, follow, guarded

KINDS = {"From scratch": "scratch", "Pre-train": "pretrain", "Fine-tune": "finetune"}
MEANING = {
    "scratch": "A new model learns one recording, starting from random weights.",
    "pretrain": "One model learns several recordings together: the trunk is shared, each recording has neurons of its "
    "own. It can be fine-tuned on others later.",
    "finetune": "A model that exists learns a recording that it does not know: its trunk is kept as the start, the "
    "neurons are new.",
}
USUAL = SCHEMES[:4]  # the mix of MtM
ONE_LINE = {"& .MuiToggleButton-root": {"whiteSpace": "nowrap", "padding": "4px 10px"}}
WRAP = {"& .MuiMenuItem-root": {"whiteSpace": "normal"}}
WIDE = {
    "size": "small",
    "margin": (8, 8, 6, 0),
    "sizing_mode": "stretch_width",
    "styles": {"flex": "1 1 300px", "min-width": "0", "max-width": "560px"},
}
ROW = {"align_items": "flex-start", "sizing_mode": "stretch_width", "gap": "0 12px"}
DURATIONS = {
    "30 seconds": 0.5,
    "1 minute": 1.0,
    **{f"{n} minutes": float(n) for n in (2, 5, 10, 20, 30)},
    "1 hour": 60.0,
    **{f"{n} hours": 60.0 * n for n in (2, 4, 8, 12, 24)},
}  # -> minutes


def small(text: str) -> pmui.Typography:
    return pmui.Typography(text, variant="body2", margin=(6, 2, 0, 2), sx={"opacity": 0.8})


class FormView:
    """Kind, recording and model are those of the address, so that a link or a button elsewhere can fill them in."""

    def __init__(self, state: State, started: Callable[[str], None]) -> None:
        self.state, self.started = state, started
        self._make_widgets(state)
        self.meaning, self.said = Announce(margin=(2, 2, 4, 2)), Announce(margin=(8, 8))
        self.size = Announce(label="note", margin=(0, 8, 4, 8), styles={"font-size": "13px", "opacity": ".8"})
        self.begin = button(state, "Start training", self.start, variant="contained", margin=(4, 10, 4, 0))
        self.hidden = pn.Column(
            small("What is hidden in training"), self.schemes, sizing_mode="stretch_width", margin=0
        )
        self.scratch_only = pn.Column(
            self.hidden,
            small("Size of the model"),
            self.preset,
            self.size,
            sizing_mode="stretch_width",
        )
        bind(state, self.kind, lambda spec: spec.train, lambda value: state.go(train=value))
        offer_sessions(state, self.one, train_form.usable)
        follow(state, ["spec"], self.offer_several, page="train")
        bind(state, self.one, lambda spec: spec.session, lambda value: open_session(state, value))
        follow(state, ["spec"], lambda: offer_models(state, self.model))
        bind(state, self.model, lambda spec: spec.model, lambda value: state.go(model=value))
        for widget in (*self.choices, self.minutes, self.bins, self.stitcher):
            widget.param.watch(guarded(state, lambda _: self.draw()), "value")
        self.translated_by = state.spec.translator
        follow(state, ["spec"], self.draw, page="train")

    def _make_widgets(self, state: State) -> None:
        usable, presets = train_form.usable(), train_form.preset_words(MTM)
        self.kind = pmui.RadioButtonGroup(options=KINDS, size="small", margin=(4, 0), sx=ONE_LINE)
        self.one = pmui.Select(label="Recording", options=usable, searchable=True, sx=WRAP, **WIDE)
        place = {name: WIDE[name] for name in ("margin", "sizing_mode", "styles")}
        first = [state.spec.session] if state.spec.session in usable.values() else []
        self.several = pmui.MultiChoice(label="Recordings", options=usable, value=first, searchable=True, **place)
        self.model = pmui.Select(label="Model to start from", options=model_labels(), sx=WRAP, **WIDE)
        self.translator = translator_list(state, "train")
        self.network = pmui.RadioBoxGroup(options=NETWORKS, value=MTM, inline=True, margin=(0, 8))
        self.schemes = pmui.CheckBoxGroup(
            options={PROMPT_NAMES[name]: name for name in SCHEMES}, value=list(USUAL), inline=True, margin=(0, 8)
        )
        self.preset = pmui.RadioBoxGroup(options=list(presets), value=next(iter(presets)), inline=True, margin=(0, 8))
        self.choices = (self.several, self.network, self.schemes, self.preset)
        self.stitcher = pmui.Checkbox(label="Keep the trunk as it is, learn only the new neurons", margin=(2, 8))
        self.minutes = pmui.Select(
            label="Training time", options=DURATIONS, value=5.0, size="small", width=150, margin=(8, 8, 6, 0)
        )
        self.bins = pmui.Select(
            label="Bin size", options=train_form.bin_sizes(), value=20, size="small", width=100, margin=(8, 8, 6, 0)
        )
        self.name = pmui.TextInput(label="Name (optional)", max_length=64, **WIDE)

    def offer_several(self) -> None:
        """Recordings that were imported since the page was built, and without those that were removed."""
        usable = train_form.usable()
        if self.several.options != usable:
            chosen = [session for session in self.several.value if session in usable.values()]
            self.several.param.update(options=usable, value=chosen)

    def view(self) -> pn.viewable.Viewable:
        return pn.Column(
            self.kind,
            self.meaning,
            small("What it predicts"),
            self.network,
            pn.FlexBox(self.one, self.several, self.model, self.translator, **ROW),
            self.scratch_only,
            self.stitcher,
            pn.FlexBox(self.minutes, self.bins, self.name, **ROW),
            pn.FlexBox(self.begin, self.said, align_items="center", sizing_mode="stretch_width"),
            sizing_mode="stretch_width",
            margin=0,
        )

    def form(self) -> Form:
        spec = self.state.spec
        kind, network = spec.train, self.network.value
        model = spec.model if network == MTM else translator_of(spec.session, spec.translator)
        sessions = tuple(self.several.value) if kind == "pretrain" else (spec.session,)
        schemes = tuple(name for name in SCHEMES if name in self.schemes.value)
        common = (model, schemes, self.preset.value, self.minutes.value, self.name.value_input or "")
        return Form(kind, network, sessions, *common, bool(self.stitcher.value), self.bins.value)

    def _suit(self) -> None:
        """A model that was chosen elsewhere says what it predicts."""
        if self.state.spec.translator != self.translated_by:
            self.translated_by, self.network.value = self.state.spec.translator, NEDS

    def draw(self) -> None:
        self._suit()
        kind, may, network = self.state.spec.train, training.allowed(), self.network.value
        self.meaning.text = MEANING[kind]
        self.one.visible, self.several.visible = kind != "pretrain", kind == "pretrain"
        self.stitcher.visible = kind == "finetune"
        self.model.visible, self.translator.visible = (kind == "finetune" and network == each for each in (MTM, NEDS))
        self.scratch_only.visible = kind != "finetune"
        self.hidden.visible = network == MTM
        about = train_form.preset_words(network)[self.preset.value]
        self.size.text = f"{about[:1].upper()}{about[1:]}."
        form = self.form()
        self.name.placeholder = train_form.default_name(form)
        trouble = train_form.problem(form) if may else training.NOT_HERE
        self.begin.disabled = bool(trouble)
        self.said.text = trouble[:1].upper() + trouble[1:] if trouble else self._outlook(form)

    def _outlook(self, form: Form) -> str:
        known = form.kind == "finetune" and form.sessions[0] in model_facts(form.model).sessions
        note = " The model knows this recording already; it goes on from what it knows of its neurons." if known else ""
        return "Trials for testing are never touched; validation trials choose the best weights." + note

    def start(self) -> None:
        run = train_form.start(self.form())
        self.name.value = self.name.value_input = ""
        self.started(run.id)
