"""How learned numbers are stored: what was borrowed and tuned as its difference to the base, in half precision.

Storing and reading lose nothing, to the last bit. What shall be stored smaller is rounded by `settle`, before anything
is judged: the model that is judged is the model that is shipped.

body.NAME  a tensor as it is, in single precision, or in half where every value has one
diff.NAME  its difference to the base's tensor of that name, in half precision
rows.NAME  which rows of it `diff.NAME` holds; all others are as borrowed
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.errors import ArtifactError
from headstart.core.features import picked
from headstart.core.plan import Trained, learned
from headstart.core.task import Objective

if TYPE_CHECKING:
    from headstart.core.plan import Above
from headstart.core.files import HALF, SINGLE, narrow

# 150 steps of finetune, lora and full on ViT-tiny and MobileNetV2: 8e-7 to 3e-5. It is refused where gains meet large
# maps: ia3 on MobileNetV2, 2e-3 (benchmarks/delta_bytes.py).
MOVED = 1e-3  # of the largest score; more is not taken
SAMPLE = 128  # rows that are scored before and after: 4 s for all of a ViT-tiny on one busy core
IDLE = 1 / 128  # rows of a tensor that moved less than this share of the most moved one were moved by decay alone
SPARSE = 0.9  # share of rows below which they are named


def settle(fitted: Any, above: Callable[[], Above], x: Any, objective: Objective) -> None:
    """Rounds what a method learned inside a network to what is stored, unless that shows; notes["stored"] says which.

    above: opens the base.  x: rows that left the cut, not those that judge
    Kept only where no answer for them changes and no score moves by more than MOVED of the largest.
    """
    some = learned(fitted)
    if not isinstance(some, Trained):
        return
    learner = some.learner
    import torch

    from headstart.backbones.network import names_above
    from headstart.training.tuning.tuned import changed

    tuned = changed(learner)
    if not tuned:
        return
    names = names_above(learner.body)
    base = {} if learner.adapter else tensors(above())
    some = picked(x, np.linspace(0, len(x) - 1, min(SAMPLE, len(x))).astype(np.int64))[:]
    before, exact = fitted.scores(some), {name: t.detach().clone() for name, t in tuned.items()}
    with torch.no_grad():
        for name, tensor in tuned.items():
            tensor.copy_(torch.from_numpy(rounded(tensor.detach().cpu().numpy(), base.get(names[name]))))
    after = fitted.scores(some)
    moved = float(np.abs(after - before).max() / max(float(np.abs(before).max()), 1e-6))
    answers = [objective.decode(s) if objective.link != "identity" else [] for s in (before, after)]
    turned = sum(a != b for a, b in zip(*answers, strict=True))
    taken = moved <= MOVED and not turned
    if not taken:
        with torch.no_grad():
            for name, tensor in tuned.items():
                tensor.copy_(exact[name])
    facts = {"half": taken, "moved": moved, "turned": turned, "rows": len(some), "allowed": MOVED}
    fitted.notes["stored"] = facts


def rounded(value: np.ndarray, base: np.ndarray | None) -> np.ndarray:
    """The nearest float32 array that `packed` stores in half precision; the same where there is none.

    base: what it was when it was borrowed; None for what was added
    """
    value = np.ascontiguousarray(value, dtype=SINGLE)
    if base is not None and base.shape == value.shape and np.linalg.norm(value - base) < np.linalg.norm(value):
        apart = _idle_rows_zeroed((value.astype(np.float64) - base).astype(HALF))
        found = base + apart.astype(SINGLE)
    else:
        with np.errstate(over="ignore"):
            found = value.astype(HALF).astype(SINGLE)
    return found if np.isfinite(found).all() else value


def _idle_rows_zeroed(apart: np.ndarray) -> np.ndarray:
    if apart.ndim < 2:
        return apart
    most = np.abs(apart.reshape(len(apart), -1)).max(1).astype(SINGLE)
    apart[most < IDLE * most.max(initial=0.0)] = 0
    return apart


def packed(state: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A method's `state()` as it is stored. base: tensors of the borrowed network by the library's own names"""
    out: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if not name.startswith("body."):
            out[name] = np.ascontiguousarray(value)
            continue
        own = name.removeprefix("body.")
        apart = _difference(value, base.get(own))
        if apart is None:
            out[name] = np.ascontiguousarray(narrow(value))
            continue
        rows = np.flatnonzero(apart.reshape(len(apart), -1).any(1)) if apart.ndim else np.zeros(0, np.int64)
        if apart.ndim and len(rows) < SPARSE * len(apart):
            out[f"rows.{own}"], apart = rows.astype(np.int32), apart[rows]
        out[f"diff.{own}"] = np.ascontiguousarray(apart)
    return out


