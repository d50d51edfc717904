"""The page "Translate": scores of what is hidden, over the test trials."""

from __future__ import annotations

from mtm_core.modality import SPIKES

from ...recordings import recording
from ...spec import Spec
from ..models import translator_of
from ..translation_scores import hidden_bins
from .lines import UNKNOWN, Script, literal, made, opening

NO_MODEL = "There is no model that translates between spikes and behavior, so there is no number to compute again."
NOTHING = "Nothing is hidden, so there is nothing to score."
IMPORTS = """\
from mtm_core import open_model, open_session
from mtm_core.evaluation.hidden_modalities import hidden_scores
from mtm_core.masking_modalities import hide
from mtm_core.translate import translate
"""
SCORES = """
found = translate(model, test, mask)
scores = hidden_scores(found, trials, mask)
for (modality, measure), score in scores.measures.items():
    if score.value is None:
        print(f"{modality}, {measure}: not measurable, {score.reason}")
        continue
    ends = "" if score.ci is None else " ({:.3f} to {:.3f})".format(*score.ci)
    print(f"{modality}, {measure}: {score.value:.3f}{ends}")
for behavior, chance in scores.chance.items():
    print(f"{behavior}, no skill: {chance:.2f}")
if scores.ceiling is not None:
    print(f"spikes, ceiling: {scores.ceiling:.3f}")
"""
PICTURE = """\
import matplotlib.pyplot as plt

known = {name: score for name, score in scores.measures.items() if score.value is not None}
figure, axis = plt.subplots(figsize=(7, 0.4 * len(known) + 1.2))
labels = [f"{modality}, {measure}" for modality, measure in known]
axis.barh(labels, [score.value for score in known.values()])
axis.set(xlabel="score (bits per spike, R2 or share of right trials)", ylabel="what is predicted")
axis.invert_yaxis()
figure.tight_layout()
plt.show()
"""


def script(spec: Spec) -> Script:
    model = translator_of(spec.session, spec.translator)
    if not model:
        return Script(why=NO_MODEL)
    opened, told = recording(spec.session, model), spec.translation
    if not opened.known:
        return Script(why=UNKNOWN)
    if not told.hidden:
        return Script(why=NOTHING)
    flags = hidden_bins(told, opened.trials.n_bins)
    span = f"({int(flags.argmax())}, {int(flags.argmax() + flags.sum())})"
    behaviors = ", ".join(f"{literal(name)}: bins" for name in told.hidden if name != SPIKES.name)
    spikes = "bins" if SPIKES.name in told.hidden else "None"
    mask = (
        'test = trials.select("test")\n'
        f"bins = {span}  # that are hidden, end excluded\n"
        f"mask = hide((test.n_trials, test.n_bins), spikes={spikes}, behaviors={{{behaviors}}})\n"
    )
    return made(spec, model, IMPORTS, opening(spec, model) + mask + SCORES, PICTURE)
