"""Image towers of networks trained on images with their captions, CLIP and SigLIP, and their text towers.

Named clip:owner/name or clip:FOLDER, in the format of transformers. Embeddings are in the space that both towers share,
not normalized to length 1.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.backbones import encoder_files, hub, transformers_encoder, transformers_files
from headstart.backbones.encoder_files import PREPROCESSOR
from headstart.backbones.providers.transformers import classifier, runs  # noqa: F401
from headstart.backbones.tokenizer_file import open_tokenizer
from headstart.backbones.weights_file import open_weights
from headstart.core import digest
from headstart.core.backbone import Backbone, Block, Preprocess
from headstart.core.errors import HeadstartError, PlanError
from headstart.core.messages import first_line

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from headstart.backbones.block_division import Division


REQUIRED_FILES = ("config.json", "model.safetensors")
VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")  # a tokenizer has one of them
TOKENIZER_FILES = (*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
# SigLIP was trained on lower-case texts padded to one length, where attention sees the padding too and the last token
# is pooled. Source: Zhai et al. 2023, Tschannen et al. 2025; big_vision, configs/proj/image_text.
PADDED_TO_MAX = ("siglip", "siglip2")
TEXT_BATCH_SIZE = 64


def files(local: str) -> list[Path]:
    """Weights, configuration, tokenizer and README. Imports nothing heavy."""
    return list(_paths(local).values())


def card(local: str) -> Backbone:
    """What the weights' own files say, and the proven division of the image tower.

    parameters counts the image tower and its projection; size is of the whole file, which must be there.
    Raises PlanError for what has no two towers, or does not state its image preprocessing.
    """
    name, paths = f"clip:{local}", _paths(local)
    if stated := list(hub.split_overrides(local)[1]):
        raise PlanError(f"{name}: nothing can be stated of a CLIP ({stated[0]!r} was). Its own files say it all.")
    facts = encoder_files.image_settings(name, encoder_files.read_config(paths, PREPROCESSOR))
    spec = Preprocess("image", tuple(sorted(facts.items())))
    model = _load_without_text_tower(name, paths)
    division = _divide(name, model, spec)
    return Backbone(
        name,
        digest.of_files([paths[f] for f in REQUIRED_FILES]),
        spec,
        tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True)),
        division.width,
        sum(p.numel() for n, p in model.named_parameters() if not n.startswith("logit_")),
        paths["model.safetensors"].stat().st_size,
        pretrained_on="images and their captions",
        licence=encoder_files.readme_licence(paths),
    )


def parts(card: Backbone) -> tuple[nn.Module, list[nn.Module], nn.Module]:
    """(stem, blocks, pool), proven on these weights to be get_image_features."""
    paths = _checked_paths(card)
    model = _load_without_text_tower(card.name, paths)
    _checked_paths(card)  # again: what was opened is what was compared
    division = _divide(card.name, model, card.preprocess)
    return division.parts_of(card)


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """(n, d) float32 of images by the library's own image processor and get_image_features."""
    paths = _paths(card.local)
    transformers_files.check_files(card.name, paths)
    transformers = transformers_encoder.import_transformers(card.name)
    import torch
    from PIL import Image

    images = [Image.open(io.BytesIO(raw)).convert("RGB") for raw in raws() if isinstance(raw, bytes)]
    with transformers_files.view(card.name, paths) as folder, transformers_encoder.quiet_loading(transformers):
        prepare = transformers.AutoImageProcessor.from_pretrained(folder, **transformers_encoder.LOCAL_ONLY)
    model: Any = transformers_encoder.load_encoder(card.name, paths)
    with torch.inference_mode():
        batch = prepare(images=images, return_tensors="pt")
        return _single_vector(model.get_image_features(pixel_values=batch["pixel_values"])).numpy()


def words(card: Backbone, texts: Sequence[str]) -> np.ndarray:
    """(k, d) float32, read-only: texts in the space of the images, as get_text_features gives them.

    Texts are truncated to what the text tower reads, 77 tokens of CLIP and 64 of SigLIP.
    Raises PlanError where the tokenizer cannot be opened, ArtifactError when the weights have changed.
    """
    return _embed_texts(card, tuple(texts))


def scale(card: Backbone) -> tuple[float, float]:
    """(factor, offset) that make a cosine of image and text the network's own logit of the pair.

    SigLIP's is for a sigmoid of each pair; CLIP's, without an offset, for a softmax over texts.
    Raises PlanError where the weights hold none.
    """
    with open_weights(_paths(card.local)["model.safetensors"], "pt") as state:  # numpy has no bfloat16
        names = set(state.keys())
        if "logit_scale" not in names:
            raise PlanError(f"{card.name} has no logit_scale, so its cosines cannot be scaled to scores.")
        factor = float(state.get_tensor("logit_scale").double().exp())
        return factor, float(state.get_tensor("logit_bias").double()) if "logit_bias" in names else 0.0


def _paths(local: str) -> dict[str, Path]:
    return hub.locate_files(
        hub.split_overrides(local)[0],
        (*REQUIRED_FILES, PREPROCESSOR),
        (*TOKENIZER_FILES, encoder_files.README, transformers_files.ADAPTER),
    )


def _checked_paths(card: Backbone) -> dict[str, Path]:
    paths = _paths(card.local)
    hub.check_weights_unchanged(card, [paths[f] for f in REQUIRED_FILES])
    return paths


