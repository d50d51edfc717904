"""What the form of the page "Train" may ask for, and the run that it begins."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path

from mtm_core import runs
from mtm_core.runs import Request, Run
from mtm_core.runs.request import BINS_MS, check_recordings, present_cache
from mtm_core.training.presets import BY_MODEL

from ..recordings import Entry, catalogue, listed, models, runs_changed, runs_now
from ..words import plain
from .models import model_facts
from .training import COMMANDS, must_be_allowed, session_name

MTM, NEDS = "mtm", "neds"
NETWORKS = {"Neurons from neurons (MtM)": MTM, "Spikes from behavior and back (NEDS)": NEDS}


@dataclass(frozen=True)
class Form:
    """What a visitor filled in."""

    kind: str  # scratch, pretrain or finetune
    network: str  # of NETWORKS; of a fine-tuned model: what it is
    sessions: tuple[str, ...]
    model: str  # to fine-tune
    schemes: tuple[str, ...]
    preset: str
    minutes: float
    name: str
    only_stitcher: bool
    bin_ms: int = 20


def start(form: Form) -> Run:
    """Begin the run that a form describes; ValueError with a sentence if it cannot be."""
    must_be_allowed()
    run = runs.start(request_of(form))
    runs_changed()
    return run


def request_of(form: Form) -> Request:
    tuned = form.kind == "finetune"
    if tuned and form.model not in models():
        raise ValueError(f"there is no model named {plain(form.model)}; pick one from the list")
    if tuned and model_facts(form.model).translates != (form.network == NEDS):
        raise ValueError("the model to start from predicts something else; pick one from the list")
    if tuned and model_facts(form.model).released:
        raise ValueError("released weights run as they are; choose a model that was trained with this program")
    return Request(
        command=COMMANDS[form.kind],
        sessions=form.sessions,
        name=" ".join(form.name.split()) or _not_taken(default_name(form)),
        model=form.network,
        preset=form.preset,
        schemes=form.schemes,
        minutes=form.minutes,
        bin_ms=form.bin_ms,
        checkpoint=str(Path(models()[form.model]).absolute()) if tuned else "",
        only_stitcher=tuned and form.only_stitcher,
        cache_dir=present_cache(),
    )


def default_name(form: Form) -> str:
    """What the run is called if the visitor says nothing."""
    named = [session_name(session) for session in form.sessions]
    where = named[0] if len(named) == 1 else f"{len(named)} recordings"
    what = {"scratch": "Scratch", "pretrain": "Pre-trained", "finetune": "Fine-tuned"}[form.kind]
    what = what if form.network == MTM or form.kind == "finetune" else f"{what} NEDS"
    return f"{what}: {where}" if named else what


def _not_taken(name: str) -> str:
    """Two runs that nobody named can be told apart."""
    taken = {run.title for run in runs_now()}
    return next(each for n in count(1) if (each := name if n == 1 else f"{name}, {n}") not in taken)


def usable() -> dict[str, str]:
    """Label -> id of every recording that a model can be trained on."""
    return {
        " · ".join([e.subject, e.date, f"{e.n_neurons} neurons", f"{e.n_trials} trials", short(e)]): e.id
        for e in catalogue().values()
        if not e.problem
    }


def short(entry: Entry) -> str:
    return entry.id if entry.simulated else entry.id[:8]


def problem(form: Form) -> str:
    """Why the form cannot be started; "" if it can. Before it is sent, so that the visitor sees it while choosing."""
    try:
        if not form.sessions or (form.kind == "pretrain" and len(form.sessions) < 2):
            raise ValueError("choose at least two recordings" if form.kind == "pretrain" else "choose a recording")
        check_recordings(form.sessions, listed())
        if not form.schemes and form.kind != "finetune" and form.network == MTM:
            raise ValueError("choose at least one masking scheme")
        request_of(form)
    except ValueError as error:
        return str(error)
    return ""


def bin_sizes() -> dict[str, int]:
    """Label -> ms."""
    return {f"{ms} ms": ms for ms in BINS_MS}


def preset_words(network: str) -> dict[str, str]:
    """name -> one line about a size of model."""
    return {name: preset.about for name, preset in BY_MODEL[network].items()}
