"""Every member of every family keeps its contract; every guard has a planted bug and a clean twin."""

from dataclasses import replace

import numpy as np
import pytest

from headstart import testing
from headstart.backbones.cards import find_card
from headstart.core.backbone import Backbone, Preprocess
from headstart.core.errors import HeadstartError, NameNotFound
from headstart.core.features import Features
from headstart.core.observations import (
    DataSurvey,
    Evaluation,
    Extraction,
    PictureDepth,
    ReferenceOverlap,
    TrainingOutcome,
)
from headstart.core.plan import Plan
from headstart.core.plugins import member, names
from headstart.core.result import Metric, Receipt, SetAside
from headstart.core.task import Example, Task
from headstart.data.demo.photos import write_photos
from headstart.data.demo.tickets import tickets, write_tickets
from headstart.evaluation.transferability.domain_similarity import TransferComparison
from headstart.workflows.planner import method_of

LABELS = {
    "classes": ["a", "b", "c"] * 20,
    "tags": [("red",), ("red", "round"), (), ("round",)] * 15,
    "number": [float(v) for v in np.linspace(3, 90, 60)],
}


def learnable(objective, labels, seed=0) -> tuple[Features, Features]:
    """Features with the targets in their first columns."""
    rng = np.random.default_rng(seed)
    y = objective.encode(labels)
    x = rng.standard_normal((len(labels), 12)).astype(np.float32)
    x[:, : objective.width] += 2.5 * objective.targets(y)
    whole = Features(x, y, tuple(map(str, range(len(labels)))))
    return whole.rows(np.arange(0, 48)), whole.rows(np.arange(48, 60))


# Methods that train in steps have tests of their own, and so has zeroshot, which needs a backbone with words.
HEADS = [n for n in names("methods") if n != "zeroshot" and not hasattr(member("methods", n).Settings(), "steps")]


@pytest.mark.parametrize("kind", sorted(LABELS))
@pytest.mark.parametrize("name", HEADS)
def test_methods(name, kind):
    module = member("methods", name)
    objective = member("objectives", kind).of(LABELS[kind])
    train, val = learnable(objective, LABELS[kind])
    card = member("backbones", "vector").card("12")
    try:
        testing.check_method(module, objective, train, val, card)
    except HeadstartError as refusal:  # a method may decline a kind of label, in words
        assert kind != "classes", f"{name} refuses classes: {refusal}"
        pytest.skip(f"{name} declines {kind}: {refusal}")


@pytest.mark.parametrize("name", names("methods"))
def test_settings_are_checked(name):
    testing.check_settings(name)


@pytest.mark.parametrize("kind", names("objectives"))
def test_objectives(kind):
    testing.check_objective(member("objectives", kind), LABELS[kind])


def test_readers(tmp_path):
    folder = write_photos(tmp_path / "photos", 60)
    testing.check_reader(member("readers", "folder"), folder)
    testing.check_reader(member("readers", "table"), write_tickets(tmp_path))
    x = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    testing.check_reader(member("readers", "arrays"), (x, ["a", "b"] * 6))


def jpegs(tmp_path) -> list[bytes]:
    return [p.read_bytes() for p in sorted(write_photos(tmp_path / "some", 60).glob("*/*.jpg"))[:6]]


@pytest.mark.parametrize("name", ["stats", "stats:text", "vector:3"])
def test_light_backbones_and_their_preprocessing(name, tmp_path):
    raws = {
        "stats": lambda: jpegs(tmp_path),
        "stats:text": lambda: [text for text, _ in tickets()[:6]],
        "vector:3": lambda: [np.arange(3, dtype="<f4").tobytes(), np.ones(3, "<f4").tobytes()],
    }[name]()
    testing.check_backbone(name, raws)
    family, _, local = name.partition(":")
    card: Backbone = member("backbones", family).card(local)
    testing.check_preprocess(member("preprocess", card.preprocess.kind), raws, card.preprocess)


@pytest.mark.parametrize("name", ["mobilenetv2_100.tf_in1k", "vit_tiny_patch16_224.augreg_in1k"])
def test_real_vision_backbones(name, hub, tmp_path):
    testing.check_backbone(f"timm:hf-hub:headstart-test/{name}", jpegs(tmp_path))


def test_a_missing_setting_is_refused_by_name():
    with pytest.raises(HeadstartError, match="mean"):
        member("preprocess", "image").prepare([b"x"], Preprocess("image", (("size", (8, 8)),)))


def test_an_unknown_member_is_refused_with_the_nearest_spelling():
    with pytest.raises(NameNotFound, match="logistic"):
        method_of("logistik", {})


def embedded(labels, receipt=None, beyond=0.0, aside=(), settings=None) -> Extraction:
    examples = tuple(Example(str(i), str(i), str(i), label) for i, label in enumerate(labels))
    objective = member("objectives", "classes").of(labels)
    parts = {"train": np.arange(len(labels)), "val": np.zeros(0, np.int64), "test": np.zeros(0, np.int64)}
    card = member("backbones", "vector").card("3")
    plan = Plan(card, card.cut(1), method_of("logistic", settings or {}), 0)
    task = Task("text", objective, examples, parts, aside=tuple(aside))
    return Extraction(task, plan, {}, np.full(len(labels), beyond, np.float32), receipt)


