"""Silent bugs, each as data and a way to break a run: what detection.py plants."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.guards.datasets import (
    Data,
    photos,
    texts,
    with_chance,
    with_conflict,
    with_leak,
    with_lengths,
    with_rare,
    with_sizes,
    with_text_twins,
    with_twins,
    with_unreadable,
    with_wrong_labels,
)
from benchmarks.guards.faults import (
    all_frozen,
    altered_pixels,
    altered_resize,
    batchnorm_follows_batches,
    moving_weight,
    no_fault,
    no_lowercasing,
    shifted_tokens,
    train_mode_below_cut,
)
from benchmarks.paths import MOBILENET, VIT

BERT = os.environ.get("HEADSTART_MINILM", "transformers:sentence-transformers/all-MiniLM-L6-v2")


NAMES = {MOBILENET: "MobileNetV2", VIT: "ViT-tiny", BERT: "MiniLM"}


@dataclass(frozen=True)
class Bug:
    """One planted bug: the data, the backbone, what is broken, and the guard that should say so."""

    name: str
    backbone: str
    guard: str
    data: Callable[[], Data]
    broken: Callable = field(default=lambda: no_fault())
    method: str = "probe"
    settings: dict = field(default_factory=dict)
    times: int = 1


def stated(backbone: str, words: str) -> str:
    """The backbone with facts that its files contradict."""
    return f"{backbone}?{words}"


HOT = {"steps": "40", "learning_rate": "0.05"}


SWAPPED = "mean=0.485,0.456,0.406&std=0.229,0.224,0.225"


BUGS = (
    Bug("BatchNorm in train mode below the cut", MOBILENET, "drift", photos, train_mode_below_cut),
    Bug("dropout in train mode below the cut", BERT, "preprocess", texts, train_mode_below_cut),
    Bug("a frozen weight moves", VIT, "drift", photos, moving_weight),
    Bug("a frozen weight moves", BERT, "drift", texts, moving_weight),
    Bug(
        "BatchNorm in train mode above the cut",
        MOBILENET,
        "drift",
        photos,
        batchnorm_follows_batches,
        "finetune",
        {"steps": "20"},
    ),
    Bug("everything frozen above the cut", MOBILENET, "idle", photos, all_frozen, "finetune", {"steps": "20"}),
    Bug("everything frozen above the cut", VIT, "idle", photos, all_frozen, "finetune", {"steps": "10"}),
    Bug("DeiT's normalisation for ViT-tiny", stated(VIT, SWAPPED), "preprocess", photos),
    Bug("ImageNet's normalisation for MobileNetV2", stated(MOBILENET, SWAPPED), "preprocess", photos),
    Bug("channels in the order BGR", VIT, "preprocess", photos, altered_pixels(lambda x: x[:, ::-1].copy())),
    Bug("channels in the order BGR", MOBILENET, "preprocess", photos, altered_pixels(lambda x: x[:, ::-1].copy())),
    Bug("pixels from 0 to 255", VIT, "preprocess", photos, altered_pixels(lambda x: (x + 1) * 127.5)),
    Bug("pixels from 0 to 255", MOBILENET, "preprocess", photos, altered_pixels(lambda x: (x + 1) * 127.5)),
    Bug("pixels from 0 to 1", VIT, "preprocess", photos, altered_pixels(lambda x: (x + 1) / 2)),
    Bug("squashed instead of cropped", MOBILENET, "preprocess", photos, altered_resize(crop_mode="squash")),
    Bug("no margin cropped", VIT, "preprocess", photos, altered_resize(crop_pct=1.0)),
    Bug("another interpolation", VIT, "preprocess", photos, altered_resize(interpolation="nearest")),
    Bug("another tokenizer", BERT, "preprocess", texts, shifted_tokens),
    Bug("capitals for an uncased vocabulary", BERT, "preprocess", texts, no_lowercasing),
    Bug("pooled by the first token", stated(BERT, "pooling=cls"), "preprocess", texts),
    Bug("texts cut to 12 tokens", stated(BERT, "max_length=12"), "preprocess", texts),
    Bug("learning rate x 500", MOBILENET, "rate", photos, no_fault, "finetune", HOT),
    Bug("learning rate x 500", VIT, "rate", photos, no_fault, "finetune", HOT),
    Bug("learning rate x 500", BERT, "rate", texts, no_fault, "finetune", HOT),
    Bug("the old skill is lost", MOBILENET, "forgetting", photos, no_fault, "full", {**HOT, "learning_rate": "0.01"}),
    Bug("test photos in training", MOBILENET, "leak", with_leak),
    Bug("test photos saved again in training", MOBILENET, "twins", with_twins),
    Bug("test photos saved again in training", VIT, "twins", with_twins),
    Bug("test questions rewritten in training", BERT, "twins", with_text_twins),
    Bug("one label in ten turned", MOBILENET, "labels", with_wrong_labels),
    Bug("photos under two labels", VIT, "conflict", with_conflict),
    Bug("the size of the photos tells", MOBILENET, "shortcut", with_sizes),
    Bug("a signature tells", BERT, "shortcut", with_lengths),
    Bug("labels of no meaning", MOBILENET, "chance", with_chance),
    Bug("one class is rare", VIT, "imbalance", with_rare),
    Bug("photos cut off", MOBILENET, "aside", with_unreadable),
    Bug("classes that the backbone knows", MOBILENET, "overlap", photos),
    Bug("twenty models on one test part", MOBILENET, "peeked", photos, no_fault, "probe", {}, 20),
)
