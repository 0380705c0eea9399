"""Encoders of transformers: opened, divided into stem, layers and pool, and the image preprocessing they state.

Imports torch inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.errors import PlanError, missing_extra
from headstart.core.messages import first_line

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headstart.backbones.block_division import Division


PREPROCESSOR_CONFIG = "preprocessor_config.json"
INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
LOCAL_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
PROBE_LENGTHS = (11, 7)  # tokens of the two texts of the probe batch: unequal, so that the mask matters


def image_settings(name: str, facts: dict) -> dict[str, Any]:
    """The settings of preprocess/image.py that preprocessor_config.json states.

    Raises PlanError naming each setting that it lacks, or what it asks for that is not supported.
    """
    size, crop = facts.get("size"), facts.get("crop_size") if facts.get("do_center_crop") else None
    edge = size.get("shortest_edge") if isinstance(size, dict) else size if crop else None
    resized = _height_width(size) if edge is None else None
    target = _height_width(crop) if crop else resized
    scaled = edge if edge else resized[0] if resized else None
    unnormalized = facts.get("do_normalize") is False
    unsupported = facts.get("do_resize") is False or abs(float(facts.get("rescale_factor", 1 / 255)) * 255 - 1) > 1e-6
    if unsupported or (target is None and size is not None):
        raise PlanError(
            f"{name}: its {PREPROCESSOR_CONFIG} asks for what Headstart does not do (size {size}, crop {crop}): "
            "try timm:…"
        )
    settings = {
        "crop_mode": "center" if edge else "squash",
        "crop_pct": _crop_pct(min(target), scaled) if target and scaled else None,
        "input_size": (3, *target) if target else None,
        "interpolation": INTERPOLATIONS.get(facts.get("resample", -1)),
        "mean": (0.0,) * 3 if unnormalized else facts.get("image_mean") and tuple(facts["image_mean"]),
        "std": (1.0,) * 3 if unnormalized else facts.get("image_std") and tuple(facts["image_std"]),
    }
    missing = [key for key, value in settings.items() if value is None]
    if missing:
        raise PlanError(
            f"{name} does not say how its inputs were prepared: its {PREPROCESSOR_CONFIG} lacks {', '.join(missing)}. "
            "A guess would be silently wrong. Write what its authors used into a copy of the folder, and name that."
        )
    return settings


def _height_width(size: object) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    return (size["height"], size["width"]) if isinstance(size, dict) and {"height", "width"} <= size.keys() else None


def _crop_pct(crop: int, edge: int) -> float:
    """crop / edge such that int(crop / crop_pct) is edge again, which plain division misses for some sizes."""
    crop_pct = crop / edge
    return crop_pct if int(crop / crop_pct) == edge else crop / (edge + 0.25)


def load_config(name: str, folder: Path):
    """The transformers config of a folder. Raises PlanError where it is not understood, or needs code of its own."""
    transformers = import_transformers(name)
    try:
        return transformers.AutoConfig.from_pretrained(folder, **LOCAL_ONLY)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanError(
            f"{name}: transformers {transformers.__version__} cannot follow its config.json: it is too old for it, "
            f"or would have to run code that comes with the weights, which is never done: {first_line(error)}"
        ) from error


def load_encoder(name: str, folder: Path) -> nn.Module:
    """The encoder with its weights in float32, without a pooler on top.

    Raises PlanError naming the weights that do not fit.
    """
    transformers = import_transformers(name)
    import torch

    options = {"dtype": torch.float32, "use_safetensors": True, "output_loading_info": True, **LOCAL_ONLY}

    def attempt(attention: str):
        with quiet_loading(transformers), torch.random.fork_rng(devices=[]):
            return transformers.AutoModel.from_pretrained(folder, attn_implementation=attention, **options)

    try:
        try:
            model, info = attempt("sdpa")
        except ValueError:  # not every encoder has sdpa; every one has eager, for the same numbers
            model, info = attempt("eager")
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise PlanError(f"{name}: transformers cannot open it: {first_line(error)}") from error
    children = {child for child, _ in model.named_children()}
    mismatches = [f"missing {k}" for k in sorted(info["missing_keys"]) if not k.startswith("pooler.")]
    unexpected = sorted(info["unexpected_keys"])
    mismatches += [f"unknown {k}" for k in unexpected if k.partition(".")[0] in children - {"pooler"}]
    misshapen = sorted(str(k[0] if isinstance(k, tuple) else k) for k in info["mismatched_keys"])
    mismatches += [f"misshapen {k}" for k in misshapen]
    if mismatches:
        more = f" and {len(mismatches) - 4} more" if len(mismatches) > 4 else ""
        raise PlanError(f"{name}: its weights do not fit a {type(model).__name__}: {', '.join(mismatches[:4])}{more}.")
    if "pooler" in children:
        model.pooler = None
    return model.eval()


def divide_encoder(name: str, model: nn.Module, spec: Preprocess) -> Division:
    """An encoder divided between its layers where that is proven, else undivided.

    Raises PlanError when it does not give one hidden state a token.
    """
    import torch

    from headstart.backbones import block_division

    batch = probe_batch(model, spec)
    forward = partial(_forward_pass, spec.kind)
    try:
        with torch.inference_mode():
            pooling = partial(_norm_and_pool, (), spec)
            truth = pooling(model, forward(model, batch))
            short = {k: v[1:, : PROBE_LENGTHS[1]] for k, v in batch.items()} if spec.kind == "text" else batch
            alone = pooling(model, forward(model, short))
    except Exception as error:  # other inputs, two towers, decoders: each raises what it likes
        raise PlanError(f"{name} is not an encoder that gives one vector a token: {first_line(error)}") from error
    if float((truth[-1:] - alone).abs().max()) > 1e-4 * float(alone.abs().max()):
        raise PlanError(f"{name} gives a text another vector when a longer one stands beside it; it cannot be kept.")
    children = dict(model.named_children())
    tail = tuple(n for n in ("final_norm", "layernorm") if n in children)
    stem: nn.Module
    for path, context, shared in _LAYOUTS:
        layers = _submodule(model, path)
        if layers is None or "embeddings" not in children:
            continue
        shared_modules = [m for m in (_submodule(model, s) for s in shared) if m is not None]
        names = [f"{path}.{i}" for i, _ in layers.named_children()]
        if spec.kind == "image":
            stem, blocks = block_division.Stem([children["embeddings"]]), list(layers.children())
        else:
            stem = block_division.TextStem(children["embeddings"], children.get("embeddings_project"))
            blocks = [block_division.EncoderLayer(model, layer, context, shared_modules) for layer in layers.children()]
        pool = block_division.Pool(model, partial(_norm_and_pool, tail, spec), [children[n] for n in tail])
        division = block_division.prove(stem, blocks, pool, names, batch, truth)
        if division is not None:
            return division
    pool = block_division.Pool(model, pooling)
    return block_division.undivided(name, block_division.FunctionBlock(model, forward), pool, batch, truth)


def _forward_pass(kind: str, model, batch):
    """The library's own forward pass: a batch -> hidden states, with the mask for texts."""
    if kind == "image":
        return model(pixel_values=batch["pixels"]).last_hidden_state
    return model(**batch).last_hidden_state, batch["attention_mask"]


