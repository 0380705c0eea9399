"""ONNX Runtime in float32: for backbones with a graph, so that no network library is imported."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import ArtifactError, PlanError
from headstart.core.messages import type_and_first_line
from headstart.core.plugins import member
from headstart.core.result import Receipt

BATCH_SIZE = 8  # units at a time: of 1 to 64 the fastest on 2 cores, and it bounds memory


def precisions() -> tuple[str, ...]:
    """None but float32."""
    return ()


def takes(backbone: Backbone, cut: Cut, runs: str, todo: int, root: Path | None) -> int:
    """Backbones with a graph and its weights as arrays."""
    return int(runs == "onnx")


def start(backbone: Backbone, cut: Cut, root: Path | None = None) -> OnnxExtractor:
    """Opens the graph. Raises PlanError below the top: a graph has one output."""
    if not cut.top:
        raise PlanError(f"The graph of {backbone.name} ends at its top, {len(backbone.blocks)}; it has no other cut.")
    graph, weights = member("backbones", backbone.family).graph(backbone)
    return OnnxExtractor(backbone, graph, weights)


class OnnxExtractor:
    """An ONNX session whose weights stay here as arrays, so that they can be compared before and after."""

    def __init__(self, backbone: Backbone, graph: bytes, weights: dict[str, np.ndarray]):
        import onnxruntime as ort

        self._backbone, self._weights = backbone, weights
        self.engine = "onnx float32"
        self._before = digest.of_arrays(weights.items())
        options = ort.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        options.log_severity_level = 3
        # Without this its threads spin between batches and take the processor from decoding.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The graph names its weights and holds none: one set serves this engine and torch alike.
        self._values = [ort.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
        options.add_external_initializers(list(weights), self._values)
        try:
            # Its fallback would try the same again, and print to the output that --json promises to a document.
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)
            (self._input,) = (node.name for node in self._session.get_inputs())
            (_,) = self._session.get_outputs()
        except Exception as error:  # of a dozen types of the runtime; ValueError where it has other inputs or outputs
            raise self._refusal(error) from error

    def rows(self, units: list[np.ndarray]) -> np.ndarray:
        """(u, d) float32, in the order of the units."""
        spec = self._backbone.preprocess
        prepare = member("preprocess", spec.kind)
        out = np.empty((len(units), self._backbone.width), np.float32)
        for first in range(0, len(units), BATCH_SIZE):
            (batch,) = prepare.batch(units[first : first + BATCH_SIZE], spec).values()
            try:
                (rows,) = self._session.run(None, {self._input: batch})
            except Exception as error:  # as above
                raise self._refusal(error) from error
            if rows.shape != (len(batch), self._backbone.width):
                shape = (len(batch), self._backbone.width)
                raise self._refusal(f"it gives rows of {rows.shape} where its card says {shape}")
            out[first : first + len(batch)] = rows
        return out

    def _refusal(self, reason: Exception | str) -> ArtifactError:
        why = reason if isinstance(reason, str) else type_and_first_line(reason)
        return ArtifactError(
            f"The graph of {self._backbone.name} cannot be run: {why}. Make the backbone again, or restore its folder "
            "from a copy."
        )

    def receipt(self) -> Receipt:
        """Digests over every weight of the graph, when it was opened and now."""
        now = digest.of_arrays(self._weights.items())
        moved = () if now == self._before else ("a weight",)
        return Receipt(len(self._weights), moved, self._before, now, engine=self.engine)
