"""`mtm import-weights`: the authors' released weights of MtM or NEDS become a checkpoint folder like any other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..checkpoint import save_checkpoint
from ..compat import Network, read_released
from ..masking import MTM_SCHEMES
from ..models.released import ReleasedMtM
from ..models.released_neds import Task


def run(options: argparse.Namespace) -> int:
    weights, config, out = Path(options.file), Path(options.config), Path(options.out)
    model = read_released(weights, config)
    # No entry under "data": the release does not say which trials it was trained on, so none can be called test trials.
    source = {"weights": weights.name, "config": config.name}
    saved = save_checkpoint(out, model, {"data": [], **_abilities(model), "source": source})
    n = saved.manifest["n_parameters"]
    print(f"{out}: {saved.manifest['label']}; {n:,} parameters, checkpoint {saved.manifest['hash'][:12]}")
    for session, n_neurons in model.n_neurons.items():
        print(f"{session}: {n_neurons} neurons, session embedding {model.config.session_ids.index(session)}")
    return 0


def _abilities(model: Network) -> dict[str, Any]:
    if isinstance(model, ReleasedMtM):
        return {"schemes": [scheme.label for scheme in MTM_SCHEMES]}
    return {"tasks": [task.value for task in Task]}
