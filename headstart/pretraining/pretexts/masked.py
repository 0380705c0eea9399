"""Masked tokens: the student says which tokens stood where some were hidden.

Source: Devlin et al. 2019, "BERT": 15 % of the tokens are asked for; of these 80 % are hidden behind [MASK], 10 % are
replaced by another token and 10 % are left as they are. The head that answers has BERT's form, its last matrix is that
of the token embeddings, and it is thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.core.errors import PlanError
from headstart.pretraining.contracts import Corpus, Student
from headstart.pretraining.text_corpus import alike, padded
from headstart.pretraining.tokenizer_training import Marks, marks

SERVES = ("text",)
TEACHERS = ""
STUDENT = "bert:4x256"
BOTH_WAYS = True  # a network that only looks back cannot use what follows a hidden token
HIDDEN, REPLACED = 0.8, 0.1  # of the tokens that are asked for


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is taught.

    batch:      windows a step.  length: tokens of a window at most, special ones included
    vocabulary: tokens of the tokenizer that is learned from the texts, at most; none is for a borrowed student
    share:      of the tokens that are asked for
    """

    batch: int = 32
    length: int = 128
    vocabulary: int = 8000
    share: float = 0.15

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student with a head that names tokens. Raises PlanError where its tokenizer has no token that hides."""
        if not 0 < self.share < 1 or self.batch < 1:
            raise PlanError(f"masked with share={self.share:g}, batch={self.batch}: 0 < share < 1 and batch >= 1.")
        if known(student).mask < 0:
            raise PlanError(
                "The tokenizer of this student has neither [MASK] nor <mask>, so nothing can be hidden from it. Take "
                f"--student {STUDENT}, or a backbone that was trained on masked tokens."
            )
        return Guessing(student)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """What `hide` gives for the windows of that step."""
        rng = np.random.default_rng([corpus.seed, index, 0])
        texts = padded(corpus, alike(corpus, self.batch, index), int(str(student.spec["pad"])))
        return hide(texts["input_ids"], texts["attention_mask"], known(student), self.share, rng)


def known(student: Student) -> Marks:
    """Which tokens of the student's tokenizer stand for no text, and which one hides."""
    size = int(student.model.config.vocab_size)  # type: ignore[union-attr, arg-type]
    return marks(str(student.spec["tokenizer"]), size)


def hide(
    ids: np.ndarray, mask: np.ndarray, marked: Marks, share: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Hides tokens: of each window `share` of those that stand for text, one at least.

    ids, mask: (b, t) int64
    Gives {"input_ids" with the hidden ones, "attention_mask", "at": (k,) int64 positions asked for in the flattened
    ids, rising, "truth": (k,) int64 what stood there}; never padding, never a special token.
    """
    able = (mask == 1) & ~marked.special[ids]
    count = np.where(able.any(1), np.maximum(1, np.rint(share * able.sum(1))), 0)
    lot = np.where(able, rng.random(ids.shape), 2.0)
    asked = (lot.argsort(1).argsort(1) < count[:, None]) & able
    at = np.flatnonzero(asked)
    truth = ids.ravel()[at]
    plain = np.flatnonzero(~marked.special)
    kind = rng.random(len(at))
    shown = np.where(kind < HIDDEN, marked.mask, np.where(kind < HIDDEN + REPLACED, rng.choice(plain, len(at)), truth))
    hidden = ids.copy()
    hidden.ravel()[at] = shown
    return {"input_ids": hidden, "attention_mask": mask, "at": at.astype(np.int64), "truth": truth}


class Guessing(nn.Module):
    """Student and head. Without dropout, so that a run that was interrupted goes on as the same run.

    Geiping and Goldstein 2022, "Cramming", leave dropout out too where training is short.
    """

    def __init__(self, student: Student):
        super().__init__()
        self.model = student.model
        table = words(student.model)
        tokens, width = table.shape
        self.change = nn.Sequential(nn.Linear(student.width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(tokens))

    def train(self, mode: bool = True) -> Guessing:
        """The head trains; the student learns with its dropout off."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy over the tokens asked for, in nats; to know nothing costs log(vocabulary)."""
        hidden = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        asked = self.change(hidden.flatten(0, 1)[batch["at"]])
        scores = F.linear(asked, words(self.model), self.bias).float()
        return F.cross_entropy(scores, batch["truth"], reduction="sum") / max(1, len(batch["truth"]))


def words(model: nn.Module) -> torch.Tensor:
    """(v, d): the vectors of the tokens that the network knows."""
    return model.get_input_embeddings().weight  # type: ignore[operator]
