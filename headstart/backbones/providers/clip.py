"""Image towers of networks that learned pictures with their captions, CLIP and SigLIP, and the text towers beside them.

Named clip:owner/name or clip:FOLDER, as transformers lays them out. A row is the picture's place in the space that both
towers share, not yet of length 1.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.backbones import hub, transformers_encoder
from headstart.backbones.providers.transformers import facts_of, licence_of
from headstart.core import digest
from headstart.core.backbone import Backbone, Block, Cut, Preprocess
from headstart.core.errors import PlanError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from headstart.backbones.block_division import Division


WANTED = ("config.json", "model.safetensors")
README = "README.md"
VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")  # one of them is a tokenizer's own
TOKENS = (*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
# SigLIP learned from texts in small letters, all filled up to one length, where attention sees the filling too and the
# last place is the sentence. Source: Zhai et al. 2023, Tschannen et al. 2025; big_vision, configs/proj/image_text.
FILLED = ("siglip", "siglip2")
TEXTS = 64  # of a batch


def files(local: str) -> list[Path]:
    """Weights, configuration, tokenizer and README. Imports nothing heavy."""
    return list(_paths(local).values())


def card(local: str) -> Backbone:
    """What the weights' own files say, and the cuts that the image tower proved to have.

    parameters counts the image tower and its projection; size is of the whole file, which must be there.
    Raises PlanError for what has no two towers, or does not say how its pictures were prepared.
    """
    name, paths = f"clip:{local}", _paths(local)
    said = hub.stated(local)[1]
    if said:
        raise PlanError(
            f"{name}: nothing can be stated of a CLIP ({next(iter(said))!r} was). Its own files say it all."
        )
    facts = transformers_encoder.pictured(name, facts_of(paths[transformers_encoder.PIXELS]))
    spec = Preprocess("image", tuple(sorted(facts.items())))
    model = _opened(name, paths)
    division = _divided(name, model, spec)
    return Backbone(
        name,
        digest.of_files([paths[f] for f in WANTED]),
        spec,
        tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True)),
        division.width,
        sum(p.numel() for n, p in model.named_parameters() if not n.startswith("logit_")),
        paths["model.safetensors"].stat().st_size,
        pretrained_on="images and their captions",
        licence=licence_of(paths[README]) if README in paths else "",
    )


def runs(card: Backbone, cut: Cut) -> str:
    """What kind of engine its parts need: torch modules."""
    return "torch"


def parts(card: Backbone) -> tuple[nn.Module, list[nn.Module], nn.Module]:
    """(stem, blocks, pool), proven on these weights to be get_image_features."""
    paths = _unchanged(card)
    division = _divided(card.name, _opened(card.name, paths), card.preprocess)
    hub.same_blocks(card, division.names)
    return division.stem, division.blocks, division.pool


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """None: its classes are whatever words are put to it."""
    return None


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """(n, d) float32 of photos by the library's own image processor and get_image_features."""
    transformers, where = transformers_encoder.library(card.name), _paths(card.local)["config.json"].parent
    import torch
    from PIL import Image

    pictures = [Image.open(io.BytesIO(raw)).convert("RGB") for raw in raws() if isinstance(raw, bytes)]
    with transformers_encoder.quiet(transformers):
        prepare = transformers.AutoImageProcessor.from_pretrained(where, local_files_only=True, trust_remote_code=False)
    model: Any = transformers_encoder.load(card.name, where)
    with torch.inference_mode():
        batch = prepare(images=pictures, return_tensors="pt")
        return _vector(model.get_image_features(pixel_values=batch["pixel_values"])).numpy()


def words(card: Backbone, texts: Sequence[str]) -> np.ndarray:
    """(k, d) float32 of texts in the space of the pictures, as get_text_features gives them. Not to be written to.

    A text longer than the text tower reads, 77 tokens of CLIP and 64 of SigLIP, is cut off there.
    Raises PlanError where the tokenizer cannot be opened, ArtifactError when the weights are the card's no more.
    """
    return _told(card, tuple(texts))


def scale(card: Backbone) -> tuple[float, float]:
    """(factor, offset) that make a cosine of picture and text the network's own score of the pair.

    SigLIP's is for a sigmoid, one pair alone; CLIP's, without an offset, for a softmax over texts.
    Raises PlanError where the weights hold none.
    """
    from safetensors import safe_open

    with safe_open(_paths(card.local)["model.safetensors"], "pt") as state:  # numpy has no bfloat16
        there = set(state.keys())
        if "logit_scale" not in there:
            raise PlanError(f"{card.name} has no logit_scale, so how sure its likeness makes it is not known.")
        factor = float(state.get_tensor("logit_scale").double().exp())
        return factor, float(state.get_tensor("logit_bias").double()) if "logit_bias" in there else 0.0


def _paths(local: str) -> dict[str, Path]:
    return hub.locate(hub.stated(local)[0], (*WANTED, transformers_encoder.PIXELS), (*TOKENS, README))


def _unchanged(card: Backbone) -> dict[str, Path]:
    paths = _paths(card.local)
    hub.unchanged(card, [paths[f] for f in WANTED])
    return paths


