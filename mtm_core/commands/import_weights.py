"""`mtm import-weights`: the MtM authors' released weights become a checkpoint folder like any other."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkpoint import save_checkpoint
from ..compat import read_released
from ..masking import MTM_SCHEMES
from ..models.released import LABEL


def run(options: argparse.Namespace) -> int:
    weights, config, out = Path(options.file), Path(options.config), Path(options.out)
    model = read_released(weights, config)
    # No entry under "data": the release does not say which trials it was trained on, so none can be called test trials.
    facts = {
        "data": [],
        "schemes": [scheme.label for scheme in MTM_SCHEMES],
        "source": {"weights": weights.name, "config": config.name},
    }
    saved = save_checkpoint(out, model, facts)
    n = saved.manifest["n_parameters"]
    print(f"{out}: {LABEL}; {n:,} parameters, checkpoint {saved.manifest['hash'][:12]}")
    for session, n_neurons in model.n_neurons.items():
        print(f"{session}: {n_neurons} neurons")
    return 0
