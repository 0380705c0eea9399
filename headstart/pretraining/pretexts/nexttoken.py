"""The next token: a student that only looks back says at every token which one comes next.

Source: Radford et al. 2019, "Language models are unsupervised multitask learners". Scores are the products with the
token embeddings, as there, so there is no head but a bias, and that is thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.core.errors import PlanError
from headstart.pretraining.contracts import Corpus, Student
from headstart.pretraining.pretexts.masked import words
from headstart.pretraining.text_corpus import alike, padded

SERVES = ("text",)
TEACHERS = ""
STUDENT = "gpt2:4x256"
BOTH_WAYS = False  # a network that looks ahead would read its answers


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is taught.

    batch:      windows a step.  length: tokens of a window at most, special ones included
    vocabulary: tokens of the tokenizer that is learned from the texts, at most; none is for a borrowed student
    """

    batch: int = 32
    length: int = 128
    vocabulary: int = 8000

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student and the loss."""
        if self.batch < 1:
            raise PlanError(f"nexttoken with batch={self.batch}: at least 1 window a step is expected.")
        if words(student.model).shape[1] != student.width:
            raise PlanError(
                f"This student's states have {student.width} numbers and its token embeddings "
                f"{words(student.model).shape[1]}; they must be as many. Take --student {STUDENT}."
            )
        return Foretelling(student)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"input_ids", "attention_mask"} of the windows of that step, and what `targets` gives for them."""
        texts = padded(corpus, alike(corpus, self.batch, index), int(str(student.spec["pad"])))
        return {**texts, **targets(texts["input_ids"], texts["attention_mask"])}


def targets(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """{"at": (k,) positions in the flattened ids from which something is foretold, "truth": (k,) the token after each}.

    A window of n tokens has n - 1 of them: nothing is foretold from its last token, and padding never is.
    """
    rows, columns = np.nonzero(mask[:, 1:])
    return {"at": rows * ids.shape[1] + columns, "truth": ids[rows, columns + 1]}


class Foretelling(nn.Module):
    """Student and bias. Without dropout, for the reason that `masked` gives."""

    def __init__(self, student: Student):
        super().__init__()
        self.model = student.model
        self.bias = nn.Parameter(torch.zeros(len(words(student.model))))

    def train(self, mode: bool = True) -> Foretelling:
        """The student learns with its dropout off."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy a token, in nats; to know nothing costs log(vocabulary)."""
        hidden = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        scores = F.linear(hidden.flatten(0, 1)[batch["at"]], words(self.model), self.bias).float()
        return F.cross_entropy(scores, batch["truth"], reduction="sum") / max(1, len(batch["truth"]))
