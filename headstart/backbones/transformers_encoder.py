"""Encoders of transformers: opened, and divided into stem, layers and pool.

Imports torch inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones import transformers_files
from headstart.backbones.tokenizer_file import library_errors, open_tokenizer
from headstart.backbones.weights_file import building
from headstart.core.backbone import Preprocess
from headstart.core.errors import ArtifactError, PlanError, missing_extra
from headstart.core.messages import first_line

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headstart.backbones.block_division import Division


LOCAL_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
PROBE_LENGTHS = (11, 7)  # tokens of the two texts of the probe batch: unequal, so that the mask matters


def load_config(name: str, paths: Mapping[str, Path]):
    """The transformers config among files. Raises PlanError where it is not understood, or needs code of its own."""
    with transformers_files.view(name, _of_network(paths)) as folder:
        return _config_in(name, folder)


def _of_network(paths: Mapping[str, Path], *more: str) -> dict[str, Path]:
    return {n: paths[n] for n in (transformers_files.CONFIG, transformers_files.ADAPTER, *more) if n in paths}


def _config_in(name: str, folder: Path):
    transformers = import_transformers(name)
    try:
        return transformers.AutoConfig.from_pretrained(folder, **LOCAL_ONLY)
    except Exception as error:  # classes of configurations raise what they like
        raise PlanError(
            f"{name}: transformers {transformers.__version__} cannot follow its config.json: it is too old for it, "
            f"or would have to run code that comes with the weights, which is never done: {first_line(error)}"
        ) from error


def load_encoder(name: str, paths: Mapping[str, Path]) -> nn.Module:
    """The encoder with its weights in float32, without a pooler on top.

    paths: config.json and model.safetensors by name; others are not read
    Raises PlanError naming the weights that do not fit, or what config.json may not ask for.
    """
    weights = paths[transformers_files.WEIGHTS]
    with transformers_files.view(name, _of_network(paths, transformers_files.WEIGHTS)) as folder:
        transformers = import_transformers(name)
        import torch

        options = {"dtype": torch.float32, "use_safetensors": True, "output_loading_info": True, **LOCAL_ONLY}

        def attempt(attention: str):
            with (
                building(name, weights, "its config.json"),
                quiet_loading(transformers),
                torch.random.fork_rng(devices=[]),
            ):
                return transformers.AutoModel.from_pretrained(folder, attn_implementation=attention, **options)

        try:
            model, info = attempt("sdpa")
        except PlanError as error:
            if not isinstance(error.__cause__, ValueError):
                raise
            model, info = attempt("eager")  # not every encoder has sdpa; every one has eager, for the same numbers
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
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()  # the library lays them upon the file, with which they would change
    return model.eval()


def check_tokenizer(name: str, model: Any, tokenizer: Path) -> None:
    """Raises PlanError where a tokenizer cannot be opened, or gives tokens that the encoder does not know."""
    try:
        opened = open_tokenizer(tokenizer)
        with library_errors():
            ids = [*opened.get_vocab(with_added_tokens=True).values(), *opened.encode("a").ids]
    except (ArtifactError, ValueError) as error:
        raise PlanError(f"{name}: {tokenizer} is no tokenizer ({first_line(error)}). Download it again.") from error
    largest = max(ids, default=0)
    known = model.get_input_embeddings().num_embeddings
    if largest >= known:
        raise PlanError(
            f"{name}: its tokenizer has a token {largest:,}, and its encoder knows {known:,}: they are not of one "
            "network. Download both again, or do not trust them."
        )


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
