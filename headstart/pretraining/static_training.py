"""Makes static vectors out of a sentence encoder: token by token at first, then tuned to its vectors of whole texts.

First recipe (model2vec, van Dongen and Tulkens 2024): the encoder's vector of every token alone, turned to the axes
along which its vectors of texts vary most. Then gradient descent: vectors, what each token counts, and the layer that
sees order (see static.py) learn to give what the encoder gives for passages of running text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones import static_embeddings, wordpiece
from headstart.backbones.static_embeddings import Static
from headstart.core import digest
from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError
from headstart.core.run import Run
from headstart.core.task import Example
from headstart.features.extract import embed
from headstart.features.runner import start

if TYPE_CHECKING:
    import torch
from headstart.backbones.wordpiece import vocabulary_of

SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
LONGEST, SHORTEST = 50, 5  # words of a passage
READ = 128  # tokens of a passage; 50 words are about 70
EVENED = 0.75  # power by which axes that vary much are shrunk: what tells questions apart lies on weak ones
SIZE = 3.0  # length of the average token's vector before that; larger would need more steps
INPUT = 128  # numbers of a token's vector that the layer sees
PLACES = 8  # the first 7 tokens of a text, and all later ones
SAMPLE = 5000  # passages that tell the centre and spread of the layer
SHARE = 0.7  # length of the layer's part of a row beside 1 of the other
SIF = 1e-3  # Arora et al. 2017, a / (a + p)


@dataclass(frozen=True, slots=True)
class Settings:
    """How static vectors are made.

    dimensions: numbers of a token's vector, one byte each.  order: of the layer that sees order, 0 = none; it is
                averaged twice, so a row has dimensions + 2 order numbers
    epochs:     times that every passage is seen.  batch: passages a step.  rate: of Adam at its height
    seed:       of the order of the passages and of the layer's first weights
    """

    dimensions: int = 224
    order: int = 144
    epochs: int = 8
    batch: int = 512
    rate: float = 4e-3
    seed: int = 0


def distil(texts: Sequence[str], teacher: Backbone, root: Path, settings: Settings, run: Run | None = None) -> Static:
    """Static vectors that answer as `teacher` does, learned from texts that need no labels.

    teacher: a sentence encoder of the transformers family with BERT's WordPiece.  root: the cache of its rows
    Raises PlanError when its tokens are not WordPiece of lower-case words, or when there is too little text.
    """
    vocabulary = vocabulary_of(teacher)
    pieces = wordpiece.of(vocabulary)
    found = [(text, pieces.encode(text, READ)) for text in passages(texts)]
    found = [(text, ids) for text, ids in found if len(ids)]
    if len(found) < 2 * settings.dimensions:
        raise PlanError(
            f"There are {len(found)} passages of text; {settings.dimensions} dimensions need "
            f"{2 * settings.dimensions} or more. Give more texts, or fewer dimensions."
        )
    examples = [Example(str(i), text, digest.of_bytes(text.encode()), None) for i, (text, _) in enumerate(found)]
    rows = embed(examples, teacher, teacher.cut(len(teacher.blocks)), root, run)
    ids = [found[i][1] for i in rows.index]
    say = run.emit if run else lambda event, facts: None
    return tune(ids, rows.x, alone(teacher, pieces.vocabulary), vocabulary, settings, say)


def passages(texts: Iterable[str]) -> list[str]:
    """Sentences of running text, short ones joined to the next, long ones cut; each once, in order."""
    kept: dict[str, None] = {}
    for text in texts:
        waiting: list[str] = []
        for sentence in SENTENCE.split(text):
            waiting += sentence.split()
            if len(waiting) >= SHORTEST:
                kept |= {" ".join(waiting[i : i + LONGEST]): None for i in range(0, len(waiting), LONGEST)}
                waiting = []
        if waiting:
            kept[" ".join(waiting)] = None
    return list(kept)


def alone(teacher: Backbone, vocabulary: Mapping[str, int]) -> np.ndarray:
    """(v, D) float32: the teacher's vector of each token with nothing beside it."""
    first, last = vocabulary["[CLS]"], vocabulary["[SEP]"]
    running = start(teacher, teacher.cut(len(teacher.blocks)))
    return running.rows([np.array([first, i, last], np.int32) for i in range(len(vocabulary))])


