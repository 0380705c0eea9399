"""Learning without labels: losses fall, runs go on, folders are ones that `fit` borrows, and what is refused."""

import json
import math
import shutil

import numpy as np
import pytest

from headstart.backbones.providers import own
from headstart.core.errors import ArtifactError, HeadstartError, PlanError, SourceError
from headstart.core.options import DataOptions
from headstart.core.plugins import member
from headstart.deployment import predict
from headstart.pretraining import pretrain
from headstart.pretraining.contracts import Corpus
from headstart.workflows import fit
from tests.support.ticket_texts import BACK, LABELS, TEXTS, TINY

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    place = tmp_path_factory.mktemp("masked")
    return pretrain.pretrain(
        [(TEXTS, None)], pretext="masked", into=place / "run", root=place / "cache", steps=40, **TINY
    )


@pytest.fixture(scope="module")
def nexttoken(tmp_path_factory):
    place = tmp_path_factory.mktemp("nexttoken")
    told = []
    made = pretrain.pretrain(
        [(TEXTS, None)], pretext="nexttoken", into=place / "run", root=place / "cache", steps=10,
        probe=(TEXTS, LABELS), echo=told.append, **BACK,
    )  # fmt: skip
    return made, told


def test_masked_learning_lowers_its_loss(masked):
    beginning = math.log(500)
    assert masked.facts["figures"]["loss"] < beginning - 0.3
    assert masked.card.width == 64
    assert [b.name for b in masked.card.blocks] == ["encoder.layer.0", "encoder.layer.1"]


def test_real_paragraphs_are_learned(real_data, tmp_path):
    losses = []
    listen = lambda e: losses.append(e["loss"]) if e["event"] == "step" else None  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "PROGRESS_SECONDS", 0.0)
        pretrain.pretrain(
            [real_data / "text_wikitext2"], pretext="masked", into=tmp_path / "run", root=tmp_path / "cache", steps=30,
            echo=listen, **TINY,
        )  # fmt: skip
    assert losses[-1] < losses[0] - 0.3


def test_what_was_made_is_borrowed_and_answers(masked, tmp_path):
    outcome = fit.fit((TEXTS, LABELS), into=tmp_path / "fit", backbone=f"own:{masked.folder}", root=tmp_path / "cache")
    assert outcome.result["metrics"]["accuracy"]["n"] > 0
    (answer,) = predict.predict(tmp_path / "fit", ["where is my parcel?"], root=tmp_path / "cache")
    assert answer.facts()["label"] in set(LABELS)


def test_the_folder_is_one_that_transformers_opens(masked, tmp_path):
    folder = masked.folder / "backbone"
    card = member("backbones", "transformers").card(f"{folder}?pooling=mean")
    assert {**dict(card.preprocess.settings)} == dict(masked.card.preprocess.settings)
    assert [b.name for b in card.blocks] == [b.name for b in masked.card.blocks]


@pytest.mark.parametrize("which", ["masked", "nexttoken"])
def test_a_row_does_not_depend_on_the_padding_beside_it(which, request):
    from headstart.testing import check_backbone

    made = request.getfixturevalue(which)
    made = made[0] if isinstance(made, tuple) else made
    check_backbone(f"own:{made.folder}", ["a short one", "My password is wrong, and I wrote it down. " * 2, "parcel"])


def test_the_probe_reads_texts_on_the_way(nexttoken):
    made, told = nexttoken
    probes = [e for e in told if e["event"] == "probe"]
    assert len(probes) == 10
    assert made.facts["figures"]["probe"] == [{"step": p["step"], "accuracy": p["accuracy"]} for p in probes]
    assert [b.name for b in made.card.blocks] == ["whole"], "GPT-2 is not divided"


