"""Deltas that leave the backbone alone: nothing changes before the first step, and plain PEFT reads what is saved."""

import json
from dataclasses import replace

import numpy as np
import pytest

from headstart.backbones.cards import find_card
from headstart.backbones.network import open_above
from headstart.core.errors import PlanError
from headstart.core.plan import Above
from headstart.core.plugins import member
from tests.support.two_classes import OBJECTIVE, features_at_cut

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

QUIET = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


def learner_of(name: str, backbone: str, tmp_path, kind: str, **settings):
    """A learner as a method alters it, its settings, and what left its cut."""
    from headstart.training.tuning import tuned

    card, method = find_card(backbone, tmp_path), replace(member("methods", name).Settings(), **settings)
    cut = method.cut(card)
    train, val = features_at_cut(backbone, kind, cut, tmp_path)

    def above() -> Above:
        return open_above(card, cut)

    learner, rows = tuned.open_learner(above, OBJECTIVE, train)
    return learner, method, train, val, rows, above


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("name", ["lora", "adapter", "ia3"])
def test_nothing_changes_before_the_first_step(name, kind, vision, text, tmp_path):
    from headstart.training.tuning.learner import forward_in_batches

    backbone = {"image": vision, "text": text}[kind]
    learner, method, train, _, rows, _ = learner_of(name, backbone, tmp_path, kind)
    method.modify(learner)
    assert np.array_equal(forward_in_batches(learner, train.x, learner.embed), rows)
    learns = [n for n, p in learner.body.named_parameters() if p.requires_grad]
    assert learns and all(not n.endswith(("base_layer.weight", "qkv.weight")) for n in learns)


@QUIET
@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("name", ["lora", "ia3"])
def test_plain_peft_reads_what_is_saved(name, kind, vision, text, tmp_path):
    from headstart.backbones.block_division import divide
    from headstart.backbones.network import Network
    from headstart.backbones.transformers_encoder import divide_encoder as divide_text
    from headstart.training.tuning.learner import Learner, forward_in_batches

    backbone = {"image": vision, "text": text}[kind]
    _, method, train, val, rows, above = learner_of(name, backbone, tmp_path, kind)
    fitted = replace(method, steps=6).fit(train, val, OBJECTIVE, above=above, rng=np.random.default_rng(0))
    moved = forward_in_batches(fitted.learner, train.x, fitted.learner.embed)
    assert not np.allclose(moved, rows, atol=1e-4), "nothing was learned"
    for file, content in fitted.files().items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    config = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == backbone
    card = find_card(backbone, tmp_path)
    if kind == "image":
        import timm
        from safetensors.torch import load_file

        plain = timm.create_model("test_vit", pretrained=False, img_size=64)
        plain.load_state_dict(load_file(f"{backbone.removeprefix('timm:')}/model.safetensors"))
        division = divide(plain.eval(), (3, 64, 64), ("head",))
    else:
        from transformers import AutoModel

        plain = AutoModel.from_pretrained(
            backbone.removeprefix("transformers:").partition("?")[0], add_pooling_layer=False
        )
        division = divide_text("plain", plain.eval(), card.preprocess)
    peft.PeftModel.from_pretrained(plain, tmp_path / "peft")
    theirs = Learner(
        Above(Network(division.stem, division.blocks, division.pool).above(method.cut(card)), card, method.cut(card)), 2
    )
    assert np.allclose(forward_in_batches(theirs, train.x, theirs.embed), moved, atol=1e-5)


@pytest.mark.parametrize("variant", ["plain", "rs", "dora"])
def test_merged_is_unmerged(variant, vision, tmp_path):
    from headstart.training.tuning.learner import forward_in_batches

    _, method, train, val, _, above = learner_of("lora", vision, tmp_path, "image", variant=variant, steps=6)
    learner = method.fit(train, val, OBJECTIVE, above=above, rng=np.random.default_rng(0)).learner
    apart = forward_in_batches(learner, train.x, learner)
    for module in learner.body.modules():
        if hasattr(module, "merge") and hasattr(module, "lora_A"):
            module.merge()
    assert np.allclose(forward_in_batches(learner, train.x, learner), apart, atol=1e-5)


def test_the_rank_keeps_to_one_hundredth_of_the_parameters():
    lora = member("methods", "lora")
    assert lora.choose_rank(22_700_000, 27_600) == 8
    assert lora.choose_rank(1000, 500) == 1
    assert lora.choose_rank(10**9, 10) == lora.MAX_RANK


@pytest.mark.parametrize("name", ["lora", "ia3", "adapter", "prompt", "prefix", "dora"])
def test_a_hundredth_of_a_real_backbone_learns(name, hub, tmp_path):
    from headstart.training.tuning.learner import Learner

    backbone = "timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k"
    module = member("methods", "lora" if name == "dora" else name)
    method = module.Settings(variant="dora") if name == "dora" else module.Settings()
    card = find_card(backbone, tmp_path)
    learner = Learner(open_above(card, method.cut(card)), 2)
    method.modify(learner)
    learned = sum(p.numel() for p in learner.body.parameters() if p.requires_grad)
    assert 0 < learned < 0.01 * card.parameters


