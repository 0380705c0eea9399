"""Text and vision encoders out of transformers, from the hub, from its cache, or from a folder.

Named transformers:owner/name or transformers:FOLDER, also with the files that sentence-transformers lays beside.
What the weights do not say can be stated: transformers:NAME?pooling=mean&normalize=yes&max_length=256.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.backbones import hub, transformers_encoder
from headstart.backbones.transformers_encoder import PIXELS
from headstart.core import digest
from headstart.core.backbone import Backbone, Block, Cut, Preprocess
from headstart.core.errors import PlanError

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


WANTED = ("config.json", "model.safetensors")
MODULES, POOLING, LENGTH = "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"
PROMPTS, TOKENIZER, TOKENS = "config_sentence_transformers.json", "tokenizer.json", "tokenizer_config.json"
README = "README.md"
PERHAPS = (MODULES, POOLING, LENGTH, PROMPTS, TOKENIZER, TOKENS, PIXELS, README)

POOLINGS = ("mean", "cls", "max")
STATED = ("pooling", "normalize", "max_length", "pad", "prompt")
WINDOWS = 64  # of one text, at most
ENDLESS = 1_000_000  # transformers writes 1e30 for tokenizers that know no limit
# Vision encoders whose own classifiers read the class token.
CLS = ("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "vit_msn")
# These count positions from the padding token's number, so their tables are that much longer than their texts.
OFFSET = ("roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "roberta-prelayernorm", "data2vec-text")
OLD = {
    f"pooling_mode_{long}": short
    for long, short in (("mean_tokens", "mean"), ("cls_token", "cls"), ("max_tokens", "max"))
}


def files(local: str) -> list[Path]:
    """Every file that the card was made from; makes the tokenizer findable. Imports nothing heavy."""
    return list(_paths(local).values())


def card(local: str) -> Backbone:
    """What the weights' own files say, and the cuts that this network proved to have.

    Raises PlanError naming each fact of preprocessing or pooling that neither the weights nor the name state.
    """
    name, paths = f"transformers:{local}", _paths(local)
    folder = paths["config.json"].parent
    spec = _spec(name, paths, transformers_encoder.configuration(name, folder), _stated(name, local))
    model = transformers_encoder.load(name, folder)
    count = sum(p.numel() for p in model.parameters())
    division = transformers_encoder.divide(name, model, spec)
    return Backbone(
        name,
        digest.of_files([paths[f] for f in WANTED]),
        spec,
        tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True)),
        division.width,
        count,
        paths["model.safetensors"].stat().st_size,
        licence=licence_of(paths[README]) if README in paths else "",
    )


def runs(card: Backbone, cut: Cut) -> str:
    """What kind of engine its parts need: torch modules."""
    return "torch"


def parts(card: Backbone) -> tuple[nn.Module, list[nn.Module], nn.Module]:
    """(stem, blocks, pool), proven on these weights to be the network that the card describes."""
    paths = _paths(card.local)
    hub.unchanged(card, [paths[f] for f in WANTED])
    model = transformers_encoder.load(card.name, paths["config.json"].parent)
    division = transformers_encoder.divide(card.name, model, card.preprocess)
    hub.same_blocks(card, division.names)
    return division.stem, division.blocks, division.pool


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """None: encoders come without a head."""
    return None


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """(n, d) float32 of texts by the library's own tokenizer, pooled as the weights' own files say; None for photos."""
    paths, (_, said) = _paths(card.local), hub.stated(card.local)
    if card.preprocess.kind != "text":
        return None
    import torch
    import transformers

    where = paths["config.json"].parent
    length = facts_of(paths[LENGTH]) if LENGTH in paths else {}
    pooling, normalize = _pooling(paths)
    with transformers_encoder.quiet(transformers):
        words = transformers.AutoTokenizer.from_pretrained(where, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(where, local_files_only=True, use_safetensors=True).eval()
    most = _length(card.name, paths, model.config, length, {})
    texts = [str(card.preprocess["prompt"]) + str(raw) for raw in raws()]
    texts = [text.lower() for text in texts] if length.get("do_lower_case") else texts
    rows = []
    with torch.inference_mode():
        for text in texts:  # one by one: no padding that a mask could miss
            read = words(text, return_tensors="pt", truncation=most is not None, max_length=most)
            states = model(**read).last_hidden_state[0]
            by = pooling or said.get("pooling")
            row = states.mean(0) if by == "mean" else states[0] if by == "cls" else states.max(0).values
            rows.append(row / row.norm() if normalize else row)
    return torch.stack(rows).numpy()


def _paths(local: str) -> dict[str, Path]:
    paths = hub.locate(hub.stated(local)[0], WANTED, PERHAPS)
    if TOKENIZER in paths:
        hub.register(paths[TOKENIZER])
    return paths


def _stated(name: str, local: str) -> dict[str, Any]:
    """What the name states, as the types that the settings have."""
    said: dict[str, Any] = dict(hub.stated(local)[1])
    for key, text in said.items():
        if key not in STATED:
            near = get_close_matches(key, STATED, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise PlanError(f"{name}: {key!r} cannot be stated of an encoder.{hint} What can: {', '.join(STATED)}.")
        possible = {"pooling": POOLINGS, "normalize": ("yes", "no")}.get(key, (text,))
        if text not in possible:
            raise PlanError(f"{name}: {key}={text} is not possible; {key} is one of {', '.join(possible)}.")
        if key in ("max_length", "pad") and not text.isdigit():
            raise PlanError(f"{name}: {key}={text} is not a number of tokens.")
        said[key] = text == "yes" if key == "normalize" else int(text) if key in ("max_length", "pad") else text
    return said


def _spec(name: str, paths: dict[str, Path], config, said: dict[str, Any]) -> Preprocess:
    """How inputs must be prepared and what is made of the tokens, from the weights' own words; nothing is assumed."""
    reads = [kind for kind, file in (("text", TOKENIZER), ("image", PIXELS)) if file in paths]
    if config.is_encoder_decoder or len(reads) == 2:
        towers = not config.is_encoder_decoder and {"text_config", "vision_config"} <= config.to_dict().keys()
        local = name.partition(":")[2]
        hint = f" For what sees images in a CLIP, type --backbone clip:{local}." if towers else ""
        raise PlanError(f"{name} is a {config.model_type}, which has two halves; one encoder is expected.{hint}")
    if not reads:
        raise PlanError(
            f"{name} has neither {TOKENIZER} (texts) nor {PIXELS} (images) beside its weights, so inputs cannot be "
            f"prepared. If the hub has it: `hf download {hub.stated(name.partition(':')[2])[0]}`. An old vocabulary "
            f"becomes a {TOKENIZER} with transformers.AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    odd = [key for key in said if reads == ["image"] and key not in STATED[:2]]
    if odd:
        raise PlanError(f"{name} reads images: {odd[0]!r} cannot be stated of it. What can: {', '.join(STATED[:2])}.")
    facts = _text(name, paths, config, said) if reads == ["text"] else _image(name, paths, config, said)
    return Preprocess(reads[0], tuple(sorted(facts.items())))


def _text(name: str, paths: dict[str, Path], config, said: dict[str, Any]) -> dict[str, Any]:
    length = facts_of(paths[LENGTH]) if LENGTH in paths else {}
    prompts = facts_of(paths[PROMPTS]) if PROMPTS in paths else {}
    pooling, normalize = _pooling(paths)
    wanted = {
        "lower": bool(length.get("do_lower_case", False)),
        "max_length": _length(name, paths, config, length, said),
        "normalize": normalize,
        "pad": getattr(config, "pad_token_id", None),
        "pooling": pooling,
        "prompt": (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), ""),
        "tokenizer": hub.register(paths[TOKENIZER]),
        "windows": WINDOWS,
        **said,
    }
    _complete(name, wanted, {"pooling": "mean", "pad": "0", "max_length": "256"})
    if wanted["pooling"] not in POOLINGS:
        raise PlanError(
            f"{name} is pooled by {wanted['pooling']}, which Headstart cannot do. It can do {', '.join(POOLINGS)}: "
            f"to use the encoder with another pooling than its authors', state it: "
            f"--backbone '{_stating(name, 'pooling=mean')}'"
        )
    return wanted


