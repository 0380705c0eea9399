"""A network cut at any block is the whole network."""

import pytest

from headstart.backbones.providers import timm as provider
from headstart.core.backbone import Cut
from tests.support.networks import embedding, hub_name, relative_difference

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
from headstart.backbones import block_division, network  # noqa: E402

REAL = {
    "mobilenetv2_100.tf_in1k": 17,
    "vit_tiny_patch16_224.augreg_in1k": 12,
    "deit_tiny_patch16_224.fb_in1k": 12,
}


def at_every_cut(net: network.Network, batch: dict):
    count = len(net.blocks)
    with torch.no_grad():
        for at in range(count + 1):
            cut = Cut(at, top=at == count)
            yield at, net.above(cut)(net.below(cut)(batch))


@pytest.mark.parametrize("name", REAL)
def test_real_weights_at_every_cut_are_what_timm_itself_gives(name, timm_card):
    folder = provider.files(hub_name(name))[0].parent
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    x = torch.randn((2, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    truth = embedding(theirs, x)
    net = network.open_network(timm_card(name))
    assert len(net.blocks) == REAL[name]
    for at, row in at_every_cut(net, {"pixels": x}):
        assert relative_difference(row, truth) < 1e-5, f"cut at {at}"


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
        assert relative_difference(row, truth) < 1e-5, f"cut at {at}"
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
        assert relative_difference(row, truth) < 1e-5


@pytest.mark.parametrize("scale", [1.0, 1e-6])  # however small the embeddings are
def test_a_layout_that_only_looks_known_is_not_believed(scale):
    class Louder(timm.models.resnet.ResNet):
        def forward_features(self, x):
            return super().forward_features(x) * 1.01

    torch.manual_seed(0)
    model = Louder(timm.models.resnet.BasicBlock, (1, 1, 1, 1), channels=(8, 8, 8, 8)).eval()
    for bn in (model.layer4[0].bn2, model.layer4[0].downsample[1]):
        bn.weight.data *= scale
        bn.bias.data *= scale
    assert block_division.divide(model, (3, 32, 32), ("fc",)).names == ["whole"]
    model.__class__ = timm.models.resnet.ResNet
    assert len(block_division.divide(model, (3, 32, 32)).names) == 4


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


def test_above_is_a_copy_that_may_learn_under_the_library_s_own_names(timm_card):
    net = network.open_network(timm_card("vit_tiny_patch16_224.augreg_in1k"))
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
