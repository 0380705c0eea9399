"""Silent bugs, each as data and a way to break a run: what guards.py plants."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import numpy as np

SHARED = Path(os.environ.get("HEADSTART_SHARED", Path(__file__).parents[1] / ".." / "shared")).resolve()
CNN = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
VIT = "timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k"
BERT = os.environ.get("HEADSTART_MINILM", "transformers:sentence-transformers/all-MiniLM-L6-v2")
NAMES = {CNN: "MobileNetV2", VIT: "ViT-tiny", BERT: "MiniLM"}
Data = dict[str, tuple[list, list]]


DRAW = 0  # which photos and questions are taken; guards.py sets it


@dataclass(frozen=True)
class Bug:
    """One planted bug: the data, the backbone, what is broken, and the guard that should say so."""

    name: str
    backbone: str
    guard: str
    data: Callable[[], Data]
    broken: Callable = field(default=lambda: nothing())
    method: str = "probe"
    settings: dict = field(default_factory=dict)
    times: int = 1


def photos(train: int = 40, test: int = 20) -> Data:
    """Ants and bees as files in memory: `train` and `test` of each."""
    found: Data = {}
    for part, folder, count in (("train", "train", train), ("test", "val", test)):
        files = [
            p for k in ("ants", "bees") for p in sorted((SHARED / "data/hymenoptera" / folder / k).iterdir())[:count]
        ]
        found[part] = [p.read_bytes() for p in files], [p.parent.name for p in files]
    return found


def _drawn(folder: Path) -> list[Path]:
    """The files of a folder, in their order for draw 0, in another for others."""
    files = sorted(folder.iterdir())
    return files if not DRAW else [files[i] for i in np.random.default_rng(DRAW).permutation(len(files))]


def texts(each: int = 16, test: int = 120) -> Data:
    """Questions of six kinds: `each` of a kind to learn from, `test` in all to judge."""
    from headstart.data.read import read
    from headstart.data.split import fewer

    task = fewer(read(SHARED / "data/text_trec6", seed=0), each, DRAW)
    from headstart.data.contents import content

    found: Data = {}
    for part, rows in (("train", task.parts["train"]), ("test", task.parts["test"][:test])):
        some = [task.examples[i] for i in rows]
        found[part] = [content(e) for e in some], [e.label for e in some]
    return found


def saved_again(data: bytes, quality: int = 60, scale: float = 1.0) -> bytes:
    """A photo decoded and saved once more."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        size = [max(8, round(side * scale)) for side in picture.size]
        buffer = io.BytesIO()
        picture.convert("RGB").resize((size[0], size[1])).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def with_leak() -> Data:
    """Ten test photos are in the training part too."""
    data = photos()
    (x, y), (tx, ty) = data["train"], data["test"]
    return {**data, "train": ([*x, *tx[:10]], [*y, *ty[:10]])}


def with_twins() -> Data:
    """The same, saved again."""
    data = photos()
    (x, y), (tx, ty) = data["train"], data["test"]
    return {**data, "train": ([*x, *(saved_again(b) for b in tx[:10])], [*y, *ty[:10]])}


def with_text_twins() -> Data:
    """Ten test questions are in the training part, with other capitals and marks."""
    data = texts()
    (x, y), (tx, ty) = data["train"], data["test"]
    return {**data, "train": ([*x, *(t.upper().rstrip("? ") + " !" for t in tx[:10])], [*y, *ty[:10]])}


def with_wrong_labels() -> Data:
    """One label in ten is turned."""
    data = photos(80, 30)
    x, y = data["train"]
    return {
        **data,
        "train": (x, [({"ants": "bees", "bees": "ants"}[v] if i % 10 == 0 else v) for i, v in enumerate(y)]),
    }


def with_conflict() -> Data:
    """Three photos stand there under both labels."""
    data = photos()
    x, y = data["train"]
    return {**data, "train": ([*x, *x[:3]], [*y, "bees", "bees", "bees"])}


def with_sizes() -> Data:
    """Ants were saved at half the size of the bees."""
    data = photos()
    return {
        part: ([saved_again(b, 90, 0.5 if k == "ants" else 1.0) for b, k in zip(x, y, strict=True)], y)
        for part, (x, y) in _fixed(data).items()
    }


