"""CLIP: of all captions of a batch, an image must find its own, and a caption its image.

Source: Radford et al. 2021, "CLIP": two towers, one projection each, cosine similarities times a learned scale, and
cross-entropy both ways (InfoNCE). The image tower is kept; the text tower and the projections are dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.backbones.network import normalize_pixels
from headstart.core.errors import PlanError
from headstart.features.augmentation import Policy
from headstart.pretraining.contracts import Corpus, Student
from headstart.pretraining.text_corpus import pad_batch, text_preprocess
from headstart.pretraining.text_student import HEAD_DIM, MIN_LENGTH, build_encoder, pooled_encoder
from headstart.training.tuning.loop import epoch_batch

SERVES = ("pair",)
TEACHERS = ""
# A random crop is CLIP's only augmentation: a mirrored or recoloured image may belie its caption.
CROPS = Policy(crop=0.5, colour=0.0, gray=0.0, flip=False)
INITIAL_SCALE, MAX_SCALE = 1 / 0.07, 100.0  # of the logits, an inverse temperature


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is trained.

    batch_size:      pairs a step.  max_length: tokens of a caption
    vocabulary_size: tokens of the tokenizer that is trained on the captions, at most
    layers, width:   of the text tower.  projection_dim: of the space in which both are compared
    """

    batch_size: int = 128
    max_length: int = 32
    vocabulary_size: int = 8000
    layers: int = 2
    width: int = 128
    projection_dim: int = 128

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """Both towers and the loss. Raises PlanError where there are no negatives, or for a tower that cannot be."""
        tower = self.width % HEAD_DIM == 0 and self.width >= HEAD_DIM and self.layers >= 1
        if min(self.batch_size, len(corpus)) < 2 or self.max_length < MIN_LENGTH or not tower:
            raise PlanError(
                f"contrastive with batch_size={self.batch_size}, max_length={self.max_length}, width={self.width}, "
                f"layers={self.layers} on {len(corpus)} pairs cannot learn: at least 2 pairs a batch, {MIN_LENGTH} "
                f"tokens, 1 layer and a width that is a multiple of {HEAD_DIM} are expected."
            )
        return TwoTowers(student, corpus, self)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"pixels": (b, side, side, 3) uint8, "input_ids", "attention_mask", "pair": (b, 2) indices of image, text}"""
        assert corpus.images is not None
        assert corpus.pairs is not None
        chosen, epoch = epoch_batch(len(corpus), self.batch_size, index, corpus.seed)
        pairs = corpus.pairs[chosen]
        side = int(student.spec["input_size"][1])  # type: ignore[index]
        views = [corpus.images.view(int(i), 1 + epoch, CROPS, corpus.seed, side) for i in pairs[:, 0]]
        return {"pixels": np.stack(views), **pad_batch(corpus, pairs[:, 1], 0), "pair": pairs}


class TwoTowers(nn.Module):
    """The student for images, a small BERT for captions, a projection head each, and the scale of the logits."""

    def __init__(self, student: Student, corpus: Corpus, settings: Settings):
        super().__init__()
        self.body, self.spec = student.body, student.spec
        length, projection_dim = settings.max_length, settings.projection_dim
        model = build_encoder("bert", settings.layers, settings.width, settings.vocabulary_size, length)
        self.text = pooled_encoder(model, text_preprocess(corpus.folder / "tokenizer.json", length))
        # Checkpoints of unfinished runs hold these names: the projections of images and of texts, and log(scale).
        self.seen = nn.Linear(student.width, projection_dim, bias=False)
        self.told = nn.Linear(settings.width, projection_dim, bias=False)
        self.factor = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))

    def train(self, mode: bool = True) -> TwoTowers:
        """All train; the text tower without dropout, for the reason that `masked` gives."""
        super().train(mode)
        self.text.eval()
        return self

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean cross-entropy of both directions, in nats: log(b) at chance level."""
        images = self.seen(self.body({"pixels": normalize_pixels(batch["pixels"], self.spec)}))
        texts = self.told(self.text({k: batch[k] for k in ("input_ids", "attention_mask")}))
        return clip_loss(images, texts, self.factor.exp().clamp(max=MAX_SCALE), batch["pair"])


def clip_loss(images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Mean of both directions' cross-entropies, float32. Source: Radford et al. 2021, figure 3.

    images, texts: (b, d) projections.  pair: (b, 2) int64, which image and which text each is
    Unlike there, another pair with an equal image or an equal caption is no negative: it is left out.
    """
    with torch.autocast(images.device.type, enabled=False):
        a, b = F.normalize(images.float(), dim=1), F.normalize(texts.float(), dim=1)
        logits = scale.float() * (a @ b.T)
        equal = (pair[:, None] == pair[None]).any(2)
        equal.fill_diagonal_(False)
        logits = logits.masked_fill(equal, float("-inf"))
        positives = torch.arange(len(a), device=a.device)
        return (F.cross_entropy(logits, positives) + F.cross_entropy(logits.T, positives)) / 2