def _load_without_text_tower(name: str, paths: dict[str, Path]) -> nn.Module:
    """The network without its text tower, which is up to two thirds of it and would be copied with every cut."""
    transformers_files.check_files(name, paths)
    keys = transformers_encoder.load_config(name, paths).to_dict().keys()
    if not {"text_config", "vision_config"} <= keys:
        raise PlanError(
            f"{name} has no tower for images beside one for texts. Try {name.replace('clip', 'transformers', 1)}."
        )
    model = transformers_encoder.load_encoder(name, paths)
    for child in [n for n, _ in model.named_children() if n.startswith("text_")]:
        setattr(model, child, None)
    return model


def _divide(name: str, model: nn.Module, spec: Preprocess) -> Division:
    """The image tower divided between its layers where that is proven, else undivided.

    Raises PlanError when it does not give one vector an image.
    """
    import torch

    from headstart.backbones import block_division

    batch = transformers_encoder.probe_batch(model, spec)
    try:
        with torch.inference_mode():
            truth = _image_features(model, batch)
    except Exception as error:  # of whatever type the network's author chose
        raise PlanError(
            f"{name} is a {type(model).__name__}, which does not give an image of {spec['input_size']} one vector "
            f"beside its texts ({first_line(error)}). A CLIP or a SigLIP of one fixed size is expected."
        ) from error
    towers = dict(model.named_children())
    tower = dict(towers["vision_model"].named_children()) if "vision_model" in towers else {}
    layers = dict(tower["encoder"].named_children()).get("layers") if "encoder" in tower else None
    if layers is not None and {"embeddings", "post_layernorm"} <= tower.keys():
        # "pre_layrnorm" is the library's own spelling.
        stem = block_division.Stem(tower[n] for n in ("embeddings", "pre_layrnorm") if n in tower)
        rest = [tower[n] for n in ("post_layernorm", "head") if n in tower]
        rest += [towers["visual_projection"]] if "visual_projection" in towers else []
        names = [f"vision_model.encoder.layers.{i}" for i, _ in layers.named_children()]
        blocks = [block_division.FunctionBlock(layer, _run_layer) for layer in layers.children()]
        pool = block_division.Pool(model, _pool_and_project, rest)
        division = block_division.prove(stem, blocks, pool, names, batch, truth)
        if division is not None:
            return division
    block, pool = block_division.FunctionBlock(model, _image_features), block_division.Pool(model, _identity)
    return block_division.undivided(name, block, pool, batch, truth)


def _image_features(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return _single_vector(model.get_image_features(pixel_values=batch["pixels"]))


def _single_vector(output: Any) -> torch.Tensor:
    """(b, d) from the output of get_image_features or get_text_features. Raises TypeError for any other output."""
    row = getattr(output, "pooler_output", output)
    if getattr(row, "ndim", 0) != 2:
        raise TypeError("it gives no single vector")
    return row


def _run_layer(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """A layer of the image tower, without an attention mask."""
    return layer(hidden, None)


def _pool_and_project(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """(b, t, w) -> (b, d): SigLIP pools by attention; CLIP takes the class token and projects it."""
    tower = model.vision_model
    if "head" in dict(tower.named_children()):
        return tower.head(tower.post_layernorm(hidden))
    return model.visual_projection(tower.post_layernorm(hidden[:, 0]))


def _identity(model: Any, row: torch.Tensor) -> torch.Tensor:
    return row


@lru_cache(maxsize=4)  # the folds of a cross-validation ask the same
def _embed_texts(card: Backbone, texts: tuple[str, ...]) -> np.ndarray:
    paths = _checked_paths(card)
    if paths.keys().isdisjoint(VOCABULARIES):  # transformers 5.23 would make up a tokenizer of three words
        raise PlanError(
            f"{card.name} has no tokenizer beside its weights, so texts cannot be embedded. Copy the one it came with "
            f"there: {', '.join(VOCABULARIES)}; one is enough."
        )
    transformers_files.check_files(card.name, paths)
    transformers = transformers_encoder.import_transformers(card.name)
    if "tokenizer.json" in paths:
        open_tokenizer(paths["tokenizer.json"])  # bounded, before the library's own reader opens it
    config = transformers_encoder.load_config(card.name, paths)
    import torch

    try:
        with transformers_files.view(card.name, paths) as folder, transformers_encoder.quiet_loading(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **transformers_encoder.LOCAL_ONLY)
    except HeadstartError:
        raise
    except Exception as error:  # tokenizers raise what they like, some of them Exception itself
        # The first SigLIP's tokenizer needs two libraries more.
        fix = " pip install sentencepiece protobuf" if isinstance(error, ImportError) else ""
        raise PlanError(f"{card.name}: its tokenizer cannot be opened: {first_line(error)}{fix}") from error
    pad_to_max = config.model_type in PADDED_TO_MAX
    arguments = {"padding": "max_length" if pad_to_max else True, "padding_side": "right", "truncation": True}
    arguments |= {"max_length": config.text_config.max_position_embeddings, "return_tensors": "pt"}
    model: Any = transformers_encoder.load_encoder(card.name, paths)
    rows = []
    with torch.inference_mode():
        for start in range(0, len(texts), TEXT_BATCH_SIZE):
            batch = [text.lower() if pad_to_max else text for text in texts[start : start + TEXT_BATCH_SIZE]]
            tokens = tokenizer(batch, **arguments)
            inputs = {"input_ids": tokens["input_ids"]} if pad_to_max else dict(tokens)
            rows.append(_single_vector(model.get_text_features(**inputs)).float())
    out = torch.cat(rows).numpy() if rows else torch.zeros((0, card.width)).numpy()
    out.flags.writeable = False
    return out
