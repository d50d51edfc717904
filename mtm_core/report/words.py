"""Names, numbers and explanations of the report: what a reader sees instead of keys and floats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

MAX_NAME = 80  # characters; longer names from files are cut
LARGEST = 1e12  # no score, count or rate comes near it
MINUS, NOTHING = "\N{MINUS SIGN}", "\N{EN DASH}"

TASKS = {
    "co_smoothing": "Co-smoothing",
    "forward_prediction": "Forward prediction",
    "intra_region": "Intra-region",
    "inter_region": "Inter-region",
    "held_out_set": "Held-out set",
}
MEASURES = {"mean": "mean over neurons", "pooled": "pooled over spikes"}
BASELINES = {
    "train_mean": "Training mean",
    "test_mean": "Test mean",
    "psth": "PSTH",
    "condition_psth": "Condition PSTH",
    "coupling": "Population coupling",
    "reduced_rank": "Reduced rank",
    "ridge": "Ridge regression",
    "autoregression": "Autoregression",
    "untrained": "Untrained model",
    "true_rates": "True rates",
}
CEILING = "true_rates"
# No competitors, as they know what no model may know: name -> what the table says of them.
ORACLES = {CEILING: "ceiling, cannot be beaten", "test_mean": "flat guess that knows the test trials"}
MODEL = "Model"

# What a number is, in the words of the page's glossary: anchor -> (term, explanation).
GLOSSARY = {
    "bps": (
        "Bits per spike",
        "How much better the predicted rates explain the held-out spikes than a flat guess does, per spike and in base "
        "2: Poisson log likelihood of the prediction minus that of the flat guess, divided by the number of spikes and "
        "by log 2. 0 is as good as the flat guess, below 0 is worse. There is no fixed maximum; compare only within "
        "one protocol.",
    ),
    "mean": (
        "Mean over neurons",
        "Every scored neuron weighs the same, however few spikes it fired. The MtM paper reports this number. A few "
        "near-silent neurons can move it a lot.",
    ),
    "median": ("Median", "Half of the scored neurons are predicted better than this, half worse."),
    "pooled": (
        "Pooled",
        "Summed gain of all neurons over their summed spikes, as NLB and BrainWideBench report it. Busy neurons weigh "
        "more. Not the same number as the mean over neurons, and not comparable with it.",
    ),
    "d2": (
        "Poisson D\N{SUPERSCRIPT TWO}",
        "Share of the explainable Poisson deviance that the prediction explains, mean over neurons: 0 is the flat "
        "guess, 1 would be knowing every single spike, which no rate can.",
    ),
    "null": (
        "Null: test mean, training mean",
        "The flat guess. Test mean: each neuron's mean over the same scored entries, which no model may know (MtM, "
        "NLB). Training mean: its mean over the training trials, which a model may know. Where rates drift between "
        "training and test trials, a score against the training mean is higher.",
    ),
    "ci": (
        "95 % interval",
        "Percentile interval over resampled test trials. It says how much the number would move with other trials of "
        "the same neurons and the same model; it says nothing about other neurons, animals or training seeds.",
    ),
    "ceiling": (
        "Ceiling",
        "The score of a perfect prediction of the same entries. For simulated sessions it is the score of the rates "
        "that generated the spikes. A recording has no exact repeats of a trial, so its ceiling is not measurable.",
    ),
    "counts": (
        "Scored, silent, excluded",
        "Scored: neurons with a score. Silent: targets without a spike in the scored entries; a score per spike does "
        "not exist and none is invented. Excluded: never a target of the task, as the region is unknown or the neuron "
        "is alone in its region.",
    ),
    "difference": (
        "Paired difference",
        "Model minus baseline on the same neurons and the same trials; above 0 the model is better. Its interval "
        "resamples the same trials for both.",
    ),
    "sign": (
        "Sign test",
        "Of the neurons with a score from both: how many the model predicts better and how many worse, and the "
        "two-sided probability of a split at least as uneven if both were equally good. Neurons of one session share "
        "trials, so the test is too sure of itself; it is not corrected for the number of comparisons.",
    ),
    "winner": (
        "Who is better",
        "Decided by the intervals of the paired differences alone: better where the interval of the mean or of the "
        "pooled difference lies on one side of 0, and only that one is named if the other includes 0. Undecided where "
        "both include 0. Mixed where the two lie on opposite sides.",
    ),
    "tasks": (
        "Tasks",
        "Co-smoothing: one neuron is hidden and predicted from all others. Forward prediction: the last tenth of "
        "the bins is hidden and predicted from the past. Intra-region: one neuron is predicted from the others of its "
        "region alone. Inter-region: a whole region is hidden and predicted from the other regions. Held-out set: a "
        "set of neurons is hidden at once and predicted from the others.",
    ),
    "baselines": (
        "Baselines",
        "What a model has to beat, fitted on training trials and tuned on validation trials. Training mean: each "
        "neuron's mean rate. PSTH: its mean response over training trials, smoothed in time. Condition PSTH: the same "
        "per kind of trial, by the labels of the test trial but none of its spikes. Population coupling: follows "
        "the summed activity of the visible neurons. Ridge regression: linear in all visible neurons; reduced rank: "
        "through a few shared dimensions. Autoregression: Poisson regression on the past. Untrained model: the same "
        "architecture before training. Any other name is another checkpoint, asked the same questions.",
    ),
    "oracles": (
        "Oracles",
        "No competitors, as they know what no model may know. Test mean: each neuron's mean over the scored entries, "
        "from which the score is measured; it scores 0 by definition. True rates: those that generated a simulated "
        "session.",
    ),
    "few_shot": (
        "Few-shot co-smoothing",
        "Held-out neurons are read out from the model's latent states by a Poisson regression that has only so many "
        "training trials to learn from, and scored on the test trials. Principal components of the visible neurons are "
        "there for comparison.",
    ),
    "rate": ("Firing rate", "Mean over the training trials, in spikes per second (Hz)."),
}


def plain(text: object, most: int = MAX_NAME) -> str:
    """Text from a file as one short printable line; the template escapes its markup."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return line if len(line) <= most else line[: most - 1] + "…"


