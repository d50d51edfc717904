"""The lists of contenders: A, B and the others."""

from __future__ import annotations

from dataclasses import replace

import panel_material_ui as pmui

from ...analyses.models import model_facts, model_labels
from ...comparison import (
    BASELINES,
    MOST,
    PROMPTS,
    Comparison,
    Contender,
    contender_text,
    parse_contender,
    with_contender,
    with_others,
)
from ...spec import Spec
from ...state import State
from ...words import BASELINE_NAMES, PROMPT_NAMES, plain
from ..parts import bind, follow
from .shown import PAGE, TITLES


def _who_options(state: State, chosen: Contender) -> dict[str, str]:
    """Every model and baseline; also one that is not here, if the address names it."""
    found = {f"Present model ({model_facts(state.spec.model).label})": _who(Contender())}
    found |= {f"Model {label}": _who(Contender(model=name)) for label, name in model_labels().items()}
    found |= {f"Baseline: {BASELINE_NAMES[name]}": _who(Contender(baseline=name)) for name in BASELINES}
    if _who(chosen) not in found.values():
        found[f"Model {plain(chosen.model)} (not here)"] = _who(chosen)
    return found


def _who(one: Contender) -> str:
    """A contender without its prompt, as text."""
    return contender_text(replace(one, prompt=""))


def _prompt_options(state: State) -> dict[str, str]:
    return {f"of the task ({TITLES[state.spec.comparison.task].lower()})": "", **_prompts()}


def _prompts() -> dict[str, str]:
    return {f"{PROMPT_NAMES[name]} prompt": name for name in PROMPTS}


def choose(state: State, comparison: Comparison) -> None:
    state.go(comparison=comparison)


def contender(state: State, place: int) -> list[pmui.Select]:
    """The lists of A (place 0) or B (place 1): who, and with which prompt."""
    letter = "AB"[place]
    who = pmui.Select(
        label=letter, options=_who_options(state, _present(state.spec, place)), width=300, size="small", margin=(6, 8)
    )
    prompt = pmui.Select(
        label=f"Prompt of {letter}", options=_prompt_options(state), value="", width=230, size="small", margin=(6, 8)
    )

    def choose_who(value: str) -> None:
        new = parse_contender(value)
        kept = "" if new.baseline else _present(state.spec, place).prompt
        choose(state, with_contender(state.spec.comparison, place, replace(new, prompt=kept)))

    def choose_prompt(value: str) -> None:
        now = _present(state.spec, place)
        if not now.baseline:
            choose(state, with_contender(state.spec.comparison, place, replace(now, prompt=value)))

    def draw() -> None:
        now = _present(state.spec, place)
        _offer(who, _who_options(state, now), _who(now))
        _offer(prompt, _prompt_options(state), now.prompt)
        prompt.visible = not now.baseline

    follow(state, ["spec"], draw, page=PAGE)
    bind(state, who, lambda spec: _who(_present(spec, place)), choose_who)
    bind(state, prompt, lambda spec: _present(spec, place).prompt, choose_prompt)
    return [who, prompt]


def _offer(select: pmui.Select, options: dict[str, str], value: str) -> None:
    """As `parts.offer`, together with the value of the spec: the old one would be taken for a choice."""
    if select.options != options:
        select.param.update(options=options, value=value)
        select.param.trigger("value")


def _present(spec: Spec, place: int) -> Contender:
    return spec.comparison.contenders[place]


def others(state: State) -> pmui.MultiChoice:
    """Contenders beside A and B."""

    def options() -> dict[str, str]:
        found = {**_who_options(state, Contender())}
        found |= {
            f"Present model, {label}": contender_text(Contender(prompt=name)) for label, name in _prompts().items()
        }
        missing = [text for one in state.spec.comparison.others if (text := contender_text(one)) not in found.values()]
        return found | {plain(text): text for text in missing}

    def present(spec: Spec) -> list[str]:
        return [contender_text(one) for one in spec.comparison.others]

    def pick(values: list[str]) -> None:
        choose(state, with_others(state.spec.comparison, tuple(map(parse_contender, values))))

    chosen = pmui.MultiChoice(
        label=f"Others in the table (at most {MOST - 2})",
        options=options(),
        value=present(state.spec),
        max_items=MOST - 2,
        sizing_mode="stretch_width",
        margin=(6, 8),
    )

    def draw() -> None:
        if chosen.options != (new := options()):
            chosen.param.update(options=new, value=present(state.spec))

    follow(state, ["spec"], draw, page=PAGE)
    return bind(state, chosen, present, pick)
