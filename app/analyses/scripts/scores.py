"""The page "Scores": the evaluation tasks, by region, and beside the baselines."""

from __future__ import annotations

from mtm_core.evaluation.baselines import baseline_names

from ...recordings import recording
from ...spec import Spec
from .lines import SHOW, UNKNOWN, Script, made, names, opening

NO_OPPONENT = "test_mean"  # the null itself
IMPORTS = """\
from mtm_core import open_model, open_session
from mtm_core.evaluation.duplicates import likely_duplicates
from mtm_core.evaluation.questions import Asking
from mtm_core.evaluation.session_scores import Plan, score_session
from mtm_core.evaluation.tables import comparison_table, region_table, summary_table
"""
SCORES = """
*_, last = score_session(model, trials, Plan(tasks, asking, baselines))
scores = last.scores
print("Bits per spike of all neurons, with the ends of 95 % intervals")
print(summary_table(scores.model).T.to_string(float_format=show))
for task, score in scores.model.items():
    print(f"\\n{task}, by region")
    print(region_table(score).T.to_string(float_format=show))
    others = {name: by_task[task] for name, by_task in scores.others.items() if task in by_task}
    if others:
        print(f"\\n{task}, simpler predictions")
        print(summary_table(others)[["mean", "mean_low", "mean_high", "pooled"]].T.to_string(float_format=show))
    compared = {name: by_task[task] for name, by_task in scores.comparisons().items() if task in by_task}
    if compared:
        print(f"\\n{task}, the model minus simpler predictions")
        print(comparison_table(compared).T.to_string(float_format=show))
"""
PICTURE = """\
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, len(scores.model), figsize=(4 * len(scores.model), 3.5), sharey=True, squeeze=False)
for axis, (task, score) in zip(axes[0], scores.model.items()):
    table = region_table(score).dropna(subset=["mean"])
    errors = [table["mean"] - table["mean_low"], table["mean_high"] - table["mean"]]
    axis.bar(table.index, table["mean"], yerr=errors)
    axis.set(title=task, xlabel="region")
axes[0, 0].set_ylabel("bits per spike, mean over neurons")
plt.show()
"""


def script(spec: Spec) -> Script:
    opened, scoring = recording(spec.session, spec.model), spec.scoring
    if not opened.known:
        return Script(why=UNKNOWN)
    baselines = [] if scoring.duplicates else [n for n in baseline_names(opened.trials) if n != NO_OPPONENT]
    duplicates = ", duplicates=likely_duplicates(trials, session.units).matrix" if scoring.duplicates else ""
    asking = (
        f"tasks = {names(scoring.tasks)}\n"
        f"asking = Asking(grouped={not scoring.exact}{duplicates})\n"
        f"baselines = {names(baselines)}\n"
    )
    body = SHOW + opening(spec, spec.model, spec.level) + asking + SCORES
    return made(spec, spec.model, IMPORTS, body, PICTURE)
