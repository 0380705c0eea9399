"""Backbones: cut points that are the same network, cards that assume nothing, weights that are found or refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.backbones.hub import snapshot
from headstart.core.backbone import Backbone, Cut, restore
from headstart.core.errors import ArtifactError, NameNotFound, PlanError, WeightsNotFound
from headstart.core.plugins import member

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from headstart.backbones import block_division, network  # noqa: E402

REAL = {
    "mobilenetv2_100.tf_in1k": 17,
    "vit_tiny_patch16_224.augreg_in1k": 12,
    "deit_tiny_patch16_224.fb_in1k": 12,
}
backbones = member("backbones", "timm")


def local(name: str) -> str:
    return f"hf-hub:headstart-test/{name}"


@pytest.fixture(scope="module")
def cards() -> dict[str, Backbone]:
    return {}


@pytest.fixture
def card(hub, cards):
    def made(name: str) -> Backbone:
        if name not in cards:
            cards[name] = backbones.card(local(name))
        return cards[name]

    return made


def embedding(model, x):
    with torch.no_grad():
        return model.forward_head(model.forward_features(x), pre_logits=True)


def apart(a, b) -> float:
    """Largest difference, relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max())


def at_every_cut(net: network.Network, batch: dict):
    count = len(net.blocks)
    with torch.no_grad():
        for at in range(count + 1):
            cut = Cut(at, top=at == count)
            yield at, net.above(cut)(net.below(cut)(batch))


# Cut points


