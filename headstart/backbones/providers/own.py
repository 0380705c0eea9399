"""Backbones made by Headstart: shipped with it by name, or in a folder that `distill` or `pretrain` wrote.

Named own:text-static, or own:FOLDER. A folder holds card.json, which pins every other file by digest; see own_card.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones import encoder_files, hub, own_card
from headstart.backbones.onnx_graph_check import check_graph
from headstart.backbones.own_card import CARD, GRAPH, MAX_GRAPH_BYTES, SHIPPED, WEIGHTS
from headstart.backbones.providers import stats
from headstart.backbones.weights_file import building, load_arrays, load_tensors
from headstart.core.backbone import Backbone, Cut, restore
from headstart.core.errors import ArtifactError, NameNotFound, PlanError


def shipped() -> list[str]:
    """Names of the backbones that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/card.json"))


def files(local: str) -> list[Path]:
    """card.json and every file that it pins. Imports nothing heavy.

    Raises ArtifactError naming the file that is missing, or what in card.json is wrong.
    """
    folder = folder_of(local)
    return [folder / CARD, *own_card.files(folder, own_card.read(folder))]


def card(local: str) -> Backbone:
    """The card as it was written, after every file's digest was verified; its identity is computed, never read.

    Raises ArtifactError naming what is missing, changed or wrong, NameNotFound where there is no such folder.
    """
    folder = folder_of(local)
    facts = own_card.read(folder)
    paths = own_card.verified(folder, facts)
    beside = dict(facts["backbone"]["preprocess"]["settings"]).get("beside")
    if beside and facts["backbone"]["width"] <= stats.WIDTH:
        raise ArtifactError(
            f"{folder / CARD}: its width is {facts['backbone']['width']}, of which {stats.WIDTH} are the statistics "
            f"beside the network: none are left for it. {own_card.RESTORE_HINT}"
        )
    stated = {**facts["backbone"], "name": f"own:{local}", "identity": own_card.identity(facts)}
    return restore({"source_classes": (), **stated}).with_files([folder / CARD, *paths.values()])


def runs(card: Backbone, cut: Cut) -> str:
    """The kind of engine that it needs: "numpy" for static embeddings, "onnx" where there is a graph, else "torch"."""
    facts = own_card.read(folder_of(card.local))
    if facts["format"] == "static":
        return "numpy"
    return "onnx" if cut.top and GRAPH in facts["files"] else "torch"


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """None: what ships names no classes."""
    return None


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """None: its files are pinned, and no other library reads them."""
    return None


def parts(card: Backbone):
    """(stem, blocks, pool): torch modules, or plain functions for static embeddings.

    Raises ArtifactError where the files are no longer those that the card was made from.
    """
    folder, facts, paths = _unchanged(card)
    if facts["format"] == "static":
        from headstart.backbones import static_embeddings

        static = static_embeddings.load(folder)
        _unchanged(card)
        if static.width != card.width:
            raise ArtifactError(f"{folder} gives {static.width} numbers a text where its card says {card.width}.")
        return static_embeddings.parts(static)
    if facts["format"] == "transformers":
        from headstart.backbones import transformers_encoder

        model = transformers_encoder.load_encoder(card.name, paths)
        transformers_encoder.check_tokenizer(card.name, model, paths[encoder_files.TOKENIZER])
        division = transformers_encoder.divide_encoder(card.name, model, card.preprocess)
    else:
        model = _load_timm(card.name, folder, facts)
        from headstart.backbones.block_division import divide

        size: Any = card.preprocess["input_size"]
        division = divide(model, tuple(size))
    _unchanged(card)  # again: what was opened is what was compared
    return division.parts_of(card)


def graph(card: Backbone) -> tuple[bytes, dict[str, np.ndarray]]:
    """An ONNX graph from pixels to embeddings, and the weights that it names, float32.

    Raises ArtifactError where the files are no longer those that the card was made from, or the graph names others.
    """
    folder, _, _ = _unchanged(card)
    state = load_arrays(folder / WEIGHTS)
    # BatchNorm counts its batches in integers, which no graph needs.
    named = {k: np.ascontiguousarray(v.astype(np.float32)) for k, v in state.items() if v.dtype.kind == "f"}
    if (size := (folder / GRAPH).stat().st_size) > MAX_GRAPH_BYTES:
        raise ArtifactError(f"{folder / GRAPH} has {size:,} bytes; without weights, {MAX_GRAPH_BYTES:,} are the most.")
    content = (folder / GRAPH).read_bytes()
    check_graph(content, folder / GRAPH, named)
    _unchanged(card)  # again: what was read is what was compared
    return content, named


def made(local: str) -> dict:
    """How it was made: verb, command, data, seed, metrics."""
    return dict(own_card.read(folder_of(local)).get("made") or {})


def folder_of(local: str) -> Path:
    """The folder that a name stands for: of one that is shipped, else the path. Raises NameNotFound."""
    shipped_folder = SHIPPED / local
    if local and "/" not in local and (shipped_folder / CARD).is_file():
        return shipped_folder
    for folder in (hub.expanded(local), hub.expanded(local) / "backbone"):
        if local and (folder / CARD).is_file():
            return folder
    raise NameNotFound(
        f"own:{local} is not a backbone: there is no {local or 'FOLDER'}/card.json. "
        f"With Headstart come: {', '.join(f'own:{n}' for n in shipped()) or 'none'}; others are folders that "
        "`headstart distill` or `headstart pretrain` wrote."
    )


def local_folder(local: str) -> Path | None:
    """The folder that a name stands for, without opening anything; None for one that is shipped."""
    try:
        folder = folder_of(local)
    except NameNotFound:
        return hub.expanded(local)
    return None if folder.parent == SHIPPED else folder


def _unchanged(card: Backbone) -> tuple[Path, dict, dict[str, Path]]:
    """Folder, facts and files. Raises ArtifactError where they are no longer those that the card was made from."""
    folder = folder_of(card.local)
    facts = own_card.read(folder)
    paths = own_card.verified(folder, facts)
    if card.weights != facts["backbone"]["weights"] or card.identity != own_card.identity(facts):
        raise ArtifactError(
            f"{card.name} has changed since its card was read: {folder} holds another network now. Run this again, or "
            "bring the former files back."
        )
    return folder, facts, paths


def _load_timm(name: str, folder: Path, facts: dict):
    """The network with its weights in float32, without layers after its pooling."""
    from headstart.backbones.timm_trunk import build_trunk

    file = folder / WEIGHTS
    state = load_tensors(file)
    with building(name, file, CARD):
        model = build_trunk(name, facts["architecture"], facts.get("arguments") or {}, f"its {CARD}")
    expected = model.state_dict()
    mismatched = sorted(state.keys() ^ expected.keys())
    mismatched += sorted(k for k in state.keys() & expected.keys() if state[k].shape != expected[k].shape)
    if mismatched:
        more = f" and {len(mismatched) - 3} more" if len(mismatched) > 3 else ""
        raise PlanError(
            f"{file} does not fit a {facts['architecture']} of the installed timm: "
            f"{', '.join(mismatched[:3])}{more} stand on one side only, or have another shape. Install the timm it "
            "was made with."
        )
    model.load_state_dict({key: value.to(expected[key].dtype) for key, value in state.items()})
    return model.eval()
