"""Settings that belong together, by name: what was published, what two CPU cores do in minutes, what many animals need.

"paper" is MtM (arXiv 2407.14668, appendix B, and the released configuration): hyper-parameters, not architecture. Unit
table, strict causality, read-out at the mean rate and rotary positions stay as they are here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..masking_modalities import NEDS_SCHEMES
from ..models.mtm import MtMConfig
from ..models.neds import NedsConfig
from .config import TrainConfig


@dataclass(frozen=True)
class Preset:
    """A model and how to train it; `about` is one line for a person who chooses."""

    model: MtMConfig | NedsConfig
    train: TrainConfig
    about: str
    epochs: int = 0  # of the training trials, where the budget is counted so; 0: minutes or steps


PRESETS = {
    "small": Preset(
        MtMConfig(),
        TrainConfig(),
        "0.5 million shared weights; minutes on two CPU cores",
    ),
    "paper": Preset(
        MtMConfig(width=512, n_layers=5, n_heads=8, dropout=0.4, token_dropout=0.2, attention_dropout=0.4),
        TrainConfig(learning_rate=1e-4, weight_decay=0.01, batch_size=16, fixed_ratios=True),
        "hyper-parameters of the MtM paper, 1,000 epochs; hours on a GPU",
        epochs=1000,
    ),
    "large": Preset(
        MtMConfig(width=512, n_layers=8, n_heads=8),
        TrainConfig(batch_size=256, sessions_per_batch=16, learning_rate=1e-3, alpha=0.5),
        "16 sessions in a batch of 256 trials; many animals on one or more GPUs",
    ),
}

# "paper": arXiv 2504.08201, tables 4 and 5, single session, and the released configuration.
NEDS_PRESETS = {
    "small": Preset(
        NedsConfig(),
        TrainConfig(schemes=NEDS_SCHEMES),
        "0.5 million shared weights; minutes on two CPU cores",
    ),
    "paper": Preset(
        NedsConfig(width=256, n_layers=5, n_heads=8, dropout=0.4, token_dropout=0.2, attention_dropout=0.4),
        TrainConfig(learning_rate=2e-4, weight_decay=0.01, batch_size=16, fixed_ratios=True, schemes=NEDS_SCHEMES),
        "hyper-parameters of the NEDS paper, one session, 2,000 epochs; an hour on a GPU",
        epochs=2000,
    ),
    "large": Preset(
        NedsConfig(width=256, n_layers=16, n_heads=8),
        TrainConfig(batch_size=256, sessions_per_batch=16, learning_rate=1e-3, alpha=0.5, schemes=NEDS_SCHEMES),
        "16 sessions in a batch of 256 trials; many animals on one or more GPUs",
    ),
}
BY_MODEL = {"mtm": PRESETS, "neds": NEDS_PRESETS}

# For a session that the trunk has never seen. Validation scores (mean of the four tasks, pooled) after 600 steps on a
# new animal: from scratch .184; all weights at one rate .191, and .195 with hidden signals and session embedding that
# start at the means of pre-training; the trunk at a fifth of the rate .186, and .188. On another session, after 900
# steps: scratch .141, one rate .148, a fifth .151, trunk frozen .142, rows alone for the first third .148.
FINE_TUNING = TrainConfig(patience=6)