@pytest.mark.parametrize("name", REAL)
def test_real_weights_at_every_cut_are_what_timm_itself_gives(name, card):
    folder = backbones.files(local(name))[0].parent
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    x = torch.randn((2, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    truth = embedding(theirs, x)
    net = network.open_network(card(name))
    assert len(net.blocks) == REAL[name]
    for at, row in at_every_cut(net, {"pixels": x}):
        assert apart(row, truth) < 1e-5, f"cut at {at}"


SMALL = {  # name -> arguments that keep it small, how many blocks
    "resnet18": ({}, 8),
    "resnet26d": ({}, 8),
    "mobilenetv2_050": ({}, 17),
    "mobilenetv3_small_050": ({}, 12),
    "tf_efficientnet_lite0": ({}, 16),
    "convnext_atto": ({}, 12),
    "regnetx_002": ({}, 13),
    "densenet121": ({"growth_rate": 8, "block_config": (2, 2, 2, 2)}, 8),
    "vit_tiny_patch16_224": ({"img_size": 64}, 12),
    "deit_tiny_distilled_patch16_224": ({"img_size": 64}, 12),
    "swin_tiny_patch4_window7_224": (
        {"img_size": 64, "embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8), "window_size": 4},
        5,
    ),
    "test_nfnet": ({}, 4),
    "test_byobnet": ({}, 4),
}


def fresh(name: str, arguments: dict):
    """A network of random weights whose norms do something, as those of trained ones do."""
    generator = torch.Generator().manual_seed(3)
    model = timm.create_model(name, pretrained=False, **arguments).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(0, 0.2, generator=generator)
    return model


@pytest.mark.parametrize("name", SMALL)
def test_families_at_every_cut_are_the_whole_network(name):
    arguments, count = SMALL[name]
    model = fresh(name, arguments)
    x = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    truth = embedding(model, x)
    held = {n for n, _ in (*model.named_parameters(), *model.named_buffers())}
    heads = model.default_cfg["classifier"]
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    parts = block_division.divide(model, (3, 64, 64), heads)
    net = network.Network(parts.stem, parts.blocks, parts.pool)
    assert len(net.blocks) == count
    for at, row in at_every_cut(net, {"pixels": x}):
        assert apart(row, truth) < 1e-5, f"cut at {at}"
    below = net.tensors(net.below(Cut(count, top=True)))
    assert set(below) == {n for n in held if not n.startswith(tuple(f"{h}." for h in heads))}


def test_vgg_is_cut_between_its_convolutions():
    model = timm.models.vgg.VGG(cfg=[8, "M", 16, 16, "M"], num_classes=3).eval()
    parts = block_division.divide(model, (3, 224, 224), ("head.fc",))
    assert parts.names == ["features.2", "features.4", "features.7"]
    assert parts.shapes == [(8, 112, 112), (16, 112, 112), (16, 56, 56)]


def test_an_unknown_layout_stays_one_block():
    model = timm.create_model("test_vit_relpos", pretrained=False).eval()
    x = torch.randn((1, 3, 160, 160), generator=torch.Generator().manual_seed(0))
    truth = embedding(model, x)
    parts = block_division.divide(model, (3, 160, 160), ("head",))
    assert parts.names == ["whole"]
    for _, row in at_every_cut(network.Network(parts.stem, parts.blocks, parts.pool), {"pixels": x}):
        assert apart(row, truth) < 1e-5


def test_a_layout_that_only_looks_known_is_not_believed():
    class Louder(timm.models.resnet.ResNet):
        def forward_features(self, x):
            return super().forward_features(x) * 1.01

    torch.manual_seed(0)  # some draws give rows so close to 0 that nothing can be told from anything
    model = Louder(timm.models.resnet.BasicBlock, (1, 1, 1, 1), channels=(8, 8, 8, 8)).eval()
    assert block_division.divide(model, (3, 32, 32), ("fc",)).names == ["whole"]


def test_two_blocks_in_the_wrong_order_prove_nothing():
    model = fresh("mobilenetv2_050", {})
    batch = {"pixels": torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))}
    parts = block_division.divide(model, (3, 64, 64))
    with torch.no_grad():
        truth = embedding(model, batch["pixels"])
    right = list(parts.blocks)
    wrong = [*right[:4], right[5], right[4], *right[6:]]  # the same shapes: only the values can tell
    assert block_division.prove(parts.stem, right, parts.pool, parts.names, batch, truth) is not None
    assert block_division.prove(parts.stem, wrong, parts.pool, parts.names, batch, truth) is None


def test_above_is_a_copy_that_may_learn_under_the_library_s_own_names(card):
    net = network.open_network(card("vit_tiny_patch16_224.augreg_in1k"))
    cut = Cut(10, top=False)
    below, above = net.below(cut), net.above(cut)
    assert not any(module.training for module in (*below.modules(), *above.modules()))
    assert not any(p.requires_grad for p in below.parameters()) and all(p.requires_grad for p in above.parameters())
    own = dict(net.model.named_parameters())
    names = network.names_above(above)
    assert names["0.attn.qkv.weight"] == "blocks.10.attn.qkv.weight" and "norm.weight" in names.values()
    before = own["blocks.10.attn.qkv.weight"].clone()
    with torch.no_grad():
        for name, parameter in above.named_parameters():
            assert torch.equal(parameter, own[names[name]])
            parameter.add_(1)
    assert torch.equal(own["blocks.10.attn.qkv.weight"], before)


# Cards


def test_the_card_says_what_the_weights_say(card):
    mobile = card("mobilenetv2_100.tf_in1k")
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


def test_one_architecture_with_other_weights_has_its_own_preprocessing(card):
    vit, deit = card("vit_tiny_patch16_224.augreg_in1k"), card("deit_tiny_patch16_224.fb_in1k")
    assert vit.blocks == deit.blocks and vit.weights != deit.weights
    assert vit.preprocess["mean"] == (0.5, 0.5, 0.5) and deit.preprocess["mean"] == (0.485, 0.456, 0.406)


def test_half_precision_files_are_computed_with_in_single(card):
    net = network.open_network(card("vit_tiny_patch16_224.augreg_in1k"))
    assert {t.dtype for t in net.model.parameters()} == {torch.float32}


def test_the_classifier_it_came_with_gives_timm_s_own_logits(card):
    name = "mobilenetv2_100.tf_in1k"
    weight, bias = backbones.classifier(card(name))
    theirs = timm.create_model(f"local-dir:{backbones.files(local(name))[0].parent}", pretrained=True).eval()
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
    card = backbones.card(str(tiny))
    assert card.source_classes == ("tench", "goldfish") and card.pretrained_on == "ImageNet-21k, then ImageNet-1k"
    assert len(card.blocks) == 6 and card.width == 64
    assert len(network.open_network(card).blocks) == 6


@pytest.mark.parametrize("fact", backbones.FACTS)
def test_a_missing_fact_is_refused_by_name_and_can_be_stated(tiny, fact):
    whole = backbones.card(str(tiny))
    kept = json.loads((tiny / "config.json").read_text())["pretrained_cfg"][fact]
    rewrite(tiny, lambda config: config["pretrained_cfg"].pop(fact))
    with pytest.raises(PlanError, match=rf"{fact}.*\?{fact}="):
        backbones.card(str(tiny))
    text = "160" if fact == "input_size" else ",".join(map(str, kept)) if isinstance(kept, list) else str(kept)
    stated = backbones.card(f"{tiny}?{fact}={text}")
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
        backbones.card(f"{tiny}{local}")


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
            backbones.card(str(tiny))
    save_file({k: v for k, v in state.items() if not k.startswith("head.")}, tiny / "model.safetensors")
    headless = backbones.card(str(tiny))
    assert backbones.classifier(headless) is None


def test_an_architecture_that_timm_does_not_know_is_named(tiny):
    rewrite(tiny, lambda config: config.update(architecture="resnet_of_tomorrow"))
    with pytest.raises(PlanError, match="resnet_of_tomorrow"):
        backbones.card(str(tiny))


def test_other_weights_or_another_architecture_under_the_same_name_are_noticed(tiny):
    card = backbones.card(str(tiny))
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
    card = backbones.card(str(tiny))
    with pytest.raises(PlanError, match="6 blocks where its card names 5"):
        network.open_network(replace(card, blocks=card.blocks[1:]))


def test_names_of_timm_s_list_lead_to_their_repository(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("resnet50", "resnet50.a1_in1k"):
        with pytest.raises(
            WeightsNotFound, match=r"timm/resnet50.a1_in1k: config.json and model.safetensors not found"
        ):
            backbones.card(name)
    with pytest.raises(NameNotFound, match="Did you mean"):
        backbones.card("resnet5o")
    with pytest.raises(WeightsNotFound, match="timm:hf-hub:owner/name"):
        backbones.card("owner/name")


# Where weights lie


def laid(cache: Path, repo: str, files: dict[str, str], commit: str = "c0ffee") -> Path:
    place = cache / f"models--{repo.replace('/', '--')}"
    folder = place / "snapshots" / commit
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / "main").write_text(commit)
    return folder


def test_a_cached_snapshot_is_found_by_name_and_by_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    new = laid(tmp_path, "me/net", {"config.json": "new", "model.safetensors": "w", "sub/more.json": "{}"})
    old = laid(tmp_path, "me/net", {"config.json": "old"}, commit="0ld")
    (tmp_path / "models--me--net/refs/main").write_text("c0ffee")
    assert snapshot("me/net", ["config.json"]) == {"config.json": new / "config.json"}
    assert snapshot("me/net@0ld", ["config.json"]) == {"config.json": old / "config.json"}
    found = snapshot("me/net", ["config.json"], perhaps=["sub/more.json", "absent.json"])
    assert set(found) == {"config.json", "sub/more.json"}


def test_what_is_missing_offline_says_what_where_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    laid(tmp_path, "me/net", {"config.json": "{}"})
    with pytest.raises(WeightsNotFound) as caught:
        snapshot("me/net", ["config.json", "model.safetensors"])
    said = str(caught.value)
    assert "model.safetensors not found" in said and "config.json and" not in said
    for part in (str(tmp_path / "models--me--net"), "HF_HUB_OFFLINE", "hf download me/net", "/path/to/folder"):
        assert part in said


@pytest.mark.parametrize("name", ["", "a/b/c", "../x", "-rf", "a b", "o/" + "n" * 200])
def test_what_is_no_repository_is_never_looked_up(name, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(WeightsNotFound):
        snapshot(name, ["config.json"])


def test_pickles_are_refused_with_a_way_out(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(PlanError, match=r"pickle \(pytorch_model.bin\).*safetensors.*weights_only=True"):
        backbones.card(str(tmp_path))


@pytest.fixture
def online(tmp_path, monkeypatch):
    """A hub of one repository in place of the real one."""
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    files = {"config.json": "{}", "model.safetensors": "weights", "README.md": "hello"}

    class Api:
        def list_repo_files(self, name, revision):
            if name != "me/net":
                raise ConnectionError("no route to host")
            return list(files)

    def fetch(name, file, revision, cache_dir):
        return str(laid(Path(cache_dir), name, {file: files[file]}) / file)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    return files


def test_what_is_not_cached_is_downloaded_once(online, monkeypatch):
    found = snapshot("me/net", ["config.json", "model.safetensors"], perhaps=["README.md", "modules.json"])
    assert {name: path.read_text() for name, path in found.items()} == online
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert snapshot("me/net", ["config.json", "model.safetensors"], perhaps=["README.md"]) == found


def test_an_unreachable_hub_says_so(online):
    with pytest.raises(WeightsNotFound, match=r"no route to host[\s\S]*hf download you/net"):
        snapshot("you/net", ["config.json"])


def test_a_repository_of_pickles_is_refused_before_the_download(online):
    online["pytorch_model.bin"] = online.pop("model.safetensors")
    with pytest.raises(PlanError, match="pickle"):
        snapshot("me/net", ["config.json", "model.safetensors"])


def test_looking_for_cached_files_imports_nothing_heavy(hub):
    code = (
        "import sys; from headstart.core.plugins import member; "
        f"print(len(member('backbones', 'timm').files({local('mobilenetv2_100.tf_in1k')!r}))); "
        "print(*{'torch', 'timm', 'huggingface_hub', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"]


# The engine


@pytest.fixture
def running(card):
    made = card("mobilenetv2_100.tf_in1k")
    small = tuple((k, (3, 64, 64) if k == "input_size" else v) for k, v in made.preprocess.settings)
    made = replace(made, preprocess=replace(made.preprocess, settings=small))
    return member("engines", "torch").start(made, made.cut(17))


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(count)]


def test_rows_come_in_order_the_same_every_time_and_whatever_stands_beside_them(running):
    units = pictures(19)
    rows = running.rows(units)
    assert rows.shape == (19, 1280) and rows.dtype == np.float32
    assert np.array_equal(rows, running.rows(units))
    alone = np.concatenate([running.rows([unit]) for unit in units])
    assert np.abs(alone - rows).max() <= 1e-5 * np.abs(rows).max()
    assert running.rows([]).shape == (0, 1280)


def test_threads_are_given_back(running):
    before = torch.get_num_threads()
    running.rows(pictures(17))
    assert torch.get_num_threads() == before


def test_the_receipt_of_a_frozen_network_shows_nothing_moved(running):
    running.rows(pictures(9))
    receipt = running.receipt()
    assert receipt.tensors == 312 and not receipt.moved and receipt.digest_before == receipt.digest_after


def test_the_receipt_sees_a_batchnorm_left_in_train_mode(running):
    norm = next(m for m in running.module.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.train()
    running.rows(pictures(9))
    receipt = running.receipt()
    assert receipt.moved == ("bn1.num_batches_tracked", "bn1.running_mean", "bn1.running_var")
    assert receipt.digest_before != receipt.digest_after


def test_below_the_top_rows_are_what_leaves_that_block(card):
    made = card("vit_tiny_patch16_224.augreg_in1k")
    engine = member("engines", "torch")
    units = [np.zeros((224, 224, 3), np.uint8)] * 2
    low = engine.start(made, made.cut(2))
    assert low.rows(units).shape == (2, *made.blocks[1].shape)
    assert low.receipt().tensors < engine.start(made, made.cut(12)).receipt().tensors
    with pytest.raises(PlanError, match="cut at 0"):
        engine.start(made, made.cut(0))


def test_a_missing_folder_is_said_to_be_missing(tmp_path):
    shutil.rmtree(tmp_path)
    with pytest.raises(WeightsNotFound, match="is not a folder"):
        backbones.card(str(tmp_path))
