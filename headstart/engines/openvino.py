"""OpenVINO in fp32 for many photos at once: the torch network compiled for this processor.

300 photos a second where torch gives 73 (MobileNetV2, 2 cores, nothing else running), and 25 times as many on a busy
machine, because no thread waits for another at every layer. Compiling costs about 4 s, so a few photos stay with torch.
Rows differ from torch's by 3e-6 of the largest.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np

from headstart.backbone import Backbone, Cut
from headstart.engines.torch import Running as Reference
from headstart.find import member
from headstart.network import open_network
from headstart.result import Receipt

BATCH = 8
MANY = 400  # photos from which compiling pays


def takes(runs: str, kind: str, todo: int) -> int:
    """Torch modules on many photos, where the library is there and no accelerator is."""
    if runs != "torch" or kind != "image" or todo < MANY or find_spec("openvino") is None:
        return 0
    import torch

    return 0 if torch.accelerator.is_available() else 2


def start(backbone: Backbone, cut: Cut) -> Compiled:
    """Opens the network below a cut as torch does, and compiles it."""
    return Compiled(Reference(open_network(backbone), backbone, cut), backbone)


class Compiled:
    """The network below the cut, compiled; the torch modules it came from stay for the receipt."""

    def __init__(self, reference: Reference, backbone: Backbone):
        import torch
        from torch import nn

        openvino = _silent()

        class Pixels(nn.Module):
            def __init__(self, below: nn.Module):
                super().__init__()
                self.below = below

            def forward(self, pixels):
                return self.below({"pixels": pixels})

        self._reference, self._backbone = reference, backbone
        size: Any = backbone.preprocess["input_size"]
        shape = tuple(size)
        with _quietly():
            model = openvino.convert_model(Pixels(reference.module).eval(), example_input=torch.zeros(2, *shape))
        model.reshape({model.inputs[0]: [-1, *shape]})
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
        self._compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._queue = openvino.AsyncInferQueue(self._compiled)

    def rows(self, units: list[np.ndarray]) -> np.ndarray:
        """(u, d) float32 at the top, (u, ...) below it, in the order of the units."""
        spec = self._backbone.preprocess
        prepare = member("preprocess", spec.kind)
        found: dict[int, np.ndarray] = {}

        def keep(request, first: int) -> None:
            found[first] = request.get_output_tensor(0).data.copy()

        self._queue.set_callback(keep)
        for first in range(0, len(units), BATCH):
            self._queue.start_async([prepare.batch(units[first : first + BATCH], spec)["pixels"]], first)
        self._queue.wait_all()
        return np.concatenate([found[first] for first in range(0, len(units), BATCH)])

    def receipt(self) -> Receipt:
        """Digests over the modules that were compiled, when they were opened and now."""
        return self._reference.receipt()


def _silent():
    """OpenVINO without openvino_telemetry, which reports every import and conversion to its makers.

    Where that module cannot be imported the library takes a stub of its own (openvino 2026.4, tools/ovc).
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _quietly():
    """Tracing warns of every shape that it takes for fixed; a wrong one would show in the witness."""
    import warnings

    return warnings.catch_warnings(action="ignore")
