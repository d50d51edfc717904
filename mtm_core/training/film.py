"""How a model learns, as a film: the prediction of one validation trial at steps that lie ever further apart.

The hidden entries are those of the validations (validation.py), the weights the averaged ones that are validated and
kept. Only MtM is filmed: of NEDS the same trial would need a picture per behavior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from numpy import ndarray

from ..masking import Mask
from ..models.mtm import MtM
from ..tensorfolder import CheckpointError, TensorFolder
from .batches import DeviceTrials
from .loop import Trainer

NAME = "film"
LARGEST = 256 * 2**20  # bytes
STEPS = frozenset(int(1.4**k) for k in range(50))  # 1, 2, 3, 5, 7, 10, 14, ... 14,000,000
MOST_NEURONS = 160  # the busiest by the training trials; more rows than a picture has room for
FIELDS = ("counts", "mean", "steps")


@dataclass(frozen=True, eq=False)
class Scene:
    """One masking scheme on the filmed trial. rates: expected counts per bin, one frame per step."""

    hidden: Bool[ndarray, "T N"]
    target: Bool[ndarray, "T N"]
    rates: Float[ndarray, "F T N"]


@dataclass(frozen=True, eq=False)
class Film:
    """scenes: label of the scheme -> scene. counts: recorded; mean: counts per bin in training, per neuron."""

    session: str
    trial: int  # position among the validation trials
    regions: tuple[str, ...]  # N
    bin_starts: tuple[float, ...]  # s from the event, T
    bin_size: float  # s
    steps: Int[ndarray, " F"]
    counts: Integer[ndarray, "T N"]
    mean: Float[ndarray, "N"]
    scenes: dict[str, Scene]

    def tensors(self) -> dict[str, torch.Tensor]:
        found = {name: getattr(self, name) for name in FIELDS}
        for label, scene in self.scenes.items():
            found |= {f"{part}.{label}": getattr(scene, part) for part in ("hidden", "target", "rates")}
        return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in found.items()}

    def facts(self) -> dict[str, Any]:
        names = ("session", "trial", "regions", "bin_starts", "bin_size")
        return {name: getattr(self, name) for name in names} | {"schemes": list(self.scenes)}


class Camera:
    """Films a run into its folder; a run that goes on adds to the film it has."""

    def __init__(self, out: Path, trainer: Trainer) -> None:
        self.folder, self.trainer, self.film = TensorFolder(out, NAME, LARGEST), trainer, None
        if isinstance(trainer.run.model, MtM):
            self.film = _kept(self.folder, trainer) or _first(trainer)

    def after(self, step: int) -> None:
        if step in STEPS:
            self.take(step)

    def take(self, step: int) -> None:
        """Add a frame, unless that step has one. A disk that refuses costs the frame, not the run."""
        if self.film is None or step in self.film.steps:
            return
        self.film = _longer(self.film, step, self.trainer)
        try:
            self.folder.write(self.film.tensors(), self.film.facts())
        except OSError as error:
            self.trainer.notices.append(f"a frame of the film of the training is lost: {error.strerror}")


def read_film(folder: Path) -> Film:
    """The film of a run; raises CheckpointError where there is none or it cannot be trusted."""
    kept = TensorFolder(Path(folder), NAME, LARGEST)
    about = kept.read_manifest()
    tensors = {name: tensor.numpy() for name, tensor in kept.read_tensors(about).items()}
    try:
        scenes = {
            str(label): Scene(*(tensors[f"{part}.{label}"] for part in ("hidden", "target", "rates")))
            for label in about["schemes"]
        }
        places = tuple(map(str, about["regions"])), tuple(map(float, about["bin_starts"])), float(about["bin_size"])
        arrays = (tensors[name] for name in ("steps", "counts", "mean"))
        film = Film(str(about["session"]), int(about["trial"]), *places, *arrays, scenes)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{kept.manifest_file}: not a film of a training ({error})") from error
    _check(film, kept.manifest_file)
    return film


def _check(film: Film, file: Path) -> None:
    shape = (len(film.bin_starts), len(film.regions))
    right = film.counts.shape == shape and film.mean.shape == shape[1:] and film.steps.ndim == 1
    for scene in film.scenes.values():
        right &= scene.hidden.shape == scene.target.shape == shape and scene.rates.shape == (film.steps.size, *shape)
        right = right and bool(np.isfinite(scene.rates).all())
    if not (right and film.scenes):
        raise CheckpointError(f"{file}: the frames do not fit each other; delete the film")


# --- frames -----------------------------------------------------------------------------------------------------------


def _subject(trainer: Trainer) -> tuple[DeviceTrials, Mapping[str, Mask]]:
    """Validation trials of the first session that has some, and the first of their masks for every scheme."""
    trials, masks = trainer.validation[0]
    return trials, {mask.scheme.label: mask for mask in reversed(masks)}


def _neurons(trainer: Trainer, trials: DeviceTrials) -> Int[ndarray, " n"]:
    """In the order of the session."""
    means = trainer.run.model.units.mean[trials.batch.unit_rows]
    return means.topk(min(MOST_NEURONS, len(means))).indices.sort().values.cpu().numpy()


def _first(trainer: Trainer) -> Film:
    """A film of the busiest validation trial, without frames."""
    trials, masks = _subject(trainer)
    about = next(each for each in trainer.sessions if (each.split == "validation").any())
    chosen, trial = _neurons(trainer, trials), int(trials.batch.counts.float().sum((1, 2)).argmax())

    def cut(values: torch.Tensor) -> ndarray:
        return values[trial].cpu().numpy()[:, chosen]

    n_bins, n = trials.batch.counts.shape[1], len(chosen)
    empty = np.zeros((0, n_bins, n), np.float16)
    shape = trials.batch.counts.shape
    scenes = {
        label: Scene(cut(mask.hidden.expand(shape)), cut(mask.target.expand(shape)), empty)
        for label, mask in masks.items()
    }
    mean = trainer.run.model.units.mean[trials.batch.unit_rows].cpu().numpy()[chosen]
    return Film(
        session=about.session_id,
        trial=trial,
        regions=tuple(about.regions.astype(str)[chosen].tolist()),
        bin_starts=tuple(np.asarray(about.bin_starts, dtype=float).tolist()),
        bin_size=about.bin_size,
        steps=np.zeros(0, np.int64),
        counts=cut(trials.batch.counts),
        mean=mean,
        scenes=scenes,
    )


def _kept(folder: TensorFolder, trainer: Trainer) -> Film | None:
    """The frames of the run that goes on, up to where it goes on; None if there are none of this trial."""
    try:
        film, fresh = read_film(folder.path), _first(trainer)
    except CheckpointError:
        return None
    same = film.session == fresh.session and np.array_equal(film.counts, fresh.counts)
    if trainer.run.step == 0 or not same or film.scenes.keys() != fresh.scenes.keys():
        return None
    seen = film.steps <= trainer.run.step
    scenes = {label: Scene(s.hidden, s.target, s.rates[seen]) for label, s in film.scenes.items()}
    return replace(film, steps=film.steps[seen], scenes=scenes)


@torch.inference_mode()
def _longer(film: Film, step: int, trainer: Trainer) -> Film:
    trials, masks = _subject(trainer)
    chosen, scenes = _neurons(trainer, trials), {}
    one, limit = slice(film.trial, film.trial + 1), np.finfo(np.float16).max
    for label, scene in film.scenes.items():
        log_rates, _ = trials.pick(one).spikes(trainer.run.average, masks[label].rows(one))
        rates = log_rates.float().exp().nan_to_num(nan=limit).clamp(max=limit)[:, :, chosen].cpu().numpy()
        scenes[label] = Scene(scene.hidden, scene.target, np.concatenate([scene.rates, rates.astype(np.float16)]))
    return replace(film, steps=np.append(film.steps, step), scenes=scenes)
