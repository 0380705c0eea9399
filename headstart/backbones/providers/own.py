"""Backbones made by Headstart: shipped with it by name, or in a folder that `distill` or `pretrain` wrote.

Named own:text-static, or own:FOLDER. A folder holds card.json, which pins every other file by digest:

    format "timm"          model.safetensors and, for the light install, model.onnx (a graph without weights)
    format "transformers"  what transformers itself saves: config.json, model.safetensors, tokenizer.json
    format "static"        model.safetensors and a vocabulary: static token embeddings
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone, Cut, restore
from headstart.core.errors import ArtifactError, NameNotFound, PlanError, missing_extra

SHIPPED = Path(__file__).parents[2] / "weights"
SCHEMA = 1
GRAPH = "model.onnx"
RESTORE_HINT = "Make it again, or restore the folder from a copy."


def shipped() -> list[str]:
    """Names of the backbones that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/card.json"))


def files(local: str) -> list[Path]:
    """card.json and every file that it pins. Imports nothing heavy.

    Raises ArtifactError naming the file that is missing.
    """
    folder = _folder(local)
    facts = _read_card(folder)
    for name in facts["files"]:
        _require_file(folder / name)
    return [folder / "card.json", *(folder / name for name in facts["files"])]


def card(local: str) -> Backbone:
    """The card as it was written, after every file's digest was verified.

    Raises ArtifactError naming the file that is missing or changed, NameNotFound where there is no such folder.
    """
    folder = _folder(local)
    facts = _read_card(folder)
    for name, pinned in facts["files"].items():
        file = folder / name
        _require_file(file)
        if digest.of_files([file]) != pinned:
            raise ArtifactError(
                f"{file} is not the file that card.json beside it pins ({pinned[:19]}…). {RESTORE_HINT}"
            )
    try:
        return restore({**facts["backbone"], "name": f"own:{local}"}).with_files(files(local))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder / 'card.json'} describes no backbone ({error}). {RESTORE_HINT}") from error


def runs(card: Backbone, cut: Cut) -> str:
    """The kind of engine that it needs: "numpy" for static embeddings, "onnx" where there is a graph, else "torch"."""
    facts = _read_card(_folder(card.local))
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
    """(stem, blocks, pool): torch modules, or plain functions for static embeddings."""
    folder = _folder(card.local)
    facts = _read_card(folder)
    if facts["format"] == "static":
        from headstart.backbones import static_embeddings

        return static_embeddings.parts(static_embeddings.load(folder))
    if facts["format"] == "transformers":
        from headstart.backbones import transformers_encoder

        model = transformers_encoder.load_encoder(card.name, folder)
        division = transformers_encoder.divide_encoder(card.name, model, card.preprocess)
    else:
        from headstart.backbones.block_division import divide

        size: Any = card.preprocess["input_size"]
        division = divide(_load_timm(card.name, folder, facts), tuple(size))
    return division.parts_of(card)


def graph(card: Backbone) -> tuple[bytes, dict[str, np.ndarray]]:
    """An ONNX graph from pixels to embeddings, and the weights that it names, float32."""
    from safetensors.numpy import load_file

    folder = _folder(card.local)
    state = load_file(folder / "model.safetensors")
    # BatchNorm counts its batches in integers, which no graph needs.
    named = {k: np.ascontiguousarray(v.astype(np.float32)) for k, v in state.items() if v.dtype.kind == "f"}
    return (folder / GRAPH).read_bytes(), named


def made(local: str) -> dict:
    """How it was made: verb, command, data, seed, metrics."""
    return dict(_read_card(_folder(local)).get("made") or {})


def _folder(local: str) -> Path:
    shipped_folder = SHIPPED / local
    if local and "/" not in local and (shipped_folder / "card.json").is_file():
        return shipped_folder
    for folder in (Path(local).expanduser(), Path(local).expanduser() / "backbone"):
        if local and (folder / "card.json").is_file():
            return folder
    raise NameNotFound(
        f"own:{local} is not a backbone: there is no {local or 'FOLDER'}/card.json. "
        f"With Headstart come: {', '.join(f'own:{n}' for n in shipped()) or 'none'}; others are folders that "
        "`headstart distill` or `headstart pretrain` wrote."
    )


def _require_file(file: Path) -> None:
    if not file.is_file():
        raise ArtifactError(f"{file} is missing, which card.json beside it names. {RESTORE_HINT}")


def _read_card(folder: Path) -> dict:
    file = folder / "card.json"
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file} is damaged ({error}). {RESTORE_HINT}") from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        schema = facts.get("schema") if isinstance(facts, dict) else None
        raise ArtifactError(f"{file} has schema {schema!r}; this version reads {SCHEMA}. {RESTORE_HINT}")
    if not isinstance(facts.get("files"), dict) or "format" not in facts or "backbone" not in facts:
        raise ArtifactError(f"{file} is no card of a backbone: it lacks files, format or backbone. {RESTORE_HINT}")
    return facts


def _load_timm(name: str, folder: Path, facts: dict):
    """The network with its weights in float32, without layers after its pooling."""
    from headstart.backbones.timm_trunk import build_trunk

    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise missing_extra("torch", "torch", f"Training above a cut of {name}") from error
    model = build_trunk(name, facts["architecture"], facts.get("arguments") or {})
    state = load_file(folder / "model.safetensors")
    expected = model.state_dict()
    mismatched = sorted(state.keys() ^ expected.keys())
    if mismatched:
        more = f" and {len(mismatched) - 3} more" if len(mismatched) > 3 else ""
        raise PlanError(
            f"{folder / 'model.safetensors'} does not fit a {facts['architecture']} of the installed timm: "
            f"{', '.join(mismatched[:3])}{more} stand on one side only. Install the timm it was made with."
        )
    model.load_state_dict({key: value.to(expected[key].dtype) for key, value in state.items()})
    return model.eval()