def _opened(name: str, paths: dict[str, Path]) -> nn.Module:
    """The network without its text tower, which is two thirds of some and would be copied with every cut."""
    folder = paths["config.json"].parent
    told = transformers_encoder.configuration(name, folder).to_dict().keys()
    if not {"text_config", "vision_config"} <= told:
        raise PlanError(
            f"{name} has no tower for images beside one for texts. Try {name.replace('clip', 'transformers', 1)}."
        )
    model = transformers_encoder.load(name, folder)
    for child in [n for n, _ in model.named_children() if n.startswith("text_")]:
        setattr(model, child, None)
    return model


def _divided(name: str, model: nn.Module, spec: Preprocess) -> Division:
    """The image tower cut between its layers where that is proven, else the whole as one block.

    Raises PlanError when it does not give one vector a picture.
    """
    import torch

    from headstart.backbones import block_division

    batch = transformers_encoder.probe(model, spec)
    try:
        with torch.inference_mode():
            truth = _features(model, batch)
    except Exception as error:  # networks with text_config and vision_config are as many as there are authors
        raise PlanError(
            f"{name} is a {type(model).__name__}, which does not give a picture of {spec['input_size']} one vector "
            f"beside its texts ({transformers_encoder.first_line(error)}). A CLIP or a SigLIP of one fixed size is "
            "expected."
        ) from error
    towers = dict(model.named_children())
    tower = dict(towers["vision_model"].named_children()) if "vision_model" in towers else {}
    layers = dict(tower["encoder"].named_children()).get("layers") if "encoder" in tower else None
    if layers is not None and {"embeddings", "post_layernorm"} <= tower.keys():
        start = [tower[n] for n in ("embeddings", "pre_layrnorm") if n in tower]  # the library's own spelling
        rest = [tower[n] for n in ("post_layernorm", "head") if n in tower]
        rest += [towers["visual_projection"]] if "visual_projection" in towers else []
        names = [f"vision_model.encoder.layers.{i}" for i, _ in layers.named_children()]
        blocks = [block_division.Whole(layer, _unmasked) for layer in layers.children()]
        found = block_division.prove(
            block_division.Stem(start), blocks, block_division.Pool(model, _finished, rest), names, batch, truth
        )
        if found is not None:
            return found
    whole = block_division.Whole(model, _features)
    found = block_division.prove(
        torch.nn.Identity(), [whole], block_division.Pool(model, _same), ["whole"], batch, truth
    )
    if found is None:
        raise PlanError(f"{name} gives another embedding for the same input; it cannot be kept.")
    return found


def _features(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return _vector(model.get_image_features(pixel_values=batch["pixels"]))


def _vector(given: Any) -> torch.Tensor:
    """(b, d) of what get_image_features or get_text_features gave. Raises TypeError where it is something else."""
    row = getattr(given, "pooler_output", given)
    if getattr(row, "ndim", 0) != 2:
        raise TypeError("it gives no single vector")
    return row


def _unmasked(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """A layer of the image tower, where every patch sees every other."""
    return layer(hidden, None)


def _finished(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """(b, t, w) -> (b, d): SigLIP pools by attention; CLIP takes the class token and projects it."""
    tower = model.vision_model
    if "head" in dict(tower.named_children()):
        return tower.head(tower.post_layernorm(hidden))
    return model.visual_projection(tower.post_layernorm(hidden[:, 0]))


def _same(model: Any, row: torch.Tensor) -> torch.Tensor:
    return row


@lru_cache(maxsize=4)  # the folds of a cross-validation ask the same
def _told(card: Backbone, texts: tuple[str, ...]) -> np.ndarray:
    paths = _unchanged(card)
    if paths.keys().isdisjoint(VOCABULARIES):  # transformers 5.23 would make up a tokenizer of three words
        raise PlanError(
            f"{card.name} has no tokenizer beside its weights, so words cannot be put to it. Copy the one it came with "
            f"there: {', '.join(VOCABULARIES)}; one is enough."
        )
    folder = paths["config.json"].parent
    transformers, config = (
        transformers_encoder.library(card.name),
        transformers_encoder.configuration(card.name, folder),
    )
    import torch

    try:
        with transformers_encoder.quiet(transformers):
            read = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        # The first SigLIP's tokenizer needs two libraries more.
        mend = " pip install sentencepiece protobuf" if isinstance(error, ImportError) else ""
        raise PlanError(
            f"{card.name}: its tokenizer cannot be opened: {transformers_encoder.first_line(error)}{mend}"
        ) from error
    filled = config.model_type in FILLED
    told = {"padding": "max_length" if filled else True, "padding_side": "right", "truncation": True}
    told |= {"max_length": config.text_config.max_position_embeddings, "return_tensors": "pt"}
    model: Any = transformers_encoder.load(card.name, folder)
    rows = []
    with torch.inference_mode():
        for at in range(0, len(texts), TEXTS):
            some = [text.lower() if filled else text for text in texts[at : at + TEXTS]]
            tokens = read(some, **told)
            given = {"input_ids": tokens["input_ids"]} if filled else dict(tokens)
            rows.append(_vector(model.get_text_features(**given)).float())
    out = torch.cat(rows).numpy() if rows else torch.zeros((0, card.width)).numpy()
    out.flags.writeable = False
    return out
