"""Sentences and names for people. Every name that comes from a file passes through `plain` before it is shown."""

from __future__ import annotations

import numpy as np

MAX_NAME = 64
# Some widgets and panes render text as HTML. Look-alikes keep a name readable and make it harmless everywhere.
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "&": "＆", '"': "″", "`": "′"})

SCHEME_NAMES = {
    "hand": "By hand",
    "neuron": "Neurons (co-smoothing)",
    "causal": "Time, from the past only (causal)",
    "intra_region": "Neurons within one region",
    "inter_region": "A whole region",
    "temporal": "Random time bins",
    "random_token": "Random patches",
}
PROMPT_NAMES = {
    "neuron": "neuron",
    "causal": "causal",
    "intra_region": "intra-region",
    "inter_region": "inter-region",
    "temporal": "temporal",
    "random_token": "random token",
}
TASK_NAMES = {
    "co_smoothing": "Co-smoothing",
    "forward_prediction": "Forward prediction",
    "intra_region": "Intra-region",
    "inter_region": "Inter-region",
}
BASELINE_NAMES = {
    "train_mean": "Training mean",
    "psth": "PSTH",
    "condition_psth": "PSTH by condition",
    "coupling": "Population coupling",
    "ridge": "Ridge regression",
    "reduced_rank": "Reduced-rank regression",
    "autoregression": "Autoregression",
    "true_rates": "True rates (ceiling)",
}

# What the words in the heads of tables mean, for the pointer; the Help tab says it at more length.
TIPS = {
    "Mean": "Mean over the scored neurons. Every neuron weighs the same, however few spikes it fires.",
    "Mean over neurons": "Every scored neuron weighs the same, however few spikes it fires.",
    "Median": "Half of the scored neurons are better, half are worse.",
    "Pooled": "Summed gain over summed spikes: busy neurons weigh more.",
    "Null: test mean": "Compared with a flat guess at each neuron's mean rate in the same scored entries.",
    "Null: training mean": "Compared with a flat guess at each neuron's mean rate in the training trials.",
    "Mean, training null": "Mean over neurons, compared with a flat guess at the mean rate in the training trials.",
    "Pooled, training null": "Pooled, compared with a flat guess at the mean rate in the training trials.",
    "D²": "Share of the explainable Poisson deviance that is explained, mean over neurons. 1 would be knowing every "
    "single spike, which no rate can.",
    "Ceiling": "What the rates that generated the spikes score. Only a simulation knows them.",
    "not measurable": "No two trials of a recording are repeats of one another, so nobody knows how well one can be "
    "predicted.",
    "95 % interval": "Over resampled test trials: how far the number would move with other trials of the same neurons.",
    "Minus baseline": "The model's score minus the baseline's, on the same neurons and trials; above 0 the model is "
    "better.",
    "Model minus it, mean": "Paired difference, mean over neurons; above 0 the model is better.",
    "Model minus it, pooled": "Paired difference of the pooled scores; above 0 the model is better.",
    "Better / worse": "Neurons that the model predicts better, and worse, than this baseline.",
    "Sign test": "Probability of a split at least as uneven if both were equally good. Neurons share trials, so it is "
    "too sure of itself.",
    "Scored": "Neurons with hidden entries and at least one spike in them.",
    "Silent": "Neurons with hidden entries but no spike in them: a score per spike does not exist.",
    "Not scored": "Neurons of which nothing that counts is hidden now.",
    "Excluded": "Never asked about in this task: region unknown, or alone in its region.",
    "Outputs changed": "Predicted rates that differ by at least one bit from those of the unchanged recording.",
}


def plain(text: object) -> str:
    """Text from a file as one short printable line without markup."""
    line = "".join(c if c.isprintable() else " " for c in str(text)).translate(_HARMLESS)
    return line if len(line) <= MAX_NAME else line[: MAX_NAME - 1] + "…"


def count(number: int, noun: str) -> str:
    """1 neuron, 1,200 neurons."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"


def seconds(value: float) -> str:
    """Time left, rounded as one would say it."""
    return f"{value:.0f} s" if value < 90 else f"{value / 60:.0f} min"


def number(value: float | None, digits: int = 2) -> str:
    """A score with a real minus sign; "–" where it is not defined."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def interval(ends: tuple[float, float] | None, digits: int = 3) -> str:
    """0.433 to 0.461; nothing where there is none."""
    return "" if ends is None else f"{number(ends[0], digits)} to {number(ends[1], digits)}"


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of True as (start, end), end excluded."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
