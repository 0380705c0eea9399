"""What this machine can do at most, and our share of it: products of matrices, copying, and the networks between.

    python -m benchmarks.speed.roofline [--quick] [--only MobileNetV2,ResNet-50]

The ceiling of a precision is the best of torch's and OpenVINO's rates for large products, taken in turns with our own
rates. A network's operations are counted by torch.utils.flop_counter: two for a multiplication and an addition.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.speed.harness import environment, facts, parser, repeats, report, row, tried, turns
from benchmarks.speed.rates import rate
from benchmarks.speed.workloads import GOALS, opened

SIDES = (512, 1024, 2048)  # of the matrices; the best counts
TIMED = 1.0  # seconds at least of each reading
COPIED = 256 << 20  # bytes
HINTS = {"float32": "f32", "bfloat16": "bf16"}
SHARES = {("ResNet-50", "bfloat16"): 0.8}


def timed(run: Callable[[], object], work: float) -> float:
    """Work a second."""
    run()
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < TIMED:
        run()
        done += 1
    return done * work / took


def by_torch(precision: str) -> float:
    """Operations a second of the best size."""
    import torch

    found = []
    for side in SIDES:
        a, b = (torch.randn(side, side).to(getattr(torch, precision)) for _ in range(2))
        found.append(timed(lambda a=a, b=b: a @ b, 2.0 * side**3))
    return max(found)


def by_openvino(precision: str) -> float:
    """The same of a compiled graph of one product, one and several requests side by side."""
    import sys

    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino
    from openvino import opset13 as op

    found = []
    for side in SIDES:
        given = op.parameter([side, side], np.float32)
        weight = op.constant(np.random.default_rng(0).standard_normal((side, side), dtype=np.float32))
        model = openvino.Model([op.matmul(given, weight, False, False)], [given])
        for hint in ("LATENCY", "THROUGHPUT"):
            settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": hint}
            queue = openvino.AsyncInferQueue(openvino.Core().compile_model(model, "CPU", settings))
            fed = np.ones((side, side), np.float32)

            def several(queue=queue, fed=fed) -> None:
                for _ in range(4):
                    queue.start_async([fed])
                queue.wait_all()

            found.append(timed(several, 8.0 * side**3))
    return max(found)


def copying(threads: int) -> float:
    """Bytes a second, read and written together."""
    parts = [(np.ones(COPIED // 8), np.empty(COPIED // 8)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return timed(lambda: list(pool.map(lambda p: np.copyto(p[1], p[0]), parts)), 2.0 * COPIED * threads)


BY = {"torch": by_torch, "OpenVINO": by_openvino}


def ceilings(precisions: tuple[str, ...], times: int) -> list[dict]:
    """What each way gave."""
    from headstart.core.hardware import available_cores

    ways = {f"{p} by {n}": (lambda p=p, f=f: f(p)) for p in precisions for n, f in BY.items()}
    ways["copy"] = lambda: copying(available_cores())
    found = turns(ways, times)
    rows = []
    for name, values in found.items():
        what = f"copying, {available_cores()} threads" if name == "copy" else f"product of matrices, {name}"
        unit = "GB/s" if name == "copy" else "GFLOP/s"
        rows.append({**row(what, [v / 1e9 for v in values], unit=unit), "figure": False})
    return rows


def shares(name: str, work: Path, precisions: tuple[str, ...], times: int, quick: bool) -> list[dict]:
    """Our part of the ceiling, the ceiling measured again between the turns."""
    subject = opened(name, work, 16 if quick else 64, 128 if quick else 1024)
    each = subject.flops(subject.units) / len(subject.units)
    unit = "texts" if name == "MiniLM" else "images"
    rows = []
    for precision in precisions:
        running = subject.ours(precision, work / "cache")
        running.rows(subject.units[:8])
        ways: dict[str, Callable[[], float]] = {"ours": lambda running=running: rate(running.rows, subject.units)}
        ways |= {by: (lambda f=f, precision=precision: f(precision)) for by, f in BY.items()}
        found = turns(ways, times)
        ceiling = [max(some) / 1e9 for some in zip(*(found[by] for by in BY), strict=True)]
        ours = [r * each / 1e9 for r in found["ours"]]
        beside = f"{each / 1e9:.2f} GFLOP each, {np.median(found['ours']):.0f} {unit} a second"
        more = {"unit": "GFLOP/s", "share": True, "n": len(subject.units), "beside": beside}
        goal = SHARES.get((name, precision))
        rows.append(row(f"{name}, {precision}", ours, ceiling, against="product of matrices", least=goal, **more))
    return rows


def main() -> None:
    """Prints one JSON document."""
    from headstart.core import hardware

    made = parser(__doc__)
    made.add_argument("--only", default=",".join(GOALS))
    asked = made.parse_args()
    os.environ.update(environment())
    before, rows = facts("openvino", "torch", "timm", "transformers"), []
    precisions = ("float32", "bfloat16") if hardware.has_native_bfloat16() else ("float32",)
    with tempfile.TemporaryDirectory() as place:
        rows += tried("the ceiling", lambda: ceilings(precisions, repeats(asked)))
        for name in asked.only.split(","):
            more = (Path(place), precisions, repeats(asked), asked.quick)
            rows += tried(name, lambda name=name, more=more: shares(name, *more))
    report("roofline", asked, before, rows)


if __name__ == "__main__":
    main()
