"""A model's answers to questions, with the work that many questions share done once.

Most questions hide whole neurons. Then a bin's token is a sum over the visible neurons, and neighbouring questions
agree on almost all of them: that part of the sum is computed once for some thirty questions. What a question hides is
left out of its sum, never subtracted from it, so nothing hidden can leave a trace, not even of rounding.

Only the neurons asked about are read out, and the transformer computes in bfloat16 where the hardware does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from ..checkpoint import Model
from ..device import has_bf16
from ..models.mtm import Batch
from ..models.patches import sum_patches
from ..predict import MICRO_BATCH, predict, to_batch
from ..session import Trials
from .questions import Question

# Trials per step: short enough that a person who cancels does not wait, long enough that Python costs nothing.
STEP = {"cpu": 32, "cuda": 1024}
BLOCK = 32  # neurons that the questions of one block hide beyond what its first question hides


@dataclass(frozen=True, eq=False)
class Answer:
    """Expected counts per bin of the question's neurons in some of the trials."""

    question: Question
    trials: slice
    rates: Float[ndarray, "k T n"]
    last: bool  # of the question's answers


def answers(model: Model, part: Trials, asked: Iterable[Question], bf16: bool | None = None) -> Iterator[Answer]:
    """Answers in the order of the questions, each in steps of some trials; stop iterating to cancel.

    Raises UnknownSessionError for a session the model was not trained on.
    """
    reader = _Reader(model, part, bf16)
    for block in blocks(asked):
        if not model.shares_tokens or block[0].first_hidden_bin < part.n_bins:
            for question in block:
                yield from _one_by_one(reader, question)
            continue
        union = np.any([question.hidden for question in block], axis=0)
        shared = [reader.summed(step, ~union) for step in reader.steps()]
        for question in block:
            for i, step in enumerate(reader.steps()):
                tokens = shared[i] + reader.summed(step, union & ~question.hidden) + reader.signal(step, question)
                yield Answer(question, step, reader.rates(tokens, question), step.stop >= part.n_trials)


def blocks(asked: Iterable[Question]) -> Iterator[list[Question]]:
    """Neighbouring questions that hide nearly the same neurons."""
    block: list[Question] = []
    union, most = np.zeros(0), 0
    for question in asked:
        if block and (wider := union | question.hidden).sum() <= most and question.scheme == block[0].scheme:
            union = wider
            block.append(question)
            continue
        if block:
            yield block
        block, union, most = [question], question.hidden, question.hidden.sum() + BLOCK
    if block:
        yield block


def _one_by_one(reader: _Reader, question: Question) -> Iterator[Answer]:
    """For questions that hide bins: the plain way."""
    for step in reader.steps():
        some = reader.part.select(np.arange(reader.part.n_trials)[step])
        with reader.precision():
            rates = predict(reader.model, some, question.mask.rows(step), question.neurons)
        yield Answer(question, step, rates, step.stop >= reader.part.n_trials)


class _Reader:
    """The trials on the model's device, and the two ends of the model's work on them."""

    def __init__(self, model: Model, part: Trials, bf16: bool | None) -> None:
        if model.training:
            raise ValueError("the model is in training mode, where dropout makes predictions random; call model.eval()")
        self.model, self.part = model, part
        self.batch = to_batch(model, part)
        self.device = self.batch.counts.device
        self.bf16 = has_bf16(self.device) if bf16 is None else bf16
        self.valid = torch.as_tensor(part.valid, device=self.device)[:, :, None]
        if model.shares_tokens:
            self.patches, self.n_patches = model.patches(part.n_neurons), model.n_patches(part.n_neurons)

    def precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def steps(self) -> list[slice]:
        size, n_trials = STEP[self.device.type], self.part.n_trials
        return [slice(start, min(start + size, n_trials)) for start in range(0, n_trials, size)]

    @torch.inference_mode()
    def summed(self, step: slice, visible: Bool[ndarray, "N"]) -> Float[Tensor, "k T S D"]:
        """What the visible neurons say: the part of the tokens that counts change. Bins without data say nothing."""
        chosen = torch.as_tensor(np.flatnonzero(visible), device=self.device)
        units, rows = self.model.units, self.batch.unit_rows[chosen]
        counts = self.batch.counts[step].index_select(2, chosen).float()
        said = units.deviation(torch.where(self.valid[step], counts, units.mean[rows]), rows)
        patches = None if self.patches is None else self.patches[chosen]
        return sum_patches(said, units.input[rows], patches, self.n_patches)

    @torch.inference_mode()
    def signal(self, step: slice, question: Question) -> Float[Tensor, "k T S D"]:
        """The sum of the hidden neurons' signals; in bins without data that of all neurons."""
        signals = self.model.units.hidden_signal[self.batch.unit_rows]
        hidden = torch.as_tensor(question.hidden, dtype=signals.dtype, device=self.device)
        both = torch.stack([hidden, torch.ones_like(hidden)])[None]
        unsaid, all_unsaid = sum_patches(both, signals, self.patches, self.n_patches)[0]
        return torch.where(self.valid[step][..., None], unsaid, all_unsaid)

    @torch.inference_mode()
    def rates(self, tokens: Float[Tensor, "k T S D"], question: Question) -> Float[ndarray, "k T n"]:
        """From tokens to expected counts per bin, in pieces that fit the cache."""
        batch = replace(self.batch, read=torch.as_tensor(question.neurons, device=self.device))
        with self.precision():
            pieces = tokens.split(MICRO_BATCH[self.device.type])
            return torch.cat([self._log_rates(piece, batch, question) for piece in pieces]).exp().cpu().numpy()

    def _log_rates(self, tokens: Tensor, batch: Batch, question: Question) -> Tensor:
        prompts = torch.full((len(tokens),), int(question.scheme), device=self.device)
        return self.model.read_out(self.model.states(tokens, batch, prompts), batch)
