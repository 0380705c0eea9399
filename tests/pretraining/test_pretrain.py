"""Making a backbone: runs that go on where they stood, folders that are checked, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import headstart
from headstart.backbones.providers import own
from headstart.core.errors import ArtifactError, HeadstartError, NameNotFound, PlanError, SourceError
from headstart.core.files import read_checked
from headstart.core.options import DataOptions
from headstart.data.demo.photos import write_photos
from headstart.deployment import predict
from headstart.pretraining import pretrain
from headstart.training.tuning import loop
from headstart.workflows import fit as workflow

TINY = {"student": "mobilenetv4_conv_small_035", "side": 64, "steps": 6, "settings": {"batch_size": "16", "views": "2"}}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("parts") / "photos", 60)


@pytest.fixture(scope="module")
def made(parts, tmp_path_factory):
    place = tmp_path_factory.mktemp("made")
    return pretrain.distill([parts], teachers=["stats"], into=place / "run", root=place / "cache", probe=parts, **TINY)


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

    monkeypatch.setattr(pretrain, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(pretrain, "PROGRESS_SECONDS", 0.0)

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
        pretrain.distill([write_photos(tmp_path / "others", 61)], **what, **TINY)
    again = pretrain.distill([parts], **what, **TINY)
    torch.set_num_threads(threads)
    one, two = ((m.folder / "backbone" / "model.safetensors").read_bytes() for m in (made, again))
    assert one == two
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_an_unfinished_run_under_former_names_of_settings_goes_on(parts, tmp_path, monkeypatch):
    from safetensors.torch import load, save_file

    monkeypatch.setattr(pretrain, "CHECKPOINT_SECONDS", 0.0)
    what = {"teachers": ["stats"], "root": tmp_path / "cache", "student": "test_resnet", "side": 32, "steps": 3}
    what["settings"] = {"batch_size": "16", "augmentation": "gentle", "low_res_fraction": "0.5"}

    def stop(event):
        if event["event"] == "probe" and event["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain.distill([parts], into=tmp_path / "run", probe=parts, echo=stop, **what)
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    facts, tensors = loop.read_checkpoint_facts(checkpoint), load(read_checked(checkpoint))
    facts["plan"]["settings"] = {"batch": "16", "policy": "gentle", "small": "0.5"}
    save_file(tensors, checkpoint, metadata={"facts": json.dumps(facts)})
    events = []
    made = pretrain.distill([parts], into=tmp_path / "run", echo=events.append, **what)
    assert [e["step"] for e in events if e["event"] == "resumed"] == [1]
    assert [score["step"] for score in made.facts["figures"]["probe"]] == [1]
    with pytest.raises(PlanError, match=r"'small' is now called 'low_res_fraction'"):
        pretrain.distill([parts], into=tmp_path / "other", **{**what, "settings": {"small": "0.5"}})


@pytest.mark.parametrize("damage", ["flip", "cut", "list", "empty"])
def test_a_damaged_checkpoint_is_refused_in_words(damage, parts, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "CHECKPOINT_SECONDS", 0.0)
    what = {"teachers": ["stats"], "root": tmp_path / "cache", "student": "test_resnet", "side": 32, "steps": 3}
    what |= {"into": tmp_path / "run", "settings": {"batch_size": "16"}}

    def stop(event):
        if event["event"] == "probe" and event["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain.distill([parts], probe=parts, echo=stop, **what)
    assert json.loads((tmp_path / "run" / "journal.jsonl").read_text().splitlines()[-1])["event"] == "interrupted"
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    raw = bytearray(checkpoint.read_bytes())
    raw[len(raw) // 2] ^= 1
    damaged = {"flip": bytes(raw), "cut": bytes(raw[:200]), "list": b"[1]", "empty": b""}
    checkpoint.write_bytes(damaged[damage])
    with pytest.raises(ArtifactError, match="--restart"):
        pretrain.distill([parts], **what)


def test_weights_are_drawn_from_the_seed_and_torchs_own_generator_is_left_alone():
    """The first weights are those of `torch.manual_seed(seed)`, and the state before comes back."""
    import torch

    from headstart.backbones.timm_trunk import build_trunk
    from headstart.pretraining.contracts import UnlabelledData
    from headstart.pretraining.pretrain_plan import PretrainPlan
    from headstart.pretraining.student import init_student, seeded_torch

    torch.manual_seed(3)
    expected = build_trunk("expected", "test_resnet", {}).state_dict()
    plan = PretrainPlan("simclr", "test_resnet", steps=1, rate=1e-3, side=32, seed=3)
    before = torch.get_rng_state()
    with seeded_torch(plan.seed):
        student = init_student(plan, None, None, UnlabelledData("image", (), {}, ()), None, None)
    assert torch.equal(torch.get_rng_state(), before)
    weights = student.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())


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
    with pytest.raises(PlanError, match="batch_size"):
        pretrain.distill([parts], teachers=["stats"], **{**TINY, "settings": {"bach_size": "3"}}, **place)


def test_a_fitted_model_can_teach_its_answers(parts, tmp_path):
    fitted = headstart.fit(parts, backbone="stats", into=tmp_path / "fitted", root=tmp_path / "cache")
    made = pretrain.distill(
        [parts], teachers=[str(fitted.folder)], pretext="logits", into=tmp_path / "run", root=tmp_path / "cache",
        student="mobilenetv4_conv_small_035", side=64, steps=4, settings={"batch_size": "16"},
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
    from headstart.pretraining.contracts import Corpus, Student, TeacherTargets
    from headstart.pretraining.pretexts.features import Settings
    from headstart.training.tuning.loop import steps
    from headstart.training.tuning.optim import adamw, cosine_schedule

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 4, 4, 3), dtype=np.uint8)
    rows = (pixels.reshape(64, -1).astype(np.float32) / 255) @ rng.standard_normal((48, 5)).astype(np.float32)

    class Flat(torch.nn.Module):
        def forward(self, batch):
            return batch["pixels"].flatten(1)

    spec = Preprocess("image", (("mean", (0.5, 0.5, 0.5)), ("std", (0.5, 0.5, 0.5)), ("input_size", (3, 4, 4))))
    student = Student(Flat(), Flat(), 48, spec)
    corpus = Corpus(teachers=(TeacherTargets("t", rows),), steps=400)
    for loss in ("mse", "cosine", "relational"):
        learner = replace(Settings(), loss=loss).learner(student, corpus)
        taken = list(
            steps(
                learner,
                lambda i: {"pixels": pixels, "row": np.arange(64)},
                adamw(learner, 0.05, 0.0),
                cosine_schedule(0.05, 400),
                400,
            )
        )
        assert taken[-1].loss < 0.2 * taken[0].loss


def test_a_backbone_may_give_the_floors_numbers_beside_its_own(tmp_path):
    """What ships: at the top both side by side, below it the network alone, and training takes either."""
    from headstart.backbones.cards import find_card
    from headstart.backbones.network import open_above
    from headstart.data.read import read
    from headstart.features.extract import embed
    from headstart.features.runner import start_engine
    from headstart.training.tuning.learner import Learner, forward_in_batches

    card = find_card("own:vision-small", tmp_path)
    task = read(write_photos(tmp_path / "photos", 60), DataOptions(seed=0))
    top = embed(task.examples, card, card.cut(len(card.blocks)), tmp_path).x
    floor = find_card("stats", tmp_path)
    assert top.shape[1] == card.width > floor.width
    units = [np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)]
    both = start_engine(card, card.cut(len(card.blocks))).rows(units)
    assert np.array_equal(both[:, -floor.width :], start_engine(floor, floor.cut(1)).rows(units))
    cut = card.cut(len(card.blocks) - 2)
    learner = Learner(open_above(card, cut), 3)
    rows = forward_in_batches(learner, embed(task.examples, card, cut, tmp_path).x, learner.embed)
    assert np.allclose(rows, top[:, : card.width - floor.width], atol=2e-2 * np.abs(rows).max())
    fit = {"into": tmp_path / "run", "method": "lpft", "settings": {"steps": "4", "views": "0"}, "root": tmp_path}
    outcome = workflow.fit(tmp_path / "photos", **fit)
    assert predict.predict(outcome.folder, [next((tmp_path / "photos").glob("*/*.jpg"))], root=tmp_path)[0].label