def _fixed(data: Data) -> Data:
    """All photos of one size."""
    from PIL import Image

    def fixed(raw: bytes) -> bytes:
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(raw)) as picture:
            picture.convert("RGB").resize((256, 256)).save(buffer, "PNG")
        return buffer.getvalue()

    return {part: ([fixed(b) for b in x], y) for part, (x, y) in data.items()}


def with_lengths() -> Data:
    """Questions of one kind end in the signature of the desk that collected them."""
    data = texts()
    return {
        part: ([t + " -- sent from the desk of numbers" * (k == "NUM") for t, k in zip(x, y, strict=True)],
               ["NUM" if k == "NUM" else "other" for k in y])
        for part, (x, y) in data.items()
    }  # fmt: skip


def with_chance() -> Data:
    """Labels that have nothing to do with the photos."""
    data = photos()
    rng = np.random.default_rng(0)
    return {part: (x, [y[i] for i in rng.permutation(len(y))]) for part, (x, y) in data.items()}


def with_rare() -> Data:
    """Forty ants and five bees."""
    data = photos()
    x, y = data["train"]
    return {**data, "train": (x[:45], y[:45])}


def with_unreadable() -> Data:
    """Two photos are cut off."""
    data = photos()
    x, y = data["train"]
    return {**data, "train": ([x[0][:300], x[1][:300], *x[2:]], y)}


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def in_train_mode() -> Iterator[None]:
    """The frozen part is left in train mode: BatchNorm follows the batches, dropout drops."""
    from headstart.backbones.network import Network

    whole = Network.below
    with patch.object(Network, "below", lambda self, cut: whole(self, cut).train()):
        yield


@contextmanager
def moving() -> Iterator[None]:
    """Something goes on training what should be frozen."""
    from headstart.features.engines.torch import Running

    whole = Running.rows

    def rows(self, units):
        import torch

        found = whole(self, units)
        with torch.no_grad():
            next(p for p in self.module.parameters()).mul_(1.0001)
        return found

    with patch.object(Running, "rows", rows):
        yield


