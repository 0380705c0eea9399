"""OpenVINO: the network below a cut compiled for this processor, in float32, bfloat16 or mixed, and cached on disk.

The first use of a backbone opens it with torch, converts it and compares the two; every later one reads the cached
graph, and neither torch nor the backbone's library is imported.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest, hardware
from headstart.core.backbone import Backbone, Cut
from headstart.core.checked_folder import read_manifest, write_manifest
from headstart.core.errors import PlanError
from headstart.core.files import (
    make_folder,
    move,
    read_checked_json,
    remove_folder,
    temporary_path,
    touch,
    writing_cache,
)
from headstart.core.messages import first_line
from headstart.core.plugins import member
from headstart.core.result import Receipt
from headstart.features import openvino_graphs
from headstart.features.batching import batch_indices, gather_rows
from headstart.features.cache import store
from headstart.features.engines import torch as torch_engine

MAX_IMAGES, MAX_TOKENS = 8, 1024  # of one batch
MIN_INPUTS = {"image": 64, "text": 256}  # from which converting pays: 3 s once, and 5 to 10 times torch's rate after
FORMAT = 3  # of the cached graph
MANIFEST = "facts.json"  # of its folder
EXAMPLE_TEXTS = ("a b c d e f g", "x y")  # of unequal length, so that the mask counts
TOLERANCE = 1e-4  # of the largest value, of float32 against torch; 3e-6 was seen
PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16", "mixed": "bf16"}  # mixed: sensitive layers stay in float32


def precisions() -> tuple[str, ...]:
    """What this processor computes faster than float32."""
    return ("bfloat16", "mixed") if find_spec("openvino") and hardware.has_native_bfloat16() else ()


def takes(backbone: Backbone, cut: Cut, runs: str, todo: int, root: Path | None) -> int:
    """Torch modules, where the library is there and no accelerator is: cached graphs always, others for many inputs."""
    kind = backbone.preprocess.kind
    if runs != "torch" or kind not in MIN_INPUTS or cut.precision not in PRECISION_HINTS or not find_spec("openvino"):
        return 0
    worth = todo >= MIN_INPUTS[kind] or cut.engine == "openvino" or (root and _is_cached(root, backbone, cut))
    return 0 if not worth or hardware.has_accelerator() else 3


def start(backbone: Backbone, cut: Cut, root: Path | None = None) -> OpenVinoExtractor:
    """The cached graph, or a new one. root: the cache folder; None caches nothing.

    Raises PlanError where the network cannot be converted, or the graph's output differs from torch's.
    """
    openvino = openvino_graphs.import_openvino()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:  # Windows keeps mapped files
        folder = _intact_graph(root, backbone, cut) if root is not None else None
        if folder is None:
            folder = _save_graph(openvino, _convert(openvino, backbone, cut), root, Path(temporary), backbone, cut)
        with suppress(OSError):  # a read-only cache is evicted by those who may write to it
            touch(folder / "used")
        graph = folder / ("mixed.xml" if cut.precision == "mixed" else "net.xml")
        return OpenVinoExtractor(openvino, openvino.Core().read_model(graph, folder / "net.bin"), backbone, cut)


class OpenVinoExtractor:
    """A compiled graph. engine: what made its rows, for receipts"""

    def __init__(self, openvino: Any, model: Any, backbone: Backbone, cut: Cut):
        self._model, self._backbone, self._cut = model, backbone, cut
        self._before = _constant_digests(model)
        settings = {"INFERENCE_PRECISION_HINT": PRECISION_HINTS[cut.precision], "PERFORMANCE_HINT": "THROUGHPUT"}
        self._queue = openvino.AsyncInferQueue(openvino.Core().compile_model(model, "CPU", settings))
        self.engine = f"openvino {cut.precision}"

    def rows(self, units: list[np.ndarray]) -> Any:
        """(u, d) float32 at the top, (u, ...) below it, a list of (t, d) for texts there; in the order of the units."""
        spec = self._backbone.preprocess
        prepare = member("preprocess", spec.kind)
        index = list(batch_indices(units, MAX_IMAGES, MAX_TOKENS))
        results: dict[int, Any] = {}
        per_token = spec.kind == "text" and not self._cut.top  # padding is dropped

        def store_result(request: Any, number: int) -> None:
            out = request.get_output_tensor(0).data
            lengths = [len(units[i]) for i in index[number]]
            results[number] = [out[r, :n].copy() for r, n in enumerate(lengths)] if per_token else out.copy()

        self._queue.set_callback(store_result)
        for number, positions in enumerate(index):
            batch = [units[i] for i in positions]
            inputs = [np.stack(batch)] if spec.kind == "image" else list(prepare.batch(batch, spec).values())
            self._queue.start_async(inputs, number)
        self._queue.wait_all()
        return gather_rows(units, index, [results[number] for number in range(len(index))], self._backbone.width)

    def receipt(self) -> Receipt:
        """Digests over every constant of the graph, when it was opened and now."""
        now = _constant_digests(self._model)
        moved = tuple(sorted(name for name in now if now[name] != self._before.get(name)))
        return Receipt(len(now), moved, digest.of_value(self._before), digest.of_value(now), engine=self.engine)


def _constant_digests(model: Any) -> dict[str, str]:
    """The digest of each floating-point constant of more than one number."""
    constants = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "Constant"}
    return {
        name: digest.of_bytes(np.ascontiguousarray(node.data).view(np.uint8).reshape(-1).data)
        for name, node in constants.items()
        if node.data.dtype.kind == "f" and node.data.size > 1
    }


def _convert(openvino: Any, backbone: Backbone, cut: Cut) -> Any:
    """The network below a cut as a graph: of pixels (b, h, w, 3) uint8, which it normalizes, or of token ids."""
    import torch

    opened = torch_engine.start(backbone, cut, None)
    module, example, shapes = _traceable(opened, backbone)
    try:
        # Tracing warns of every shape that it takes for a constant; a wrong one would show in the witness.
        with warnings.catch_warnings(action="ignore"):
            # Left to the converter, torch would trace twice and compare. The outputs are compared below.
            traced = torch.jit.trace(module, example, strict=False, check_trace=False)
            model = openvino.convert_model(traced, example_input=example)
    except Exception as error:  # what the converter raises is not one type
        raise PlanError(f"OpenVINO cannot convert {backbone.name}: {first_line(error)}") from error
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    with torch.inference_mode():
        output = module(*example)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    ours = openvino.Core().compile_model(model, "CPU", settings)([t.numpy() for t in example])[0]
    expected = (output[0] if isinstance(output, tuple) else output).float().numpy()
    difference = float(np.abs(ours - expected).max() / max(float(np.abs(expected).max()), 1e-6))
    if not difference <= TOLERANCE:
        raise PlanError(f"OpenVINO's {backbone.name} differs from torch's by {difference:.1e} of the largest number.")
    return model


def _traceable(opened: Any, backbone: Backbone) -> tuple[Any, tuple, list[list[int]]]:
    """A module from plain tensors to features, an example of its inputs, and their shapes, -1 for any length."""
    import torch

    from headstart.backbones.network import normalize_pixels

    spec = backbone.preprocess
    if spec.kind == "image":
        size: Any = spec["input_size"]
        shape = [int(size[1]), int(size[2]), 3]

        class Pixels(torch.nn.Module):
            def __init__(self, below: torch.nn.Module):
                super().__init__()
                self.below = below

            def forward(self, pixels):
                return self.below({"pixels": normalize_pixels(pixels, spec)})

        pixels = torch.randint(0, 256, (2, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        return Pixels(opened.module).eval(), (pixels,), [[-1, *shape]]

    class Tokens(torch.nn.Module):
        def __init__(self, below: torch.nn.Module):
            super().__init__()
            self.below = below

        def forward(self, input_ids, attention_mask):
            return self.below({"input_ids": input_ids, "attention_mask": attention_mask})

    prepare = member("preprocess", spec.kind)
    units = [unit for windows in prepare.prepare(EXAMPLE_TEXTS, spec) for unit in windows]
    example = tuple(torch.from_numpy(array) for array in prepare.batch(units, spec).values())
    return Tokens(opened.module).eval(), example, [[-1, -1], [-1, -1]]


def _graph_folder(root: Path, backbone: Backbone, cut: Cut) -> Path:
    version = f"{FORMAT}-{hardware.installed_version('openvino')}"
    return root / "compiled" / digest.of_value([store.shelf_key(backbone, backbone.cut(cut.at)), version])


def _is_cached(root: Path, backbone: Backbone, cut: Cut) -> bool:
    """Whether a graph is cached, by its manifest alone."""
    return read_checked_json(_graph_folder(root, backbone, cut) / MANIFEST) is not None


def _intact_graph(root: Path, backbone: Backbone, cut: Cut) -> Path | None:
    """The folder of the graph; None where it is not cached, or where one byte of it is not what was written."""
    folder = _graph_folder(root, backbone, cut)
    return folder if read_manifest(folder / MANIFEST, folder) is not None else None


def _save_graph(openvino: Any, model: Any, root: Path | None, aside: Path, backbone: Backbone, cut: Cut) -> Path:
    """Writes the graph, whole or not at all, and gives its folder: one under `aside` where the cache takes none.

    Raises CacheError where that cannot be written either.
    """
    folder = _graph_folder(root or aside, backbone, cut)
    if root is not None:
        try:
            _write_graph(openvino, model, folder, backbone, cut)
            return folder
        except (OSError, RuntimeError):  # RuntimeError: what OpenVINO raises on a full disk
            if _intact_graph(root, backbone, cut) is not None:  # another process was faster
                return folder
            folder = _graph_folder(aside, backbone, cut)
    with writing_cache(folder):
        _write_graph(openvino, model, folder, backbone, cut)
    return folder


def _write_graph(openvino: Any, model: Any, folder: Path, backbone: Backbone, cut: Cut) -> None:
    """Raises OSError, and RuntimeError where OpenVINO cannot write."""
    temporary = temporary_path(folder)
    try:
        make_folder(temporary)
        openvino.save_model(model, temporary / "net.xml", compress_to_fp16=False)
        shutil.copyfile(temporary / "net.xml", temporary / "mixed.xml")
        openvino_graphs.keep_float32(temporary / "mixed.xml", openvino_graphs.precision_sensitive_layers)
        facts = {"backbone": backbone.name, "cut": cut.at, "weights": backbone.weights}
        write_manifest(temporary / MANIFEST, temporary, facts)
        remove_folder(folder)  # what is there is damaged
        move(temporary, folder)
    except BaseException:
        with suppress(OSError):
            remove_folder(temporary)
        raise
