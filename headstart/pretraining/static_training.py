"""Static token embeddings distilled from a sentence encoder: initialised token by token, then trained on passages.

Initialisation (model2vec, van Dongen and Tulkens 2024): the encoder's embedding of every token alone, on the principal
axes of its embeddings of passages. Then gradient descent: token embeddings, token weights and a convolution that sees
word order (see static_embeddings.py) learn to give what the encoder gives for passages of running text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones import static_embeddings, wordpiece
from headstart.backbones.static_embeddings import StaticEmbeddings
from headstart.backbones.wordpiece import vocabulary_of
from headstart.core import digest
from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError
from headstart.core.run import Emit, Run
from headstart.core.task import Example
from headstart.features.extract import embed
from headstart.features.runner import start_engine

if TYPE_CHECKING:
    import torch

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
MAX_WORDS, MIN_WORDS = 50, 5  # of a passage
MAX_TOKENS = 128  # of a passage; 50 words are about 70
WHITENING_POWER = 0.75  # 1 = full whitening, 0 = none: what tells questions apart lies on axes of little variance
INITIAL_NORM = 3.0  # mean length of a token embedding before whitening; larger would need more steps
CONV_INPUT = 128  # dimensions of a token embedding that the convolution sees
POSITIONS = 8  # position embeddings: of the first 7 tokens of a text, and of all later ones
STATISTICS_SAMPLE = 5000  # passages from which mean and standard deviation of the convolution's output are taken
CONV_NORM = 0.7  # length of the convolution's part of a row beside 1 of the other
SIF = 1e-3  # Arora et al. 2017, a / (a + p)


@dataclass(frozen=True, slots=True)
class Settings:
    """How static embeddings are made.

    dimensions: of a token embedding, one byte each.  conv_dim: channels of the convolution, 0 = none; they are averaged
                twice, over all tokens and over the first, so a row has dimensions + 2 conv_dim numbers
    epochs:     over the passages.  batch_size: passages a step.  learning_rate: of Adam, peak
    seed:       of the order of the passages and of the convolution's first weights
    """

    dimensions: int = 224
    conv_dim: int = 144
    epochs: int = 8
    batch_size: int = 512
    learning_rate: float = 4e-3
    seed: int = 0


def distill_vectors(
    texts: Sequence[str], teacher: Backbone, root: Path, settings: Settings, run: Run | None = None
) -> StaticEmbeddings:
    """Static embeddings that give what `teacher` gives, learned from unlabelled texts.

    teacher: a sentence encoder of the transformers family with BERT's WordPiece.  root: the cache of its embeddings
    Raises PlanError when its tokens are not WordPiece of lower-case words, or when there is too little text.
    """
    vocabulary = vocabulary_of(teacher)
    tokenizer = wordpiece.from_vocabulary(vocabulary)
    tokenized = [(text, tokenizer.encode(text, MAX_TOKENS)) for text in passages(texts)]
    tokenized = [(text, ids) for text, ids in tokenized if len(ids)]
    if len(tokenized) < 2 * settings.dimensions:
        raise PlanError(
            f"There are {len(tokenized)} passages of text; {settings.dimensions} dimensions need "
            f"{2 * settings.dimensions} or more. Give more texts, or fewer dimensions."
        )
    examples = [Example(str(i), text, digest.of_bytes(text.encode()), None) for i, (text, _) in enumerate(tokenized)]
    targets = embed(examples, teacher, teacher.cut(len(teacher.blocks)), root, run)
    ids = [tokenized[i][1] for i in targets.index]
    tokens = embed_single_tokens(teacher, tokenizer.vocabulary, root)
    emit = run.emit if run else lambda event, facts: None
    return train_vectors(ids, targets.x, tokens, vocabulary, settings, emit)


def passages(texts: Iterable[str]) -> list[str]:
    """Sentences of running text, short ones joined to the next, long ones cut; each once, in order."""
    distinct: dict[str, None] = {}
    for text in texts:
        words: list[str] = []
        for sentence in SENTENCE_END.split(text):
            words += sentence.split()
            if len(words) >= MIN_WORDS:
                distinct |= {" ".join(words[i : i + MAX_WORDS]): None for i in range(0, len(words), MAX_WORDS)}
                words = []
        if words:
            distinct[" ".join(words)] = None
    return list(distinct)


def embed_single_tokens(teacher: Backbone, vocabulary: Mapping[str, int], root: Path | None = None) -> np.ndarray:
    """(v, D) float32: the teacher's embedding of each token alone."""
    first, last = vocabulary["[CLS]"], vocabulary["[SEP]"]
    extractor = start_engine(teacher, teacher.cut(len(teacher.blocks)), root=root)
    return extractor.rows([np.array([first, i, last], np.int32) for i in range(len(vocabulary))])


