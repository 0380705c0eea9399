"""Backbones that Headstart made: shipped with it by name, or in a folder that `distill` or `pretrain` wrote.

Named own:text-static, or own:FOLDER. A folder holds card.json, which pins every other file by digest:

    format "timm"          model.safetensors and, for the light install, model.onnx (a graph without weights)
    format "transformers"  what transformers itself saves: config.json, model.safetensors, tokenizer.json
    format "static"        model.safetensors and a vocabulary: vectors of tokens, averaged
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones import hub
from headstart.core import digest
from headstart.core.backbone import Backbone, Cut, restore
from headstart.core.errors import ArtifactError, NameNotFound, PlanError, missing_extra

SHIPPED = Path(__file__).parents[2] / "weights"
SCHEMA = 1
GRAPH = "model.onnx"
AGAIN = "Make it again, or restore the folder from a copy."


def shipped() -> list[str]:
    """Names of the backbones that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/card.json"))


def files(local: str) -> list[Path]:
    """card.json and every file that it pins; makes a vocabulary findable. Imports nothing heavy.

    Raises ArtifactError naming the file that is missing.
    """
    folder = _folder(local)
    facts = _read(folder)
    for name in facts["files"]:
        _there(folder / name)
    for name in facts.get("assets", ()):
        hub.register(folder / name)
    return [folder / "card.json", *(folder / name for name in facts["files"])]


def card(local: str) -> Backbone:
    """The card as it was written, after every file has proved to be the one that it pins.

    Raises ArtifactError naming the file that is missing or changed, NameNotFound where there is no such folder.
    """
    folder = _folder(local)
    facts = _read(folder)
    for name, pinned in facts["files"].items():
        file = folder / name
        _there(file)
        if digest.of_files([file]) != pinned:
            raise ArtifactError(f"{file} is not the file that card.json beside it pins ({pinned[:19]}…). {AGAIN}")
    try:
        return restore({**facts["backbone"], "name": f"own:{local}"})
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder / 'card.json'} describes no backbone ({error}). {AGAIN}") from error


def runs(card: Backbone, cut: Cut) -> str:
    """What kind of engine it needs there: nothing but numpy for vectors of tokens, no torch where there is a graph."""
    facts = _read(_folder(card.local))
    if facts["format"] == "static":
        return "numpy"
    return "onnx" if cut.top and GRAPH in facts["files"] else "torch"


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """None: what ships names no classes."""
    return None


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """None: its files are pinned, and no library but us reads them."""
    return None


def parts(card: Backbone):
    """(stem, blocks, pool): torch modules, or plain functions for vectors of tokens."""
    folder = _folder(card.local)
    facts = _read(folder)
    if facts["format"] == "static":
        from headstart.backbones import static_embeddings

        return static_embeddings.parts(static_embeddings.load(folder))
    if facts["format"] == "transformers":
        from headstart.backbones import transformers_encoder

        division = transformers_encoder.divide(card.name, transformers_encoder.load(card.name, folder), card.preprocess)
    else:
        from headstart.backbones.block_division import divide

        size: Any = card.preprocess["input_size"]
        division = divide(_timm(card.name, folder, facts), tuple(size))
    hub.same_blocks(card, division.names)
    return division.stem, division.blocks, division.pool


def graph(card: Backbone) -> tuple[bytes, dict[str, np.ndarray]]:
    """An ONNX graph from pixels to rows, and the weights that it names, float32."""
    from safetensors.numpy import load_file

    folder = _folder(card.local)
    state = load_file(folder / "model.safetensors")
    # The norms count their batches in whole numbers, which no graph needs.
    named = {k: np.ascontiguousarray(v.astype(np.float32)) for k, v in state.items() if v.dtype.kind == "f"}
    return (folder / GRAPH).read_bytes(), named


def made(local: str) -> dict:
    """How it was made: verb, command, data, seed, figures."""
    return dict(_read(_folder(local)).get("made") or {})


def _folder(local: str) -> Path:
    place = SHIPPED / local
    if local and "/" not in local and (place / "card.json").is_file():
        return place
    for folder in (Path(local).expanduser(), Path(local).expanduser() / "backbone"):
        if local and (folder / "card.json").is_file():
            return folder
    raise NameNotFound(
        f"own:{local} is not a backbone: there is no {local or 'FOLDER'}/card.json. "
        f"With Headstart come: {', '.join(f'own:{n}' for n in shipped()) or 'none'}; others are folders that "
        "`headstart distill` or `headstart pretrain` wrote."
    )


def _there(file: Path) -> None:
    if not file.is_file():
        raise ArtifactError(f"{file} is missing, which card.json beside it names. {AGAIN}")


def _read(folder: Path) -> dict:
    file = folder / "card.json"
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file} is damaged ({error}). {AGAIN}") from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        seen = facts.get("schema") if isinstance(facts, dict) else None
        raise ArtifactError(f"{file} has schema {seen!r}; this version reads {SCHEMA}. {AGAIN}")
    if not isinstance(facts.get("files"), dict) or "format" not in facts or "backbone" not in facts:
        raise ArtifactError(f"{file} is no card of a backbone: it lacks files, format or backbone. {AGAIN}")
    return facts


def _timm(name: str, folder: Path, facts: dict):
    """The network in fp32 with its weights; what stands after the pooling is left out where the card says so."""
    from headstart.backbones.timm_trunk import build

    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise missing_extra("torch", "torch", f"Training above a cut of {name}") from error
    model = build(name, facts["architecture"], facts.get("arguments") or {})
    state = load_file(folder / "model.safetensors")
    own = model.state_dict()
    strange = sorted(state.keys() ^ own.keys())
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise PlanError(
            f"{folder / 'model.safetensors'} does not fit a {facts['architecture']} of the installed timm: "
            f"{', '.join(strange[:3])}{more} stand on one side only. Install the timm it was made with."
        )
    model.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()})
    return model.eval()
