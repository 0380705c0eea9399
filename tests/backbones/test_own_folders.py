"""Backbone folders of strangers: believed in nothing that can be computed, and never named by what they claim."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from headstart.backbones import onnx_graph_check, own_card
from headstart.backbones.network import open_network
from headstart.backbones.providers import own
from headstart.core.errors import ArtifactError, HeadstartError, PlanError
from headstart.features.cache.store import shelf_key
from headstart.features.runner import start_engine
from tests.support.own_folders import rewrite, setting

GOLDEN = Path(__file__).parents[1] / "golden" / "backbones"
UNITS = [np.full((32, 32, 3), 20 * i, np.uint8) for i in range(3)]


@pytest.fixture(params=["photos", "texts"])
def folder(request, tmp_path) -> Path:
    return Path(shutil.copytree(GOLDEN / request.param / "backbone", tmp_path / "own"))


@pytest.fixture
def photos(tmp_path) -> Path:
    return Path(shutil.copytree(GOLDEN / "photos" / "backbone", tmp_path / "own"))


def rows(card) -> np.ndarray:
    return np.asarray(start_engine(card, card.cut(len(card.blocks))).rows(UNITS))


def base(**facts):
    return lambda f: f["backbone"].update(facts)


WRONG = {
    "a list": lambda f: f["backbone"].update(blocks="abc"),
    "width of 10^9": base(width=10**9),
    "width as text": base(width="x"),
    "no width": lambda f: f["backbone"].pop("width"),
    "no blocks": base(blocks=[]),
    "a block without a name": base(blocks=[{"shape": []}]),
    "another schema": lambda f: f.update(schema=2),
    "a format of code": lambda f: f.update(format="os"),
    "another format": lambda f: f.update(format="static"),
    "files above": lambda f: f["files"].update({"../secret.json": "sha256:" + "0" * 64}),
    "files elsewhere": lambda f: f["files"].update({"/etc/passwd": "sha256:" + "0" * 64}),
    "a pickle": lambda f: f["files"].update({"evil.pth": "sha256:" + "0" * 64}),
    "files that are none": lambda f: f.update(files=[]),
    "no weights": lambda f: f["files"].pop("model.safetensors"),
    "an asset elsewhere": lambda f: f.update(assets=["/etc/passwd"]),
    "assets that are none": lambda f: f.update(assets=[5]),
    "a kind of code": lambda f: f["backbone"]["preprocess"].update(kind="evil"),
    "settings that are none": lambda f: f["backbone"]["preprocess"].update(settings=5),
    "a setting twice": lambda f: f["backbone"]["preprocess"].update(
        settings=f["backbone"]["preprocess"]["settings"] * 2
    ),
    "parameters as text": base(parameters="many"),
    "licence as a list": base(licence=[1]),
    "classes as numbers": base(source_classes=[1, 2]),
    "a fact that is not known": base(evil=1),
    "another's weights": base(weights="sha256:" + "1" * 64),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_card_that_says_what_cannot_be_is_refused(folder, change):
    rewrite(folder, change)
    with pytest.raises(HeadstartError, match=r"card\.json"):
        own.card(str(folder))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_size", [3, 100_000, 100_000]), ("input_size", [3, -1, 5]), ("input_size", "big"),
        ("input_size", [3, 0, 0]), ("input_size", [1, 32, 32]), ("mean", [1, 2]), ("std", [0, 0, 0]),
        ("std", [float("nan")] * 3), ("crop_pct", 0), ("crop_pct", 1e-9), ("crop_pct", "x"),
        ("interpolation", "evil"), ("crop_mode", None), ("beside", "own:x"), ("beside", 5), ("evil", 1),
        ("beside", "stats"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_followed_is_refused(photos, name, value):
    rewrite(photos, setting(name, value))
    with pytest.raises(ArtifactError, match=r"card\.json"):
        own.card(str(photos))


@pytest.mark.parametrize("content", ["[1]", "", "{", "[" * 100_000, '"x"', '{"schema": 1}', '{"schema": [1]}'])
def test_what_is_no_card_is_refused(photos, content):
    (photos / "card.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"card\.json"):
        own.card(str(photos))


@pytest.mark.parametrize(
    "arguments",
    [
        {"pretrained": True, "pretrained_cfg_overlay": {"url": "http://127.0.0.1:9/x"}},
        {"checkpoint_path": "evil.pth"},
        5,
    ],
)
def test_arguments_that_reach_beyond_are_refused_with_the_card(photos, arguments):
    rewrite(photos, lambda f: f.update(arguments=arguments))
    for verb in (own.card, own.files):
        with pytest.raises(HeadstartError, match=r"arguments|passed on"):
            verb(str(photos))


@pytest.mark.parametrize("architecture", ["hf-hub:evil/x", "local-dir:/etc", "../x", 5, "resnet_of_tomorrow"])
def test_an_architecture_is_a_name_of_timms_list(photos, architecture):
    rewrite(photos, lambda f: f.update(architecture=architecture))
    with pytest.raises(HeadstartError, match="architecture"):
        open_network(own.card(str(photos)))


def test_other_weights_than_the_architecture_has_are_refused(photos):
    rewrite(photos, lambda f: f.update(architecture="vit_giant_patch14_dinov2"))
    with pytest.raises(PlanError, match=r"larger than its model\.safetensors"):
        open_network(own.card(str(photos)))


@pytest.mark.parametrize("width", [3, 131_072])
def test_a_width_that_the_network_does_not_give_is_noticed_where_it_opens(photos, width):
    rewrite(photos, base(width=width))
    card = own.card(str(photos))
    with pytest.raises(ArtifactError, match="card says"):
        rows(card)
    with pytest.raises(PlanError, match="card"):
        open_network(card)


def test_links_out_of_the_folder_are_not_followed(photos, tmp_path):
    outside = tmp_path / "outside.safetensors"
    (photos / "model.safetensors").rename(outside)
    (photos / "model.safetensors").symlink_to(outside)
    with pytest.raises(ArtifactError, match="leads out of the folder"):
        own.card(str(photos))


@pytest.mark.parametrize("content", [b"", b"\xff" * 1000, b"hello", b"\x0a\x02"])
def test_what_is_no_graph_is_refused(photos, content):
    (photos / "model.onnx").write_bytes(content)
    rewrite(photos)
    with pytest.raises(ArtifactError, match=r"model\.onnx|graph"):
        rows(own.card(str(photos)))


def test_an_error_of_the_runtime_leaves_the_output_alone(photos, capsys):
    content = (photos / "model.onnx").read_bytes()
    (photos / "model.onnx").write_bytes(content.replace(b"Conv", b"\xcb\xff\xff\xff", 1))  # the error quotes it
    rewrite(photos)
    with pytest.raises(ArtifactError, match="cannot be run"):
        rows(own.card(str(photos)))
    assert not capsys.readouterr().out


def elsewhere(graph, path: str) -> None:
    """A tensor that nobody provides, so that the runtime would fetch it from a file."""
    tensor = next(t for t in graph.graph.initializer if t.external_data)
    for node in graph.graph.node:
        node.input[:] = ["stolen" if name == tensor.name else name for name in node.input]
    tensor.name = "stolen"
    for entry in tensor.external_data:
        entry.value = path if entry.key == "location" else entry.value


def in_a_constant(graph, path: str) -> None:
    """A tensor in a node's attribute."""
    attribute = next(a for n in graph.graph.node if n.op_type == "Constant" for a in n.attribute)
    attribute.t.data_location = 1
    attribute.t.external_data.add(key="location", value=path)


