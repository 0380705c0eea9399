"""What a backbone's card may say, whoever wrote it: types, lengths and ranges of its facts and its preprocessing."""

from __future__ import annotations

from typing import Any

from headstart.core.schema import Rule, anything, boolean, either, items, number, one_of, record, table, text, whole

MAX_SIDE = 2048  # pixels of an input: four times what the largest of timm reads
MAX_WIDTH = 1 << 17  # of an embedding, and how many classes a network may come with
MAX_BLOCKS = 10_000
MAX_COUNT = 1 << 50  # parameters, bytes: no more than anybody has
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
CROP_MODES = ("center", "squash", "border")
POOLINGS = ("mean", "cls", "max")

IDENTIFIER = text(64, r"[A-Za-z_][A-Za-z0-9_]*")
DIGEST = text(71, r"sha256:[0-9a-f]{64}")
PROSE = text(10_000)
IMAGE_SETTINGS: dict[str, Rule] = {
    "crop_mode": one_of(*CROP_MODES),
    "crop_pct": number(0.05, 4),
    "input_size": items(whole(1, MAX_SIDE), 3, 3),
    "interpolation": one_of(*INTERPOLATIONS),
    "mean": items(number(-1000, 1000), 3, 3),
    "std": items(number(1e-6, 1000), 3, 3),
}
_two_numbers = items(number(-1e12, 1e12), 2, 2)


def pixel_range(facts: Any) -> str:
    """(black, white) of pictures with more than 8 bits, in the numbers that are stored."""
    return _two_numbers(facts) or ("" if facts[0] < facts[1] else f" is {facts}: white is no more than black")


TEXT_SETTINGS: dict[str, Rule] = {
    "lower": boolean,
    "max_length": whole(4, 1 << 20),
    "normalize": boolean,
    "pad": whole(0, 1 << 31),
    "pooling": one_of(*POOLINGS),
    "prompt": PROSE,
    "tokenizer": DIGEST,
    "windows": whole(1, 4096),
}
BESIDE: dict[str, Rule] = {"beside": one_of("stats"), "normalize": boolean, "pooling": one_of(*POOLINGS)}
BESIDE_IMAGES: dict[str, Rule] = {**BESIDE, "range": pixel_range}
_scalar = either(boolean, number(-1e300, 1e300), one_of(None), PROSE)
_SETTINGS: dict[str, Rule] = {
    "image": record(IMAGE_SETTINGS, BESIDE_IMAGES),
    "text": record(TEXT_SETTINGS),
    "pieces": record({"most": whole(1, 1 << 20), "vocabulary": DIGEST}),
    "words": record({"buckets": whole(1, MAX_WIDTH)}),
    "vector": record({"width": whole(1, MAX_WIDTH)}),
}
_other_settings = table(either(items(either(items(_scalar, 100), _scalar), 1000), _scalar), 100)
_preprocess = record({"kind": IDENTIFIER, "settings": items(items(anything, 2, 2), 100)})


def preprocess_rule(facts: Any) -> str:
    """The preprocessing of a card: its kind, and the settings that this kind reads, each of them once."""
    if problem := _preprocess(facts):
        return problem
    names = [name for name, _ in facts["settings"]]
    if any(not isinstance(name, str) for name in names) or len({*names}) != len(names):
        return ".settings names a setting twice, or not by a text"
    settings = dict(facts["settings"])
    if problem := _SETTINGS.get(facts["kind"], _other_settings)(settings):
        return f".settings{problem}"
    if facts["kind"] == "image" and settings["input_size"][0] != 3:
        return f".settings.input_size is {settings['input_size']}, not of three channels"
    if facts["kind"] == "image" and max(settings["input_size"]) > 2 * MAX_SIDE * settings["crop_pct"]:
        return (
            f".settings.crop_pct is {settings['crop_pct']}: photos would be enlarged to more than {2 * MAX_SIDE} pixels"
        )
    return ""


_block = record({"name": text(300), "shape": items(whole(0, 1 << 31), 8)})
# What `core/backbone.py` `Backbone.facts` gives. Cards of earlier versions lack the last facts.
BACKBONE = record(
    {
        "name": text(4096),
        "weights": text(200),
        "preprocess": preprocess_rule,
        "blocks": items(_block, MAX_BLOCKS, 1),
        "width": whole(1, MAX_WIDTH),
    },
    {
        "parameters": whole(0, MAX_COUNT),
        "size": whole(0, MAX_COUNT),
        "source_classes": items(text(1000), MAX_WIDTH),
        "pretrained_on": PROSE,
        "licence": text(1000),
        "identity": text(200, r"(sha256:)?[0-9a-f]{0,64}"),
    },
)