def _complete(name: str, facts: dict[str, Any], examples: dict[str, str]) -> None:
    missing = [key for key in examples if facts[key] is None]
    if missing:
        text = "&".join(f"{key}={examples[key]}" for key in missing)
        raise PlanError(
            f"{name} does not state its {' and '.join(missing)}: no file beside the weights says so (for "
            f"pooling that is {POOLING}). A guess would be silently wrong. State what its authors used, for example: "
            f"--backbone '{_stating(name, text)}'"
        )


def _stating(name: str, text: str) -> str:
    return f"{name}{'&' if '?' in name else '?'}{text}"


def _pooling(paths: dict[str, Path]) -> tuple[str | None, bool]:
    """How token states become one vector and whether it is given length 1, as sentence-transformers wrote it down."""
    modules = facts_of(paths[MODULES]) if MODULES in paths else []
    kinds = [str(m.get("type", "")).rpartition(".")[2] for m in modules]
    if POOLING not in paths:
        return None, "Normalize" in kinds
    facts = facts_of(paths[POOLING])
    modes = [OLD.get(k, k) for k, on in facts.items() if k.startswith("pooling_mode_") and on is True]
    newer = facts.get("pooling_mode")
    modes = modes or ([newer] if isinstance(newer, str) else list(newer or ()))
    others = [kind.lower() for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    return " and ".join([*modes, *others]) or None, "Normalize" in kinds


def _length(name: str, paths: dict[str, Path], config, length: dict, said: dict[str, Any]) -> int | None:
    """Tokens that it reads at once, special ones included."""
    table = getattr(config, "max_position_embeddings", None)
    offset = getattr(config, "pad_token_id", 1) + 1 if config.model_type in OFFSET else 0
    room = table - offset if table else ENDLESS
    tokens = facts_of(paths[TOKENS]) if TOKENS in paths else {}
    given = said.get("max_length") or length.get("max_seq_length") or tokens.get("model_max_length") or room
    if said.get("max_length", 8) > room or said.get("max_length", 8) < 8:
        raise PlanError(
            f"{name}: max_length={said['max_length']} is not possible; it reads 8 to {room} tokens at once."
        )
    given = min(int(given), room)
    return given if given < ENDLESS else None


def _image(name: str, paths: dict[str, Path], config, said: dict[str, Any]) -> dict[str, Any]:
    wanted = transformers_encoder.pictured(name, facts_of(paths[PIXELS]))
    wanted |= {"normalize": False, "pooling": "cls" if config.model_type in CLS else None, **said}
    _complete(name, wanted, {"pooling": "mean"})
    return wanted


def facts_of(path: Path) -> Any:
    """What a JSON file beside the weights says. Raises PlanError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PlanError(f"{path} is not JSON: {error}.") from error


def licence_of(readme: Path) -> str:
    """The licence that the front matter of a README states, or ""."""
    _, fence, front = readme.read_text(encoding="utf-8", errors="replace").partition("---\n")
    lines = front.partition("\n---")[0].splitlines() if fence else []
    return next((line.partition(":")[2].strip().strip("\"'") for line in lines if line.startswith("license:")), "")
