"""The page in sentences: the real numbers of every step, and what each scheme hides in this trial."""

from __future__ import annotations

import numpy as np

from ...analyses.masking import Inside, SchemeMask, expected, trial_bits
from ...chain import STEPS, Chain
from ...compute import Picture
from ...sentences import hidden_sentence, tallies
from ...words import PROMPT_NAMES, count, number
from .shown import Trial

N_PREFIX = 2  # session and prompt token
TITLES = {
    "counts": "Counts X",
    "mask": "Mask M",
    "read": "What it reads",
    "tokens": "Tokens",
    "attention": "Attention",
    "rates": "Rates λ",
    "sample": "Sample X̂",
}
# scheme -> the question it asks
QUESTIONS = {
    "neuron": "What would this neuron do, given all the others? Random neurons are hidden in all bins.",
    "causal": "What comes next? Bins of all neurons are hidden, and only earlier bins may be read.",
    "intra_region": "How much do neighbors know? Only one region is shown, and some of its neurons are asked for.",
    "inter_region": "What do other regions know about this one? All its neurons are hidden.",
    "temporal": "What happened in the gaps? Random bins of all neurons are hidden; both sides may be read.",
    "random_token": "Which piece fits here? Random blocks of 128 neurons in one bin are hidden.",
}


def shapes(shown: Trial | None) -> list[str]:
    """The size of what each step holds, in the order of STEPS."""
    if shown is None:
        return [""] * len(STEPS)
    n_bins, n_neurons = shown.picture.counts.shape
    table, inside = f"{n_bins} bins × {n_neurons:,} neurons", shown.inside
    if inside is None:
        return [table, table, table, "", "", "", ""]
    tokens = f"{inside.sequence.shape[0]} tokens × {inside.sequence.shape[1]}"
    heads = f"{inside.weights.shape[0]} layers × {inside.weights.shape[1]} heads"
    return [table, table, table, tokens, heads, table, table]


def numbers(step: str, shown: Trial, chain: Chain) -> str:
    """The facts of one step for the present trial."""
    if step in ("counts", "mask"):
        return _SAID[step](shown.picture)
    if shown.inside is None:
        return shown.problem
    if step in ("read", "tokens"):
        return _SAID[step](shown.picture, shown.inside)
    return attention(shown.picture, shown.inside, chain) if step == "attention" else _SAID[step](shown.picture)


def counts(picture: Picture) -> str:
    n_bins, n_neurons = picture.counts.shape
    ms = 1000 * picture.recording.trials.bin_size
    return (
        f"Trial {picture.trial}: {n_bins} bins of {ms:.0f} ms × {n_neurons:,} neurons = {n_bins * n_neurons:,} "
        f"numbers, {(picture.counts == 0).mean():.0%} of them 0. {count(int(picture.counts.sum()), 'spike')} in all."
    )


def masked(picture: Picture) -> str:
    found = tallies(picture)
    parts = [f"{found[name].entries:,} {words}" for name, words in _KINDS.items()]
    return f"{hidden_sentence(picture)} Of {picture.counts.size:,} entries: {', '.join(parts)}."


_KINDS = {"seen": "seen", "scored": "hidden and scored", "unscored": "hidden but not asked about"}


def read(picture: Picture, inside: Inside) -> str:
    total, lost = int(picture.counts.sum()), int(picture.counts[picture.hidden].sum())
    kept = f"Of {count(total, 'spike')} the model sees {total - lost:,}; {lost:,} are hidden."
    if inside.read.signal is None and not inside.released:
        return f"{kept} This model has no signal for hidden: to it a hidden count is one that is not unusual."
    if inside.read.signal is None:
        return (
            f"{kept} These are the authors' weights: they read raw counts and write 0 for hidden, so that hidden and "
            "silent look the same. On the right are the counts."
        )
    if not picture.hidden.any():
        return f"{kept} Nothing is hidden, so there is no signal for it."
    return (
        f"{kept} The learned signal of a hidden neuron has a mean length of {number(inside.read.hidden_length)}; "
        f"one spike more moves a token by {number(inside.read.spike_length)} on average."
    )