def _norm_and_pool(tail: tuple[str, ...], spec: Preprocess, model, x):
    """Hidden states -> (b, d): final norm, pooling, and unit length where the card says so."""
    from headstart.backbones.token_pooling import pool_tokens

    hidden, mask = x if isinstance(x, tuple) else (x, None)
    for name in tail:
        hidden = model.get_submodule(name)(hidden)
    mask = hidden.new_ones(hidden.shape[:2]) if mask is None else mask
    return pool_tokens(hidden, mask, str(spec["pooling"]), bool(spec["normalize"]))


def _attention_bias(mask: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """(b, t) of ones and zeros -> (b, 1, 1, t) to be added to attention scores, which masks padding."""
    import torch

    return (1.0 - mask[:, None, None, :].to(hidden.dtype)) * torch.finfo(hidden.dtype).min


def _bert_context(model, layer, hidden, mask) -> dict:
    return {"attention_mask": _attention_bias(mask, hidden)}


def _mpnet_context(model, layer, hidden, mask) -> dict:
    """MPNet: one table of relative positions for all layers."""
    return {**_bert_context(model, layer, hidden, mask), "position_bias": model.encoder.compute_position_bias(hidden)}


def _modernbert_context(model, layer, hidden, mask) -> dict:
    """ModernBERT: rotary position embeddings, and layers with sliding-window attention."""
    import torch

    positions = torch.arange(hidden.shape[1], device=hidden.device)
    kind = layer.attention_type
    scores = _attention_bias(mask, hidden)
    if kind == "sliding_attention":
        far = (positions[:, None] - positions[None, :]).abs() > model.config.sliding_window
        scores = scores.masked_fill(far, torch.finfo(hidden.dtype).min)
    return {"attention_mask": scores, "position_embeddings": model.rotary_emb(hidden, positions[None], kind)}


# Path of the layers, their other arguments, and the modules that compute those. A guess: prove() decides.
_LAYOUTS = (
    ("encoder.layer", _bert_context, ()),  # BERT, RoBERTa, XLM-R, ELECTRA; DINOv2
    ("encoder.layer", _mpnet_context, ("encoder.relative_attention_bias",)),  # MPNet
    ("transformer.layer", _bert_context, ()),  # DistilBERT
    ("layers", _modernbert_context, ("rotary_emb",)),  # ModernBERT
    ("layers", _bert_context, ()),  # ViT
)


def probe_batch(model: Any, spec: Preprocess) -> dict[str, torch.Tensor]:
    """A random batch on which a division is proven: one image, or two texts of unequal length."""
    import torch

    rng = np.random.default_rng(0)
    if spec.kind == "image":
        shape = (1, *spec["input_size"])  # type: ignore[misc]
        return {"pixels": torch.from_numpy(rng.standard_normal(shape).astype(np.float32))}
    lengths = [min(n, int(str(spec["max_length"]))) for n in PROBE_LENGTHS]
    ids = np.full((2, max(lengths)), int(str(spec["pad"])), np.int64)
    mask = np.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = rng.integers(0, model.config.vocab_size, length)
        mask[row, :length] = 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def _submodule(model: nn.Module, path: str) -> nn.Module | None:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None


@contextmanager
def quiet_loading(transformers) -> Iterator[None]:
    """Silences the library's progress bar and its table of unused weights, which we check ourselves."""
    logging = transformers.utils.logging
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def import_transformers(name: str):
    """The module transformers. Raises MissingExtra."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "text", f"The backbone {name}") from error
    return transformers
