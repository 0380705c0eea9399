"""Saves a network that was trained here as a backbone folder: weights in half precision, a graph, and a card."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones import own_card
from headstart.backbones.own_card import CARD, GRAPH, SCHEMA
from headstart.core import digest
from headstart.core.backbone import Backbone, Block, Preprocess, restore
from headstart.core.errors import missing_extra
from headstart.core.files import make_folder, write_atomic
from headstart.core.plugins import member

if TYPE_CHECKING:
    from torch import nn

    from headstart.backbones.static_embeddings import StaticEmbeddings

MAX_TOKENS = 8192  # of a text that static embeddings are averaged over, about 6,000 words; it bounds work, not texts


def save_timm_backbone(
    folder: Path, model: nn.Module, architecture: str, arguments: dict, spec: Preprocess, provenance: dict
) -> Backbone:
    """A timm trunk. Its matrices are kept in half precision, and it is those that the card's digest and graph are of.

    spec: how inputs are preprocessed.  provenance: how it was made, for the card.  Raises MissingExtra without onnx.
    """
    from safetensors.torch import save

    from headstart.backbones.block_division import divide

    make_folder(folder)
    model = model.cpu().eval()
    # Kernels in half, the few numbers of the norms in full: their running variances reach beyond what half can hold.
    state = {k: (v.half() if v.ndim > 1 else v).contiguous() for k, v in model.state_dict().items()}
    weights = folder / "model.safetensors"
    write_atomic(weights, save(state))
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    size: Any = spec["input_size"]
    write_atomic(folder / GRAPH, onnx_graph(model, tuple(size)))
    division = divide(model, tuple(size))
    blocks = tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True))
    parameters = sum(p.numel() for p in model.parameters())
    card = build_card([weights], spec, blocks, division.width, parameters, provenance)
    write_card(folder, "timm", card, provenance, architecture=architecture, arguments=arguments)
    return card


def save_static_backbone(folder: Path, static: StaticEmbeddings, provenance: dict) -> Backbone:
    """Static embeddings of tokens. provenance: how they were made, for the card."""
    from headstart.backbones import static_embeddings

    static_embeddings.save(static, folder)
    weights, vocabulary = folder / static_embeddings.WEIGHTS_FILE, folder / static_embeddings.VOCABULARY_FILE
    spec = Preprocess("pieces", (("most", MAX_TOKENS), ("vocabulary", digest.of_files([vocabulary]))))
    parameters = static.vectors.size + static.out.size + sum(m.size for m in (static.before, static.here, static.after))
    blocks = (Block("tokens", (static.width,)),)
    card = build_card([weights, vocabulary], spec, blocks, static.width, parameters, provenance)
    write_card(folder, "static", card, provenance, assets=(static_embeddings.VOCABULARY_FILE,))
    return card


def append_floor_features(folder: Path, floor: str = "stats") -> Backbone:
    """Lets a backbone folder give the hand-made numbers of the floor too, after the network's own, at its top.

    They see what a small network misses (texture, colour) and cost no training; below the top the network is alone.
    """
    facts = own_card.read(folder)
    card, floor_card = restore(facts["backbone"]), member("backbones", floor).card("")
    spec = Preprocess(card.preprocess.kind, tuple(sorted([*card.preprocess.settings, ("beside", floor)])))
    card = replace(card, preprocess=spec, width=card.width + floor_card.width)
    facts["backbone"] = card.facts()
    write_atomic(folder / CARD, json.dumps(facts, indent=1) + "\n")
    return card


def build_card(
    files: Sequence[Path], spec: Preprocess, blocks: tuple[Block, ...], width: int, parameters: int, provenance: dict
) -> Backbone:
    """The card of a backbone made here. files: its weights, by whose contents it is named"""
    size = sum(file.stat().st_size for file in files)
    return Backbone(
        "own", digest.of_files(files), spec, blocks, width, parameters, size,
        pretrained_on=provenance.get("data_shown", ""), licence=provenance.get("licence", ""),
    )  # fmt: skip


def write_card(
    folder: Path, format: str, card: Backbone, provenance: dict, assets: tuple[str, ...] = (), **more: object
) -> None:
    """card.json, which pins every other file of the folder that is read by digest."""
    read = (p for p in folder.iterdir() if p.is_file() and p.suffix in own_card.SUFFIXES)
    names = sorted(p.name for p in read if p.name != CARD and p.name[0] != ".")
    facts = {"schema": SCHEMA, "format": format, **more, "backbone": card.facts(), "made": provenance}
    facts |= {"assets": list(assets), "files": {name: digest.of_files([folder / name]) for name in names}}
    write_atomic(folder / CARD, json.dumps(facts, indent=1) + "\n")


def onnx_graph(model: nn.Module, size: tuple[int, ...]) -> bytes:
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


def onnx_deviation(card: Backbone, body: nn.Module, seed: int = 0) -> float:
    """The largest difference between the graph's rows and the network's, relative to the largest row."""
    import torch

    from headstart.features.engines.onnx import OnnxExtractor

    side: Any = card.preprocess["input_size"]
    units = list(np.random.default_rng(seed).integers(0, 256, (8, side[1], side[2], 3), dtype=np.uint8))
    graph_bytes, weights = member("backbones", "own").graph(card)
    rows = OnnxExtractor(card, graph_bytes, weights).rows(units)
    pixels = member("preprocess", "image").batch(units, card.preprocess)["pixels"]
    with torch.inference_mode():
        expected = body({"pixels": torch.from_numpy(pixels)}).numpy()
    return float(np.abs(rows - expected).max() / np.abs(expected).max())