def judged(low, high, chance, backbone="vector:3", models=1) -> Evaluation:
    family, _, local = backbone.partition(":")
    some = embedded(["a", "b"])
    card = member("backbones", family).card(local)
    plan = replace(some.plan, backbone=card)
    metric = Metric("accuracy", (low + high) / 2, low, high, chance, 20)
    return Evaluation(some.task, plan, some.task.objective, (metric,), {}, {"judged": {"models": models}})


def alike(test: str) -> Extraction:
    """Three examples to learn from, the last two of equal bytes, and one to judge by."""
    some = embedded(["a", "b", "b", "a"])
    examples = tuple(replace(e, digest=d) for e, d in zip(some.task.examples, ("1", "2", "2", test), strict=True))
    parts = {"train": np.arange(3), "val": np.zeros(0, np.int64), "test": np.array([3])}
    return replace(some, task=replace(some.task, examples=examples, parts=parts))


def known(*labels: str) -> DataSurvey:
    """Photos of these classes, on a backbone that was trained to tell some of ImageNet's apart."""
    some = embedded(list(labels))
    card = replace(some.plan.backbone, source_classes=("ant, emmet, pismire", "bee", "tabby, tabby cat", "airliner"))
    task, plan = replace(some.task, kind="image"), replace(some.plan, backbone=card)
    x = np.zeros((len(labels), 3), np.float32)
    part = Features(x, task.objective.encode(list(labels)), tuple(e.id for e in task.examples))
    return DataSurvey(task, plan, {"train": part}, lambda some: [b""] * len(some))


def one_to_the_backbone(count: int) -> Extraction:
    """Twenty texts, the first `count` with one embedding."""
    some = embedded(["a", "b"] * 10)
    x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    x[:count] = x[0]
    part = Features(x, some.task.objective.encode(["a", "b"] * 10), tuple(e.id for e in some.task.examples))
    return replace(some, parts={"train": part})


def texts(lengths: tuple[int, int]) -> DataSurvey:
    """Sixty texts of two classes, of these lengths."""
    some = embedded(["a", "b"] * 30)
    written = [("word " * (lengths[i % 2] + i % 3))[:-1] for i in range(60)]
    examples = tuple(replace(e, content=t) for e, t in zip(some.task.examples, written, strict=True))
    return DataSurvey(replace(some.task, examples=examples), some.plan, {}, lambda some: [b""] * len(some))


def seen(x, labels, contents=None, judged=0) -> DataSurvey:
    """What the frozen backbone sees in examples with these rows, of which the last `judged` are the test part."""
    some, n = embedded(labels), len(labels)
    contents = contents or [str(i) for i in range(n)]
    examples = tuple(
        replace(e, content=c, digest=f"d{e.id}") for e, c in zip(some.task.examples, contents, strict=True)
    )
    parts = {"train": np.arange(n - judged), "val": np.zeros(0, np.int64), "test": np.arange(n - judged, n)}
    whole = Features(x.astype(np.float32), some.task.objective.encode(labels), tuple(e.id for e in examples))
    rows = {name: whole.rows(index) for name, index in parts.items()}
    return DataSurvey(replace(some.task, examples=examples, parts=parts), some.plan, rows, lambda p: [b""] * len(p))


def written(judged: str) -> DataSurvey:
    """Three texts to learn from and one to judge by."""
    learned_from = [
        "The parcel never arrived, please help!",
        "Card declined at the till",
        "How do I reset my password?",
    ]
    return seen(np.zeros((4, 3)), ["a", "b", "a", "a"], [*learned_from, judged], judged=1)


def labelled(wrong: int) -> DataSurvey:
    """Three classes far apart, the first `wrong` examples under another's label."""
    true = np.arange(120) % 3
    x = np.random.default_rng(0).standard_normal((120, 8)) + 6 * np.eye(3, 8)[true]
    return seen(x, [f"c{v}" for v in np.where(np.arange(120) < wrong, (true + 1) % 3, true)], judged=20)


def borrowed(verdict: str, against: str) -> TransferComparison:
    """What a plan found of a backbone against hand-made numbers."""
    pair = {"measure": "accuracy", "difference": -0.1, "low": -0.2, "high": -0.05, "p": 0.001, "n": 90}
    hurt = verdict == "hurt"
    return TransferComparison(
        "timm:x", "image", verdict, {"stats": {**pair, "verdict": against}}, hurt, "different", "take stats"
    )


def referenced(*found: tuple[str, str, float]) -> ReferenceOverlap:
    """Two examples that judge, and what of them a reference holds."""
    task = embedded(["a", "b"]).task
    parts = {"train": np.zeros(0, np.int64), "val": np.zeros(0, np.int64), "test": np.arange(2)}
    return ReferenceOverlap(replace(task, parts=parts), "photos/", 30, found)


