"""Writes a network that was trained here as a backbone folder: weights in half precision, a graph, and a card."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones.providers.own import GRAPH, SCHEMA
from headstart.core import digest
from headstart.core.backbone import Backbone, Block, Preprocess, restore
from headstart.core.errors import missing_extra
from headstart.core.plugins import member

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.static_embeddings import Static


MOST = 8192  # tokens of a text that static vectors are averaged over, about 6,000 words; it bounds work, not texts


def network(
    folder: Path, model: nn.Module, architecture: str, arguments: dict, spec: Preprocess, made: dict
) -> Backbone:
    """A timm trunk. Its matrices are kept in half precision, and it is those that the card's digest and graph are of.

    spec: how inputs are prepared.  made: how it was made, for the card.  Raises MissingExtra without onnx.
    """
    from safetensors.torch import save_file

    from headstart.backbones.block_division import divide

    folder.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    # Kernels in half, the few numbers of the norms in full: their running variances reach beyond what half can hold.
    state = {k: (v.half() if v.ndim > 1 else v).contiguous() for k, v in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    size: Any = spec["input_size"]
    (folder / GRAPH).write_bytes(graph(model, tuple(size)))
    division = divide(model, tuple(size))
    blocks = tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True))
    count = sum(p.numel() for p in model.parameters())
    weights = folder / "model.safetensors"
    told = {"pretrained_on": made.get("data_shown", ""), "licence": made.get("licence", "")}
    card = Backbone(
        "own", digest.of_files([weights]), spec, blocks, division.width, count, weights.stat().st_size, **told
    )
    write_card(folder, "timm", card, made, architecture=architecture, arguments=arguments)
    return card


def beside(folder: Path, floor: str = "stats") -> Backbone:
    """Lets a backbone folder give the hand-made numbers of the floor too, after the network's own, at its top.

    They see what a small network misses (texture, colour) and cost no training; below the top the network is alone.
    """
    facts = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card, plain = restore(facts["backbone"]), member("backbones", floor).card("")
    spec = Preprocess(card.preprocess.kind, tuple(sorted([*card.preprocess.settings, ("beside", floor)])))
    card = replace(card, preprocess=spec, width=card.width + plain.width)
    facts["backbone"] = card.facts()
    (folder / "card.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return card


def vectors(folder: Path, made: Static, facts: dict) -> Backbone:
    """Static vectors of tokens. facts: how they were made, for the card."""
    from headstart.backbones import static_embeddings

    static_embeddings.save(made, folder)
    weights, words = folder / static_embeddings.WEIGHTS, folder / static_embeddings.VOCABULARY
    spec = Preprocess("pieces", (("most", MOST), ("vocabulary", digest.of_files([words]))))
    count = made.vectors.size + made.out.size + sum(m.size for m in (made.before, made.here, made.after))
    told = {"pretrained_on": facts.get("data_shown", ""), "licence": facts.get("licence", "")}
    size = weights.stat().st_size + words.stat().st_size
    blocks = (Block("tokens", (made.width,)),)
    card = Backbone("own", digest.of_files([weights, words]), spec, blocks, made.width, count, size, **told)
    write_card(folder, "static", card, facts, assets=(static_embeddings.VOCABULARY,))
    return card


def write_card(
    folder: Path, form: str, card: Backbone, made: dict, assets: tuple[str, ...] = (), **more: object
) -> None:
    """card.json, which pins every other file of the folder by digest."""
    names = sorted(
        p.name for p in folder.iterdir() if p.is_file() and p.name != "card.json" and not p.name.startswith(".")
    )
    facts = {"schema": SCHEMA, "format": form, **more, "backbone": card.facts(), "made": made, "assets": list(assets)}
    facts["files"] = {name: digest.of_files([folder / name]) for name in names}
    (folder / "card.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def graph(model: nn.Module, size: tuple[int, ...]) -> bytes:
    """An ONNX graph from pixels (b, 3, h, w) to rows (b, d) that names the model's weights and holds none of them."""
    try:
        import onnxscript  # noqa: F401
        import torch
        from onnx.external_data_helper import set_external_data
    except ImportError as error:
        raise missing_extra(error.name or "onnx", "export", "Writing a graph") from error
    # Not optimized: norms folded into kernels would put other numbers under the kernels' names. The runtime folds.
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings(action="ignore"):
        program: Any = torch.onnx.export(
            model, (torch.zeros(2, *size),), dynamo=True, input_names=["pixels"], output_names=["row"],
            dynamic_shapes=({0: batch},), optimize=False, verbose=False,
        )  # fmt: skip
    proto: Any = program.model_proto
    state = model.state_dict()
    for tensor in proto.graph.initializer:
        if tensor.name in state:
            set_external_data(tensor, "model.safetensors", 0, len(tensor.raw_data))
            tensor.ClearField("raw_data")
    # Traces of our own source lines, eight times as large as the graph itself.
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        value.ClearField("metadata_props")
    proto.graph.ClearField("value_info")
    proto.ClearField("metadata_props")
    return proto.SerializeToString()


def same_rows(card: Backbone, body: nn.Module, seed: int = 0) -> float:
    """The largest difference between the graph's rows and the body's, relative to the largest row."""
    import torch

    from headstart.features.engines.onnx import Session

    side: Any = card.preprocess["input_size"]
    units = list(np.random.default_rng(seed).integers(0, 256, (8, side[1], side[2], 3), dtype=np.uint8))
    graph_bytes, weights = member("backbones", "own").graph(card)
    rows = Session(card, graph_bytes, weights).rows(units)
    pixels = member("preprocess", "image").batch(units, card.preprocess)["pixels"]
    with torch.inference_mode():
        truth = body({"pixels": torch.from_numpy(pixels)}).numpy()
    return float(np.abs(rows - truth).max() / np.abs(truth).max())
