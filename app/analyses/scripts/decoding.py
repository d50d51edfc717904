"""The page "Decoding": behavior from all neurons, and from single regions where that was asked for."""

from __future__ import annotations

from ...recordings import recording
from ...spec import Spec
from ..decoding import REGION_NULLS, kept, names_of
from .lines import SHOW, Script, made, opening

NOTHING = "This recording holds no behavior that can be decoded, so there is no number to compute again."
IMPORTS = """\
import pandas as pd

from mtm_core import open_model, open_session
from mtm_core.evaluation.decoding.decode import Plan, decode
from mtm_core.evaluation.decoding.features import decodable_regions, default_sources

"""
USUAL = "plans = [Plan(sources=default_sources({model}, trials))]\n"
REGIONS = """\
sources = tuple(f"{{kind}}:{{region}}" for region in decodable_regions(trials) for kind in {kinds})
plans.append(Plan(sources=sources, n_nulls={n_nulls}))
"""
SCORES = """
rows = []
for plan in plans:
    *_, last = decode(MODEL, trials, (), plan)
    for behavior, by_source in last.records.items():
        for source, r in by_source.items():
            low, high = r["ci"]
            second = r["auc"] if "auc" in r else r["r2_residual"]
            minus = (r["against_counts"] or {}).get("difference")
            rows.append([behavior, source, r["metric"], r["score"], low, high, second, r["null"], r["null_95"], r["p"],
                         minus, r["n_trials"]])
columns = "behavior source metric score low high second null null_95 p minus_counts n_trials".split()
table = pd.DataFrame(rows, columns=columns)
print(table.to_string(index=False, float_format=show))
"""
PICTURE = """\
import matplotlib.pyplot as plt

behaviors = table["behavior"].unique()
figure, axes = plt.subplots(len(behaviors), 1, figsize=(7, 2.5 * len(behaviors)), squeeze=False)
for axis, behavior in zip(axes[:, 0], behaviors):
    some = table[table["behavior"] == behavior]
    errors = [some["score"] - some["low"], some["high"] - some["score"]]
    axis.errorbar(some["score"], some["source"], xerr=errors, fmt="o")
    axis.set(title=behavior, xlabel=some["metric"].iloc[0], ylabel="decoded from")
figure.tight_layout()
plt.show()
"""


def script(spec: Spec) -> Script:
    opened = recording(spec.session, spec.model)
    if not names_of(opened):
        return Script(why=NOTHING)
    # With a model that does not know the recording, the counts alone are decoded.
    model, kinds = ("model", ("region", "reconstruction")) if opened.known else ("None", ("region",))
    plans = USUAL.format(model="model")
    if "decoding_regions" in kept(spec):
        plans += REGIONS.format(kinds=kinds, n_nulls=REGION_NULLS)
    body = SHOW + opening(spec, spec.model) + plans + SCORES.replace("MODEL", model)
    return made(spec, spec.model, IMPORTS, body, PICTURE)
