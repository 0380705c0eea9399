"""An encoder of transformers as stem, layers and pool, and its pictures. Opens torch in its functions only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.errors import PlanError, missing_extra

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headstart.backbones.block_division import Division


PIXELS = "preprocessor_config.json"
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
PROBE = (11, 7)  # tokens of the two texts that a division is proven on: of unequal length, so that the mask counts


def pictured(name: str, facts: dict) -> dict[str, Any]:
    """How pictures must be prepared, as preprocess/image.py reads it, from what preprocessor_config.json says.

    Raises PlanError naming each fact that it lacks, or what it asks for that is not done here.
    """
    size, crop = facts.get("size"), facts.get("crop_size") if facts.get("do_center_crop") else None
    edge = size.get("shortest_edge") if isinstance(size, dict) else size if crop else None
    whole = _pair(size) if edge is None else None
    target = _pair(crop) if crop else whole
    scaled = edge if edge else whole[0] if whole else None
    plain = facts.get("do_normalize") is False
    odd = facts.get("do_resize") is False or abs(float(facts.get("rescale_factor", 1 / 255)) * 255 - 1) > 1e-6
    if odd or (target is None and size is not None):
        raise PlanError(
            f"{name}: its {PIXELS} asks for what Headstart does not do (size {size}, crop {crop}): try timm:…"
        )
    wanted = {
        "crop_mode": "center" if edge else "squash",
        "crop_pct": _share(min(target), scaled) if target and scaled else None,
        "input_size": (3, *target) if target else None,
        "interpolation": RESAMPLE.get(facts.get("resample", -1)),
        "mean": (0.0,) * 3 if plain else facts.get("image_mean") and tuple(facts["image_mean"]),
        "std": (1.0,) * 3 if plain else facts.get("image_std") and tuple(facts["image_std"]),
    }
    missing = [key for key, value in wanted.items() if value is None]
    if missing:
        raise PlanError(
            f"{name} does not say how its inputs were prepared: its {PIXELS} lacks {', '.join(missing)}. "
            f"A guess would be silently wrong. Write what its authors used into a copy of the folder, and name that."
        )
    return wanted


def _pair(size: object) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    return (size["height"], size["width"]) if isinstance(size, dict) and {"height", "width"} <= size.keys() else None


def _share(crop: int, edge: int) -> float:
    """crop / edge such that int(crop / share) is edge again, which plain division misses for some sizes."""
    share = crop / edge
    return share if int(crop / share) == edge else crop / (edge + 0.25)


def configuration(name: str, folder: Path):
    """config.json as transformers understands it. Raises PlanError where it does not, or would have to run its code."""
    transformers = library(name)
    try:
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanError(
            f"{name}: transformers {transformers.__version__} cannot follow its config.json: it is too old for it, "
            f"or would have to run code that comes with the weights, which is never done: {first_line(error)}"
        ) from error


def load(name: str, folder: Path) -> nn.Module:
    """The encoder with its weights in fp32, without the pooler that some have on top.

    Raises PlanError naming the weights that do not fit.
    """
    transformers = library(name)
    import torch

    def attempt(attention: str):
        with quiet(transformers), torch.random.fork_rng(devices=[]):
            return transformers.AutoModel.from_pretrained(
                folder,
                attn_implementation=attention,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )

    try:
        try:
            model, info = attempt("sdpa")
        except (
            ValueError
        ):  # not every encoder has this form of attention; every one has the other, for the same numbers
            model, info = attempt("eager")
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise PlanError(f"{name}: transformers cannot open it: {first_line(error)}") from error
    children = {child for child, _ in model.named_children()}
    wrong = [f"missing {k}" for k in sorted(info["missing_keys"]) if not k.startswith("pooler.")]
    wrong += [f"unknown {k}" for k in sorted(info["unexpected_keys"]) if k.partition(".")[0] in children - {"pooler"}]
    wrong += [
        f"misshapen {k}" for k in sorted(str(k[0] if isinstance(k, tuple) else k) for k in info["mismatched_keys"])
    ]
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise PlanError(f"{name}: its weights do not fit a {type(model).__name__}: {', '.join(wrong[:4])}{more}.")
    if "pooler" in children:
        model.pooler = None
    return model.eval()


def divide(name: str, model: nn.Module, spec: Preprocess) -> Division:
    """An encoder cut between its layers where that is proven, else the whole as one block.

    Raises PlanError when it does not give one hidden state a token.
    """
    import torch

    from headstart.backbones import block_division

    batch = probe(model, spec)
    reach = _Reach(spec.kind)
    try:
        with torch.inference_mode():
            truth = _Finish((), spec)(model, reach(model, batch))
            short = {k: v[1:, : PROBE[1]] for k, v in batch.items()} if spec.kind == "text" else batch
            alone = _Finish((), spec)(model, reach(model, short))
    except Exception as error:  # encoders that want other inputs, two towers, decoders: as many types as there are such
        raise PlanError(f"{name} is not an encoder that gives one vector a token: {first_line(error)}") from error
    if float((truth[-1:] - alone).abs().max()) > 1e-4 * max(1.0, float(alone.abs().max())):
        raise PlanError(f"{name} gives a text another vector when a longer one stands beside it; it cannot be kept.")
    children = dict(model.named_children())
    tail = tuple(n for n in ("final_norm", "layernorm") if n in children)
    stem: nn.Module
    for path, context, shared in _LAYOUTS:
        layers = _at(model, path)
        if layers is None or "embeddings" not in children:
            continue
        common = [m for m in (_at(model, s) for s in shared) if m is not None]
        rest = [children[n] for n in tail]
        names = [f"{path}.{i}" for i, _ in layers.named_children()]
        if spec.kind == "image":
            stem, blocks = block_division.Stem([children["embeddings"]]), list(layers.children())
        else:
            stem = block_division.WordStem(children["embeddings"], children.get("embeddings_project"))
            blocks = [block_division.Layer(model, layer, context, common) for layer in layers.children()]
        found = block_division.prove(
            stem, blocks, block_division.Pool(model, _Finish(tail, spec), rest), names, batch, truth
        )
        if found is not None:
            return found
    whole = block_division.Whole(model, reach)
    found = block_division.prove(
        torch.nn.Identity(), [whole], block_division.Pool(model, _Finish((), spec)), ["whole"], batch, truth
    )
    if found is None:
        raise PlanError(f"{name} gives another embedding for the same input; it cannot be kept.")
    return found


class _Reach:
    """The library's own forward pass: a batch -> hidden states, with the mask for texts."""

    def __init__(self, kind: str):
        self.kind = kind

    def __call__(self, model, batch):
        if self.kind == "image":
            return model(pixel_values=batch["pixels"]).last_hidden_state
        return model(**batch).last_hidden_state, batch["attention_mask"]


