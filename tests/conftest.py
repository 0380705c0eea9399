"""Where the real data and weights lie, and a cache of the test's own."""

import json

import pytest

from tests.support.browser import CHROMIUM, CHROMIUM_FLAGS
from tests.support.paths import SHARED


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def hub(monkeypatch):
    """The real weights of the shared hub, offline."""
    if not (SHARED / "hub").is_dir():
        pytest.skip(f"no real weights at {SHARED / 'hub'}: set HEADSTART_SHARED to the folder that has them")
    monkeypatch.setenv("HF_HOME", str(SHARED / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return SHARED / "hub"


@pytest.fixture
def real_data():
    """The real data sets."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real data at {SHARED / 'data'}: set HEADSTART_SHARED to the folder that has them")
    return SHARED / "data"


@pytest.fixture(scope="session")
def vision(tmp_path_factory) -> str:
    """A small vision transformer of timm with random weights, as a folder."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("vision")
    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False, img_size=64)
    save_file(model.state_dict(), folder / "model.safetensors")
    cfg = {"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 64, 64], "crop_pct": 1.0, "crop_mode": "center"}
    cfg |= {"interpolation": "bicubic", "classifier": "head"}
    config = {"architecture": "test_vit", "num_classes": 1000, "model_args": {"img_size": 64}, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return f"timm:{folder}"


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> str:
    """A small BERT with random weights and a tokenizer of letters, as a folder."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("text")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=32, pad_token_id=0, **sizes)
    config.architectures = ["BertModel"]
    model = BertModel(config, add_pooling_layer=False)
    config.save_pretrained(folder)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    return f"transformers:{folder}?pooling=mean&normalize=no&max_length=8&pad=0"


@pytest.fixture(scope="session")
def browser():
    """Chromium, with a camera that shows a test pattern."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def read_cards() -> dict:
    return {}


@pytest.fixture
def timm_card(hub, read_cards):
    """The card of a real network of timm by its name; each is read once."""
    from headstart.backbones.providers import timm
    from tests.support.networks import hub_name

    def card(name: str):
        if name not in read_cards:
            read_cards[name] = timm.card(hub_name(name))
        return read_cards[name]

    return card