def plain(ids: Sequence[np.ndarray], alone: np.ndarray, vocabulary: str, dimensions: int) -> Static:
    """What tuning is measured against: principal components of token vectors, rare tokens counting more (SIF).

    ids: tokens of running text, for their shares.  alone: (v, D)
    """
    share = np.bincount(np.concatenate(ids), minlength=len(alone)) / sum(map(len, ids))
    centred = alone - alone.mean(0)
    vectors, scales = static_embeddings.quantised(
        centred @ np.linalg.svd(centred, full_matrices=False)[2][:dimensions].T
    )
    weights = (SIF / (SIF + share)).astype(np.float16)
    none, bias = np.zeros((0, 0), np.float16), np.zeros(dimensions, np.float16)
    out, rest = np.zeros((0, dimensions), np.float16), np.zeros(0, np.float32)
    return Static(vocabulary, vectors, scales, weights, none, none, none, none, out, bias, rest, rest)


def tune(
    ids: Sequence[np.ndarray],
    rows: np.ndarray,
    alone: np.ndarray,
    vocabulary: str,
    settings: Settings,
    say: Callable[[str, dict], None] = lambda event, facts: None,
) -> Static:
    """Gradient descent from the token vectors towards the teacher's rows; the loss is 1 - cosine.

    ids: n passages, token ids.  rows: (n, D), the teacher's of each.  alone: (v, D), the teacher's of each token
    say: is told of steps, as the journal has them.  The same from the same seed on the same machine.
    """
    import torch

    axes, scale = _axes(rows, settings.dimensions)
    targets = torch.from_numpy((rows - rows.mean(0)) @ axes / scale).float()
    first = (alone - alone.mean(0)) @ axes / scale
    learner = _learner(SIZE * first / np.linalg.norm(alone - alone.mean(0), axis=1).mean(), settings)
    for step in _steps(learner, ids, targets, settings):
        say("step", step)
    return _finished(learner, ids, vocabulary)


