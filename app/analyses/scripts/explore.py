"""The page "Explore": bits per spike of what is hidden now."""

from __future__ import annotations

import numpy as np

from ...compute import default_prompt, looked_at, mask, picture
from ...recordings import MAX_TEST_TRIALS, Recording, recording
from ...spec import Hide, Spec, part
from ...words import plain
from .lines import UNKNOWN, Script, made, names, opening, runs

NOTHING = "Nothing is hidden, or no held-out trial is there, so there is no number to compute again."

IMPORTS = """\
import numpy as np
import pandas as pd
import torch

from mtm_core import open_model, open_session
from mtm_core.evaluation.metrics import spike_sums
from mtm_core.evaluation.tasks import train_means
from mtm_core.masking import Mask, Scheme, draw_mask, free_mask, region_codes
from mtm_core.predict import predict
"""
SCORES = """
rates = predict(model, test, mask.repeat(test.n_trials))  # expected spikes per bin: trials, bins, neurons
target = mask.repeat(test.n_trials).restrict(torch.as_tensor(test.valid)).target.numpy()
sums, null = spike_sums(rates, test.counts, target), train_means(trials)
bits, bits_train = sums.bits_per_spike(), sums.bits_per_spike(null)

print("Bits per spike of what is hidden; null: test mean, training mean")
print(f"Mean over neurons  {np.nanmean(bits):.2f}  {np.nanmean(bits_train):.2f}")
print(f"Median  {np.nanmedian(bits):.2f}  {np.nanmedian(bits_train):.2f}")
print(f"Pooled  {sums.pooled():.2f}  {sums.pooled(null):.2f}")
scored = target.any((0, 1))
table = pd.DataFrame({"region": trials.regions, "bits": bits})[scored].groupby("region")["bits"]
print(table.agg(["mean", "median", "count"]).to_string(float_format="{:.2f}".format))
"""
NEURON = """\
print(f"Neuron {neuron} of {trials.regions[neuron]}: {bits[neuron]:.2f} bits per spike")
"""
PICTURE = """\
import matplotlib.pyplot as plt

one = trials.select(np.array([TRIAL]))
shown = {"recorded spikes": one.counts[0], "what the model saw": np.where(mask.hidden[0], np.nan, one.counts[0]),
         "expected spikes": predict(model, one, mask)[0]}
figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
start, end = trials.window
for axis, (title, values) in zip(axes, shown.items()):
    axis.imshow(values.T, aspect="auto", origin="lower", extent=(start, end, 0, trials.n_neurons), cmap="Greys")
    axis.set(title=title, xlabel="time from stimulus (s)")
axes[0].set_ylabel("neuron")
plt.show()
"""


def script(spec: Spec) -> Script:
    opened = recording(spec.session, spec.model)
    if not opened.known:
        return Script(why=UNKNOWN)
    if not opened.test.size or not mask(spec.session, spec.model, spec.hide).target.any():
        return Script(why=NOTHING)
    shown = picture(part(spec, ("session", "model", "trial", "sort", "hide")))
    neuron = looked_at(shown, spec.neuron)
    one = f"neuron = {neuron}\n{NEURON}" if shown.target[:, neuron].any() else ""
    body = opening(spec, spec.model) + _test(opened) + _mask(opened, spec.hide) + SCORES + one
    return made(spec, spec.model, IMPORTS, body, PICTURE.replace("TRIAL", str(shown.trial)))


def _test(opened: Recording) -> str:
    """The held-out trials that are scored while one plays: at most so many, evenly spread."""
    if int((opened.trials.split == "test").sum()) <= MAX_TEST_TRIALS:
        return 'test = trials.select("test")\n'
    return (
        'positions = np.flatnonzero(trials.split == "test")\n'
        f"spread = np.linspace(0, positions.size - 1, {MAX_TEST_TRIALS}).round().astype(int)\n"
        "test = trials.select(positions[spread])\n"
    )


def _mask(opened: Recording, hide: Hide) -> str:
    """What is hidden in every trial, and the prompt with which the model is asked."""
    prompt = f"Scheme.{(hide.prompt or default_prompt(hide)).upper()}"
    shape = "shape = (1, trials.n_bins, trials.n_neurons)  # of one trial; all get the same mask\n"
    if hide.by_hand:
        return shape + _by_hand(opened, hide, prompt)
    rng = f"torch.Generator().manual_seed({hide.seed})"
    ratio = "" if hide.ratio < 0 else f", {hide.ratio / 100}"
    drawn = f"draw_mask(Scheme.{hide.scheme.upper()}, shape, region_codes(trials.regions), {rng}{ratio})"
    if not hide.prompt:
        return f"{shape}mask = {drawn}\n"
    return f"{shape}drawn = {drawn}\nmask = Mask(drawn.hidden, drawn.target, {prompt})\n"


def _by_hand(opened: Recording, hide: Hide, prompt: str) -> str:
    n_bins, n_neurons = opened.trials.n_bins, opened.trials.n_neurons
    there = {str(name) for name in opened.trials.regions}
    regions = sorted(name for name in there if plain(name) in hide.regions)
    chosen = runs([n for n in hide.neurons if n < n_neurons])
    if regions:
        inside = f"np.flatnonzero(np.isin(trials.regions, {names(regions)}))"
        chosen = f"[*{inside}]" if chosen == "[]" else f"[*{inside}, *{chosen}]"
    window = [min(edge, n_bins) for edge in hide.window]
    boxes = [
        f"*((n, n + 1, {box.bin0}, {min(box.bin1, n_bins)}) for n in "
        f"{runs(np.asarray(opened.order(box.sort)[box.row0 : box.row1]).tolist())})"
        for box in hide.boxes
    ]
    return (
        f"mask = free_mask(\n    shape,\n    neurons={chosen},\n    bins=range({window[0]}, {window[1]}),\n"
        f"    rectangles=[{', '.join(boxes)}],\n    scheme={prompt},\n)\n"
    )