def _difference(value: np.ndarray, base: np.ndarray | None) -> np.ndarray | None:
    """float16 that gives `value` on top of `base`, to the last bit; None where there is none."""
    if base is None or base.shape != value.shape or base.dtype != SINGLE or value.dtype != SINGLE:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        apart = (value.astype(np.float64) - base).astype(HALF)
        return apart if np.array_equal(base + apart.astype(SINGLE), value) else None


def unpacked(stored: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The `state()` that was stored: the inverse of `packed`.

    Raises ArtifactError where a difference has no tensor in the base to which it fits.
    """
    out: dict[str, np.ndarray] = {}
    for name, value in stored.items():
        kind, _, own = name.partition(".")
        if kind == "diff":
            out[f"body.{own}"] = _onto(own, value, stored.get(f"rows.{own}"), base.get(own))
        elif kind == "body":
            out[name] = value.astype(SINGLE) if value.dtype == HALF else value
        elif kind != "rows":
            out[name] = value
        elif f"diff.{own}" not in stored:
            raise ArtifactError(f"delta.safetensors: {name} names rows of a tensor that is not there. {AGAIN}")
    return out


AGAIN = "Fit again, or restore the folder from a copy."


def _onto(name: str, apart: np.ndarray, rows: np.ndarray | None, base: np.ndarray | None) -> np.ndarray:
    if base is None:
        raise ArtifactError(f"delta.safetensors changes {name}, which the base does not have above the cut. {AGAIN}")
    shape = base.shape if rows is None else (len(rows), *base.shape[1:])
    if apart.shape != shape or apart.dtype != HALF or base.dtype != SINGLE:
        raise ArtifactError(
            f"delta.safetensors: the difference of {name} has the shape {apart.shape} and the type {apart.dtype}; "
            f"{shape} and float16 fit the base. {AGAIN}"
        )
    if rows is None:
        return base + apart.astype(SINGLE)
    if rows.ndim != 1 or rows.dtype.kind != "i" or (np.diff(rows) <= 0).any() or not _within(rows, len(base)):
        raise ArtifactError(
            f"delta.safetensors: rows.{name} must name rows of {len(base)}, each once and rising. {AGAIN}"
        )
    out = base.copy()
    out[rows] = base[rows] + apart.astype(SINGLE)
    return out


def _within(rows: np.ndarray, count: int) -> bool:
    return not len(rows) or (rows[0] >= 0 and rows[-1] < count)


def tensors(above: Above) -> dict[str, np.ndarray]:
    """What lies above a cut as borrowed, by the library's own names; views, not copies."""
    from headstart.backbones.network import names_above

    held: dict[str, Any] = {**dict(above.body.named_parameters()), **dict(above.body.named_buffers())}
    return {theirs: held[ours].detach().cpu().numpy() for ours, theirs in names_above(above.body).items()}


def said(fitted: Any, stored: dict[str, np.ndarray]) -> dict:
    """{"form", "why"} and what `settle` measured, for card.json."""
    facts = fitted.notes.get("stored")
    if facts is None:
        return {"form": "exact", "why": "only a head was learned; it is stored as it was fitted"}
    seen = f"scores of {facts['rows']} examples moved by {facts['moved']:.1e} of the largest, {facts['turned']} answers"
    if not facts["half"]:
        return {"form": "single", "why": f"half precision was not taken: {seen} changed", **facts}
    form = "difference in half precision" if any(n.startswith("diff.") for n in stored) else "half precision"
    return {"form": form, "why": f"nothing measurable is lost: {seen} changed", **facts}
