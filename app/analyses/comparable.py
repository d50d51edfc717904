"""May these contenders be compared? Only if they answer one question: the same recording, trials, bins and hidden
entries. Each refusal and each caution is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mtm_core.checkpoint import read_manifest
from mtm_core.evaluation.baselines import BLIND, FITS, baseline_names
from mtm_core.evaluation.questions import PROMPTS, TASKS
from mtm_core.session import identity

from ..comparison import EXPLORE, Contender
from ..compute import default_prompt
from ..recordings import Recording, models, predictors, recording
from ..spec import Pin, Spec
from ..words import BASELINE_NAMES, PROMPT_NAMES, TASK_NAMES, plain
from .models import model_facts

LETTERS = "ABCDEFGH"
IN_GROUPS = ("co_smoothing", "intra_region")  # where "fast" hides several neurons at once
EXPLAINED = "their scores would answer different questions"
WHERE = {
    "condition_psth": "needs trials with a side, a choice, a block or a reward, and this recording tells none",
    "true_rates": "exist for simulated recordings only",
}
NOTES = {
    "condition_psth": "reads the labels of the test trial (side, choice, reward), which no model sees",
    "reduced_rank": "predicts a tenth of the neurons at a time, so it sees a little less than who is asked one by one",
    "true_rates": "is no prediction but the rates that generated the spikes: the best that is possible",
}


@dataclass(frozen=True)
class Judged:
    """What stands against a comparison, in sentences."""

    refusals: dict[Contender, str]  # who cannot take part, and why
    refused: str  # why A and B cannot be compared, or ""
    cautions: tuple[str, ...]  # what must be known of those who can


def resolved(spec: Spec) -> tuple[Contender, ...]:
    """The contenders with names instead of "the present model" and "the task's own prompt"."""
    if spec.comparison.task == EXPLORE:
        both = {"pinned": spec.pin or present_view(spec), "present": present_view(spec)}
        prompts = {name: pin.hide.prompt or default_prompt(pin.hide) for name, pin in both.items()}
        return tuple(Contender(model=pin.model, prompt=prompts[name], view=name) for name, pin in both.items())
    own = PROMPTS[spec.comparison.task].label
    return tuple(
        one if one.baseline else Contender(model=one.model or spec.model, prompt=one.prompt or own)
        for one in spec.comparison.contenders
    )


def present_view(spec: Spec) -> Pin:
    """What Explore shows now."""
    return Pin(spec.session, spec.model, spec.hide)


def name_of(one: Contender, task: str) -> str:
    """As a reader knows it; the prompt is told where it is not the task's own."""
    if one.baseline:
        return BASELINE_NAMES[one.baseline]
    if one.view:
        return f"{one.view} view, {model_facts(one.model).label}, {PROMPT_NAMES[one.prompt]} prompt"
    own = one.prompt in ("", PROMPTS[task].label)
    return model_facts(one.model).label + ("" if own else f", {PROMPT_NAMES[one.prompt]} prompt")


def reference(spec: Spec) -> Recording:
    """The recording as the first model among the contenders reads it: its trials are those of the comparison."""
    there = predictors()
    names = (one.model for one in resolved(spec) if one.model in there)
    knows = (name for name in names if spec.session in model_facts(name).sessions)
    return recording(spec.session, next(knows, spec.model))


def judge(spec: Spec, opened: Recording) -> Judged:
    """opened: the `reference` of the spec."""
    contenders, refusals, cautions = resolved(spec), {}, []
    for letter, one in zip(LETTERS, contenders, strict=False):
        who = f"{letter} ({name_of(one, spec.comparison.task)})"
        reasons = _of_baseline if one.baseline else _of_model
        if reason := next(reasons(one, spec, opened), ""):
            refusals[one] = f"{who} {reason}."
        else:
            cautions += [f"{who} {note}." for note in _notes(one, opened)]
    refused = next((refusals[one] for one in contenders[:2] if one in refusals), "")
    refused = _without_question(spec, contenders) or refused
    if not (opened.trials.split == "test").any():
        refused = "This recording has no held-out trials, so nothing can be scored on it."
    return Judged(refusals, refused, tuple(cautions))