def test_a_run_that_was_interrupted_goes_on_as_the_same_run(masked, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(pretrain, "PROGRESS_SECONDS", 0.0)

    def stop(event):
        if event["event"] == "step" and event["done"] == 21:
            raise KeyboardInterrupt

    what = {"pretext": "masked", "into": tmp_path / "run", "root": tmp_path / "cache", "steps": 40}
    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain([(TEXTS, None)], **what, **TINY, echo=stop)
    changed = {**TINY, "settings": {**TINY["settings"], "mask_ratio": "0.3"}}
    with pytest.raises(PlanError, match=r"settings: .* then, .*'mask_ratio': '0.3'.* now"):
        pretrain.pretrain([(TEXTS, None)], **what, **changed)
    told = []
    again = pretrain.pretrain([(TEXTS, None)], **what, **TINY, echo=told.append)
    assert next(e["step"] for e in told if e["event"] == "resumed") == 20
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        one, two = ((m.folder / "backbone" / name).read_bytes() for m in (masked, again))
        assert one == two, name


def test_a_single_letter_is_a_corpus_and_a_vocabulary(tmp_path):
    made = pretrain.pretrain(
        [(["   ", "x"], None)], pretext="masked", into=tmp_path / "run", root=tmp_path / "cache", steps=2, **TINY
    )
    assert made.card.width == 64
    assert 0 < made.facts["figures"]["loss"] < 2 * math.log(6), "[PAD] [UNK] [CLS] [SEP] [MASK] x"


def test_going_on_from_what_was_made_keeps_its_tokenizer(masked, tmp_path):
    made = pretrain.pretrain(
        [(TEXTS[:40], None)], pretext="masked", student=f"own:{masked.folder}", into=tmp_path / "run",
        root=tmp_path / "cache", steps=2, settings={"batch_size": "4", "max_length": "16"},
    )  # fmt: skip
    old, new = (m.folder / "backbone" for m in (masked, made))
    assert (old / "tokenizer.json").read_bytes() == (new / "tokenizer.json").read_bytes()
    assert dict(made.card.preprocess.settings) == dict(masked.card.preprocess.settings)
    assert made.card.weights != masked.card.weights


@pytest.mark.parametrize(
    ("said", "pretext", "what"),
    [
        (r"gpt2:2x64 looks back only", "masked", {"student": "gpt2:2x64"}),
        (r"bert:2x64 looks both ways", "nexttoken", {"student": "bert:2x64"}),
        (r"bert:2x65: .* multiple of 64", "masked", {"student": "bert:2x65"}),
        (r"--student resnet18: bert:4x256", "masked", {"student": "resnet18"}),
        (r"vocabulary_size=20: at least", "masked", {"settings": {"vocabulary_size": "20"}}),
        (r"mask_ratio=2", "masked", {"settings": {"mask_ratio": "2", "vocabulary_size": "400", "max_length": "16"}}),
        (r"no setting 'max_lenght'.*Did you mean 'max_length'", "nexttoken", {"settings": {"max_lenght": "16"}}),
    ],
)
def test_students_that_cannot_be_taught_are_refused(said, pretext, what, tmp_path):
    asked = {"student": "bert:2x64" if pretext == "masked" else "gpt2:2x64", "steps": 1, **what}
    with pytest.raises(PlanError, match=said):
        pretrain.pretrain([(TEXTS[:20], None)], pretext=pretext, into=tmp_path / "r", root=tmp_path / "c", **asked)


def test_a_setting_or_column_without_effect_is_refused(masked, tmp_path):
    place = {"into": tmp_path / "r", "root": tmp_path / "c", "pretext": "masked", "steps": 1}
    for said, settings_ in (
        ("vocabulary_size has no effect", {"vocabulary_size": "900"}),
        ("reads 32 tokens", {"max_length": "64"}),
    ):
        with pytest.raises(PlanError, match=said):
            pretrain.pretrain([(TEXTS, None)], student=f"own:{masked.folder}", settings=settings_, **place)
    with pytest.raises(SourceError, match="--label team has no effect"):
        pretrain.pretrain([(TEXTS, None)], label="team", **place)
    with pytest.raises(SourceError, match="holds texts"):
        pretrain.pretrain([(TEXTS, None)], **{**place, "pretext": "simclr"})
    with pytest.raises(SourceError, match="holds texts; pairs"):
        pretrain.pretrain([(TEXTS, LABELS)], **{**place, "pretext": "contrastive"})


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_folder_with_a_changed_or_missing_file_is_refused_by_its_name(masked, name, tmp_path):
    folder = shutil.copytree(masked.folder / "backbone", tmp_path / "copy")
    assert own.card(str(folder)).width == 64
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"{name} is not the file that card.json"):
        own.card(str(folder))
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing"):
        fit.fit((TEXTS, LABELS), into=tmp_path / "fit", backbone=f"own:{folder}", root=tmp_path / "cache")


