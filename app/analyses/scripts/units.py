"""The page "Units": whether the region can be read from what the model learned about each neuron."""

from __future__ import annotations

from ...recordings import catalogue, checkpoint
from ...spec import Spec
from ..embeddings import level_of
from .lines import SHOW, Script, literal, made, names

NOTHING = "None of this model's recordings is here, so there is no number to compute again."
IMPORTS = """\
import numpy as np

from mtm_core import open_model, open_session
from mtm_core.evaluation.firing_features import firing_features
from mtm_core.evaluation.region_probe import EMBEDDING, FIRING, Neurons, Settings, region_probe
from mtm_core.evaluation.unit_embeddings import joined, unit_embeddings
"""
SCORES = """
trained, parts, firing = {about["session"]: about for about in model.manifest["data"]}, [], []
for name in sessions:
    session, about = open_session(name), trained[name]
    trials = session.align(about["event"], tuple(about["window"]), about["bin_size"], level)
    parts.append(unit_embeddings(model, name, session.units, level))
    firing.append(firing_features(session, trials))
units = joined(parts)
features = {EMBEDDING: units.embedding, FIRING: np.concatenate(firing)}
*_, last = region_probe(features, Neurons(units.regions, units.sessions), Settings())
for protocol, probed in last.found.items():
    print(f"{protocol.value}: {probed.problem or 'balanced accuracy and macro F1, with 95 % intervals'}")
    for name, s in probed.scores.items():
        balanced, f1 = [s.balanced_accuracy, *s.balanced_accuracy_ci], [s.macro_f1, *s.macro_f1_ci]
        print(f"  {name}", *map(show, balanced), *map(show, f1))
    if probed.null is not None:
        for name, values in (("balanced accuracy", probed.null.balanced_accuracy), ("macro F1", probed.null.macro_f1)):
            print(f"  shuffled regions, {name}", *map(show, [np.mean(values), *np.quantile(values, [0.025, 0.975])]))
        print("  p", show(probed.null.p(probed.scores[EMBEDDING].balanced_accuracy)))
    for name, each in probed.against.items():
        print(f"  embedding minus {name}", *map(show, [each.balanced_accuracy, *each.balanced_accuracy_ci]))
"""
PICTURE = """\
import matplotlib.pyplot as plt

from mtm_core.evaluation.unit_map import map_2d
from mtm_core.regions import region_color

plane = map_2d(units.embedding, 0)
figure, axis = plt.subplots(figsize=(6, 5))
for region in np.unique(units.regions):
    chosen = units.regions == region
    axis.scatter(*plane.places[chosen].T, s=9, color=region_color(region), label=region)
axis.set(xlabel=plane.axes[0], ylabel=plane.axes[1], title="Neurons, by what the model learned about them")
axis.legend()
plt.show()
"""


def script(spec: Spec) -> Script:
    known = [about["session"] for about in checkpoint(spec.model).manifest.get("data", ())]
    here = [session for session in known if session in catalogue()]
    if not here:
        return Script(why=NOTHING)
    opening = (
        f"model = open_model({literal(spec.model)})\nsessions = {names(here)}\nlevel = {literal(level_of(spec))}\n"
    )
    return made(spec, spec.model, IMPORTS, SHOW + opening + SCORES, PICTURE)
