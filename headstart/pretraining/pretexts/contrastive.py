"""Pictures and their captions: of all captions of a batch, a picture must find its own, and a caption its picture.

Source: Radford et al. 2021, "CLIP": two towers, one projection each, cosine similarities times a factor that learns,
and cross-entropy both ways. The tower for pictures is kept; that for texts and the projections are thrown away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.backbones.network import normalised
from headstart.core.errors import PlanError
from headstart.features.augmentation import Policy
from headstart.pretraining.contracts import Corpus, Student
from headstart.pretraining.text_corpus import padded, prepared
from headstart.pretraining.text_student import body_of, encoder_of
from headstart.training.tuning.loop import turn

SERVES = ("pair",)
TEACHERS = ""
# A random crop is CLIP's only change to a picture: a mirrored or recoloured one may belie its caption.
CROPS = Policy(crop=0.5, colour=0.0, gray=0.0, flip=False)
FACTOR, MOST = 1 / 0.07, 100.0  # where similarities' factor begins, and the most it may be


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is taught.

    batch:         pairs a step.  length: tokens of a caption, at most
    vocabulary:    tokens of the tokenizer that is learned from the captions, at most
    layers, width: of the tower for texts.  project: numbers that both are compared by
    """

    batch: int = 128
    length: int = 32
    vocabulary: int = 8000
    layers: int = 2
    width: int = 128
    project: int = 128

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """Both towers and the loss. Raises PlanError where there is nothing to be told apart."""
        if min(self.batch, len(corpus)) < 2 or self.length < 8 or self.width % 64 or self.width < 64 or self.layers < 1:
            raise PlanError(
                f"contrastive with batch={self.batch}, length={self.length}, width={self.width}, layers={self.layers} "
                f"on {len(corpus)} pairs cannot learn: at least 2 pairs a batch, 8 tokens, 1 layer and a width that is "
                "a multiple of 64 are expected."
            )
        return Towers(student, corpus, self)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"pixels": (b, side, side, 3) uint8, "input_ids", "attention_mask", "pair": (b, 2) which picture and text}"""
        assert corpus.pictures is not None
        assert corpus.pairs is not None
        chosen, lap = turn(len(corpus), self.batch, index, corpus.seed)
        pairs = corpus.pairs[chosen]
        side = int(student.spec["input_size"][1])  # type: ignore[index]
        views = [corpus.pictures.view(int(i), 1 + lap, CROPS, corpus.seed, side) for i in pairs[:, 0]]
        return {"pixels": np.stack(views), **padded(corpus, pairs[:, 1], 0), "pair": pairs}


class Towers(nn.Module):
    """The student for pictures, a small BERT for captions, a projection each, and the factor of similarities."""

    def __init__(self, student: Student, corpus: Corpus, settings: Settings):
        super().__init__()
        self.body, self.spec = student.body, student.spec
        model = encoder_of("bert", settings.layers, settings.width, settings.vocabulary, settings.length)
        self.text = body_of(model, prepared(corpus.folder / "tokenizer.json", settings.length))
        self.seen = nn.Linear(student.width, settings.project, bias=False)
        self.told = nn.Linear(settings.width, settings.project, bias=False)
        self.factor = nn.Parameter(torch.tensor(math.log(FACTOR)))

    def train(self, mode: bool = True) -> Towers:
        """All train; the tower for texts without dropout, for the reason that `masked` gives."""
        super().train(mode)
        self.text.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy of both ways, in nats: log(b) for towers that see nothing."""
        pictures = self.seen(self.body({"pixels": normalised(batch["pixels"], self.spec)}))
        texts = self.told(self.text({k: batch[k] for k in ("input_ids", "attention_mask")}))
        return matched(pictures, texts, self.factor.exp().clamp(max=MOST), batch["pair"])


def matched(pictures: torch.Tensor, texts: torch.Tensor, factor: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Mean of both ways' cross-entropies, float32. Source: Radford et al. 2021, figure 3.

    pictures, texts: (b, d).  pair: (b, 2) int64, which picture and which text each is
    Unlike there, another pair with an equal picture or an equal caption is no wrong answer: it is left out.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        a, b = F.normalize(pictures.float(), dim=1), F.normalize(texts.float(), dim=1)
        scores = factor.float() * (a @ b.T)
        equal = (pair[:, None] == pair[None]).any(2)
        equal.fill_diagonal_(False)
        scores = scores.masked_fill(equal, float("-inf"))
        own = torch.arange(len(a), device=a.device)
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
