"""OpenVINO: the network below a cut compiled for this processor, in float32, bfloat16 or a mixture, and kept on disk.

The first use of a backbone opens it with torch, converts it and holds it against torch; every later one reads the
graph that was kept, and neither torch nor the backbone's library is imported.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest, hardware
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.files import read_json, unwritable
from headstart.core.plugins import member
from headstart.core.result import Receipt
from headstart.features import openvino_graphs
from headstart.features.batching import batches, joined
from headstart.features.cache import store
from headstart.features.engines import torch as torch_engine

IMAGES, TOKENS = 8, 1024  # of one pass
MANY = {"image": 64, "text": 256}  # inputs from which converting pays: 3 s once, and 5 to 10 times torch's rate after
FORMAT = 2  # of what is kept
EXAMPLES = ("a b c d e f g", "x y")  # of unequal length, so that the mask counts
APART = 1e-4  # of the largest number: what float32 may differ from torch's by; 3e-6 was seen
NAMES = {"float32": "f32", "bfloat16": "bf16", "mixed": "bf16"}  # mixed: what is sensitive stays in float32
FILES = ("net.xml", "mixed.xml", "net.bin")


def precisions() -> tuple[str, ...]:
    """What this processor computes faster than float32."""
    return ("bfloat16", "mixed") if find_spec("openvino") and hardware.halves() else ()


def takes(backbone: Backbone, cut: Cut, runs: str, todo: int, root: Path | None) -> int:
    """Torch modules where the library is there and no accelerator is: kept ones always, others on many inputs."""
    kind = backbone.preprocess.kind
    if runs != "torch" or kind not in MANY or cut.precision not in NAMES or find_spec("openvino") is None:
        return 0
    worth = todo >= MANY[kind] or cut.engine == "openvino" or (root is not None and _kept(root, backbone, cut))
    return 0 if not worth or hardware.accelerated() else 3


def start(backbone: Backbone, cut: Cut, root: Path | None = None) -> Compiled:
    """The graph that was kept, or a new one. root: the cache folder; None keeps nothing.

    Raises PlanError where the network cannot be converted, or the outcome differs from torch's.
    """
    openvino = openvino_graphs.library()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:  # Windows keeps what is mapped
        folder = _kept(root, backbone, cut) if root is not None else None
        if folder is None:
            folder = _keep(openvino, _converted(openvino, backbone, cut), root or Path(place), backbone, cut)
        with suppress(OSError):  # a cache that may only be read is kept tidy by who may write to it
            (folder / "used").touch()
        graph = folder / ("mixed.xml" if cut.precision == "mixed" else "net.xml")
        return Compiled(openvino, openvino.Core().read_model(graph, folder / "net.bin"), backbone, cut)


class Compiled:
    """A graph at work. engine: what made its rows, for receipts"""

    def __init__(self, openvino: Any, model: Any, backbone: Backbone, cut: Cut):
        self._model, self._backbone, self._cut = model, backbone, cut
        self._before = _constants(model)
        settings = {"INFERENCE_PRECISION_HINT": NAMES[cut.precision], "PERFORMANCE_HINT": "THROUGHPUT"}
        self._queue = openvino.AsyncInferQueue(openvino.Core().compile_model(model, "CPU", settings))
        self.engine = f"openvino {cut.precision}"

    def rows(self, units: list[np.ndarray]) -> Any:
        """(u, d) float32 at the top, (u, ...) below it, a list of (t, d) for texts there; in the order of the units."""
        spec = self._backbone.preprocess
        prepare = member("preprocess", spec.kind)
        index = list(batches(units, IMAGES, TOKENS))
        found: dict[int, Any] = {}

        def keep(request: Any, number: int) -> None:
            out = request.get_output_tensor(0).data
            tokens = spec.kind == "text" and not self._cut.top  # padding is not kept
            found[number] = (
                [out[r, : len(units[i])].copy() for r, i in enumerate(index[number])] if tokens else out.copy()
            )

        self._queue.set_callback(keep)
        for number, positions in enumerate(index):
            some = [units[i] for i in positions]
            fed = [np.stack(some)] if spec.kind == "image" else list(prepare.batch(some, spec).values())
            self._queue.start_async(fed, number)
        self._queue.wait_all()
        return joined(units, index, [found[number] for number in range(len(index))], self._backbone.width)

    def receipt(self) -> Receipt:
        """Digests over every constant of the graph, when it was opened and now."""
        now = _constants(self._model)
        moved = tuple(sorted(name for name in now if now[name] != self._before.get(name)))
        return Receipt(len(now), moved, digest.of_value(self._before), digest.of_value(now), engine=self.engine)


def _constants(model: Any) -> dict[str, str]:
    """The digest of each constant that is no mere number or shape."""
    held = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "Constant"}
    return {
        name: digest.of_bytes(np.ascontiguousarray(node.data).view(np.uint8).reshape(-1).data)
        for name, node in held.items()
        if node.data.dtype.kind == "f" and node.data.size > 1
    }


def _converted(openvino: Any, backbone: Backbone, cut: Cut) -> Any:
    """The network below a cut as a graph: of pixels (b, h, w, 3) uint8 with normalising in it, or of token ids."""
    import torch

    opened = torch_engine.start(backbone, cut, None)
    module, example, shapes = _fed(opened, backbone)
    try:
        with _quietly():
            # Left to the converter, torch would trace twice and compare. What comes out is held against torch below.
            traced = torch.jit.trace(module, example, strict=False, check_trace=False)
            model = openvino.convert_model(traced, example_input=example)
    except Exception as error:  # of whatever the converter does not know: it raises what it likes
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise PlanError(f"OpenVINO cannot convert {backbone.name}: {why}") from error
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    with torch.inference_mode():
        theirs = module(*example)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    ours = openvino.Core().compile_model(model, "CPU", settings)([t.numpy() for t in example])[0]
    expected = (theirs[0] if isinstance(theirs, tuple) else theirs).float().numpy()
    apart = float(np.abs(ours - expected).max() / max(float(np.abs(expected).max()), 1e-6))
    if not apart <= APART:
        raise PlanError(f"OpenVINO's {backbone.name} differs from torch's by {apart:.1e} of the largest number.")
    return model


def _fed(opened: Any, backbone: Backbone) -> tuple[Any, tuple, list[list[int]]]:
    """A module of plain tensors around the network, two inputs for it, and its inputs' shapes, -1 for any length."""
    import torch

    from headstart.backbones.network import normalised

    spec = backbone.preprocess
    if spec.kind == "image":
        size: Any = spec["input_size"]
        shape = [int(size[1]), int(size[2]), 3]

        class Pixels(torch.nn.Module):
            def __init__(self, below: torch.nn.Module):
                super().__init__()
                self.below = below

            def forward(self, pixels):
                return self.below({"pixels": normalised(pixels, spec)})

        pixels = torch.randint(0, 256, (2, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        return Pixels(opened.module).eval(), (pixels,), [[-1, *shape]]

    class Tokens(torch.nn.Module):
        def __init__(self, below: torch.nn.Module):
            super().__init__()
            self.below = below

        def forward(self, input_ids, attention_mask):
            return self.below({"input_ids": input_ids, "attention_mask": attention_mask})

    prepare = member("preprocess", spec.kind)
    units = [unit for some in prepare.prepare(EXAMPLES, spec) for unit in some]
    example = tuple(torch.from_numpy(array) for array in prepare.batch(units, spec).values())
    return Tokens(opened.module).eval(), example, [[-1, -1], [-1, -1]]


def _folder(root: Path, backbone: Backbone, cut: Cut) -> Path:
    version = f"{FORMAT}-{hardware.installed('openvino')}"
    return root / "compiled" / digest.of_value([store.key(backbone, backbone.cut(cut.at)), version])


def _kept(root: Path, backbone: Backbone, cut: Cut) -> Path | None:
    """Where the graph lies; None where it was never kept or is not whole."""
    folder = _folder(root, backbone, cut)
    facts = read_json(folder / "facts.json")
    try:
        sizes = {name: (folder / name).stat().st_size for name in FILES}
    except OSError:
        return None
    return folder if facts is not None and facts.get("sizes") == sizes else None


def _keep(openvino: Any, model: Any, root: Path, backbone: Backbone, cut: Cut) -> Path:
    """Writes the graph, whole or not at all, and tells where. Raises CacheError."""
    folder = _folder(root, backbone, cut)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        openvino.save_model(model, temporary / "net.xml", compress_to_fp16=False)
        shutil.copyfile(temporary / "net.xml", temporary / "mixed.xml")
        openvino_graphs.keep_single(temporary / "mixed.xml", openvino_graphs.sensitive)
        sizes = {name: (temporary / name).stat().st_size for name in FILES}
        facts = {"backbone": backbone.name, "cut": cut.at, "weights": backbone.weights, "sizes": sizes}
        (temporary / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # what is there is not whole
        temporary.replace(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if not (folder / "facts.json").is_file():  # another process may have been faster
            raise unwritable(root, error) from error
    return folder


def _quietly():
    """Tracing warns of every shape that it takes for fixed; a wrong one would show in the witness."""
    import warnings

    return warnings.catch_warnings(action="ignore")
