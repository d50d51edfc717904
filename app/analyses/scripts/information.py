"""The page "Map": what regions tell of each other."""

from __future__ import annotations

from ...recordings import Recording, recording
from ...spec import Hide, Spec
from ...words import plain
from ..information import kept
from .lines import SHOW, UNKNOWN, Script, align, made, names, opening, runs

IMPORTS = """\
import numpy as np

from mtm_core import open_model, open_session
from mtm_core.evaluation.information.context import context_loss
from mtm_core.evaluation.information.map import Kind, Settings, information_map

"""
MAPS = """
for kind in KINDS:  # lost: without the source; alone: from nothing but the source
    *_, (_, found) = information_map(model, trials, Settings(kind=Kind(kind)))
    columns = ["source", "target", "gain_mean", "ci_low", "ci_high", "gain_pooled", "control", "p", "q"]
    print(f"{kind}: bits per spike that a source region adds to a target region")
    print(found.table[columns].to_string(index=False, float_format=show))
"""
CONTEXT = """
*_, (_, loss) = context_loss(model, trials, hidden)
print("What each region loses without the context, bits per spike")
print(loss.regions.to_string(index=False, float_format=show))
"""
PICTURE = """\
import numpy as np
import matplotlib.pyplot as plt

gain, n = found.matrix("gain_mean"), len(found.regions)
figure, axis = plt.subplots(figsize=(5, 4))
most = np.nanmax(np.abs(gain))
image = axis.imshow(gain, cmap="PuOr", vmin=-most, vmax=most)
axis.set(xticks=range(n), xticklabels=found.regions, yticks=range(n), yticklabels=found.regions)
axis.set(xlabel="target region", ylabel="source region", title=f"Information map, {found.kind}")
figure.colorbar(image, label="bits per spike")
plt.show()
"""


def script(spec: Spec) -> Script:
    opened = recording(spec.session, spec.model)
    if not opened.known:
        return Script(why=UNKNOWN)
    kinds = list(kept(spec)) or ["lost"]
    body = SHOW + opening(spec, spec.model, spec.level)
    body += MAPS.replace("KINDS", names(kinds)) + _context(opened, spec.hide)
    return made(spec, spec.model, IMPORTS, body, PICTURE)


def _context(opened: Recording, hide: Hide) -> str:
    """The loss without what is hidden by hand; nothing where nothing is."""
    there = {str(name) for name in opened.trials.regions}
    regions = sorted(name for name in there if plain(name) in hide.regions)
    neurons = [n for n in hide.neurons if n < opened.trials.n_neurons]
    if not hide.by_hand or not (regions or neurons):
        return ""
    flags = f"\nhidden = np.isin(trained.regions, {names(regions)})\n"
    one = f"hidden[{runs(neurons)}] = True\n" if neurons else ""
    return f"\ntrained = session.{align(opened)}" + flags + one + CONTEXT
