"""The small files beside a text or vision encoder that we read ourselves: pooling, prompts, lengths, preprocessing.

Those of sentence-transformers say how token states become one vector. Each has a schema; what we read in another type
than its library writes is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.core.card_schema import IMAGE_SETTINGS, MAX_SIDE
from headstart.core.errors import PlanError
from headstart.core.schema import (
    Rule,
    anything,
    boolean,
    check,
    either,
    items,
    load_json,
    number,
    one_of,
    record,
    table,
    text,
    whole,
)

MODULES, POOLING, LENGTH = "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"
PROMPTS, TOKENIZER_CONFIG, PREPROCESSOR = (
    "config_sentence_transformers.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
)
README, TOKENIZER = "README.md", "tokenizer.json"
KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
LEGACY_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
README_BYTES = 1 << 16  # the front matter is at its beginning
FIX = "Mend it in a copy of the folder, or ask whoever made it."

_nothing = one_of(None)
_length = either(_nothing, number(1, 1e31))  # transformers writes 1e30 for tokenizers that know no limit
_side = whole(1, MAX_SIDE)
_size = either(
    _nothing,
    _side,
    items(_side, 2, 1),
    record({}, {"height": _side, "width": _side, "shortest_edge": _side, "longest_edge": _side}, others=True),
)
_channels = either(_nothing, items(number(-1000, 1000), 3, 3))
_flag = either(_nothing, boolean)
SCHEMAS: dict[str, Rule] = {
    MODULES: items(
        record({"type": text(300, r"[\w.]+")}, {"path": text(200), "name": text(), "idx": anything}, others=True), 20
    ),
    POOLING: record({}, {"pooling_mode": either(_nothing, items(text(60), 8), text(60))}, others=True),
    LENGTH: record({}, {"max_seq_length": _length, "do_lower_case": _flag}, others=True),
    PROMPTS: record(
        {},
        {
            "prompts": either(_nothing, table(either(_nothing, text(10_000)), 1000)),
            "default_prompt_name": either(_nothing, text()),
        },
        others=True,
    ),
    TOKENIZER_CONFIG: record({}, {"model_max_length": _length}, others=True),
    PREPROCESSOR: record(
        {},
        {
            "size": _size,
            "crop_size": _size,
            "do_center_crop": _flag,
            "do_resize": _flag,
            "do_normalize": _flag,
            "rescale_factor": number(0, 1000),
            "resample": either(_nothing, whole(0, 5)),
            "image_mean": _channels,
            "image_std": either(_nothing, items(number(1e-6, 1000), 3, 3)),
        },
        others=True,
    ),
}


def read_config(paths: Mapping[str, Path], file: str) -> Any:
    """The content of one of these files; an empty object where it is not there. Raises PlanError against its schema."""
    return load_json(paths[file], SCHEMAS[file], FIX, PlanError) if file in paths else {}


def read_pooling(name: str, paths: Mapping[str, Path]) -> tuple[str | None, bool]:
    """The pooling and whether embeddings are normalized, as sentence-transformers saved it.

    Modules that we do not know are part of the pooling's name. Raises PlanError where a module is not of that library,
    or lies elsewhere than where it is read from.
    """
    modules = read_config(paths, MODULES) or []
    for module in modules:
        package, _, kind = module["type"].rpartition(".")
        if package.partition(".")[0] != "sentence_transformers":
            raise PlanError(
                f"{name}: {MODULES} names {module['type']}, which is code of its own and is never run. Use an encoder "
                "of sentence-transformers' own modules."
            )
        place = {"Transformer": ("",), "Pooling": ("1_Pooling",)}.get(kind)
        if place and module.get("path", place[0]) not in place:
            raise PlanError(
                f"{name}: {MODULES} has its {kind} in {module['path']!r}; only {place[0] or '.'!r} is read."
            )
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    normalized = "Normalize" in kinds
    if POOLING not in paths:
        return None, normalized
    facts = read_config(paths, POOLING)
    modes = [LEGACY_POOLINGS.get(k, k) for k, on in facts.items() if k.startswith("pooling_mode_") and on is True]
    newer = facts.get("pooling_mode")
    modes = modes or ([newer] if isinstance(newer, str) else list(newer or ()))
    others = [kind.lower() for kind in kinds if kind not in KNOWN_MODULES]
    return " and ".join([*modes, *others]) or None, normalized


def image_settings(name: str, facts: dict) -> dict[str, Any]:
    """The settings of preprocess/image.py that preprocessor_config.json states.

    Raises PlanError naming each setting that it lacks, or what it asks for that is not supported.
    """
    size, crop = facts.get("size"), facts.get("crop_size") if facts.get("do_center_crop") else None
    edge = size.get("shortest_edge") if isinstance(size, dict) else size if crop else None
    resized = _height_width(size) if edge is None else None
    target = _height_width(crop) if crop else resized
    scaled = edge if edge else resized[0] if resized else None
    unnormalized = facts.get("do_normalize") is False
    unsupported = facts.get("do_resize") is False or abs(float(facts.get("rescale_factor", 1 / 255)) * 255 - 1) > 1e-6
    if unsupported or (target is None and size is not None):
        raise PlanError(
            f"{name}: its {PREPROCESSOR} asks for what Headstart does not do (size {size}, crop {crop}): try timm:…"
        )
    settings = {
        "crop_mode": "center" if edge else "squash",
        "crop_pct": _crop_pct(min(target), scaled) if target and scaled else None,
        "input_size": (3, *target) if target else None,
        "interpolation": INTERPOLATIONS.get(facts.get("resample", -1)),
        "mean": (0.0,) * 3 if unnormalized else facts.get("image_mean") and tuple(facts["image_mean"]),
        "std": (1.0,) * 3 if unnormalized else facts.get("image_std") and tuple(facts["image_std"]),
    }
    missing = [key for key, value in settings.items() if value is None]
    if missing:
        raise PlanError(
            f"{name} does not say how its inputs were prepared: its {PREPROCESSOR} lacks "
            f"{', '.join(missing)}. A guess would be silently wrong. Write what its authors used into a copy of the "
            "folder, and name that."
        )
    check(settings, record(IMAGE_SETTINGS), f"{name}: its {PREPROCESSOR}", FIX, PlanError)
    return settings


def _height_width(size: object) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    return (size["height"], size["width"]) if isinstance(size, dict) and {"height", "width"} <= size.keys() else None


def _crop_pct(crop: int, edge: int) -> float:
    """crop / edge such that int(crop / crop_pct) is edge again, which plain division misses for some sizes."""
    crop_pct = crop / edge
    return crop_pct if int(crop / crop_pct) == edge else crop / (edge + 0.25)


def readme_licence(paths: Mapping[str, Path]) -> str:
    """The licence that the front matter of a README states, or ""."""
    if README not in paths:
        return ""
    with open(paths[README], "rb") as stream:
        start = stream.read(README_BYTES).decode("utf-8", errors="replace").replace("\r\n", "\n")
    _, fence, front = start.partition("---\n")
    lines = front.partition("\n---")[0].splitlines() if fence else []
    return next(
        (line.partition(":")[2].strip().strip("\"'")[:200] for line in lines if line.startswith("license:")), ""
    )
