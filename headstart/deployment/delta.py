"""The delta: trained weights stored as their float16 difference to the base's weights.

Packing and unpacking are exact to the last bit. Weights are rounded beforehand, by `round_delta`, and before the test
part is scored: the model that is measured is the model that is shipped.

body.NAME  a tensor as it is, float32, or float16 where that is exact
diff.NAME  float16 difference to the base's tensor of that name
rows.NAME  which rows `diff.NAME` holds; all others equal the base
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.network import names_above
from headstart.core.arrays import HALF, SINGLE, to_float16_if_exact
from headstart.core.errors import ArtifactError
from headstart.core.features import take_rows
from headstart.core.messages import first_line
from headstart.core.plan import Above, Trained, winner_of
from headstart.core.schema import boolean, check, either, items, number, one_of, record, table, text, whole
from headstart.core.task import Objective
from headstart.deployment.stored_arrays import FIX

# Relative to the largest score. 150 steps of finetune, lora and full on ViT-tiny and MobileNetV2: 8e-7 to 3e-5. Too
# much where gains scale large feature maps: ia3 on MobileNetV2, 2e-3 (benchmarks/memory/delta_bytes.py).
MAX_SCORE_CHANGE = 1e-3
# The settings of a method, whole numbers among them: none is larger than the numbers that a file can hold.
_setting = either(boolean, one_of(None), whole(0, 1 << 40), number(-1e30, 1e30), text(1000))
RECIPE = record({"width": whole(1, 1 << 17), "settings": table(either(items(_setting, 1000), _setting), 100)})
CHECKED_ROWS = 128  # scored before and after rounding: 4 s for all of a ViT-tiny on one busy core
MIN_ROW_CHANGE = 1 / 128  # relative to a tensor's most changed row: below, weight decay alone moved it
MAX_SPARSE_SHARE = 0.9  # of a tensor's rows: where fewer changed, only those are stored


def round_delta(fitted: Any, above: Callable[[], Above], x: Any, objective: Objective) -> None:
    """Rounds trained weights in place to what a float16 delta holds; notes["stored"] says whether that was kept.

    above: opens the base above the cut.  x: features at the cut, not of the test part
    Undone where a prediction on x changes, or a score by more than MAX_SCORE_CHANGE of the largest.
    """
    trained = winner_of(fitted)
    if not isinstance(trained, Trained):
        return
    learner = trained.learner
    import torch

    from headstart.training.tuning.tuned import trained_tensors

    tuned = trained_tensors(learner)
    if not tuned:
        return
    names = names_above(learner.body)
    base = {} if learner.adapter else base_tensors(above())
    sample = take_rows(x, np.linspace(0, len(x) - 1, min(CHECKED_ROWS, len(x))).astype(np.int64))[:]
    scores, exact = fitted.scores(sample), {name: t.detach().clone() for name, t in tuned.items()}
    with torch.no_grad():
        for name, tensor in tuned.items():
            tensor.copy_(torch.from_numpy(round_to_half(tensor.detach().cpu().numpy(), base.get(names[name]))))
    rounded_scores = fitted.scores(sample)
    change = float(np.abs(rounded_scores - scores).max() / max(float(np.abs(scores).max()), 1e-6))
    changed_answers = 0
    if objective.link != "identity":
        pairs = zip(objective.decode(scores), objective.decode(rounded_scores), strict=True)
        changed_answers = sum(before != after for before, after in pairs)
    keep = change <= MAX_SCORE_CHANGE and not changed_answers
    if not keep:
        with torch.no_grad():
            for name, tensor in tuned.items():
                tensor.copy_(exact[name])
    facts = {"half": keep, "moved": change, "turned": changed_answers, "rows": len(sample)}
    fitted.notes["stored"] = {**facts, "allowed": MAX_SCORE_CHANGE}


def round_to_half(value: np.ndarray, base: np.ndarray | None) -> np.ndarray:
    """The nearest float32 array that `pack` stores as float16; unchanged where float16 overflows.

    base: the base's values; None for a parameter that was added
    """
    value = np.ascontiguousarray(value, dtype=SINGLE)
    if base is not None and base.shape == value.shape and np.linalg.norm(value - base) < np.linalg.norm(value):
        diff = _zero_idle_rows((value.astype(np.float64) - base).astype(HALF))
        nearest = base + diff.astype(SINGLE)
    else:
        with np.errstate(over="ignore"):
            nearest = value.astype(HALF).astype(SINGLE)
    return nearest if np.isfinite(nearest).all() else value


def _zero_idle_rows(diff: np.ndarray) -> np.ndarray:
    """Without the rows that hardly changed, so that they need not be stored."""
    if diff.ndim < 2:
        return diff
    row_change = np.abs(diff.reshape(len(diff), -1)).max(1).astype(SINGLE)
    diff[row_change < MIN_ROW_CHANGE * row_change.max(initial=0.0)] = 0
    return diff


def pack(state: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A method's `state()` as it is stored. base: the base's tensors by the library's own names"""
    stored: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if not name.startswith("body."):
            stored[name] = np.ascontiguousarray(value)
            continue
        key = name.removeprefix("body.")
        diff = _half_difference(value, base.get(key))
        if diff is None:
            stored[name] = np.ascontiguousarray(to_float16_if_exact(value))
            continue
        rows = np.flatnonzero(diff.reshape(len(diff), -1).any(1)) if diff.ndim else np.zeros(0, np.int64)
        if diff.ndim and len(rows) < MAX_SPARSE_SHARE * len(diff):
            stored[f"rows.{key}"], diff = rows.astype(np.int32), diff[rows]
        stored[f"diff.{key}"] = np.ascontiguousarray(diff)
    return stored