def pca_baseline(ids: Sequence[np.ndarray], tokens: np.ndarray, vocabulary: str, dimensions: int) -> StaticEmbeddings:
    """What training is measured against: principal components of token embeddings, rare tokens counting more (SIF).

    ids: token ids of running text, for their frequencies.  tokens: (v, D) embeddings of single tokens
    """
    frequency = np.bincount(np.concatenate(ids), minlength=len(tokens)) / sum(map(len, ids))
    centred = tokens - tokens.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:dimensions]
    vectors, scales = static_embeddings.quantize_rows(centred @ axes.T)
    weights = (SIF / (SIF + frequency)).astype(np.float16)
    none, bias = np.zeros((0, 0), np.float16), np.zeros(dimensions, np.float16)
    out, statistics = np.zeros((0, dimensions), np.float16), np.zeros(0, np.float32)
    return StaticEmbeddings(
        vocabulary, vectors, scales, weights, none, none, none, none, out, bias, statistics, statistics
    )


def train_vectors(
    ids: Sequence[np.ndarray], targets: np.ndarray, tokens: np.ndarray, vocabulary: str, settings: Settings,
    emit: Emit = lambda event, facts: None,
) -> StaticEmbeddings:  # fmt: skip
    """Gradient descent from the token embeddings towards the teacher's embeddings; the loss is 1 - cosine.

    ids: token ids of n passages.  targets: (n, D), the teacher's embedding of each
    tokens: (v, D), the teacher's embedding of each token alone.  emit: told of steps, as the journal has them
    The same from the same seed on the same machine.
    """
    import torch

    axes, scale = _whitening(targets, settings.dimensions)
    centred = tokens - tokens.mean(0)
    initial = INITIAL_NORM * (centred @ axes / scale) / np.linalg.norm(centred, axis=1).mean()
    learner = _build_learner(initial, settings)
    whitened = torch.from_numpy((targets - targets.mean(0)) @ axes / scale).float()
    for step in _train(learner, ids, whitened, settings):
        emit("step", step)
    return _quantize(learner, ids, vocabulary)