def _without_question(spec: Spec, contenders: tuple[Contender, ...]) -> str:
    """Why there is nothing to compare, or ""."""
    if spec.comparison.task != EXPLORE:
        same = contenders[0] == contenders[1]
        return "A and B are the same; choose another model, prompt or baseline for one of them." if same else ""
    if spec.pin is None:
        return "Nothing is pinned yet; hide something in Explore and pin it as A."
    if spec.pin.session != spec.session:
        return "The pinned view is of another recording; pin one of this recording as A."
    same = spec.pin == present_view(spec)
    return "A and B are the same view; change in Explore what is hidden, the prompt or the model." if same else ""


# --- baselines --------------------------------------------------------------------------------------------------------


def _of_baseline(one: Contender, spec: Spec, opened: Recording) -> Iterator[str]:
    name, now = one.baseline, spec.comparison
    if name not in baseline_names(opened.trials):
        yield WHERE.get(name, "does not exist for this recording")
    if now.task not in getattr(FITS[name], "tasks", TASKS):
        yield f"does not exist for {TASK_NAMES[now.task].lower()}; choose another one"
    if now.fast and now.task in IN_GROUPS and name not in BLIND and any(not each.baseline for each in now.contenders):
        yield (
            "is asked about one neuron at a time, but Fast hides several at once from a model, so what is hidden would "
            "differ; choose Exact"
        )


# --- models -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _manifest(model: str) -> dict[str, Any]:
    """What a model says of itself; a name never gets other weights."""
    return read_manifest(models()[model])


def _of_model(one: Contender, spec: Spec, opened: Recording) -> Iterator[str]:
    if one.model not in models():
        yield "is not here; pick a model from the list"
        return
    if one.model not in predictors():
        yield "translates between spikes and behavior and has no answer about single neurons; choose another model"
        return
    manifest = _manifest(one.model)
    about = next((each for each in manifest.get("data", ()) if each["session"] == spec.session), None)
    if about is None:
        yield (
            "has not been trained on this recording, so it knows none of its neurons; fine-tune it on this recording "
            "(page Train) or choose another model"
        )
        return
    yield from _trained_elsewise(about, _identity(opened), manifest.get("pretrained_on", ()))


# What two models must share -> how to tell what each was trained with.
_SHARED: dict[str, Callable[[Any], str]] = {
    "event": lambda event: f"trials aligned to {plain(event)}",
    "window": lambda window: f"a window of {window[0]:g} to {window[1]:g} s",
    "bin_size": lambda size: f"bins of {1000 * size:g} ms",
}
_LEAK = "was trained with another split of this recording, so trials that are scored may have been its training trials"


def _trained_elsewise(about: dict[str, Any], own: dict[str, Any], before: Any) -> Iterator[str]:
    """about: the recording in the model's training; own: in this comparison; before: in the training of its trunk."""
    for name, told in _SHARED.items():
        if about[name] != own[name]:
            yield f"was trained with {told(about[name])}, the others with {told(own[name])}: {EXPLAINED}"
    if about["split_sha256"] != own["split_sha256"]:
        yield _LEAK
    if about.get("counts_sha256", own["counts_sha256"]) != own["counts_sha256"]:
        yield f"was trained on another version of this recording, with other spike counts: {EXPLAINED}"
    if any(each["session"] == own["session"] and each["split_sha256"] != own["split_sha256"] for each in before):
        yield _LEAK


def _identity(opened: Recording) -> dict[str, Any]:
    return _identity_of(opened.entry.id, opened.model)


@lru_cache(maxsize=8)
def _identity_of(session: str, model: str) -> dict[str, Any]:
    return identity(recording(session, model).trials)


def _notes(one: Contender, opened: Recording) -> Iterator[str]:
    if one.baseline:
        if one.baseline in NOTES:
            yield NOTES[one.baseline]
        return
    manifest = _manifest(one.model)
    trained, prompt = manifest.get("schemes", ()), PROMPT_NAMES[one.prompt]
    if not manifest.get("config", {}).get("prompted", True):
        yield "was built without prompts, so its prompt changes nothing"
    elif trained and one.prompt not in [str(scheme).lower() for scheme in trained]:
        yield f"was never trained with the {prompt} prompt; expect little of it"
