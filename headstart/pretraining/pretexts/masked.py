"""Masked language modelling: the student predicts the tokens that were masked.

Source: Devlin et al. 2019, "BERT": 15 % of the tokens are predicted; of these 80 % are replaced by [MASK], 10 % by
another token, and 10 % are left as they are. The prediction head has BERT's form, its last matrix is that of the token
embeddings, and it is dropped at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.core.errors import PlanError
from headstart.pretraining.contracts import Corpus, Student
from headstart.pretraining.text_corpus import length_bucket, pad_batch
from headstart.pretraining.tokenizer_training import SpecialTokens, special_tokens

SERVES = ("text",)
TEACHERS = ""
STUDENT = "bert:4x256"
BOTH_WAYS = True  # a causal network cannot use what follows a masked token
MASKED, REPLACED = 0.8, 0.1  # of the tokens that are predicted


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is trained.

    batch_size:      windows a step.  max_length: tokens of a window, special ones included
    vocabulary_size: tokens of the tokenizer that is trained on the texts, at most; a pretrained student has its own
    mask_ratio:      share of the tokens that are predicted
    """

    batch_size: int = 32
    max_length: int = 128
    vocabulary_size: int = 8000
    mask_ratio: float = 0.15

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student with its prediction head. Raises PlanError where its tokenizer has no mask token."""
        if not 0 < self.mask_ratio < 1 or self.batch_size < 1:
            raise PlanError(
                f"masked with mask_ratio={self.mask_ratio:g}, batch_size={self.batch_size}: 0 < mask_ratio < 1 and "
                "batch_size >= 1 are expected."
            )
        if special_tokens_of(student).mask < 0:
            raise PlanError(
                "The tokenizer of this student has neither [MASK] nor <mask>, so nothing can be hidden from it. Take "
                f"--student {STUDENT}, or a backbone that was trained on masked tokens."
            )
        width = token_embeddings(student.model).shape[1]
        transform = nn.Sequential(nn.Linear(student.width, width), nn.GELU(), nn.LayerNorm(width))
        return TokenPredictor(student, transform)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """What `mask_tokens` gives for the windows of that step."""
        rng = np.random.default_rng([corpus.seed, index, 0])
        texts = pad_batch(corpus, length_bucket(corpus, self.batch_size, index), int(str(student.spec["pad"])))
        special = special_tokens_of(student)
        return mask_tokens(texts["input_ids"], texts["attention_mask"], special, self.mask_ratio, rng)


def special_tokens_of(student: Student) -> SpecialTokens:
    """The special tokens of the student's tokenizer."""
    vocabulary_size = int(student.model.config.vocab_size)  # type: ignore[union-attr, arg-type]
    return special_tokens(student.spec, vocabulary_size)


def mask_tokens(
    ids: np.ndarray, mask: np.ndarray, special: SpecialTokens, mask_ratio: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Masks `mask_ratio` of each window's tokens that stand for text, one at least.

    ids, mask: (b, t) int64, the attention mask
    Gives {"input_ids" with masked ones, "attention_mask", "positions": (k,) int64 what to predict in the flattened
    ids, rising, "targets": (k,) int64 what stood there}; never padding, never a special token.
    """
    maskable = (mask == 1) & ~special.special[ids]
    count = np.where(maskable.any(1), np.maximum(1, np.rint(mask_ratio * maskable.sum(1))), 0)
    order = np.where(maskable, rng.random(ids.shape), 2.0)
    predicted = (order.argsort(1).argsort(1) < count[:, None]) & maskable
    at = np.flatnonzero(predicted)
    truth = ids.ravel()[at]
    ordinary = np.flatnonzero(~special.special)
    u = rng.random(len(at))
    replacement = np.where(u < MASKED + REPLACED, rng.choice(ordinary, len(at)), truth)
    masked = ids.copy()
    masked.ravel()[at] = np.where(u < MASKED, special.mask, replacement)
    return {"input_ids": masked, "attention_mask": mask, "positions": at.astype(np.int64), "targets": truth}


class TokenPredictor(nn.Module):
    """Student and bias of the logits, which are products with the token embeddings, after the head's transform if any.

    Without dropout, so that a run that was interrupted goes on as the same run. Geiping and Goldstein 2022, "Cramming",
    leave dropout out too where training is short.
    """

    def __init__(self, student: Student, transform: nn.Module | None = None):
        super().__init__()
        self.model, self.change = student.model, transform  # named so in checkpoints of unfinished runs
        self.bias = nn.Parameter(torch.zeros(len(token_embeddings(student.model))))

    def train(self, mode: bool = True) -> TokenPredictor:
        """The head trains; the student trains with its dropout off."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy of "targets" at "positions", in nats; log(vocabulary size) at chance level."""
        hidden = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        states = hidden.flatten(0, 1)[batch["positions"]]
        states = states if self.change is None else self.change(states)
        logits = F.linear(states, token_embeddings(self.model), self.bias).float()
        return F.cross_entropy(logits, batch["targets"], reduction="sum") / max(1, len(batch["targets"]))


def token_embeddings(model: nn.Module) -> torch.Tensor:
    """(v, d): the network's token embeddings."""
    return model.get_input_embeddings().weight  # type: ignore[operator]