def test_a_card_that_pins_another_digest_is_refused(masked, tmp_path):
    folder = shutil.copytree(masked.folder / "backbone", tmp_path / "copy")
    card = json.loads((folder / "card.json").read_text())
    card["files"]["tokenizer.json"] = card["files"]["config.json"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is not the file"):
        own.card(str(folder))
    (folder / "card.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"card\.json is damaged"):
        own.card(str(folder))


def squares(n):
    """Pictures of one square each, and what they show."""
    rng = np.random.default_rng(0)
    colours = {"red": (220, 30, 30), "blue": (30, 30, 220)}
    pictures, captions = [], []
    for i in range(n):
        name, half = list(colours)[i % 2], 12 if i % 4 < 2 else 5
        picture = rng.integers(100, 130, (36, 36, 3)).astype(np.uint8)
        picture[18 - half : 18 + half, 18 - half : 18 + half] = colours[name]
        pictures.append(picture)
        captions.append(f"a {'large' if half == 12 else 'small'} {name} square")
    return pictures, captions


def colours(n):
    """Pictures of four fields of colour each, no two alike."""
    fields = np.random.default_rng(0).integers(0, 256, (n, 2, 2, 3)).astype(np.uint8)
    return list(fields.repeat(18, 1).repeat(18, 2))


@pytest.mark.parametrize("pretext", ["simclr", "contrastive"])
def test_pictures_are_learned_and_the_network_for_them_is_kept(pretext, tmp_path):
    pictures, captions = squares(48) if pretext == "contrastive" else (colours(48), None)
    chosen = (
        {"vocabulary_size": "300"} if pretext == "contrastive" else {"augmentation": "gentle", "temperature": "0.2"}
    )
    made = pretrain.pretrain(
        [(pictures, captions)], pretext=pretext, student="test_resnet", side=32, into=tmp_path / "run",
        root=tmp_path / "cache", steps=20, rate=2e-3, settings={"batch_size": "16", **chosen},
    )  # fmt: skip
    nothing = math.log(31 if pretext == "simclr" else 16)
    assert made.facts["figures"]["loss"] < nothing - 0.3
    names = sorted(p.name for p in (made.folder / "backbone").iterdir())
    assert names == ["card.json", "model.onnx", "model.safetensors"]
    thrown = own.made(str(made.folder))["thrown_away"]
    assert ("text tower" in thrown) == (pretext == "contrastive")


def test_the_two_views_of_a_picture_differ_and_stand_half_a_batch_apart(tmp_path):
    from headstart.data.read import read_source
    from headstart.features.augmentation import STRONG
    from headstart.pretraining.image_corpus import decode_images
    from headstart.pretraining.pretexts.simclr import Settings

    pictures, _ = squares(6)
    kept = decode_images(read_source((pictures, None), DataOptions(label="")).examples[""], tmp_path, 40)
    corpus = Corpus(images=kept, seed=3)
    student = type("S", (), {"spec": {"input_size": (3, 32, 32)}})()
    got = [Settings(batch_size=3).draw(student, corpus, i)["pixels"] for i in (0, 1, 2)]
    order = np.random.default_rng([3, 0]).permutation(6)[:3]
    for row, i in enumerate(order):
        assert np.array_equal(got[0][row], kept.view(int(i), 1, STRONG, 3, 32))
        assert np.array_equal(got[0][row + 3], kept.view(int(i), 2, STRONG, 3, 32))
        assert not np.array_equal(got[0][row], got[0][row + 3])
    later = np.random.default_rng([3, 1]).permutation(6)[0]
    assert np.array_equal(got[2][0], kept.view(int(later), 3, STRONG, 3, 32)), "the next pass sees new views"


def test_captions_that_are_no_text_are_refused(tmp_path):
    pictures, _ = squares(4)
    with pytest.raises(HeadstartError, match=r"has 1 for a caption"):
        pretrain.pretrain([(pictures, [1, 2, 1, 2])], pretext="contrastive", into=tmp_path / "r", root=tmp_path / "c")