def pixels(change: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """What enters the network is changed: (b, 3, h, w) normalised -> likewise."""

    @contextmanager
    def broken() -> Iterator[None]:
        from headstart.features.preprocess import image

        whole = image.batch
        with patch.object(image, "batch", lambda units, spec: {"pixels": change(whole(units, spec)["pixels"])}):
            yield

    return broken


def fitted(**settings: object) -> Callable:
    """Pictures are resized and cropped otherwise than the weights' card says."""

    @contextmanager
    def broken() -> Iterator[None]:
        from headstart.features.preprocess import image

        whole = image._fitted
        with patch.object(image, "_fitted", lambda picture, facts: whole(picture, {**facts, **settings})):
            yield

    return broken


@contextmanager
def other_tokens() -> Iterator[None]:
    """The tokenizer of another vocabulary: every token is a neighbour of the right one."""
    from headstart.features.preprocess import text

    whole = text._windows

    def shifted(raw, spec, tokenizer, before, after):
        return [np.where(w > 999, w + 1, w).astype(np.int32) for w in whole(raw, spec, tokenizer, before, after)]

    with patch.object(text, "_windows", shifted):
        yield


@contextmanager
def cased() -> Iterator[None]:
    """Capitals reach a vocabulary that has none."""
    from headstart.features.preprocess import text

    whole = text._tokenizer.__wrapped__

    def bare(name):
        from tokenizers.normalizers import NFC

        tokenizer, before, after = whole(name)
        tokenizer.normalizer = NFC()
        return tokenizer, before, after

    with patch.object(text, "_tokenizer", bare):
        yield


@contextmanager
def all_frozen() -> Iterator[None]:
    """The freeze selector matched everything."""
    from headstart.training.methods import finetune

    whole = finetune.alter

    def alter(learner, settings):
        whole(learner, settings)
        learner.body.requires_grad_(False)

    with patch.object(finetune, "alter", alter):
        yield


@contextmanager
def adapting() -> Iterator[None]:
    """BatchNorm above the cut follows the batches although it should not."""
    from torch import nn

    from headstart.training.tuning.learner import Learner

    with patch.object(Learner, "train", nn.Module.train):
        yield


def stated(backbone: str, words: str) -> str:
    """The backbone with facts that its files contradict."""
    return f"{backbone}?{words}"


HOT = {"steps": "40", "rate": "0.05"}
SWAP = "mean=0.485,0.456,0.406&std=0.229,0.224,0.225"
BUGS = (
    Bug("BatchNorm in train mode below the cut", CNN, "drift", photos, in_train_mode),
    Bug("dropout in train mode below the cut", BERT, "preprocess", texts, in_train_mode),
    Bug("a frozen weight moves", VIT, "drift", photos, moving),
    Bug("a frozen weight moves", BERT, "drift", texts, moving),
    Bug("BatchNorm in train mode above the cut", CNN, "drift", photos, adapting, "finetune", {"steps": "20"}),
    Bug("everything frozen above the cut", CNN, "idle", photos, all_frozen, "finetune", {"steps": "20"}),
    Bug("everything frozen above the cut", VIT, "idle", photos, all_frozen, "finetune", {"steps": "10"}),
    Bug("DeiT's normalisation for ViT-tiny", stated(VIT, SWAP), "preprocess", photos),
    Bug("ImageNet's normalisation for MobileNetV2", stated(CNN, SWAP), "preprocess", photos),
    Bug("channels in the order BGR", VIT, "preprocess", photos, pixels(lambda x: x[:, ::-1].copy())),
    Bug("channels in the order BGR", CNN, "preprocess", photos, pixels(lambda x: x[:, ::-1].copy())),
    Bug("pixels from 0 to 255", VIT, "preprocess", photos, pixels(lambda x: (x + 1) * 127.5)),
    Bug("pixels from 0 to 255", CNN, "preprocess", photos, pixels(lambda x: (x + 1) * 127.5)),
    Bug("pixels from 0 to 1", VIT, "preprocess", photos, pixels(lambda x: (x + 1) / 2)),
    Bug("squashed instead of cropped", CNN, "preprocess", photos, fitted(crop_mode="squash")),
    Bug("no margin cropped", VIT, "preprocess", photos, fitted(crop_pct=1.0)),
    Bug("another interpolation", VIT, "preprocess", photos, fitted(interpolation="nearest")),
    Bug("another tokenizer", BERT, "preprocess", texts, other_tokens),
    Bug("capitals for an uncased vocabulary", BERT, "preprocess", texts, cased),
    Bug("pooled by the first token", stated(BERT, "pooling=cls"), "preprocess", texts),
    Bug("texts cut to 12 tokens", stated(BERT, "max_length=12"), "preprocess", texts),
    Bug("learning rate x 500", CNN, "rate", photos, nothing, "finetune", HOT),
    Bug("learning rate x 500", VIT, "rate", photos, nothing, "finetune", HOT),
    Bug("learning rate x 500", BERT, "rate", texts, nothing, "finetune", HOT),
    Bug("the old skill is lost", CNN, "forgetting", photos, nothing, "full", {"steps": "40", "rate": "0.01"}),
    Bug("test photos in training", CNN, "leak", with_leak),
    Bug("test photos saved again in training", CNN, "twins", with_twins),
    Bug("test photos saved again in training", VIT, "twins", with_twins),
    Bug("test questions rewritten in training", BERT, "twins", with_text_twins),
    Bug("one label in ten turned", CNN, "labels", with_wrong_labels),
    Bug("photos under two labels", VIT, "conflict", with_conflict),
    Bug("the size of the photos tells", CNN, "shortcut", with_sizes),
    Bug("a signature tells", BERT, "shortcut", with_lengths),
    Bug("labels of no meaning", CNN, "chance", with_chance),
    Bug("one class is rare", VIT, "imbalance", with_rare),
    Bug("photos cut off", CNN, "aside", with_unreadable),
    Bug("classes that the backbone knows", CNN, "overlap", photos),
    Bug("twenty models on one test part", CNN, "peeked", photos, nothing, "probe", {}, 20),
)
