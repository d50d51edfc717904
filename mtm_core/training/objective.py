"""What is trained, apart from how: one row per kind of model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..masking import MTM_SCHEMES, Scheme
from ..masking_modalities import NEDS_SCHEMES, NedsScheme
from ..models.mtm import MtM
from ..models.neds import Neds
from ..models.tables import AnimalTables
from ..session import Trials
from . import batches, translation, validation
from .loss import Loss, trial_weights


@dataclass(frozen=True)
class Objective:
    """put: trials on the device (`DeviceTrials` or `NedsTrials`); masks: those of every validation, for such trials.

    weights: of each target of a batch; mix: the schemes that are trained by default; scores: what a validation reports,
    in words; all_used: every shared weight takes part in every step.
    """

    put: Callable[[Any, Trials], Any]
    masks: Callable[[Any, tuple[Any, ...]], list[Any]]
    weights: Callable[[list[Any]], list[Tensor]]
    loss: Callable[[Any], nn.Module]
    validate: Callable[..., dict[str, float]]
    schemes: type[Scheme] | type[NedsScheme]
    mix: tuple[Any, ...]
    scores: str
    all_used: bool


OBJECTIVES: dict[type[AnimalTables], Objective] = {
    MtM: Objective(
        put=batches.put_on_device,
        masks=validation.fixed_masks,
        weights=lambda parts: trial_weights([mask for _, mask in parts]),
        loss=Loss,
        validate=validation.validate,
        schemes=Scheme,
        mix=MTM_SCHEMES,
        scores="bits per spike (pooled)",
        all_used=True,
    ),
    Neds: Objective(
        put=translation.put_on_device,
        masks=translation.fixed_masks,
        weights=translation.modality_weights,
        loss=translation.NedsLoss,
        validate=translation.validate,
        schemes=NedsScheme,
        mix=NEDS_SCHEMES,
        scores="encoding bits per spike (pooled), AUC, R2",
        all_used=False,  # a behavior that no session of a batch has
    ),
}


def objective_of(model: AnimalTables) -> Objective:
    return OBJECTIVES[type(model)]
