"""PyTorch: the reference engine, on the processor or on the accelerator where there is one.

On a processor several small batches run in parallel, each on its share of torch's threads: for MobileNetV2 1.3 times
the images a second of one batch at a time on 2 cores (79 to 58), for ViT-Ti 1.05, for MiniLM 3 times the texts, and no
thread waits for another at every layer. CUDA and Apple devices are taken where torch finds them; neither was tested.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.network import Network, open_network
from headstart.core import digest, hardware
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError, import_extra
from headstart.core.plugins import member
from headstart.core.result import Receipt
from headstart.features.batching import batch_indices, gather_rows

# Of one batch, by device. On 2 cores 4 to 8 images were fastest of 1 to 64, and 1,024 tokens of 512 to 4,096.
MAX_IMAGES = {"cpu": 8, "other": 64}
MAX_TOKENS = {"cpu": 1024, "other": 16_384}  # padding included
MAX_STREAMS = 4  # batches in parallel: they share memory


def precisions() -> tuple[str, ...]:
    """bfloat16 where the processor, or an accelerator, multiplies it itself."""
    return ("bfloat16",) if hardware.has_accelerator() or hardware.has_native_bfloat16() else ()


def takes(backbone: Backbone, cut: Cut, runs: str, todo: int, root: Path | None) -> int:
    """Backbones whose parts are torch modules; before all others where there is an accelerator."""
    return 0 if runs != "torch" else 4 if hardware.has_accelerator() else 1


def start(backbone: Backbone, cut: Cut, root: Path | None = None) -> TorchExtractor:
    """Opens the network below a cut.

    Raises PlanError where nothing is below it, and what opening the network raises.
    """
    if cut.at == 0:
        raise PlanError(f"Nothing of {backbone.name} lies below a cut at 0: there is nothing to embed with.")
    import_extra("torch", "torch", f"The backbone {backbone.name}")
    return TorchExtractor(open_network(backbone), backbone, cut)


class TorchExtractor:
    """The network below the cut, frozen.

    module: a torch module in eval mode.  rows in float32 are exact; the same units in the same order give the same bits
    engine: what made the rows, for receipts
    """

    def __init__(self, network: Network, backbone: Backbone, cut: Cut):
        import torch

        self._network, self._backbone = network, backbone
        self._bfloat16 = cut.precision == "bfloat16"  # OpenVINO's mixed precision is computed in float32 here
        self.engine = f"torch {'bfloat16' if self._bfloat16 else 'float32'}"
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        self.device = accelerator or torch.device("cpu")
        network.model.to(self.device)
        self.module = network.below(cut)
        if backbone.preprocess.kind == "image":
            self.module.to(memory_format=torch.channels_last)
        self._before = self._digests()

    def rows(self, units: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        """(u, d) float32 at the top, (u, ...) below it, a list of (t, d) for texts there; in the order of the units."""
        import torch

        device = "cpu" if self.device.type == "cpu" else "other"
        batches = list(batch_indices(units, MAX_IMAGES[device], MAX_TOKENS[device]))
        threads = torch.get_num_threads()
        streams = min(MAX_STREAMS, threads, len(batches)) if self.device.type == "cpu" else 1
        if streams <= 1:
            return gather_rows(units, batches, [self._forward(units, index) for index in batches], self._backbone.width)
        threads_each = (threads // streams,)
        try:
            with ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=threads_each) as pool:
                rows = list(pool.map(lambda index: self._forward(units, index), batches))
                return gather_rows(units, batches, rows, self._backbone.width)
        finally:
            torch.set_num_threads(threads)  # torch hands the number of the last thread that set it to every new one

    def receipt(self) -> Receipt:
        """Digests over every parameter and buffer below the cut, when it was opened and now."""
        now = self._digests()
        moved = tuple(sorted(name for name in now if now[name] != self._before.get(name)))
        return Receipt(len(now), moved, digest.of_value(self._before), digest.of_value(now), engine=self.engine)

    def _forward(self, units: list[np.ndarray], index: list[int]) -> Any:
        import torch

        spec = self._backbone.preprocess
        arrays = member("preprocess", spec.kind).batch([units[i] for i in index], spec)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)
        with torch.inference_mode(), autocast:
            out = self.module({k: self._to_device(v) for k, v in arrays.items()})
        if isinstance(out, tuple):  # hidden states and their mask: padding is not kept
            hidden = out[0].float().cpu().numpy()
            return [hidden[row, : len(units[i])] for row, i in enumerate(index)]
        return out.float().cpu().numpy()

    def _to_device(self, array: np.ndarray):
        import torch

        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":  # from pinned memory the copy overlaps with the batch before; not tested
            tensor = tensor.pin_memory()
        tensor = tensor.to(self.device, non_blocking=True)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def _digests(self) -> dict[str, str]:
        # Values, not version counters: BatchNorm rewrites running_mean without touching _version (torch 2.15).
        tensors = self._network.tensors(self.module)
        return {name: _digest(tensor) for name, tensor in tensors.items()}


def _digest(tensor) -> str:
    array = tensor.detach().cpu().contiguous().numpy()
    return digest.of_bytes(memoryview(array.reshape(-1)).cast("B")) if array.size else ""
