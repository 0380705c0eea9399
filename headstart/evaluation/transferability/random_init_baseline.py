"""The random-initialisation baseline of a backbone, and a profile of its pretrained network: BatchNorm, size, speed.

Both load the network, which takes seconds: they use few examples, and results are cached on disk.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.network import open_above
from headstart.core import digest
from headstart.core.arrays import load_or_compute_arrays
from headstart.core.backbone import Backbone
from headstart.core.errors import SourceError, Unreadable
from headstart.core.features import stack_rows
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.data.contents import iter_contents
from headstart.evaluation.transferability.domain_similarity import BatchNormMoments
from headstart.features.extract import features_at_cut
from headstart.features.runner import IdentityExtractor

FORMAT = 1
UPPER_SHARE = 3  # the last third of the BatchNorm layers: of three thirds it separated photo sets best
BATCHNORM_SAMPLE = 64  # examples that estimate the BatchNorm statistics of a random network


@dataclass(frozen=True, slots=True, eq=False)
class NetworkProfile:
    """Measurements on the loaded network.

    layers:  inputs of the last third of its BatchNorm layers; empty where it has none
    sizes:   (blocks + 2,) int64 parameters of the stem, of each block, and of the pooling
    seconds: forward pass of one preprocessed example
    """

    layers: tuple[BatchNormMoments, ...]
    sizes: np.ndarray
    seconds: float


def is_trainable(backbone: Backbone) -> bool:
    """Whether the backbone is a network that torch can train, and torch is installed."""
    if member("backbones", backbone.family).runs(backbone, backbone.cut(0)) != "torch":
        return False
    return find_spec("torch") is not None  # importing it takes seconds, and cached results need none of it


def profile_network(examples: Sequence[Example], backbone: Backbone, root: Path) -> NetworkProfile:
    """Profile of the network on these readable examples, cached on disk. Raises what loading the network raises."""
    path = _cache_path("opened", examples, backbone, root)
    arrays = load_or_compute_arrays(path, lambda: _profile(examples, backbone))
    names = ("mean", "square", "kept_mean", "kept_variance")
    layers = tuple(BatchNormMoments(*(arrays[f"{name}-{i}"] for name in names)) for i in range(int(arrays["layers"])))
    return NetworkProfile(layers, arrays["sizes"], float(arrays["seconds"]))


def random_init_embeddings(examples: Sequence[Example], backbone: Backbone, root: Path) -> np.ndarray:
    """(n, d) float32 embeddings of readable examples by the same architecture with random weights.

    Weights come from the layers' own initialisers; BatchNorm then estimates its statistics on the first examples,
    without which a random network would give the same embedding for every photo.
    Raises what loading the network raises.
    """
    path = _cache_path("untrained", examples, backbone, root)
    return load_or_compute_arrays(path, lambda: {"rows": _random_init_embeddings(examples, backbone)})["rows"]


def _profile(examples: Sequence[Example], backbone: Backbone) -> dict[str, np.ndarray]:
    from torch import nn

    from headstart.training.tuning.learner import count_parameters, forward_in_batches

    learner = _open_network(backbone)
    layers = [m for m in learner.body.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]
    last_layers = layers[len(layers) - -(-len(layers) // UPPER_SHARE) :]
    moments: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in last_layers]

    def record_moments(i: int):
        def hook(module: Any, inputs: Any, output: Any) -> None:
            x = inputs[0].float()
            moments[i].append((x.mean((2, 3)).cpu().numpy(), (x * x).mean((2, 3)).cpu().numpy()))

        return hook

    x = _network_inputs(examples, backbone)
    hooks = [layer.register_forward_hook(record_moments(i)) for i, layer in enumerate(last_layers)]
    started = time.perf_counter()
    forward_in_batches(learner, x, learner.embed)
    seconds = (time.perf_counter() - started) / len(examples)
    for hook in hooks:
        hook.remove()
    sizes = np.array([count_parameters(part) for part in learner.body], np.int64)
    arrays = {"layers": np.array(len(last_layers)), "sizes": sizes, "seconds": np.array(seconds)}
    for i, (layer, batches) in enumerate(zip(last_layers, moments, strict=True)):
        arrays |= {
            f"mean-{i}": np.concatenate([mean for mean, _ in batches]),
            f"square-{i}": np.concatenate([square for _, square in batches]),
            f"kept_mean-{i}": _numpy(layer.running_mean),
            f"kept_variance-{i}": _numpy(layer.running_var) + layer.eps,
        }
    return arrays


def _random_init_embeddings(examples: Sequence[Example], backbone: Backbone) -> np.ndarray:
    import torch
    from torch import nn

    from headstart.training.methods.scratch import reinitialize
    from headstart.training.tuning.learner import INFERENCE_BATCH, collate, forward_in_batches

    learner = _open_network(backbone)
    reinitialize(learner, 0)
    x = _network_inputs(examples, backbone)
    batch_norms = [m for m in learner.body.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if batch_norms:
        learner.eval()
        for layer in batch_norms:
            layer.momentum = None  # a plain mean over the batches
            layer.train()
        with torch.inference_mode():
            device = next(learner.parameters()).device
            for start in range(0, min(BATCHNORM_SAMPLE, len(examples)), INFERENCE_BATCH):
                batch = np.arange(start, min(start + INFERENCE_BATCH, len(examples)))
                learner.embed({k: torch.from_numpy(v).to(device) for k, v in collate(x, batch).items()})
    return forward_in_batches(learner, x, learner.embed)


def _open_network(backbone: Backbone) -> Any:
    """The whole network with an unused head; the caller's random state stays as it is."""
    import torch

    from headstart.training.tuning.learner import Learner

    with torch.random.fork_rng(devices=[]):
        return Learner(open_above(backbone, backbone.cut(0)), 1)


def _numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _network_inputs(examples: Sequence[Example], backbone: Backbone) -> Any:
    """Preprocessed inputs of the network, in order. Raises SourceError where an example can no longer be read."""
    preprocess = backbone.preprocess
    contents = [content for _, content in iter_contents(examples)]
    prepared_inputs = member("preprocess", preprocess.kind).prepare(contents, preprocess)
    for example, prepared in zip(examples, prepared_inputs, strict=True):
        if isinstance(prepared, Unreadable):
            raise SourceError(f"{example.id} could be read before and cannot be read now: {prepared}.")
    features = features_at_cut(list(prepared_inputs), preprocess, backbone.cut(0), IdentityExtractor())
    windows = [w for _, w in features] if preprocess.kind == "text" else []
    return stack_rows([row for row, _ in features], windows)


def _cache_path(name: str, examples: Sequence[Example], backbone: Backbone, root: Path) -> Path:
    digests = [e.digest for e in examples]
    facts = {
        "weights": backbone.identity or backbone.weights,
        "preprocess": backbone.preprocess.facts(),
        "examples": digests,
    }
    return root / "untrained" / f"{name}-{digest.of_value([FORMAT, facts]).replace(':', '-')}.npz"
