"""Text and vision encoders of transformers, from the hub, from its cache, or from a folder.

Named transformers:owner/name or transformers:FOLDER; the files of sentence-transformers are read where they are there.
What the weights do not say can be stated: transformers:NAME?pooling=mean&normalize=yes&max_length=256.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.backbones import encoder_files, hub, transformers_encoder, transformers_files
from headstart.backbones.encoder_files import PREPROCESSOR, TOKENIZER
from headstart.core import digest
from headstart.core.backbone import Backbone, Block, Cut, Preprocess
from headstart.core.card_schema import POOLINGS, TEXT_SETTINGS
from headstart.core.errors import PlanError
from headstart.core.messages import did_you_mean
from headstart.core.schema import check, record

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


REQUIRED_FILES = ("config.json", "model.safetensors")
SENTENCE_TRANSFORMERS_FILES = (
    encoder_files.MODULES,
    encoder_files.POOLING,
    encoder_files.LENGTH,
    encoder_files.PROMPTS,
)
OPTIONAL_FILES = (
    *SENTENCE_TRANSFORMERS_FILES,
    TOKENIZER,
    encoder_files.TOKENIZER_CONFIG,
    PREPROCESSOR,
    encoder_files.README,
    transformers_files.ADAPTER,
)

OVERRIDES = ("pooling", "normalize", "max_length", "pad", "prompt")
MAX_WINDOWS = 64  # of one text, at most
SHORTEST = 8  # tokens that an encoder must read at once
NO_LIMIT = 1_000_000  # transformers writes 1e30 for tokenizers that know no limit
# Vision encoders whose own classifiers read the class token.
CLS_POOLED = ("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "vit_msn")
# These count positions from the padding token's id, so their position tables are that much longer than their texts.
ROBERTAS = ("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl")
OFFSET_POSITIONS = (*ROBERTAS, "camembert", "data2vec-text", "mpnet")


def files(local: str) -> list[Path]:
    """Every file that the card was made from. Imports nothing heavy."""
    return list(_paths(local).values())


def card(local: str) -> Backbone:
    """What the weights' own files say, and the proven division of the network.

    Raises PlanError naming each setting of preprocessing or pooling that neither the weights nor the name state.
    """
    name, paths = f"transformers:{local}", _paths(local)
    transformers_files.check_files(name, paths)
    spec = _spec(name, paths, transformers_encoder.load_config(name, paths), _parse_overrides(name, local))
    model = transformers_encoder.load_encoder(name, paths)
    if spec.kind == "text":
        transformers_encoder.check_tokenizer(name, model, paths[TOKENIZER])
    count = sum(p.numel() for p in model.parameters())
    division = transformers_encoder.divide_encoder(name, model, spec)
    return Backbone(
        name,
        digest.of_files([paths[f] for f in REQUIRED_FILES]),
        spec,
        tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True)),
        division.width,
        count,
        paths["model.safetensors"].stat().st_size,
        licence=encoder_files.readme_licence(paths),
    ).with_files(paths.values())


def runs(card: Backbone, cut: Cut) -> str:
    """What kind of engine its parts need: torch modules."""
    return "torch"


def parts(card: Backbone) -> tuple[nn.Module, list[nn.Module], nn.Module]:
    """(stem, blocks, pool), proven on these weights to be the network that the card describes."""
    paths = _paths(card.local)
    hub.check_weights_unchanged(card, [paths[f] for f in REQUIRED_FILES])
    model = transformers_encoder.load_encoder(card.name, paths)
    hub.check_weights_unchanged(card, [paths[f] for f in REQUIRED_FILES])  # again: what was opened is what was compared
    division = transformers_encoder.divide_encoder(card.name, model, card.preprocess)
    return division.parts_of(card)


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """None: encoders come without a head."""
    return None


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """(n, d) float32 of texts by the library's own tokenizer, pooled as the weights' own files say; None for images."""
    paths, (_, overrides) = _paths(card.local), hub.split_overrides(card.local)
    if card.preprocess.kind != "text":
        return None
    import torch

    transformers = transformers_encoder.import_transformers(card.name)
    sentence_bert = encoder_files.read_config(paths, encoder_files.LENGTH)
    pooling, normalize = encoder_files.read_pooling(card.name, paths)
    with transformers_files.view(card.name, paths) as folder, transformers_encoder.quiet_loading(transformers):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    max_length = _max_length(card.name, paths, model.config, {})
    texts = [str(card.preprocess["prompt"]) + str(raw) for raw in raws()]
    texts = [text.lower() for text in texts] if sentence_bert.get("do_lower_case") else texts
    rows = []
    with torch.inference_mode():
        for text in texts:  # one by one: no padding that a mask could miss
            inputs = tokenizer(text, return_tensors="pt", truncation=max_length is not None, max_length=max_length)
            states = model(**inputs).last_hidden_state[0]
            mode = pooling or overrides.get("pooling")
            row = states.mean(0) if mode == "mean" else states[0] if mode == "cls" else states.max(0).values
            rows.append(row / row.norm() if normalize else row)
    return torch.stack(rows).numpy()


def _paths(local: str) -> dict[str, Path]:
    return hub.locate_files(hub.split_overrides(local)[0], REQUIRED_FILES, OPTIONAL_FILES)


def _parse_overrides(name: str, local: str) -> dict[str, Any]:
    """What the name states, in the types of the settings."""
    overrides: dict[str, Any] = dict(hub.split_overrides(local)[1])
    for key, text in overrides.items():
        if key not in OVERRIDES:
            hint = did_you_mean(key, OVERRIDES)
            raise PlanError(f"{name}: {key!r} cannot be stated of an encoder.{hint} What can: {', '.join(OVERRIDES)}.")
        possible = {"pooling": POOLINGS, "normalize": ("yes", "no")}.get(key, (text,))
        if text not in possible:
            raise PlanError(f"{name}: {key}={text} is not possible; {key} is one of {', '.join(possible)}.")
        if key in ("max_length", "pad") and not re.fullmatch("[0-9]{1,9}", text):
            raise PlanError(f"{name}: {key}={text} is not a number of tokens.")
        overrides[key] = text == "yes" if key == "normalize" else int(text) if key in ("max_length", "pad") else text
    return overrides


def _spec(name: str, paths: dict[str, Path], config, overrides: dict[str, Any]) -> Preprocess:
    """The preprocessing and pooling that the weights state; nothing is assumed."""
    kinds = [kind for kind, file in (("text", TOKENIZER), ("image", PREPROCESSOR)) if file in paths]
    if config.is_encoder_decoder or len(kinds) == 2:
        towers = not config.is_encoder_decoder and {"text_config", "vision_config"} <= config.to_dict().keys()
        local = name.partition(":")[2]
        hint = f" For what sees images in a CLIP, type --backbone clip:{local}." if towers else ""
        raise PlanError(f"{name} is a {config.model_type}, which has two halves; one encoder is expected.{hint}")
    if not kinds:
        repo = hub.split_overrides(name.partition(":")[2])[0]
        raise PlanError(
            f"{name} has neither {TOKENIZER} (texts) nor {PREPROCESSOR} (images) beside its "
            f"weights, so inputs cannot be prepared. If the hub has it: `hf download {repo}`. An old vocabulary "
            f"becomes a {TOKENIZER} with transformers.AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    unsupported = [key for key in overrides if kinds == ["image"] and key not in OVERRIDES[:2]]
    if unsupported:
        raise PlanError(
            f"{name} reads images: {unsupported[0]!r} cannot be stated of it. What can: {', '.join(OVERRIDES[:2])}."
        )
    read_settings = _text_settings if kinds == ["text"] else _image_settings
    return Preprocess(kinds[0], tuple(sorted(read_settings(name, paths, config, overrides).items())))


def _text_settings(name: str, paths: dict[str, Path], config, overrides: dict[str, Any]) -> dict[str, Any]:
    sentence_bert = encoder_files.read_config(paths, encoder_files.LENGTH)
    prompts = encoder_files.read_config(paths, encoder_files.PROMPTS)
    pooling, normalize = encoder_files.read_pooling(name, paths)
    settings = {
        "lower": bool(sentence_bert.get("do_lower_case", False)),
        "max_length": _max_length(name, paths, config, overrides),
        "normalize": normalize,
        "pad": getattr(config, "pad_token_id", None),
        "pooling": pooling,
        "prompt": (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), ""),
        "tokenizer": digest.of_files([paths[TOKENIZER]]),
        "windows": MAX_WINDOWS,
        **overrides,
    }
    _check_complete(name, settings, {"pooling": "mean", "pad": "0", "max_length": "256"})
    if settings["pooling"] not in POOLINGS:
        raise PlanError(
            f"{name} is pooled by {settings['pooling']}, which Headstart cannot do. It can do {', '.join(POOLINGS)}: "
            f"to use the encoder with another pooling than its authors', state it: "
            f"--backbone '{_with_overrides(name, 'pooling=mean')}'"
        )
    check(settings, record(TEXT_SETTINGS), name, encoder_files.FIX, PlanError)
    return settings


def _check_complete(name: str, facts: dict[str, Any], examples: dict[str, str]) -> None:
    missing = [key for key in examples if facts[key] is None]
    if missing:
        text = "&".join(f"{key}={examples[key]}" for key in missing)
        raise PlanError(
            f"{name} does not state its {' and '.join(missing)}: no file beside the weights says so (for "
            f"pooling that is {encoder_files.POOLING}). A guess would be silently wrong. State what its authors used, "
            f"for example: --backbone '{_with_overrides(name, text)}'"
        )


def _with_overrides(name: str, text: str) -> str:
    return f"{name}{'&' if '?' in name else '?'}{text}"


def _max_length(name: str, paths: dict[str, Path], config, overrides: dict[str, Any]) -> int | None:
    """The maximum number of tokens, special ones included; None without a limit."""
    table = getattr(config, "max_position_embeddings", None)
    if table is not None and type(table) is not int:
        raise PlanError(f"{name}: max_position_embeddings is {table!r}, not a number of tokens. {encoder_files.FIX}")
    pad = getattr(config, "pad_token_id", None)
    offset = (1 if pad is None else pad) + 1 if config.model_type in OFFSET_POSITIONS else 0
    limit = table - offset if table else NO_LIMIT
    stated = (overrides.get("max_length"), encoder_files.read_config(paths, encoder_files.LENGTH).get("max_seq_length"))
    length = next(
        filter(
            None, (*stated, encoder_files.read_config(paths, encoder_files.TOKENIZER_CONFIG).get("model_max_length"))
        ),
        limit,
    )
    if limit < SHORTEST:
        raise PlanError(f"{name}: it reads {limit} tokens at once by its config.json; {SHORTEST} are the least.")
    if not SHORTEST <= overrides.get("max_length", SHORTEST) <= limit:
        raise PlanError(
            f"{name}: max_length={overrides['max_length']} is not possible; it reads {SHORTEST} to {limit} tokens at "
            "once."
        )
    length = min(int(length), limit)
    return length if length < NO_LIMIT else None


def _image_settings(name: str, paths: dict[str, Path], config, overrides: dict[str, Any]) -> dict[str, Any]:
    settings = encoder_files.image_settings(name, encoder_files.read_config(paths, PREPROCESSOR))
    settings |= {"normalize": False, "pooling": "cls" if config.model_type in CLS_POOLED else None, **overrides}
    _check_complete(name, settings, {"pooling": "mean"})
    return settings
