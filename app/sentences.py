"""What is on the screen, in sentences: for people who listen, for people who are new, and for the tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .compute import Picture, Scores
from .recordings import Recording
from .words import count, number, runs

MOST_REGIONS = 3  # named in one sentence


@dataclass(frozen=True)
class Tally:
    """Entries (neuron x bin), and neurons and bins with at least one of them."""

    entries: int
    neurons: int
    bins: int


def tally(flags: np.ndarray) -> Tally:
    """flags (T, N)."""
    return Tally(int(flags.sum()), int(flags.any(0).sum()), int(flags.any(1).sum()))


def tallies(picture: Picture) -> dict[str, Tally]:
    """Every entry is in exactly one of the three groups."""
    return {
        "seen": tally(~picture.hidden),
        "scored": tally(picture.target),
        "unscored": tally(picture.hidden & ~picture.target),
    }


def status(picture: Picture, scores: Scores | None, working: bool = True) -> str:
    """What is hidden and how well it is reconstructed."""
    return f"{hidden_sentence(picture)} {score_sentence(picture, scores, working)}"


def hidden_sentence(picture: Picture) -> str:
    target, hidden = picture.target, picture.hidden
    if not hidden.any():
        return "Nothing is hidden: the model sees every spike."
    whole, times = target.all(1), target.all(0)
    parts = []
    if times.all():
        parts.append("every neuron in every bin")
    elif times.any():
        parts.append(_neurons(picture.recording, times))
    if whole.any() and not whole.all():
        parts.append(_bins(picture.recording, whole))
    rest = int((target & ~whole[:, None] & ~times[None]).sum())
    if rest:
        parts.append(f"{count(rest, 'entry')} in boxes" if parts else count(rest, "single entry"))
    elsewhere = int((hidden & ~target).sum())
    extra = f" {count(elsewhere, 'entry')} more are hidden but not scored." if elsewhere else ""
    return f"Hidden: {', and '.join(parts) or 'nothing that is scored'}.{extra}"


def _neurons(recording: Recording, flags: np.ndarray) -> str:
    """42 neurons of CA1; 12 neurons of CA1 and 3 of DG."""
    names, numbers = np.unique(recording.region_names[flags], return_counts=True)
    if len(names) > MOST_REGIONS:
        return f"{count(int(flags.sum()), 'neuron')} of {len(names)} regions"
    all_of = np.array([(recording.region_names == name).sum() for name in names]) == numbers
    pieces = [f"{n} of {name}" for n, name in zip(numbers, names, strict=True)]
    pieces[0] = f"{count(int(numbers[0]), 'neuron')} of {names[0]}"
    return " and ".join(pieces) + (" (all of it)" if len(names) == 1 and all_of[0] else "")


def _bins(recording: Recording, flags: np.ndarray) -> str:
    stretches = runs(flags)
    if len(stretches) > 1:
        return f"{int(flags.sum())} of {count(flags.size, 'bin')} of all neurons"
    start, end = recording.times[list(stretches[0])]
    return f"all neurons from {number(start)} s to {number(end)} s"


def score_sentence(picture: Picture, scores: Scores | None, working: bool = True) -> str:
    if not picture.recording.known:
        return "The model has not been trained on this recording, so nothing is reconstructed."
    if not picture.target.any():
        return "Hide something to see what the model makes of it."
    if scores is None:
        return "Scoring the held-out trials…" if working else "There is no score for it."
    valid = scores.bits[np.isfinite(scores.bits)]
    mean = number(float(valid.mean())) if valid.size else "–"
    silent = int(scores.silent.sum())
    partial = f" so far ({scores.n_done} of {scores.n_trials})" if scores.n_done < scores.n_trials else ""
    return (
        f"Reconstructed at {mean} bits per spike: mean of {count(valid.size, 'neuron')} over "
        f"{count(scores.n_done, 'held-out trial')}{partial}; {silent} silent."
    )


def trial_sentence(recording: Recording, trial: int) -> str:
    """The task in this trial, as far as it is known, and the part of the split."""
    facts = {name: values[trial] for name, values in recording.trials.behaviors.items() if np.ndim(values) == 1}
    parts = []
    contrast, choice, reward = (facts.get(name, np.nan) for name in ("contrast", "choice", "reward"))
    if np.isfinite(contrast):
        side = "no stimulus" if contrast == 0 else f"stimulus {'right' if contrast > 0 else 'left'} {abs(contrast):.0%}"
        parts.append(side)
    if np.isfinite(choice):
        parts.append({1: "choice left", -1: "choice right"}.get(int(choice), "no choice"))
    if np.isfinite(reward):
        parts.append("rewarded" if reward > 0 else "not rewarded")
    part = str(recording.trials.split[trial])
    parts.append("held out from training" if part == "test" else f"{part} trial, which the model has seen")
    text = ", ".join(parts) + "."
    return text[0].upper() + text[1:]


def unknown_session(recording: Recording) -> str:
    """What to do when the model was not trained on the recording; empty if it was."""
    if recording.known:
        return ""
    session = recording.entry.id
    return (
        "This model has not been trained on this recording: rasters and masks work, reconstructions and scores do not. "
        f"Fine-tune it on this recording (page Train), or train one with: mtm train --session {session} "
        f"--out runs/{session} and open the app with MTM_CHECKPOINTS=runs"
    )