def in_a_function(graph, path: str) -> None:
    graph.functions.add(name="f", domain="evil")


def of_another_domain(graph, path: str) -> None:
    graph.graph.node[0].domain = "com.microsoft"


def of_another_shape(graph, path: str) -> None:
    next(t for t in graph.graph.initializer if t.external_data).dims[0] += 1


def in_a_branch(graph, path: str) -> None:
    graph.graph.node[0].attribute.add(name="body", type=5).g.name = "inner"


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.bin", "secret.bin", "/dev/zero"])
@pytest.mark.parametrize(
    "change", [elsewhere, in_a_constant, in_a_function, of_another_domain, of_another_shape, in_a_branch]
)
def test_a_graph_that_would_read_more_than_its_weights_is_refused(photos, monkeypatch, tmp_path, change, path):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "secret.bin").write_bytes(bytes(1 << 20))
    monkeypatch.chdir(tmp_path)
    graph = onnx.load(str(photos / "model.onnx"), load_external_data=False)
    change(graph, path)
    (photos / "model.onnx").write_bytes(graph.SerializeToString())
    rewrite(photos)
    with pytest.raises(ArtifactError, match="graph"):
        rows(own.card(str(photos)))


@pytest.mark.parametrize("high", [1, 7])
def test_a_field_that_the_runtime_would_read_as_another_is_no_field(photos, high):
    content = (photos / "model.onnx").read_bytes()
    key = (high << 32) | (25 << 3) | 2  # of a model's functions, to whoever drops the bits beyond 32
    varint = bytes([*((key >> shift) & 127 | 128 for shift in range(0, 28, 7)), key >> 28])
    (photos / "model.onnx").write_bytes(content + varint + b"\0")
    rewrite(photos)
    with pytest.raises(ArtifactError, match="a field that there cannot be"):
        rows(own.card(str(photos)))


