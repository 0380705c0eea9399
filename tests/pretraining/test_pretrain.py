"""Making a backbone: views for two networks, teachers asked once, runs that go on, folders that are checked."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headstart
from headstart.backbones.providers import own, stats
from headstart.core.errors import ArtifactError, HeadstartError, NameNotFound, PlanError, SourceError
from headstart.data.demo.photos import photos
from headstart.data.read import reading
from headstart.deployment import predict
from headstart.features import augmentation
from headstart.pretraining import image_corpus, pretrain, teacher_targets
from headstart.workflows import fit as workflow

TINY = {"student": "mobilenetv4_conv_small_035", "side": 64, "steps": 6, "settings": {"batch": "16", "views": "2"}}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("parts") / "photos", 60)


@pytest.fixture(scope="module")
def made(parts, tmp_path_factory):
    place = tmp_path_factory.mktemp("made")
    return pretrain.distill([parts], teachers=["stats"], into=place / "run", root=place / "cache", probe=parts, **TINY)


def gathered(parts, tmp_path, edge=96):
    return image_corpus.gather(reading(parts, label="").examples[""], tmp_path / "work", edge)


def test_a_view_is_a_function_of_picture_number_policy_and_seed(parts, tmp_path):
    some = gathered(parts, tmp_path)
    first = some.view(3, 5, augmentation.PATIENT, 0, 64)
    assert np.array_equal(first, some.view(3, 5, augmentation.PATIENT, 0, 64))
    others = [
        (3, 6, augmentation.PATIENT, 0),
        (3, 5, augmentation.PATIENT, 1),
        (3, 5, augmentation.STRONG, 0),
        (4, 5, augmentation.PATIENT, 0),
    ]
    assert all(not np.array_equal(first, some.view(*what, 64)) for what in others)
    assert np.array_equal(some.view(3, 0, augmentation.STRONG, 0, 64), some.view(3, 0, augmentation.GENTLE, 9, 64)), (
        "view 0 is plain"
    )


def test_a_view_shows_the_same_at_any_size(parts, tmp_path):
    some = gathered(parts, tmp_path)
    for number in range(1, 6):
        small, large = (some.view(1, number, augmentation.GENTLE, 0, side).astype(float) for side in (32, 96))
        shrunk = large.reshape(32, 3, 32, 3, 3).mean((1, 3))
        assert np.abs(small - shrunk).mean() < 6


def test_flip_and_crop_are_what_they_say():
    ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], (100, 1, 3))
    still = (1.0, 1.0, 1.0, 0.0)
    whole = augmentation.shown(ramp, augmentation.Look((0, 0, 1, 1), False, still, False, 0.0), 100)
    assert np.array_equal(whole, ramp)
    assert np.array_equal(
        augmentation.shown(ramp, augmentation.Look((0, 0, 1, 1), True, still, False, 0.0), 100), ramp[:, ::-1]
    )
    right = augmentation.shown(ramp, augmentation.Look((0.5, 0, 1, 1), False, still, False, 0.0), 50)
    assert right[0, 0, 0] == pytest.approx(101, abs=2)


@given(seed=st.integers(0, 1000), height=st.integers(8, 300), width=st.integers(8, 300))
@settings(max_examples=40, deadline=None)
def test_every_view_lies_inside_its_picture(seed, height, width):
    look = augmentation.drawn(np.random.default_rng(seed), augmentation.STRONG, height, width)
    left, top, right, bottom = look.box
    assert 0 <= left < right <= 1 + 1e-9
    assert 0 <= top < bottom <= 1 + 1e-9


def test_a_gray_view_has_no_colour_and_keeps_its_light():
    rng = np.random.default_rng(0)
    picture = rng.integers(40, 200, (32, 32, 3), dtype=np.uint8)
    gray = augmentation.shown(picture, augmentation.Look((0, 0, 1, 1), False, (1, 1, 1, 0.5), True, 0.0), 32)
    assert np.ptp(gray.astype(int), axis=2).max() <= 1
    assert gray[..., 0].mean() == pytest.approx((picture @ augmentation.LUMA).mean(), abs=1)


def test_unreadable_pictures_are_set_aside_and_equal_ones_count_once(parts, tmp_path):
    folder = tmp_path / "some"
    shutil.copytree(parts, folder)
    one = next(folder.glob("*/*.jpg"))
    shutil.copy(one, folder / "again.jpg")
    (folder / "bad.jpg").write_bytes(b"no picture")
    some = gathered(folder, tmp_path)
    assert len(some) == 60
    assert [(a.id, "not an image" in a.reason) for a in some.aside] == [("bad.jpg", True)]
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "bad.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match=r"bad\.jpg"):
        gathered(tmp_path / "none", tmp_path)


def test_a_teacher_is_asked_once_about_each_view(parts, tmp_path):
    some, card = gathered(parts, tmp_path), stats.card("")
    said = []
    asked = [
        teacher_targets.teach(
            card, some, n, augmentation.GENTLE, 0, tmp_path, lambda event, facts: said.append((event, facts))
        )
        for n in (1, 2, 2)
    ]
    assert [facts["todo"] for event, facts in said if event == "opening"] == [60, 60]
    assert np.array_equal(asked[0].rows, asked[1].rows[:60])
    again = teacher_targets.teach(card, some, 1, augmentation.STRONG, 0, tmp_path)
    assert not np.array_equal(again.rows, asked[0].rows), "another policy is another view"


def test_a_student_becomes_a_backbone_that_fit_takes_without_torch(made, parts, tmp_path):
    card = own.card(str(made.folder))
    assert card.preprocess["input_size"] == (3, 64, 64)
    assert own.runs(card, card.cut(len(card.blocks))) == "onnx"
    assert own.runs(card, card.cut(3)) == "torch"
    facts = own.made(str(made.folder))
    assert facts["teachers"] == ["stats"]
    assert len(facts["figures"]["probe"]) == 6
    result = headstart.fit(parts, backbone=f"own:{made.folder}", into=tmp_path / "run").result
    assert result["plan"]["backbone"] == f"own:{made.folder}"
    assert result["frozen"]["moved"] == 0
    assert result["frozen"]["tensors"] > 50
    answer = headstart.predict(tmp_path / "run", [next(parts.glob("*/*.jpg"))])[0]
    assert answer.label in result["task"]["classes"]


def test_its_graph_and_its_network_are_the_same_at_every_cut(made):
    torch = pytest.importorskip("torch")
    from headstart.backbones.network import open_network
    from headstart.features.engines import onnx

    card = own.card(str(made.folder))
    top = card.cut(len(card.blocks))
    units = list(np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3), dtype=np.uint8))
    rows = onnx.start(card, top).rows(units)
    from headstart.features.preprocess import image

    batch = {"pixels": torch.from_numpy(image.batch(units, card.preprocess)["pixels"])}
    network = open_network(card)
    with torch.inference_mode():
        for at in range(1, len(card.blocks) + 1):
            cut = card.cut(at)
            whole = network.above(cut)(network.below(cut)(batch)).numpy()
            assert np.abs(whole - rows).max() <= 1e-5 * max(1, np.abs(rows).max())


def test_a_run_goes_on_where_it_stood_and_ends_as_if_it_had_not_stopped(parts, made, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(pretrain, "SAVED", 0.0)
    monkeypatch.setattr(pretrain, "SAID", 0.0)

    def stop(event):
        if event["event"] == "step" and event["done"] == 3:
            raise KeyboardInterrupt

    what = {"teachers": ["stats"], "into": tmp_path / "run", "root": tmp_path / "cache", "probe": parts}
    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        pretrain.distill([parts], **what, **TINY, echo=stop)
    with pytest.raises(PlanError, match=r"rate: 0\.002 then, 0\.1 now"):
        pretrain.distill([parts], **what, **TINY, rate=0.1)
    with pytest.raises(PlanError, match="other data"):
        pretrain.distill([photos(tmp_path / "others", 61)], **what, **TINY)
    again = pretrain.distill([parts], **what, **TINY)
    torch.set_num_threads(threads)
    one, two = ((m.folder / "backbone" / "model.safetensors").read_bytes() for m in (made, again))
    assert one == two
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_what_does_not_go_together_is_refused(parts, tmp_path):
    place = {"into": tmp_path / "run", "root": tmp_path / "cache"}
    with pytest.raises(HeadstartError, match=r"mobilenetv4_conv_smal.*Did you mean"):
        pretrain.distill([parts], teachers=["stats"], student="mobilenetv4_conv_smal", steps=1, **place)
    with pytest.raises(SourceError, match=r"stats:text reads words"):
        pretrain.distill([parts], teachers=["stats:text"], **{**TINY, "steps": 1}, **place)
    (tmp_path / "t.csv").write_text("text,label\nhello there,a\ngood bye,b\n")
    with pytest.raises(SourceError, match="texts"):
        pretrain.distill([tmp_path / "t.csv"], teachers=["stats"], **TINY, **place)
    with pytest.raises(PlanError, match="multiple of 32"):
        pretrain.distill([parts], teachers=["stats"], **{**TINY, "side": 50}, **place)
    with pytest.raises(PlanError, match="batch"):
        pretrain.distill([parts], teachers=["stats"], **{**TINY, "settings": {"bach": "3"}}, **place)


def test_a_fitted_model_can_teach_its_answers(parts, tmp_path):
    fitted = headstart.fit(parts, backbone="stats", into=tmp_path / "fitted", root=tmp_path / "cache")
    made = pretrain.distill(
        [parts], teachers=[str(fitted.folder)], pretext="logits", into=tmp_path / "run", root=tmp_path / "cache",
        student="mobilenetv4_conv_small_035", side=64, steps=4, settings={"batch": "16"},
    )  # fmt: skip
    assert made.facts["objective"] == "logits"
    assert own.card(str(made.folder)).width == made.card.width


@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx"])
def test_a_damaged_backbone_folder_is_refused_by_file(made, tmp_path, name):
    folder = tmp_path / "copy"
    shutil.copytree(made.folder / "backbone", folder)
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"{name} is not the file that card.json"):
        own.card(str(folder))
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        own.card(str(folder))
    (folder / "card.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        own.card(str(folder))
    with pytest.raises(NameNotFound, match="own:nothing"):
        own.card("nothing")


def test_a_card_of_another_schema_is_refused(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made.folder / "backbone", folder)
    facts = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**facts, "schema": 9}))
    with pytest.raises(ArtifactError, match="schema 9"):
        own.card(str(folder))


def test_distilled_features_are_learned():
    """A student that is a linear map learns a linear teacher: the loss falls from about 1 to nearly nothing."""
    import torch

    from headstart.core.backbone import Preprocess
    from headstart.pretraining.contracts import Corpus, Student, Teaching
    from headstart.pretraining.pretexts.features import Settings
    from headstart.training.tuning.loop import steps
    from headstart.training.tuning.optim import adamw, cosine

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 4, 4, 3), dtype=np.uint8)
    rows = (pixels.reshape(64, -1).astype(np.float32) / 255) @ rng.standard_normal((48, 5)).astype(np.float32)

    class Flat(torch.nn.Module):
        def forward(self, batch):
            return batch["pixels"].flatten(1)

    spec = Preprocess("image", (("mean", (0.5, 0.5, 0.5)), ("std", (0.5, 0.5, 0.5)), ("input_size", (3, 4, 4))))
    student = Student(Flat(), Flat(), 48, spec)
    corpus = Corpus(teachers=(Teaching("t", rows),), steps=400)
    for loss in ("mse", "cosine", "relational"):
        learner = replace(Settings(), loss=loss).learner(student, corpus)
        taken = list(
            steps(
                learner,
                lambda i: {"pixels": pixels, "at": np.arange(64)},
                adamw(learner, 0.05, 0.0),
                cosine(0.05, 400),
                400,
            )
        )
        assert taken[-1].loss < 0.2 * taken[0].loss


def test_a_backbone_may_give_the_floors_numbers_beside_its_own(tmp_path):
    """What ships: at the top both side by side, below it the network alone, and training takes either."""
    from headstart.backbones.catalogue import find_card
    from headstart.backbones.network import open_above
    from headstart.data.read import read
    from headstart.features.extract import embed, start
    from headstart.training.tuning.learner import Learner, passed

    card = find_card("own:vision-small", tmp_path)
    task = read(photos(tmp_path / "photos", 60), seed=0)
    top = embed(task.examples, card, card.cut(len(card.blocks)), tmp_path).x
    floor = find_card("stats", tmp_path)
    assert top.shape[1] == card.width > floor.width
    units = [np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)]
    both = start(card, card.cut(len(card.blocks))).rows(units)
    assert np.array_equal(both[:, -floor.width :], start(floor, floor.cut(1)).rows(units))
    cut = card.cut(len(card.blocks) - 2)
    learner = Learner(open_above(card, cut), 3)
    rows = passed(learner, embed(task.examples, card, cut, tmp_path).x, learner.rows)
    assert np.allclose(rows, top[:, : card.width - floor.width], atol=2e-2 * np.abs(rows).max())
    fit = {"into": tmp_path / "run", "method": "lpft", "settings": {"steps": "4", "views": "0"}, "root": tmp_path}
    outcome = workflow.fit(tmp_path / "photos", **fit)
    assert predict.predict(outcome.folder, [next((tmp_path / "photos").glob("*/*.jpg"))], root=tmp_path)[0].label
