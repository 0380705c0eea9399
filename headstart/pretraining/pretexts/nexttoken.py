"""Next-token prediction: a causal student predicts, at every token, the one that comes next.

Source: Radford et al. 2019, "Language models are unsupervised multitask learners". Logits are the products with the
token embeddings, as there, so there is no head but a bias, and that is dropped at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from headstart.core.errors import PlanError
from headstart.pretraining.contracts import Corpus, Student
from headstart.pretraining.pretexts.masked import TokenPredictor, token_embeddings
from headstart.pretraining.text_corpus import length_bucket, pad_batch

SERVES = ("text",)
TEACHERS = ""
STUDENT = "gpt2:4x256"
BOTH_WAYS = False  # bidirectional attention would see the token that is to be predicted


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is trained.

    batch_size:      windows a step.  max_length: tokens of a window, special ones included
    vocabulary_size: tokens of the tokenizer that is trained on the texts, at most; a pretrained student has its own
    """

    batch_size: int = 32
    max_length: int = 128
    vocabulary_size: int = 8000

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student and the loss. Raises PlanError where its hidden states do not fit its token embeddings."""
        if self.batch_size < 1:
            raise PlanError(f"nexttoken with batch_size={self.batch_size}: at least 1 window a step is expected.")
        embedding_width = token_embeddings(student.model).shape[1]
        if embedding_width != student.width:
            raise PlanError(
                f"This student's states have {student.width} numbers and its token embeddings {embedding_width}; they "
                f"must be as many. Take --student {STUDENT}."
            )
        return TokenPredictor(student)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"input_ids", "attention_mask"} of the windows of that step, and what `next_token_targets` gives for them."""
        texts = pad_batch(corpus, length_bucket(corpus, self.batch_size, index), int(str(student.spec["pad"])))
        return {**texts, **next_token_targets(texts["input_ids"], texts["attention_mask"])}


def next_token_targets(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """{"positions": (k,) positions in the flattened ids from which is predicted, "targets": (k,) the token after each}.

    A window of n tokens has n - 1 of them: nothing is predicted from its last token, and padding never is.
    """
    rows, columns = np.nonzero(mask[:, 1:])
    return {"positions": rows * ids.shape[1] + columns, "targets": ids[rows, columns + 1]}