def task_name(task: str) -> str:
    return TASKS.get(task) or plain(task.replace("_", " ").capitalize())


def baseline_name(name: str) -> str:
    """A name of ours in words; another checkpoint keeps the name of its folder."""
    return BASELINES.get(name) or plain(name)


def within(name: str) -> str:
    """A name in the middle of a sentence: "ridge regression", but "PSTH"."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def real(value: Any) -> float | None:
    """A finite number, or None for anything else that a file may hold in its place."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < LARGEST else None  # not for NaN either


def whole(value: Any) -> int:
    """A count; 0 for anything else."""
    found = real(value)
    return 0 if found is None else int(found)


def pair(value: Any) -> tuple[float, float] | None:
    """An interval with two finite ends, or None."""
    ends = [real(end) for end in value] if isinstance(value, list | tuple) else []
    return (ends[0], ends[1]) if len(ends) == 2 and None not in ends else None


def number(value: Any, digits: int = 3, signed: bool = False) -> str:
    """Fixed digits with a real minus sign and no negative zero; an en dash where there is no number."""
    found = real(value)
    if found is None:
        return NOTHING
    text = f"{found:{'+' if signed else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def interval(value: Any, digits: int = 3, signed: bool = False) -> str:
    """[low, high], or nothing."""
    ends = pair(value)
    return "" if ends is None else f"[{number(ends[0], digits, signed)}, {number(ends[1], digits, signed)}]"


def probability(value: Any) -> str:
    """A p value, with a power of ten where it is small."""
    found = real(value)
    if found is None:
        return NOTHING
    if found >= 0.001:
        return f"{found:.3f}"
    return ("< 1e-300" if found == 0 else f"{found:.0e}").replace("-", MINUS)


def count(n: int, noun: str) -> str:
    """1 neuron, 1,200 neurons."""
    return f"{n:,} {noun if n == 1 else noun + 's'}"


def listed(items: Iterable[str], last: str = "and") -> str:
    """a, b and c"""
    words = list(items)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def what(anchor: str) -> Markup:
    """The "?" that leads to the explanation of a number."""
    term, text = GLOSSARY[anchor]
    link = Markup('<a class="what" href="#what-{}" title="{}" aria-label="What is {}?">?</a>')
    return link.format(anchor, text, term)
