"""PyTorch in fp32: the reference engine, on the processor or on the accelerator where there is one.

On a processor several small batches run side by side, each on its share of torch's threads: for MobileNetV2 1.3 times
the images a second of one batch at a time on 2 cores (79 to 58), for ViT-Ti 1.05, for MiniLM 3 times the texts, and no
thread waits for another at every layer. CUDA and Apple devices are taken where torch finds them; neither was tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from headstart import digest
from headstart.backbone import Backbone, Cut
from headstart.errors import PlanError, missing_extra
from headstart.find import member
from headstart.network import Network, open_network
from headstart.result import Receipt

# Of one batch, by place. On 2 cores 4 to 8 images were fastest of 1 to 64, and 1,024 tokens of 512 to 4,096.
IMAGES = {"cpu": 8, "other": 64}
TOKENS = {"cpu": 1024, "other": 16_384}  # padding included
STREAMS = 4  # batches side by side, at most: they share memory


def takes(runs: str, kind: str, todo: int) -> int:
    """Backbones whose parts are torch modules."""
    return int(runs == "torch")


def start(backbone: Backbone, cut: Cut) -> Running:
    """Opens the network below a cut.

    Raises PlanError where nothing is below it, and what opening the network raises.
    """
    if cut.at == 0:
        raise PlanError(f"Nothing of {backbone.name} lies below a cut at 0: there is nothing to embed with.")
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
        here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        self.device = here or torch.device("cpu")
        network.model.to(self.device)
        self.module = network.below(cut)
        if backbone.preprocess.kind == "image":
            self.module.to(memory_format=torch.channels_last)
        self._before = self._digests()

    def rows(self, units: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        """(u, d) float32 at the top, (u, ...) below it, a list of (t, d) for texts there; in the order of the units."""
        import torch

        batches = list(_batches(units, "cpu" if self.device.type == "cpu" else "other"))
        threads = torch.get_num_threads()
        streams = min(STREAMS, threads, len(batches)) if self.device.type == "cpu" else 1
        if streams <= 1:
            return self._joined(units, batches, [self._run(units, index) for index in batches])
        share = (threads // streams,)
        try:
            with ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=share) as pool:
                return self._joined(units, batches, list(pool.map(lambda index: self._run(units, index), batches)))
        finally:
            torch.set_num_threads(threads)  # torch hands the number of the last thread that set it to every new one

    def receipt(self) -> Receipt:
        """Digests over every parameter and buffer below the cut, when it was opened and now."""
        now = self._digests()
        moved = tuple(sorted(name for name in now if now[name] != self._before.get(name)))
        return Receipt(len(now), moved, digest.of_value(self._before), digest.of_value(now))

    def _run(self, units: list[np.ndarray], index: list[int]) -> Any:
        import torch

        spec = self._backbone.preprocess
        arrays = member("preprocess", spec.kind).batch([units[i] for i in index], spec)
        with torch.inference_mode():
            out = self.module({k: self._tensor(v) for k, v in arrays.items()})
        if isinstance(out, tuple):  # hidden states and their mask: padding is not kept
            hidden = out[0].float().cpu().numpy()
            return [hidden[row, : len(units[i])] for row, i in enumerate(index)]
        return out.float().cpu().numpy()

    def _joined(self, units: list[np.ndarray], batches: list[list[int]], rows: list) -> np.ndarray | list[np.ndarray]:
        if rows and isinstance(rows[0], list):
            whole: list[np.ndarray] = [np.zeros(0)] * len(units)
            for index, some in zip(batches, rows, strict=True):
                for i, row in zip(index, some, strict=True):
                    whole[i] = row
            return whole
        shape = rows[0].shape[1:] if rows else (self._backbone.width,)
        out = np.empty((len(units), *shape), np.float32)
        for index, row in zip(batches, rows, strict=True):
            out[index] = row
        return out

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


def _batches(units: list[np.ndarray], place: str) -> Iterator[list[int]]:
    """Positions of the units of one pass each: images as they come; texts by length, so that little is padding."""
    if units and units[0].ndim > 1:
        size = IMAGES[place]
        yield from (list(range(begin, min(begin + size, len(units)))) for begin in range(0, len(units), size))
        return
    batch: list[int] = []
    for i in sorted(range(len(units)), key=lambda i: len(units[i])):
        if batch and (len(batch) + 1) * len(units[i]) > TOKENS[place]:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
