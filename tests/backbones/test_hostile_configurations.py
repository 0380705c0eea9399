"""Configurations of strangers: what would fetch, run or open something is refused before anything else is opened."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from headstart.backbones.providers import timm as timm_provider
from headstart.backbones.providers import transformers as encoder_provider
from headstart.backbones.sealed import sealed
from headstart.backbones.timm_arguments import ARGUMENTS
from headstart.core.errors import ArtifactError, HeadstartError, PlanError
from headstart.core.schema import record
from tests.support.opened_files import watching

timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

URL, PICKLE, REPO, MODULE = "http://127.0.0.1:9/x.pth", "evil.pth", "someone/something", "os.system"
VALUES = (URL, PICKLE, REPO, MODULE, True, {"url": URL}, [REPO])


@pytest.fixture
def vision_folder(vision, tmp_path) -> Path:
    return copied(Path(vision.partition(":")[2]), tmp_path / "vision")


@pytest.fixture
def text_folder(text, tmp_path) -> Path:
    return copied(Path(text.partition(":")[2].partition("?")[0]), tmp_path / "text")


def copied(source: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def edit(file: Path, change) -> None:
    facts = json.loads(file.read_text())
    change(facts)
    file.write_text(json.dumps(facts))


def refused(folder: Path, open_it, *, reads: set[str], match: str | None = None) -> None:
    """Asserts that it is refused in words, and that of the folder only `reads` were opened."""
    with watching() as seen, pytest.raises(HeadstartError, match=match):
        open_it()
    assert not seen.others
    assert seen.inside(folder) <= reads


LIBRARYS_OWN = {  # what timm itself takes beside a network's shape, by its own signatures
    *inspect.signature(timm.create_model).parameters,
    *inspect.signature(timm.models.build_model_with_cfg).parameters,
} | {"features_only", "feature_cls", "out_indices", "pruned", "url", "file", "hf_hub_id", "block_fn", "device", "dtype"}


def test_no_argument_of_timm_that_is_not_of_a_networks_shape_is_on_the_list():
    assert not LIBRARYS_OWN & ARGUMENTS.keys()


@pytest.mark.parametrize("argument", sorted(LIBRARYS_OWN))
def test_such_an_argument_is_refused_whatever_it_says(vision_folder, argument):
    for value in (*VALUES, None, 5):
        edit(vision_folder / "config.json", lambda c, v=value: c.update(model_args={argument: v}))
        refused(vision_folder, lambda: timm_provider.card(str(vision_folder)), reads={"config.json"}, match=argument)


@pytest.mark.parametrize("argument", sorted(ARGUMENTS))
def test_no_argument_takes_a_path_an_address_a_repository_or_code(argument):
    for value in (
        URL,
        "./x",
        "../x",
        "/etc/passwd",
        "C:\\x",
        REPO,
        MODULE,
        "lambda: 1",
        {"a": 1},
        [[REPO]],
        1e9,
        [10**9],
    ):
        assert ARGUMENTS[argument](value), value


@pytest.mark.parametrize("name", ["hf-hub:someone/x", "local-dir:/etc", "../x", "/x", "a b", "", 5, None, ["resnet18"]])
def test_an_architecture_is_a_name_of_timms_list(vision_folder, name):
    edit(vision_folder / "config.json", lambda c: c.update(architecture=name))
    refused(vision_folder, lambda: timm_provider.card(str(vision_folder)), reads={"config.json"}, match="architecture")


def test_every_configuration_that_timm_has_itself_is_read():
    rule = record({}, timm_provider.PRETRAINED_CFG, others=True)
    cfgs = {name: timm.get_pretrained_cfg(name).to_dict() for name in timm.list_pretrained()}
    assert {name: rule(cfg) for name, cfg in cfgs.items() if rule(cfg)} == {} and len(cfgs) > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        {"img_size": 224, "init_values": 1.0, "num_classes": 0, "dynamic_img_size": True},
        {"patch_size": 14, "embed_dim": 1536, "depth": 24, "num_heads": 24, "mlp_ratio": 5.33334, "reg_tokens": 8},
        {"pad_type": "same", "act_layer": "gelu_tanh", "norm_layer": None, "global_pool": "", "drop_path_rate": 0.1},
        {"depths": [3, 3, 9, 3], "dims": [96, 192, 384, 768], "window_size": [7, 7], "mlp_ratio": [[2, 2], [4, 4]]},
    ],
)
def test_arguments_of_a_networks_shape_are_taken(arguments):
    assert record({}, ARGUMENTS)(arguments) == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mean", 5), ("mean", ["a", "b", "c"]), ("std", []), ("std", [0, 0, 0]), ("input_size", 5),
        ("input_size", [3, "a", 2]), ("input_size", [3, 10**6, 10**6]), ("input_size", [4, 64, 64]), ("crop_pct", "x"),
        ("crop_pct", 1e-9), ("interpolation", "cubist"), ("crop_mode", 3), ("classifier", 7), ("classifier", ["a", 5]),
        ("classifier", "nowhere"), ("label_names", 5), ("label_names", [{}]), ("label_descriptions", 5), ("tag", 5),
        ("first_conv", 5), ("num_classes", "x"), ("num_classes", 10**12), ("num_classes", -5), ("license", {"a": 1}),
        ("fixed_input_size", "yes"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_or_size_is_named(vision_folder, field, value):
    edit(vision_folder / "config.json", lambda c: (c.pop("num_classes"), c["pretrained_cfg"].update({field: value})))
    with pytest.raises(PlanError, match=field):
        timm_provider.card(str(vision_folder))


@pytest.mark.parametrize("content", [b"[1]", b"\xff\xfe{", b"[" * 100_000, b"", b"{}", b'{"pretrained_cfg": 5}'])
def test_what_is_no_configuration_is_refused(vision_folder, content):
    (vision_folder / "config.json").write_bytes(content)
    refused(vision_folder, lambda: timm_provider.card(str(vision_folder)), reads={"config.json"}, match=r"config\.json")


@pytest.mark.parametrize("content", [b"hello", b"", b"\x10" + b"\0" * 7 + b"{}" * 8])
def test_what_is_no_safetensors_file_is_refused(vision_folder, content):
    (vision_folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.safetensors is damaged"):
        timm_provider.card(str(vision_folder))


def test_weights_that_are_cut_or_hold_nothing_that_counts_are_refused(vision_folder):
    from safetensors.numpy import load_file, save_file

    file = vision_folder / "model.safetensors"
    whole = load_file(file)
    save_file({k: v * np.float32("nan") if v.ndim == 4 else v for k, v in whole.items()}, file)
    with pytest.raises(PlanError):
        timm_provider.card(str(vision_folder))
    save_file(whole, file)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ArtifactError, match="damaged"):
        timm_provider.card(str(vision_folder))


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("convnext_tiny", {"dims": [20_000] * 4}),
        ("vit_base_patch16_224", {"embed_dim": 100_000, "num_heads": 1}),
        ("vit_base_patch16_224", {"depth": 100_000}),
        ("vit_giant_patch14_dinov2", {}),
        ("test_vit", {"num_classes": 131_072, "embed_dim": 131_072, "num_heads": 1}),
    ],
)
def test_a_network_larger_than_its_weights_is_refused_before_it_takes_memory(vision_folder, architecture, arguments):
    import resource

    def large(config):
        config.update(architecture=architecture, model_args=arguments)
        config["pretrained_cfg"].pop("classifier")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    edit(vision_folder / "config.json", large)
    with pytest.raises(PlanError, match=r"larger than its|more than"):
        timm_provider.card(str(vision_folder))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700 << 10  # kB


FORBIDDEN = {
    "auto_map": {"AutoModel": "modeling_evil.Evil"},
    "custom_code": True,
    "trust_remote_code": True,
    "attn_implementation": "someone/kernel",
    "_attn_implementation": "kernels-community/flash-attn",
    "_attn_implementation_internal": "flash_attention_2",
    "experts_implementation": "someone/kernel",
    "_experts_implementation": "grouped_mm",
    "quantization_config": {"quant_method": "bitsandbytes"},
    "use_kernels": True,
    "kernel_config": {"a": REPO},
    "fusion_config": {"patch_embeddings": True},
    "distributed_config": {"tp_size": 2},
    "tp_plan": "auto",
    "base_model_tp_plan": {"layers": "colwise"},
    "transformers_weights": "other.safetensors",
    "backbone": "resnet50",
    "backbone_config": {"model_type": "resnet"},
    "use_timm_backbone": True,
    "use_pretrained_backbone": True,
    "backbone_kwargs": {"pretrained": True},
    "model_args": {"pretrained": True},
    "dataset": "wiki_dpr",
    "index_path": "/etc/passwd",
    "passages_path": "passages",
    "vocab_file": "vocab",
    "hidden_act": MODULE,
    "position_embedding_type": URL,
    "classifier_pooling": "../x",
    "dtype": "load",
    "torch_dtype": "torch.hub",
    "num_hidden_layers": 10**9,
    "max_position_embeddings": 10**12,
    "vocab_size": 10**30,
    "a_field_of_tomorrow": "~/.ssh/id_rsa",
    "another_of_tomorrow": {"deep": [{"deeper": REPO}]},
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_a_field_that_makes_transformers_reach_beyond_is_refused(text_folder, name, nested):
    def add(config):
        (config.setdefault("text_config", {}) if nested else config).update({name: FORBIDDEN[name]})

    edit(text_folder / "config.json", add)
    where = f"{text_folder}?pooling=mean&max_length=8&pad=0"
    refused(text_folder, lambda: encoder_provider.card(where), reads={"config.json"})


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", {"model_type": "timm_wrapper", "architecture": "resnet18"}),
        ("config.json", {"architecture": "resnet18", "num_classes": 5, "pretrained_cfg": {}}),
        ("config.json", {"model_type": "../bert"}),
        ("config.json", {}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}),
        ("tokenizer_config.json", {"tokenizer_class": "evil.Tokenizer"}),
        ("tokenizer_config.json", {"model_max_length": "many"}),
        ("adapter_config.json", {"base_model_name_or_path": REPO, "auto_mapping": {"base_model_class": "x"}}),
        ("modules.json", [{"type": "evil.modules.Normalize"}]),
        ("modules.json", [{"type": "sentence_transformers.models.Pooling", "path": "../1_Pooling"}]),
        ("modules.json", [{"type": "sentence_transformers.models.Transformer", "path": "0_Transformer"}]),
        ("modules.json", {"a": 1}),
        ("modules.json", [5]),
        ("sentence_bert_config.json", {"max_seq_length": "x"}),
        ("config_sentence_transformers.json", {"prompts": [1]}),
        ("tokenizer.json", {"model": {"type": "WordLevel", "vocab": {"a": 9999}, "unk_token": "a"}}),
        ("tokenizer.json", [1]),
    ],
)
def test_a_file_beside_an_encoder_that_asks_for_more_is_refused(text_folder, file, content):
    (text_folder / file).write_text(json.dumps(content))
    where = f"{text_folder}?max_length=8&pad=0" if file == "modules.json" else f"{text_folder}?pooling=mean&pad=0"
    refused(text_folder, lambda: encoder_provider.card(where), reads={p.name for p in text_folder.iterdir()})


def test_fields_that_only_describe_are_no_obstacle(text_folder):
    plain = encoder_provider.card(f"{text_folder}?pooling=mean&max_length=8")
    edit(
        text_folder / "config.json",
        lambda c: c.update(
            _name_or_path="/home/someone/bert", id2label={"0": "a/b", "1": "http://x"}, label2id={"a/b": 0},
            transformers_version="4.36.0.dev0", torch_dtype="float32", use_pretrained_backbone=False, auto_map=None,
            quantization_config=None, task_specific_params={"summarization": {"prefix": "summarize: "}},
            _attn_implementation="sdpa", pretrained_window_sizes=[0, 0], finetuning_task="mnli", rope_theta=50_000_000,
            # As transformers 4.48, sentence-transformers and fine-tuners leave them behind.
            _attn_implementation_autoset=True, unsloth_version="2025.3.1", tool_version="4.1.0", seed=2**40,
            sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"}, model_name="someone/bert",
        ),
    )  # fmt: skip
    described = encoder_provider.card(f"{text_folder}?pooling=mean&max_length=8")
    assert (described.blocks, described.width, described.preprocess) == (plain.blocks, plain.width, plain.preprocess)


def test_an_encoder_larger_than_its_weights_is_refused(text_folder):
    edit(text_folder / "config.json", lambda c: c.update(hidden_size=16384, intermediate_size=65536))
    with pytest.raises(PlanError, match=r"larger than its model\.safetensors"):
        encoder_provider.card(f"{text_folder}?pooling=mean&max_length=8")


def test_only_files_that_were_looked_at_reach_the_library(text_folder):
    for name in ("modeling_evil.py", "model.safetensors.index.json", "pytorch_model.bin", "generation_config.json"):
        (text_folder / name).write_text("{}")
    with watching() as seen:
        card = encoder_provider.card(f"{text_folder}?pooling=mean&max_length=8")
        encoder_provider.parts(card)
    assert seen.inside(text_folder) == {"config.json", "model.safetensors", "tokenizer.json"} and not seen.others


def test_what_no_list_knows_is_stopped_where_it_would_happen(tmp_path):
    """A library that fetches or unpickles while it opens a network, for whatever reason."""
    import pickle
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    content = pickle.dumps(Path("x"))
    with sealed("timm:evil"):
        with pytest.raises(PlanError, match="reach another machine"):
            socket.create_connection(server.getsockname(), 1)
        with pytest.raises(PlanError, match="open a pickle"):
            pickle.loads(content)
    socket.create_connection(server.getsockname(), 1).close()
    assert pickle.loads(content) == Path("x")
    server.close()
