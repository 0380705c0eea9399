"""PyTorch in fp32: the reference engine, on the processor or on the accelerator where there is one.

CUDA and Apple devices are taken where torch finds them, but have not been tested.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from headstart import digest
from headstart.backbone import Backbone, Cut
from headstart.errors import PlanError, missing_extra
from headstart.find import member
from headstart.network import Network, open_network
from headstart.result import Receipt

IMAGES = 32
TOKENS = 4096  # of one batch of texts, padding included


def takes(runs: str) -> bool:
    """Backbones whose parts are torch modules."""
    return runs == "torch"


def start(backbone: Backbone, cut: Cut) -> Running:
    """Opens the network below a cut.

    Raises PlanError where nothing is below it or no single row leaves it, and what opening the network raises.
    """
    if cut.at == 0:
        raise PlanError(f"Nothing of {backbone.name} lies below a cut at 0: there is nothing to embed with.")
    if backbone.preprocess.kind == "text" and not cut.top:
        raise PlanError(
            f"Below its top {backbone.name} gives a row for every token, which is not kept. "
            f"Cut it at {len(backbone.blocks)}."
        )
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise missing_extra("torch", "torch", f"The backbone {backbone.name}") from error
    return Running(open_network(backbone), backbone, cut)


class Running:
    """What lies below the cut, frozen and at work.

    module: a torch module in eval mode.  rows are exact fp32; the same units in the same order give the same bits
    """

    def __init__(self, network: Network, backbone: Backbone, cut: Cut):
        import torch

        self._network, self._backbone = network, backbone
        self.device = (
            torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
        )
        network.model.to(self.device)
        self.module = network.below(cut)
        if backbone.preprocess.kind == "image":
            self.module.to(memory_format=torch.channels_last)
        self._before = self._digests()

    def rows(self, units: list[np.ndarray]) -> np.ndarray:
        """(u, d) float32 at the top, (u, ...) below it, in the order of the units."""
        import torch

        batch_of = member("preprocess", self._backbone.preprocess.kind).batch
        out = np.zeros((0, self._backbone.width), np.float32)
        with torch.inference_mode():
            for index in _batches(units):
                arrays = batch_of([units[i] for i in index], self._backbone.preprocess)
                row = self.module({k: self._tensor(v) for k, v in arrays.items()}).float().cpu().numpy()
                if not len(out):
                    out = np.empty((len(units), *row.shape[1:]), np.float32)
                out[index] = row
        return out

    def receipt(self) -> Receipt:
        """Digests over every parameter and buffer below the cut, when it was opened and now."""
        now = self._digests()
        moved = tuple(sorted(name for name in now if now[name] != self._before.get(name)))
        return Receipt(len(now), moved, digest.of_value(self._before), digest.of_value(now))

    def _tensor(self, array: np.ndarray):
        import torch

        tensor = torch.from_numpy(array).to(self.device)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def _digests(self) -> dict[str, str]:
        # Values, not version counters: BatchNorm rewrites running_mean without touching _version (torch 2.15).
        held = self._network.tensors(self.module)
        return {name: _digest(tensor) for name, tensor in held.items()}


def _digest(tensor) -> str:
    array = tensor.detach().cpu().contiguous().numpy()
    return digest.of_bytes(memoryview(array.reshape(-1)).cast("B")) if array.size else ""


def _batches(units: list[np.ndarray]) -> Iterator[list[int]]:
    """Positions of units for one pass each: images as they come; texts by length, so that little is padding."""
    if units and units[0].ndim > 1:
        for begin in range(0, len(units), IMAGES):
            yield list(range(begin, min(begin + IMAGES, len(units))))
        return
    order = sorted(range(len(units)), key=lambda i: len(units[i]))
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * len(units[i]) > TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
