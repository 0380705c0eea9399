"""timm's networks as backbones: cards that assume nothing, weights that fit or are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.backbones.providers import timm as provider
from headstart.core.backbone import restore
from headstart.core.errors import ArtifactError, NameNotFound, PlanError, WeightsNotFound
from tests.support.networks import embedding, hub_name

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
from headstart.backbones import network  # noqa: E402


def test_the_card_says_what_the_weights_say(timm_card):
    mobile = timm_card("mobilenetv2_100.tf_in1k")
    assert dict(mobile.preprocess.settings) == {
        "crop_mode": "center",
        "crop_pct": 0.875,
        "input_size": (3, 224, 224),
        "interpolation": "bilinear",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }
    assert (mobile.width, mobile.parameters, mobile.size) == (1280, 3_504_872, 7_244_256)
    assert (mobile.pretrained_on, mobile.licence) == ("ImageNet-1k", "apache-2.0")
    assert mobile.blocks[0].shape == (16, 112, 112) and mobile.blocks[-1].shape == (320, 7, 7)
    assert restore(json.loads(json.dumps(mobile.facts()))) == mobile


def test_one_architecture_with_other_weights_has_its_own_preprocessing(timm_card):
    vit, deit = timm_card("vit_tiny_patch16_224.augreg_in1k"), timm_card("deit_tiny_patch16_224.fb_in1k")
    assert vit.blocks == deit.blocks and vit.weights != deit.weights
    assert vit.preprocess["mean"] == (0.5, 0.5, 0.5) and deit.preprocess["mean"] == (0.485, 0.456, 0.406)


def test_half_precision_files_are_computed_with_in_single(timm_card):
    net = network.open_network(timm_card("vit_tiny_patch16_224.augreg_in1k"))
    assert {t.dtype for t in net.model.parameters()} == {torch.float32}


def test_the_classifier_it_came_with_gives_timm_s_own_logits(timm_card):
    name = "mobilenetv2_100.tf_in1k"
    weight, bias = provider.classifier(timm_card(name))
    theirs = timm.create_model(f"local-dir:{provider.files(hub_name(name))[0].parent}", pretrained=True).eval()
    x = torch.randn((1, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert np.allclose(embedding(theirs, x).numpy() @ weight.T + bias, theirs(x).numpy(), atol=1e-4)


@pytest.fixture
def tiny(tmp_path) -> Path:
    """A folder of weights as timm writes them, small."""
    from safetensors.torch import save_file

    model = timm.create_model("test_vit", pretrained=False)
    cfg = {
        "input_size": [3, 160, 160],
        "fixed_input_size": True,
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "classifier": "head",
        "tag": "augreg_in21k_ft_in1k",
        "label_names": ["n1", "n2"],
        "label_descriptions": {"n1": "tench", "n2": "goldfish"},
    }
    config = {"architecture": "test_vit", "num_classes": 1000, "pretrained_cfg": cfg}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    return tmp_path


def rewrite(folder: Path, change) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_a_folder_is_a_backbone(tiny):
    card = provider.card(str(tiny))
    assert card.source_classes == ("tench", "goldfish") and card.pretrained_on == "ImageNet-21k, then ImageNet-1k"
    assert len(card.blocks) == 6 and card.width == 64
    assert len(network.open_network(card).blocks) == 6


@pytest.mark.parametrize("fact", provider.PREPROCESS_KEYS)
def test_a_missing_fact_is_refused_by_name_and_can_be_stated(tiny, fact):
    whole = provider.card(str(tiny))
    kept = json.loads((tiny / "config.json").read_text())["pretrained_cfg"][fact]
    rewrite(tiny, lambda config: config["pretrained_cfg"].pop(fact))
    with pytest.raises(PlanError, match=rf"{fact}.*\?{fact}="):
        provider.card(str(tiny))
    text = "160" if fact == "input_size" else ",".join(map(str, kept)) if isinstance(kept, list) else str(kept)
    stated = provider.card(f"{tiny}?{fact}={text}")
    assert stated.preprocess == whole.preprocess and stated.name.endswith(f"?{fact}={text}")


@pytest.mark.parametrize(
    ("local", "said"),
    [
        ("?meen=0.5,0.5,0.5", "mean"),
        ("?mean=a,b,c", "mean=a,b,c"),
        ("?std=0.5,0.5", "std"),
        ("?interpolation=cubist", "cubist"),
        ("?crop_pct=0", "crop_pct"),
    ],
)
def test_nonsense_is_not_believed(tiny, local, said):
    with pytest.raises(PlanError, match=said):
        provider.card(f"{tiny}{local}")


def test_weights_that_do_not_fit_are_named(tiny):
    from safetensors.torch import load_file, save_file

    state = load_file(tiny / "model.safetensors")
    for change, said in (
        (lambda s: s.pop("blocks.3.attn.qkv.weight"), "missing blocks.3.attn.qkv.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "unknown extra"),
        (lambda s: s.update(cls_token=torch.zeros(1, 1, 65)), "misshapen cls_token"),
    ):
        broken = dict(state)
        change(broken)
        save_file(broken, tiny / "model.safetensors")
        with pytest.raises(PlanError, match=said):
            provider.card(str(tiny))
    save_file({k: v for k, v in state.items() if not k.startswith("head.")}, tiny / "model.safetensors")
    headless = provider.card(str(tiny))
    assert provider.classifier(headless) is None


def test_an_architecture_that_timm_does_not_know_is_named(tiny):
    rewrite(tiny, lambda config: config.update(architecture="resnet_of_tomorrow"))
    with pytest.raises(PlanError, match="resnet_of_tomorrow"):
        provider.card(str(tiny))


def test_other_weights_or_another_architecture_under_the_same_name_are_noticed(tiny):
    card = provider.card(str(tiny))
    blob = bytearray((tiny / "model.safetensors").read_bytes())
    blob[-1] ^= 1
    (tiny / "model.safetensors").write_bytes(blob)
    with pytest.raises(ArtifactError, match="has changed since"):
        network.open_network(card)
    blob[-1] ^= 1
    (tiny / "model.safetensors").write_bytes(blob)
    network.open_network(card)
    rewrite(tiny, lambda config: config.update(model_args={"class_token": True}))
    with pytest.raises(ArtifactError, match="has changed since"):
        network.open_network(card)


def test_other_blocks_than_the_card_names_are_refused(tiny):
    card = provider.card(str(tiny))
    with pytest.raises(PlanError, match="6 blocks where its card names 5"):
        network.open_network(replace(card, blocks=card.blocks[1:]))


def test_names_of_timm_s_list_lead_to_their_repository(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("resnet50", "resnet50.a1_in1k"):
        with pytest.raises(
            WeightsNotFound, match=r"timm/resnet50.a1_in1k: config.json and model.safetensors not found"
        ):
            provider.card(name)
    with pytest.raises(NameNotFound, match="Did you mean"):
        provider.card("resnet5o")
    with pytest.raises(WeightsNotFound, match="timm:hf-hub:owner/name"):
        provider.card("owner/name")


def test_pickles_are_refused_with_a_way_out(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(PlanError, match=r"pickle \(pytorch_model.bin\).*safetensors.*weights_only=True"):
        provider.card(str(tmp_path))


def test_a_missing_folder_is_said_to_be_missing(tmp_path):
    shutil.rmtree(tmp_path)
    with pytest.raises(WeightsNotFound, match="is not a folder"):
        provider.card(str(tmp_path))