def learned(method="finetune", **notes) -> TrainingOutcome:
    some = embedded(["a", "b"])
    return TrainingOutcome(some.task, replace(some.plan, method=method_of(method, {})), notes)


FALLS = [2.0 - 0.015 * i for i in range(100)]

PLANTED = {
    "conflict": (alike("2"), alike("3")),
    "overlap": (known("ants", "bees"), known("three", "seven")),
    "leak": (alike("1"), alike("3")),
    "forgetting": (
        learned(forgetting={"before": 0.9, "after": 0.6, "drop": 0.3, "n": 96}),
        learned(forgetting={"before": 0.9, "after": 0.88, "drop": 0.02, "n": 96}),
    ),
    "idle": (
        learned(idle=["body.0.weight", "body.0.bias"], learning_tensors=2),
        learned(idle=[], learning_tensors=2),
    ),
    "rate": (learned(losses=[*FALLS[:50], *[9.0] * 20, *FALLS[70:]]), learned(losses=FALLS, drift=0.1)),
    "aside": (embedded(["a", "b"], aside=[SetAside("x.jpg", "is empty")]), embedded(["a", "b"])),
    "chance": (judged(0.4, 0.6, 0.5), judged(0.6, 0.7, 0.5)),
    "drift": (
        embedded(["a", "b"], Receipt(9, ("bn1.running_mean",), "sha256:a", "sha256:b")),
        embedded(["a", "b"], Receipt(9, (), "sha256:a", "sha256:a")),
    ),
    "twins": (written("the parcel never arrived - PLEASE help"), written("the parcel is far too large")),
    "labels": (labelled(6), labelled(0)),
    "negative": (borrowed("hurt", "worse"), borrowed("helped", "better")),
    "known": (referenced(("1", "r/7", 0.97)), referenced()),
    "stale": (replace(embedded(["a", "b"]), stale=60), embedded(["a", "b"])),
    "peeked": (judged(0.6, 0.7, 0.5, models=40), judged(0.6, 0.7, 0.5, models=6)),
    "preprocess": (
        embedded(["a", "b"], Receipt(9, (), "sha256:a", "sha256:a", 0.98)),
        embedded(["a", "b"], Receipt(9, (), "sha256:a", "sha256:a", 0.99999)),
    ),
    "alike": (one_to_the_backbone(20), one_to_the_backbone(2)),
    "depth": (
        PictureDepth((("a", True),) * 30, (0.0, 4095.0), (3.0, 4000.0), (0.0, 65535.0)),
        PictureDepth((("a", False),) * 30),
    ),
    "spelling": (embedded(["Dog", "dog ", "cat"] * 9).task, embedded(["dog", "cat", "car"] * 9).task),
    "shortcut": (texts((4, 40)), texts((4, 4))),
    "floor": (judged(0.6, 0.7, 0.5, "stats"), judged(0.6, 0.7, 0.5)),
    "imbalance": (embedded(["a"] * 20 + ["b"] * 2), embedded(["a"] * 20 + ["b"] * 10)),
    "tiny": (judged(0.5, 0.9, 0.3), judged(0.8, 0.85, 0.3)),
    "truncated": (embedded(["a", "b"], beyond=0.4), embedded(["a", "b"])),
}


@pytest.mark.parametrize("name", names("guards"))
def test_guards(name):
    testing.check_guard(member("guards", name), *PLANTED[name])


def test_weights_on_request_silence_the_imbalance_guard():
    quiet = embedded(["a"] * 20 + ["b"] * 2, settings={"class_weight": "balanced"})
    assert not list(member("guards", "imbalance").look(quiet))


def test_what_trains_from_scratch_may_forget_everything():
    lost = {"before": 0.9, "after": 0.4, "drop": 0.5, "n": 96}
    assert not list(member("guards", "forgetting").look(learned("scratch", forgetting=lost)))
    assert not list(member("guards", "rate").look(learned("scratch", losses=FALLS, drift=0.99)))
    assert list(member("guards", "rate").look(learned("finetune", losses=FALLS, drift=0.99)))


def test_a_frozen_tensor_above_the_cut_that_moved_stops_the_run():
    (found,) = member("guards", "drift").look(learned(frozen_above={"tensors": 9, "moved": ["bn1.running_mean"]}))
    assert found.level == "stop" and "bn1.running_mean" in found.message
    assert not list(member("guards", "drift").look(learned(frozen_above={"tensors": 9, "moved": []})))


def test_cifar_is_known_to_imagenet_and_spectrograms_are_not(hub, tmp_path):
    card = find_card("timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k", tmp_path)
    assert len(card.source_classes) == 1000
    cifar = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    for labels, seen in ((cifar, True), (("ants", "bees"), True), (tuple("0123456789"), False)):
        some = known(*labels)
        part = replace(some.parts["train"], x=np.zeros((len(labels), card.width), np.float32))
        some = replace(some, plan=replace(some.plan, backbone=card), parts={"train": part})
        assert bool(list(member("guards", "overlap").look(some))) is seen, labels