def tokens(picture: Picture, inside: Inside) -> str:
    n_tokens, width = inside.sequence.shape
    n_bins, n_neurons = picture.counts.shape
    per_bin = "one per bin" if inside.n_patches == 1 else f"{inside.n_patches} per bin, each of a patch of neurons"
    return (
        f"{n_tokens} tokens of {width} numbers: recording (S), prompt “{PROMPT_NAMES[picture.prompt]}” (P) and "
        f"{per_bin}. {n_bins * n_neurons:,} entries became {n_tokens * width:,} numbers. "
        f"The whole model has {inside.n_parameters:,} learned numbers."
    )


def attention(picture: Picture, inside: Inside, chain: Chain) -> str:
    """Where the bins read, on average over the readers."""
    weights, (layer, head) = chosen(inside, chain), place(inside, chain)
    inner = weights[N_PREFIX:, N_PREFIX:]
    own, earlier, later = np.trace(inner), np.tril(inner, -1).sum(), np.triu(inner, 1).sum()
    session, prompt = weights[N_PREFIX:, 0].sum(), weights[N_PREFIX:, 1].sum()
    shares = [f"{value / len(inner):.0%}" for value in (own, earlier, later, session, prompt)]
    which = f"head {head}" if head else "mean of all heads"
    ahead = f"exactly {shares[2]} to later bins" if inside.causal and later == 0 else f"{shares[2]} to later bins"
    patches = f" A bin's {inside.n_patches} patches are shown as one." if inside.n_patches > 1 else ""
    return (
        f"Layer {layer}, {which}: on average a bin gives {shares[0]} to itself, {shares[1]} to earlier bins, {ahead}, "
        f"{shares[3]} to the session token (S) and {shares[4]} to the prompt (P).{patches}"
    )


def place(inside: Inside, chain: Chain) -> tuple[int, int]:
    """Layer (from 1) and head (from 1; 0 for the mean) that exist in this model."""
    n_layers, n_heads = inside.weights.shape[:2]
    return min(chain.layer, n_layers), min(chain.head, n_heads)


def chosen(inside: Inside, chain: Chain) -> np.ndarray:
    """The weights (2 + T, 2 + T) of the chosen layer and head."""
    layer, head = place(inside, chain)
    return inside.weights[layer - 1, head - 1] if head else inside.weights[layer - 1].mean(0)


def rates(picture: Picture) -> str:
    if not picture.target.any():
        return "Nothing that is scored is hidden, so there is nothing to compare."
    guess, truth = expected(picture)
    said = (
        f"In the {int(picture.target.sum()):,} scored entries the model expects {guess:,.1f} spikes; "
        f"{truth:,} were recorded."
    )
    if picture.recording.trials.split[picture.trial] != "test":
        return f"{said} The model has met this trial in training, so a score of it would flatter: choose a test trial."
    return (
        f"{said} In this trial that is {number(trial_bits(picture))} bits per spike (pooled, against each neuron's "
        "mean rate in training)."
    )


def sampled(picture: Picture, drawn: np.ndarray) -> str:
    if not picture.target.any():
        return "Nothing that is scored is hidden, so nothing is drawn."
    guess, truth = expected(picture)
    same = float((drawn == picture.counts)[picture.target].mean())
    return (
        f"Drawn {int(drawn[picture.target].sum()):,} spikes in the scored entries, where {guess:,.1f} were expected "
        f"and {truth:,} recorded. {same:.0%} of the scored entries came out as recorded, mostly because both are 0."
    )


_SAID = {"counts": counts, "mask": masked, "read": read, "tokens": tokens, "rates": rates, "sample": rates}


def scheme_numbers(found: SchemeMask) -> str:
    """How much a scheme hides in this trial."""
    if found.problem:
        return found.problem
    n_bins, n_neurons = found.hidden.shape
    scored, hidden = found.target, found.hidden
    if not scored.any():
        return "This draw asks about nothing: draw again."
    if hidden.all(0)[hidden.any(0)].all() and not hidden.all():
        extra = int((hidden & ~scored).any(0).sum())
        more = f"; {extra} more are hidden" if extra else ""
        return f"Here: {int(scored.any(0).sum())} of {n_neurons:,} neurons{more}."
    if hidden.all(1)[hidden.any(1)].all():
        return f"Here: {int(scored.any(1).sum())} of {n_bins} bins, all neurons."
    return f"Here: {scored.mean():.0%} of all entries."