class _Finish:
    """Hidden states -> (b, d): the norm after the last layer, pooling, unit length."""

    def __init__(self, tail: tuple[str, ...], spec: Preprocess):
        self.tail, self.pooling, self.normalize = tail, str(spec["pooling"]), bool(spec["normalize"])

    def __call__(self, model, crossing):
        from headstart.backbones.block_division import pooled

        hidden, mask = crossing if isinstance(crossing, tuple) else (crossing, None)
        for name in self.tail:
            hidden = model.get_submodule(name)(hidden)
        mask = hidden.new_ones(hidden.shape[:2]) if mask is None else mask
        return pooled(hidden, mask, self.pooling, self.normalize)


def _masked(model, layer, hidden, mask) -> dict:
    from headstart.backbones.block_division import bias

    return {"attention_mask": bias(mask, hidden)}


def _placed(model, layer, hidden, mask) -> dict:
    """MPNet: one table of relative positions for all layers."""
    return {**_masked(model, layer, hidden, mask), "position_bias": model.encoder.compute_position_bias(hidden)}


def _rotated(model, layer, hidden, mask) -> dict:
    """ModernBERT: rotations by position, and layers that look only at near tokens."""
    import torch

    from headstart.backbones.block_division import bias

    places = torch.arange(hidden.shape[1], device=hidden.device)
    kind = layer.attention_type
    scores = bias(mask, hidden)
    if kind == "sliding_attention":
        far = (places[:, None] - places[None, :]).abs() > model.config.sliding_window
        scores = scores.masked_fill(far, torch.finfo(hidden.dtype).min)
    return {"attention_mask": scores, "position_embeddings": model.rotary_emb(hidden, places[None], kind)}


# Where the layers lie, what each takes beside the hidden states, and what that reads. A guess: prove() decides.
_LAYOUTS = (
    ("encoder.layer", _masked, ()),  # BERT, RoBERTa, XLM-R, ELECTRA; DINOv2
    ("encoder.layer", _placed, ("encoder.relative_attention_bias",)),  # MPNet
    ("transformer.layer", _masked, ()),  # DistilBERT
    ("layers", _rotated, ("rotary_emb",)),  # ModernBERT
    ("layers", _masked, ()),  # ViT
)


def probe(model: Any, spec: Preprocess) -> dict[str, torch.Tensor]:
    """A batch of noise on which a division is proven: one image, or two texts of unequal length."""
    import torch

    rng = np.random.default_rng(0)
    if spec.kind == "image":
        shape = (1, *spec["input_size"])  # type: ignore[misc]
        return {"pixels": torch.from_numpy(rng.standard_normal(shape).astype(np.float32))}
    lengths = [min(n, int(str(spec["max_length"]))) for n in PROBE]
    ids = np.full((2, max(lengths)), int(str(spec["pad"])), np.int64)
    mask = np.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = rng.integers(0, model.config.vocab_size, length)
        mask[row, :length] = 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def _at(model: nn.Module, path: str) -> nn.Module | None:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None


@contextmanager
def quiet(transformers) -> Iterator[None]:
    """Holds back the library's bar and its table of unused weights: what matters of it is an error of ours."""
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


def first_line(error: Exception) -> str:
    """What an error of the library says first, at most 200 characters; its kind where it says nothing."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{lines[0][:200]}" if lines else type(error).__name__


def library(name: str):
    """transformers itself. Raises MissingExtra."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "text", f"The backbone {name}") from error
    return transformers
