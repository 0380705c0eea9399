"""What a backbone's network gives without its past, and what it carries of it: random weights, kept norm statistics.

Both need the network opened, which takes seconds: they are taken from few examples and kept in the cache folder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.network import open_above
from headstart.core import digest
from headstart.core.backbone import Backbone
from headstart.core.errors import SourceError, Unreadable
from headstart.core.features import stacked
from headstart.core.files import kept
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.data.contents import stream
from headstart.evaluation.transferability.domain_similarity import Moments
from headstart.features.extract import crossing
from headstart.features.runner import Untouched

FORMAT = 1
UPPER = 3  # the upper third of the BatchNorm layers speaks: of three thirds it told photo sets apart best
SETTLE = 64  # examples from which the norms of a random network take their statistics


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What an open network tells.

    layers:  of the upper third of its BatchNorm layers, none where it has none
    sizes:   (blocks + 2,) int64 parameters of the stem, of each block, and of the pooling
    seconds: that one example takes, forward, prepared
    """

    layers: tuple[Moments, ...]
    sizes: np.ndarray
    seconds: float


def trainable(card: Backbone) -> bool:
    """Whether there is a network whose weights could be drawn anew, and what opens it is installed."""
    if member("backbones", card.family).runs(card, card.cut(0)) != "torch":
        return False
    return find_spec("torch") is not None  # importing it takes seconds, and what is kept needs none of it


def opened(examples: Sequence[Example], card: Backbone, root: Path) -> Opened:
    """What the network meets in these readable examples, from the cache folder where it was looked at before.

    Raises CacheError where that folder cannot be written, and what opening the network raises.
    """
    path = _place("opened", examples, card, root)
    found = kept(path, root, lambda: _look(examples, card))
    names = ("mean", "square", "kept_mean", "kept_variance")
    layers = tuple(Moments(*(found[f"{name}-{i}"] for name in names)) for i in range(int(found["layers"])))
    return Opened(layers, found["sizes"], float(found["seconds"]))


def rows(examples: Sequence[Example], card: Backbone, root: Path) -> np.ndarray:
    """(n, d) float32 of readable examples at the top of the same architecture with random weights.

    Weights are drawn as the layers draw them; BatchNorm then takes its statistics from the first examples, without
    which a random network would give the same row for every photo.
    Raises CacheError where the cache folder cannot be written, and what opening the network raises.
    """
    path = _place("untrained", examples, card, root)
    return kept(path, root, lambda: {"rows": _drawn(examples, card)})["rows"]


def _look(examples: Sequence[Example], card: Backbone) -> dict[str, np.ndarray]:
    from torch import nn

    from headstart.training.tuning.learner import numbers, passed

    learner = _learner(card)
    layers = [m for m in learner.body.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]
    upper = layers[len(layers) - -(-len(layers) // UPPER) :]
    met: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in upper]

    def meet(i: int):
        def hook(module: Any, given: Any, out: Any) -> None:
            x = given[0].float()
            met[i].append((x.mean((2, 3)).cpu().numpy(), (x * x).mean((2, 3)).cpu().numpy()))

        return hook

    x = _prepared(examples, card)
    hooks = [layer.register_forward_hook(meet(i)) for i, layer in enumerate(upper)]
    begun = time.perf_counter()
    passed(learner, x, learner.rows)
    seconds = (time.perf_counter() - begun) / len(examples)
    for hook in hooks:
        hook.remove()
    sizes = np.array([numbers(part) for part in learner.body], np.int64)
    found = {"layers": np.array(len(upper)), "sizes": sizes, "seconds": np.array(seconds)}
    for i, (layer, seen) in enumerate(zip(upper, met, strict=True)):
        found |= {
            f"mean-{i}": np.concatenate([mean for mean, _ in seen]),
            f"square-{i}": np.concatenate([square for _, square in seen]),
            f"kept_mean-{i}": _numpy(layer.running_mean),
            f"kept_variance-{i}": _numpy(layer.running_var) + layer.eps,
        }
    return found


def _drawn(examples: Sequence[Example], card: Backbone) -> np.ndarray:
    import torch
    from torch import nn

    from headstart.training.methods.scratch import forget
    from headstart.training.tuning.learner import BATCH, arrays, passed

    learner = _learner(card)
    forget(learner, 0)
    x = _prepared(examples, card)
    learning = [m for m in learner.body.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if learning:
        learner.eval()
        for layer in learning:
            layer.momentum = None  # a plain mean over the batches
            layer.train()
        with torch.inference_mode():
            place = next(learner.parameters()).device
            for at in range(0, min(SETTLE, len(examples)), BATCH):
                index = np.arange(at, min(at + BATCH, len(examples)))
                learner.rows({k: torch.from_numpy(v).to(place) for k, v in arrays(x, index).items()})
    return passed(learner, x, learner.rows)


def _learner(card: Backbone) -> Any:
    """The whole network, opened. The caller's dice stay as they are, though a head is drawn and never used."""
    import torch

    from headstart.training.tuning.learner import Learner

    with torch.random.fork_rng(devices=[]):
        return Learner(open_above(card, card.cut(0)), 1)


def _numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _prepared(examples: Sequence[Example], card: Backbone) -> Any:
    """What leaves a cut at 0, in order. Raises SourceError where an example can no longer be read."""
    spec = card.preprocess
    contents = [content for _, content in stream(examples)]
    ready = member("preprocess", spec.kind).prepare(contents, spec)
    for example, units in zip(examples, ready, strict=True):
        if isinstance(units, Unreadable):
            raise SourceError(f"{example.id} could be read before and cannot be read now: {units}.")
    made = crossing(list(ready), spec, card.cut(0), Untouched())
    windows = [w for _, w in made] if spec.kind == "text" else []
    return stacked([row for row, _ in made], windows)


def _place(what: str, examples: Sequence[Example], card: Backbone, root: Path) -> Path:
    facts = {"weights": card.weights, "preprocess": asdict(card.preprocess), "examples": [e.digest for e in examples]}
    return root / "untrained" / f"{what}-{digest.of_value([FORMAT, facts]).replace(':', '-')}.npz"
