"""The example in the README runs as it stands and prints scores that the bundled model should reach."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np

README = Path(__file__).resolve().parents[1] / "README.md"


def test_python_example_scores_three_hidden_neurons():
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 (our own README)
    bits = np.array(re.findall(r"-?\d+\.\d+", printed.getvalue()), dtype=float)
    assert bits.shape == (3,)
    assert (bits > 0).all(), "three hidden neurons are predicted better than by their mean"