def _half_difference(value: np.ndarray, base: np.ndarray | None) -> np.ndarray | None:
    """float16 that added to `base` gives `value` to the last bit; None where there is none."""
    if base is None or base.shape != value.shape or base.dtype != SINGLE or value.dtype != SINGLE:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        diff = (value.astype(np.float64) - base).astype(HALF)
        return diff if np.array_equal(base + diff.astype(SINGLE), value) else None


def unpack(stored: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The `state()` that was stored: the inverse of `pack`.

    Raises ArtifactError where a difference fits no tensor of the base.
    """
    state: dict[str, np.ndarray] = {}
    for name, value in stored.items():
        kind, _, key = name.partition(".")
        if kind == "diff":
            state[f"body.{key}"] = _apply_difference(key, value, stored.get(f"rows.{key}"), base.get(key))
        elif kind == "body":
            state[name] = value.astype(SINGLE) if value.dtype == HALF else value
        elif kind != "rows":
            state[name] = value
        elif f"diff.{key}" not in stored:
            raise ArtifactError(f"delta.safetensors: {name} names rows of a tensor that is not there. {FIX}")
    return state


def _apply_difference(name: str, diff: np.ndarray, rows: np.ndarray | None, base: np.ndarray | None) -> np.ndarray:
    """The tensor of that name. Raises ArtifactError where the difference or its rows do not fit the base."""
    if base is None:
        raise ArtifactError(f"delta.safetensors changes {name}, which the base does not have above the cut. {FIX}")
    shape = base.shape if rows is None else (len(rows), *base.shape[1:])
    if diff.shape != shape or diff.dtype != HALF or base.dtype != SINGLE:
        raise ArtifactError(
            f"delta.safetensors: the difference of {name} has the shape {diff.shape} and the type {diff.dtype}; "
            f"{shape} and float16 fit the base. {FIX}"
        )
    if rows is None:
        return base + diff.astype(SINGLE)
    rising = rows.ndim == 1 and rows.dtype.kind == "i" and (np.diff(rows) > 0).all()
    n = len(base)
    if not rising or (len(rows) and (rows[0] < 0 or rows[-1] >= n)):
        raise ArtifactError(f"delta.safetensors: rows.{name} must name rows of {n}, each once and rising. {FIX}")
    value = base.copy()
    value[rows] = base[rows] + diff.astype(SINGLE)
    return value


def base_tensors(above: Above) -> dict[str, np.ndarray]:
    """Parameters and buffers above a cut, by the library's own names; views, not copies."""
    tensors: dict[str, Any] = {**dict(above.body.named_parameters()), **dict(above.body.named_buffers())}
    return {base_name: tensors[name].detach().cpu().numpy() for name, base_name in names_above(above.body).items()}


def describe_storage(fitted: Any, stored: dict[str, np.ndarray]) -> dict:
    """{"form", "why"} and what `round_delta` measured, for card.json."""
    facts = fitted.notes.get("stored")
    if facts is None:
        return {"form": "exact", "why": "only a head was learned; it is stored as it was fitted"}
    rows, moved, turned = facts["rows"], facts["moved"], facts["turned"]
    effect = f"scores of {rows} examples moved by {moved:.1e} of the largest, {turned} answers"
    if not facts["half"]:
        return {"form": "single", "why": f"half precision was not taken: {effect} changed", **facts}
    form = "difference in half precision" if any(n.startswith("diff.") for n in stored) else "half precision"
    return {"form": form, "why": f"nothing measurable is lost: {effect} changed", **facts}


def check_recipe(stored: dict[str, np.ndarray], objective: Objective, file: Path) -> None:
    """Raises ArtifactError where the head has not one score a label, or the recipe is none that we write.

    What may be built from a recipe is bounded where it is built, by what is stored: `tuned.restore_tuned`.
    """
    head = stored.get("head.weight")
    if head is not None and (head.ndim != 2 or len(head) != objective.width):
        scores = len(head) if head.ndim else 0
        raise ArtifactError(f"{file} answers with {scores} scores for {objective.width} labels. {FIX}")
    if "recipe" not in stored:
        return
    try:
        facts = json.loads(stored["recipe"].tobytes())
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file}: its recipe is damaged ({first_line(error)}). {FIX}") from error
    check(facts, RECIPE, f"{file}: its recipe is damaged: it", FIX)
    if head is None or facts["width"] != objective.width:
        raise ArtifactError(f"{file}: its recipe is of {facts['width']} labels, and there are {objective.width}. {FIX}")