@pytest.mark.parametrize("blocks", [2, 4])
@pytest.mark.parametrize("name", ["prompt", "prefix"])
def test_padding_changes_nothing_beside_prompts(name, blocks, text, tmp_path):
    from headstart.training.tuning.learner import collate

    learner, method, train, _, rows, _ = learner_of(name, text, tmp_path, "text", blocks=blocks)
    method.modify(learner)
    learner.eval()

    def batch(index) -> dict:
        return {k: torch.from_numpy(v) for k, v in collate(train.x, np.array(index)).items()}

    nine = batch(range(9))
    assert not nine["mask"].all(), "some of these texts are padded"
    with torch.inference_mode():
        together = learner.embed(nine)
        alone = torch.cat([learner.embed(batch([i])) for i in range(9)])
        nine["x"][nine["mask"] == 0] = 7  # anything may stand there
        other = learner.embed(nine)
    assert torch.allclose(together, alone, atol=1e-5) and torch.allclose(together, other, atol=1e-6)
    assert not np.allclose(together.numpy(), rows[:9], atol=1e-4), "the tokens are seen"


@pytest.mark.parametrize("name", ["prompt", "prefix"])
def test_learned_tokens_stand_behind_the_class_token_and_leave_again(name, vision, tmp_path):
    learner, method, train, _, _, _ = learner_of(name, vision, tmp_path, "image", blocks=3)
    method.modify(learner)
    count, seen = method.tokens, {}
    first = next(m for m in learner.body.modules() if hasattr(m, "tokens"))
    first.block.register_forward_pre_hook(lambda module, given: seen.update(inside=given[0]))
    learner.body[-1].register_forward_pre_hook(lambda module, given: seen.update(pool=given[0]))
    x = torch.from_numpy(np.asarray(train.x[:][:3])).float()
    with torch.inference_mode():
        learner.body(x)
    inside = seen["inside"]
    assert torch.equal(inside[:, :1], x[:, :1]) and torch.equal(inside[:, 1 + count :], x[:, 1:])
    assert torch.equal(inside[1, 1 : 1 + count], first.tokens)
    assert seen["pool"].shape == x.shape


@pytest.mark.parametrize("name", ["prompt", "prefix"])
def test_prompts_want_tokens(name, hub, tmp_path):
    from headstart.training.tuning.learner import Learner

    backbone = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
    card, method = find_card(backbone, tmp_path), member("methods", name).Settings()
    learner = Learner(open_above(card, method.cut(card)), 2)
    with pytest.raises(PlanError, match="no row of tokens"):
        method.modify(learner)


@pytest.mark.parametrize("name", ["lora", "adapter", "ia3"])
def test_convolutions_are_adapted_too(name, hub, tmp_path):
    from headstart.training.tuning.learner import forward_in_batches

    backbone = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
    _, method, train, val, rows, above = learner_of(name, backbone, tmp_path, "image", blocks=2, steps=4, batch_size=8)
    fitted = method.fit(train, val, OBJECTIVE, above=above, rng=np.random.default_rng(0))
    assert not fitted.notes["frozen_above"]["moved"]
    back = member("methods", name).restore(fitted.state(), above)
    assert np.allclose(back.scores(train.x), fitted.scores(train.x), atol=1e-5)
    assert not np.array_equal(forward_in_batches(fitted.learner, train.x, fitted.learner.embed), rows)


def test_a_part_that_is_itself_a_layer_is_adapted_too():
    """VGG's convolutions stand bare in the row; the stem of any network is left alone."""
    from timm.models.vgg import VGG

    from headstart.backbones.block_division import divide
    from headstart.backbones.network import Network
    from headstart.core.backbone import Backbone, Block, Preprocess
    from headstart.training.tuning import peft_adapters
    from headstart.training.tuning.learner import Learner

    torch.manual_seed(0)
    division = divide(VGG([8, "M", 16, 16, "M"], num_classes=5), (3, 28, 28), ("head.fc",))
    blocks = tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True))
    card = Backbone("timm:small", "", Preprocess("image", ()), blocks, division.width, 10**6)
    cut = card.cut(1)
    body = Network(division.stem, division.blocks, division.pool).above(cut)
    x = torch.randn(2, *blocks[0].shape)
    with torch.no_grad():
        learner = Learner(Above(body, card, cut), 2)
        before = learner.body(x)  # the learner takes another memory format, and with several threads other sums
        assert list(peft_adapters.adaptable(learner)) == ["features.3", "features.5"]
        member("methods", "lora").Settings().modify(learner)
        assert torch.equal(learner.body(x), before)
        for name, parameter in learner.body.named_parameters():
            if name.endswith("lora_B.default.weight"):
                parameter.fill_(0.1)
        assert not torch.allclose(learner.body(x), before)
