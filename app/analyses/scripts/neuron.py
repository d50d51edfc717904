"""The page "Neuron": one prediction judged."""

from __future__ import annotations

from ...recordings import recording
from ...spec import Spec
from ..neuron_scores import NAMES
from ..single_neuron import SEED, one_neuron
from .lines import UNKNOWN, Script, literal, made, opening

IMPORTS = """\
import numpy as np

from mtm_core import open_model, open_session
from mtm_core.evaluation.single_neuron.calibration import calibration
from mtm_core.evaluation.single_neuron.judge import judge
from mtm_core.evaluation.single_neuron.trials import predicted_trials
"""
SCORES = """

def text(measured):
    if measured is None or measured.value is None:
        return "not measurable"
    ends = "" if measured.interval is None else " ({:.2f} to {:.2f})".format(*measured.interval)
    return f"{measured.value:.2f}{ends}"


for name in NAMES:
    found = getattr(scores, name)
    print(f"{name}: {text(found.measured)}; ceiling {text(found.ceiling.measured)}; "
          f"if Poisson {text(found.ceiling.if_poisson)}")
print(f"calibration slope: {text(line.slope)}; observed / expected: {text(line.ratio)}")
"""
PICTURE = """\
import matplotlib.pyplot as plt

times = one.bin_starts + one.bin_size / 2
figure, axis = plt.subplots(figsize=(6, 3.5))
axis.plot(times, np.nanmean(one.hz(one.counts), axis=0), label="recorded")
axis.plot(times, np.nanmean(one.hz(one.rates), axis=0), label="predicted")
axis.set(title="Mean of the held-out trials", xlabel="time from stimulus (s)", ylabel="rate (Hz)")
axis.legend()
plt.show()
"""


def script(spec: Spec) -> Script:
    opened = recording(spec.session, spec.model)
    if not opened.known:
        return Script(why=UNKNOWN)
    looked = one_neuron(spec)
    if looked.judged is None:
        return Script(why=f"There is no prediction to judge: {looked.problem}")
    judged = (
        f"one = predicted_trials(model, trials, {looked.neuron}, {literal(looked.task)})\n"
        f"rng = np.random.default_rng({SEED})\n"
        "scores, line = judge(one, rng), calibration(one, rng)\n"
    )
    fields = "(" + ", ".join(literal(name) for name in NAMES) + ")"
    body = opening(spec, spec.model, spec.level) + judged + SCORES.replace("NAMES", fields)
    return made(spec, spec.model, IMPORTS, body, PICTURE)