def _axes(rows: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """(D, d) principal axes of the rows, and (d,) by what to divide so that they vary more evenly."""
    centred = rows - rows.mean(0)
    power, axes = np.linalg.eigh(centred.T @ centred / len(rows))
    axes, spread = axes[:, ::-1][:, :dimensions], np.sqrt(np.maximum(power[::-1][:dimensions], 1e-12))
    return axes, (spread / spread.mean()) ** EVENED


def _learner(first: np.ndarray, settings: Settings) -> Any:
    """The torch twin of `static._rows`, before quantisation."""
    import torch
    from torch import nn

    d, c = first.shape[1], settings.order
    k = min(INPUT, d)
    rng = torch.Generator().manual_seed(settings.seed)
    maps = torch.empty(3, k, c).uniform_(-((3 * k) ** -0.5), (3 * k) ** -0.5, generator=rng)

    class Learner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vectors = nn.Parameter(torch.from_numpy(first.astype(np.float32)))
            self.weights = nn.Parameter(torch.zeros(len(first), 1))
            self.maps, self.places = nn.Parameter(maps), nn.Parameter(torch.zeros(PLACES, c))
            self.out, self.bias = nn.Parameter(torch.zeros(2 * c, d)), nn.Parameter(torch.zeros(d))

        def layer(self, own: torch.Tensor, starts: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
            """(b, 2 c): what the layer sees, averaged over each text's tokens, and over its first ones."""
            x = own[:, :k]
            inside, nothing = (place > 0).unsqueeze(1), x.new_zeros(1, c)
            before = torch.cat([nothing, x[:-1] @ self.maps[0]]) * inside
            after = torch.cat([(x[1:] @ self.maps[2]) * inside[1:], nothing])
            seen = torch.relu(x @ self.maps[1] + before + after + self.places[place.clamp(max=PLACES - 1)])
            early = place < static_embeddings.OPENING
            return torch.cat([_mean(seen, starts), _mean(seen[early], (place[early] == 0).nonzero()[:, 0])], 1)

        def forward(self, tokens: torch.Tensor, starts: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
            """(b, d), not yet of length 1"""
            own = nn.functional.embedding(tokens, self.vectors, sparse=True)
            counts = nn.functional.embedding(tokens, self.weights, sparse=True).exp()
            row = _mean(own * counts, starts) + self.bias
            return row + self.layer(own, starts, place) @ self.out if c else row

    return Learner()


def _mean(x: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """(t, c) -> (b, c), the mean over each text's tokens."""
    import torch

    return torch.nn.functional.embedding_bag(torch.arange(len(x)), x, starts, mode="mean")


def _batch(ids: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens one after the other (t,), where each text starts (b,), and the place of each token in its text (t,)."""
    import torch

    many = np.array([len(i) for i in ids])
    starts = np.cumsum(many) - many
    place = np.arange(many.sum()) - np.repeat(starts, many)
    return torch.from_numpy(np.concatenate(ids).astype(np.int64)), torch.from_numpy(starts), torch.from_numpy(place)


def _steps(learner: Any, ids: Sequence[np.ndarray], targets: torch.Tensor, settings: Settings) -> Iterator[dict]:
    """Every step, as the journal has it. The order of the passages is drawn from the seed."""
    import torch

    from headstart.training.tuning.optim import cosine

    # Only rows of tokens that a batch has are touched, by sparse Adam: 30,000 others cost nothing.
    tables = [learner.vectors, learner.weights]
    rest = [learner.maps, learner.places, learner.out, learner.bias]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.SparseAdam(tables), torch.optim.Adam(rest)]
    rng = np.random.default_rng(settings.seed)
    batch = min(settings.batch, len(ids))
    total = settings.epochs * (len(ids) // batch)
    rate = cosine(settings.rate, total)
    began = time.perf_counter()
    for index in range(total):
        at = index % (len(ids) // batch)
        if at == 0:
            order = rng.permutation(len(ids))
        some = order[at * batch : (at + 1) * batch]
        given = learner(*_batch([ids[i] for i in some]))
        loss = (1 - torch.nn.functional.cosine_similarity(given, targets[some])).mean()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
            optimizer.param_groups[0]["lr"] = rate(index)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        speed = round((index + 1) * batch / (time.perf_counter() - began), 1)
        facts = {"done": index + 1, "total": total, "loss": round(float(loss.detach()), 5)}
        yield {**facts, "rate": rate(index), "speed": speed}


def _finished(learner: Any, ids: Sequence[np.ndarray], vocabulary: str) -> Static:
    """The learner as int8 and half precision; centre and spread of its layer come from the passages."""
    import torch

    with torch.inference_mode():
        vectors, scales = static_embeddings.quantised(learner.vectors.numpy())
        weights = learner.weights.exp().numpy()[:, 0]
        half = {name: getattr(learner, name).numpy().astype(np.float16) for name in ("places", "out", "bias")}
        before, here, after = learner.maps.numpy().astype(np.float16)
        width = 2 * here.shape[1]
        centre, spread = np.zeros(width, np.float32), np.zeros(width, np.float32)
        if width:
            tokens, starts, place = _batch(ids[:: 1 + len(ids) // SAMPLE])
            seen = learner.layer(learner.vectors[tokens], starts, place).numpy()
            centre, spread = seen.mean(0), SHARE / (seen.std(0) + 1e-4) / np.sqrt(np.float32(width))
    return Static(
        vocabulary, vectors, scales, weights.astype(np.float16), before, here, after,
        centre=centre, spread=spread, **half,
    )  # fmt: skip
