"""What the scores say about the model, in sentences: those of the report that `mtm evaluate` writes."""

from __future__ import annotations

from dataclasses import asdict

from mtm_core.report.verdict import verdict as report_verdict

from .scores import Results


def verdict(results: Results) -> list[str]:
    """Where the model loses comes first."""
    tasks = {task: {**asdict(one.summary), "complete": one.complete} for task, one in results.tasks.items()}
    compared: dict[str, dict] = {}
    for task, one in results.tasks.items():
        for name, other in one.against.items():
            if other.comparison is not None:
                compared.setdefault(name, {})[task] = asdict(other.comparison)
    return report_verdict({"tasks": tasks, "comparisons": compared})
