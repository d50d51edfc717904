"""The ablation of masking schemes (arXiv 2407.14668, tables 1 and 4): one scheme at a time against all of them.

Rows differ in the schemes they train on and in whether the model is told which; budget, network, data and seeds are
equal. Every model answers the questions of all four tasks, also those it was never trained for.

As in the paper, a network with one scheme has no prompt: it would be a constant, and the other rows of the table of
prompts would stay as they were drawn. Unlike the paper, forward prediction is causal for every row (the paper's model
without prompt reads both ways in all tasks): here no bin of that task reads a later one, whatever a row was trained on.

Each row is measured twice. "as_trained" is what its masking taught it. "calibrated" is what `mtm train` would hand out:
two numbers per group of neurons, fitted to the validation masks of all four tasks, take back predictions that are too
sure, which rescues rows that the paper reports at -10 bits per spike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
import torch

from ..masking import MTM_SCHEMES, Scheme
from ..models.mtm import MtM, MtMConfig
from ..session import Trials, identity
from ..training.build import build_model
from ..training.config import TrainConfig
from ..training.fit import finished, fit
from ..training.loop import Step, best_model
from .measure import MEASURES, as_checkpoint, measured_decoding, measured_tasks

WEIGHTS = ("as_trained", "calibrated")


@dataclass(frozen=True)
class Row:
    """What one kind of model is trained on."""

    schemes: tuple[Scheme, ...]
    prompted: bool = False


ROWS = {
    "temporal": Row((Scheme.TEMPORAL,)),
    "random_token": Row((Scheme.RANDOM_TOKEN,)),
    "neuron": Row((Scheme.NEURON,)),
    "causal": Row((Scheme.CAUSAL,)),
    "intra_region": Row((Scheme.INTRA_REGION,)),
    "inter_region": Row((Scheme.INTER_REGION,)),
    "mtm_not_prompted": Row(MTM_SCHEMES),
    "mtm_prompted": Row(MTM_SCHEMES, prompted=True),
}
# The baseline of each kind of tokens, in the paper and here.
LEFT_OUT = {"ndt1": "random_token", "ndt2": "temporal"}


def tokens_of(model: MtMConfig) -> str:
    return "ndt2" if model.patch_neurons else "ndt1"


def usual_rows(tokens: str) -> tuple[str, ...]:
    """The seven rows of the paper's table for these tokens."""
    return tuple(name for name in ROWS if name != LEFT_OUT[tokens])


@dataclass(frozen=True)
class Part:
    """One model of the ablation: a row and a seed, and what all rows share."""

    row: str
    seed: int
    model: MtMConfig
    train: TrainConfig  # with a number of steps: minutes would give a row as much as the machine's mood

    def __post_init__(self) -> None:
        if self.row not in ROWS:
            raise ValueError(f"no row {self.row!r} in the ablation; choose of {', '.join(ROWS)}")
        if self.train.steps is None:
            raise ValueError("an ablation needs a number of steps: rows that differ in their budget say nothing")

    @property
    def name(self) -> str:
        return f"{tokens_of(self.model)}-{self.row}-seed{self.seed}"

    @property
    def configs(self) -> tuple[MtMConfig, TrainConfig]:
        """Of this very row."""
        row = ROWS[self.row]
        return replace(self.model, prompted=row.prompted), replace(self.train, schemes=row.schemes, seed=self.seed)

    def settings(self, trials: Trials) -> dict[str, Any]:
        """All that the result depends on, as JSON. Not how often a run is saved: nothing is, within a row."""
        model, train = self.configs
        return {
            "experiment": "ablation",
            "row": self.row,
            "data": identity(trials),
            "model": asdict(model),
            "training": train.to_json(),
        }


def run_part(
    part: Part, trials: Trials, device: torch.device, watch: Callable[[Step], None] = lambda step: None
) -> dict[str, Any]:
    """Train one model and measure it, as JSON; `watch` sees every step and may raise to stop."""
    model_config, config = part.configs
    model = build_model(model_config, [trials], part.seed).to(device)
    trainer = fit(model, [trials], config, watch)
    run = trainer.run
    weights = {"as_trained": best_model(run), "calibrated": finished(trainer)[0]}
    return {
        "session": trials.session_id,
        "row": part.row,
        "seed": part.seed,
        "tokens": tokens_of(part.model),
        "steps": run.step,
        "best_step": run.best_step,
        "seconds": round(run.elapsed, 1),
        **{name: _measured(model, trials, part.name) for name, model in weights.items()},
    }


def _measured(model: MtM, trials: Trials, name: str) -> dict[str, Any]:
    checkpoint = as_checkpoint(model, [trials], name)
    return {"tasks": measured_tasks(checkpoint, trials), "decoding": measured_decoding(checkpoint, trials)}


def values(results: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One line per number: session, row, seed, weights, measure, column, value (None: not measurable).

    Decoding has no mean over neurons nor pooled form; it stands with both.
    """
    lines = []
    for result in results:
        about = {name: result[name] for name in ("session", "tokens", "row", "seed")}
        for weights in WEIGHTS:
            for measure in MEASURES:
                numbers = {task: found[measure] for task, found in result[weights]["tasks"].items()}
                numbers |= result[weights]["decoding"]
                kind = {"weights": weights, "measure": measure}
                lines += [{**about, **kind, "column": name, "value": value} for name, value in numbers.items()]
    return pd.DataFrame(lines).astype({"value": float})


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds (NaN for one seed) and their number, per cell of `values`."""
    keys = ["session", "tokens", "weights", "measure", "row", "column"]
    found = table.dropna(subset="value").groupby(keys, sort=False)["value"].agg(["mean", "std", "count"])
    return found.rename(columns={"std": "sd", "count": "n"}).reset_index()