def _whitening(rows: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """(D, d) principal axes of the rows, and (d,) by what to divide so that their variances are less unequal."""
    centred = rows - rows.mean(0)
    variance, axes = np.linalg.eigh(centred.T @ centred / len(rows))
    axes, std = axes[:, ::-1][:, :dimensions], np.sqrt(np.maximum(variance[::-1][:dimensions], 1e-12))
    return axes, (std / std.mean()) ** WHITENING_POWER


def _build_learner(initial: np.ndarray, settings: Settings) -> Any:
    """The torch twin of `static_embeddings._rows`, before quantisation. initial: (v, d) token embeddings"""
    import torch
    from torch import nn

    d, c = initial.shape[1], settings.conv_dim
    k = min(CONV_INPUT, d)
    generator = torch.Generator().manual_seed(settings.seed)
    kernel = torch.empty(3, k, c).uniform_(-((3 * k) ** -0.5), (3 * k) ** -0.5, generator=generator)

    class Learner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vectors = nn.Parameter(torch.from_numpy(initial.astype(np.float32)))
            self.log_weights = nn.Parameter(torch.zeros(len(initial), 1))
            self.kernel, self.positions = nn.Parameter(kernel), nn.Parameter(torch.zeros(POSITIONS, c))
            self.out, self.bias = nn.Parameter(torch.zeros(2 * c, d)), nn.Parameter(torch.zeros(d))

        def convolve(self, vectors: torch.Tensor, starts: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
            """(b, 2 c): the convolution's output, averaged over each text's tokens, and over its first ones."""
            x = vectors[:, :k]
            inside, zero = (position > 0).unsqueeze(1), x.new_zeros(1, c)
            before = torch.cat([zero, x[:-1] @ self.kernel[0]]) * inside
            after = torch.cat([(x[1:] @ self.kernel[2]) * inside[1:], zero])
            offset = self.positions[position.clamp(max=POSITIONS - 1)]
            hidden = torch.relu(x @ self.kernel[1] + before + after + offset)
            opening = position < static_embeddings.OPENING_TOKENS
            opening_starts = (position[opening] == 0).nonzero()[:, 0]
            return torch.cat([_segment_means(hidden, starts), _segment_means(hidden[opening], opening_starts)], 1)

        def forward(self, tokens: torch.Tensor, starts: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
            """(b, d), not yet of length 1"""
            vectors = nn.functional.embedding(tokens, self.vectors, sparse=True)
            weights = nn.functional.embedding(tokens, self.log_weights, sparse=True).exp()
            row = _segment_means(vectors * weights, starts) + self.bias
            return row + self.convolve(vectors, starts, position) @ self.out if c else row

    return Learner()


def _segment_means(x: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """(t, c) -> (b, c), the mean over each text's tokens."""
    import torch

    return torch.nn.functional.embedding_bag(torch.arange(len(x)), x, starts, mode="mean")


def _flat_batch(ids: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens one after the other (t,), where each text starts (b,), and each token's position in its text (t,)."""
    import torch

    lengths = np.array([len(i) for i in ids])
    starts = np.cumsum(lengths) - lengths
    position = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    tokens = np.concatenate(ids).astype(np.int64)
    return torch.from_numpy(tokens), torch.from_numpy(starts), torch.from_numpy(position)


def _train(learner: Any, ids: Sequence[np.ndarray], targets: torch.Tensor, settings: Settings) -> Iterator[dict]:
    """Every step, as the journal has it. The order of the passages is drawn from the seed."""
    import torch

    from headstart.training.tuning.optim import cosine_schedule

    # Only rows of tokens that a batch has are touched, by sparse Adam: 30,000 others cost nothing.
    sparse = [learner.vectors, learner.log_weights]
    dense = [learner.kernel, learner.positions, learner.out, learner.bias]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.SparseAdam(sparse), torch.optim.Adam(dense)]
    rng = np.random.default_rng(settings.seed)
    batch_size = min(settings.batch_size, len(ids))
    batches = len(ids) // batch_size
    total = settings.epochs * batches
    schedule = cosine_schedule(settings.learning_rate, total)
    began = time.perf_counter()
    for index in range(total):
        within = index % batches
        if within == 0:
            order = rng.permutation(len(ids))
        chosen = order[within * batch_size : (within + 1) * batch_size]
        rows = learner(*_flat_batch([ids[i] for i in chosen]))
        loss = (1 - torch.nn.functional.cosine_similarity(rows, targets[chosen])).mean()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
            optimizer.param_groups[0]["lr"] = schedule(index)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        speed = round((index + 1) * batch_size / (time.perf_counter() - began), 1)
        facts = {"done": index + 1, "total": total, "loss": round(float(loss.detach()), 5)}
        yield {**facts, "rate": schedule(index), "speed": speed}


def _quantize(learner: Any, ids: Sequence[np.ndarray], vocabulary: str) -> StaticEmbeddings:
    """The learner as int8 and half precision; the statistics of its convolution come from the passages."""
    import torch

    def half(parameter: torch.Tensor) -> np.ndarray:
        return parameter.numpy().astype(np.float16)

    with torch.inference_mode():
        vectors, scales = static_embeddings.quantize_rows(learner.vectors.numpy())
        weights = half(learner.log_weights.exp())[:, 0]
        before, own, after = half(learner.kernel)
        width = 2 * own.shape[1]
        centre, spread = np.zeros(width, np.float32), np.zeros(width, np.float32)
        if width:
            tokens, starts, position = _flat_batch(ids[:: 1 + len(ids) // STATISTICS_SAMPLE])
            hidden = learner.convolve(learner.vectors[tokens], starts, position).numpy()
            centre, spread = hidden.mean(0), CONV_NORM / (hidden.std(0) + 1e-4) / np.sqrt(np.float32(width))
        positions, out, bias = half(learner.positions), half(learner.out), half(learner.bias)
    return StaticEmbeddings(
        vocabulary, vectors, scales, weights, before, own, after, positions, out, bias, centre, spread
    )
