"""The HTML report of `mtm evaluate --report`, of the scores that the page "Scores" shows."""

from __future__ import annotations

from mtm_core.evaluation.session_scores import result_of
from mtm_core.report import render

from ..recordings import checkpoint
from ..spec import Spec
from .scores import ready, session_scores

WHY = "There are no complete scores of this choice yet; press Score on the page Scores first."


def has_report(spec: Spec) -> bool:
    return ready(spec) is not None


def report_text(spec: Spec) -> str:
    """The whole page, which needs nothing else; raises ValueError where not everything has been scored."""
    if (scores := session_scores(spec)) is None:
        raise ValueError(WHY)
    return render(result_of(checkpoint(spec.model), scores))