def test_our_own_graphs_are_taken():
    for name in own.shipped():
        card = own.card(name)
        if own.runs(card, card.cut(len(card.blocks))) == "onnx":
            own.graph(card)
    assert onnx_graph_check.HOLDS["model"] == {7: "graph"}


@pytest.mark.parametrize(
    "file", ["model.safetensors", "model.onnx", "card.json architecture", "card.json arguments", "one weight"]
)
def test_the_identity_is_of_everything_that_computes(photos, file):
    from safetensors.numpy import load_file, save_file

    before = own.card(str(photos))
    if file == "one weight":
        weights = load_file(photos / "model.safetensors")
        weights["conv_stem.weight"].flat[0] += 1
        save_file(weights, photos / "model.safetensors")
    elif file.startswith("card.json"):
        changed = {"architecture": "test_vit", "arguments": {"drop_rate": 0.1}}
        rewrite(photos, lambda f: f.update({file.split()[1]: changed[file.split()[1]]}))
    else:
        (photos / file).write_bytes((photos / file).read_bytes() + b"\0")
    rewrite(photos)
    after = own.card(str(photos))
    cut = before.cut(len(before.blocks))
    assert before.identity and after.identity != before.identity and shelf_key(after, cut) != shelf_key(before, cut)


def test_a_folder_that_claims_anothers_name_gets_neither_its_rows_nor_its_key(photos, tmp_path):
    victim = own.card(str(Path(shutil.copytree(photos, tmp_path / "victim"))))
    graph = (photos / "model.onnx").read_bytes()
    claims = {"weights": victim.weights, "identity": victim.identity}
    for change in ("weights", "graph"):
        if change == "weights":
            from safetensors.numpy import load_file, save_file

            weights = load_file(photos / "model.safetensors")
            save_file(
                {k: v[::-1].copy() if v.ndim == 4 else v for k, v in weights.items()}, photos / "model.safetensors"
            )
            rewrite(photos, base(**claims))
            with pytest.raises(ArtifactError, match="claims the weights"):
                own.card(str(photos))
            shutil.copy(tmp_path / "victim" / "model.safetensors", photos)
        (photos / "model.onnx").write_bytes(graph + b"\x10\x00")
        rewrite(photos, base(**claims))
        card = own.card(str(photos))
        assert card.weights == victim.weights and card.identity != victim.identity
        cut = card.cut(len(card.blocks))
        assert shelf_key(card, cut) != shelf_key(victim, cut)


def test_where_it_lies_does_not_matter(photos, tmp_path):
    moved = Path(shutil.copytree(photos, tmp_path / "elsewhere"))
    assert own.card(str(moved)).identity == own.card(str(photos)).identity


@pytest.mark.parametrize("file", ["model.safetensors", "model.onnx"])
def test_bytes_that_moved_after_the_card_was_read_are_noticed(photos, file):
    card = own.card(str(photos))
    raw = bytearray((photos / file).read_bytes())
    raw[-3] ^= 1
    (photos / file).write_bytes(raw)
    for open_it in (rows, open_network):
        with pytest.raises(ArtifactError, match="is not the file that"):
            open_it(card)
    rewrite(photos)
    with pytest.raises(ArtifactError, match="has changed since"):
        open_network(card)


def test_static_vectors_that_do_not_fit_each_other_are_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    from headstart.backbones import static_embeddings

    shipped = own.folder_of("text-static")
    good = load_file(shipped / "model.safetensors")
    shutil.copy(shipped / "vocab.txt", tmp_path)
    for name, array in (
        ("scales", good["scales"][:5]),
        ("bias", good["bias"] * np.float16("nan")),
        ("vectors", good["vectors"].astype(np.float32)),
        ("places", good["places"][:, :3]),
        ("out", good["out"].T.copy()),
    ):
        save_file({**good, name: array}, tmp_path / "model.safetensors")
        with pytest.raises(ArtifactError, match=name):
            static_embeddings.load(tmp_path)
    assert own_card.NEEDED["static"] == ("model.safetensors", "vocab.txt")


def test_a_tokenizer_is_the_one_that_is_pinned_as_it(tmp_path):
    folder = Path(shutil.copytree(GOLDEN / "texts" / "backbone", tmp_path / "own"))
    other = json.loads((folder / "card.json").read_text())["files"]["config.json"]
    rewrite(folder, setting("tokenizer", other))
    with pytest.raises(ArtifactError, match=r"tokenizer is not the tokenizer\.json"):
        own.card(str(folder))
