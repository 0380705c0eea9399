"""The network trained above a cut: the upper blocks of a backbone with a linear head, fed with features there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from headstart.backbones.network import normalize_pixels
from headstart.core.features import Ragged
from headstart.core.plan import Above
from headstart.training.tuning.loop import Batch, mixed_precision

INFERENCE_BATCH = 32


class Learner(nn.Module):
    """The blocks above a cut and a linear head: a batch of features at the cut -> logits (b, k).

    The head sees embeddings less their mean and at a mean square of 1, both taken once, before training.

    batch_norm: "frozen" keeps BatchNorm's statistics; "adapt" lets them follow the batches
    pad:        the token id that fills up short texts
    adapter:    the PEFT model, alone in a tuple so that it is no part of this module
    trainable:  names of the body's parameters that train, once training has begun
    """

    mean: torch.Tensor
    gain: torch.Tensor

    def __init__(self, above: Above, width: int, embedding_width: int = 0):
        """width: numbers that the head gives.  embedding_width: that it takes; 0 = those of the card"""
        super().__init__()
        embedding_width = embedding_width or above.card.width
        self.card, self.cut, self.say = above.card, above.cut, above.say
        self.body = above.body.requires_grad_(False)
        self.body.to(memory_format=torch.channels_last)  # 1.6 times as fast in training (MobileNetV4, one thread)
        self.base_parameters = count_parameters(self.body)
        self.head = _zero_linear(embedding_width, width)
        self.register_buffer("mean", torch.zeros(embedding_width))
        self.register_buffer("gain", torch.ones(()))
        self.batch_norm = "frozen"
        self.gradient_checkpointing = above.gradient_checkpointing
        settings = dict(above.card.preprocess.settings)
        self.normalize, self.pad = bool(settings.get("normalize")), int(str(settings.get("pad", 0)))
        self.adapter: tuple[Any, ...] = ()
        self.trainable: tuple[str, ...] | None = None

    def embed(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(b, d), one embedding an example: of several windows their mean, weighted by length."""
        x = batch["x"]
        if "mask" not in batch:
            if self.cut.at == 0 and x.dtype == torch.uint8:
                return self._forward_body({"pixels": normalize_pixels(x, self.card.preprocess)})
            layout = torch.channels_last if x.ndim == 4 else torch.contiguous_format
            return self._forward_body(x.float().contiguous(memory_format=layout))
        mask = batch["mask"]
        windows = {"input_ids": x, "attention_mask": mask} if self.cut.at == 0 else (x.float(), mask)
        rows = self._forward_body(windows)
        out = rows.new_zeros(len(batch["first"]), rows.shape[1])
        out = out.index_add(0, batch["owner"], rows * batch["share"][:, None].to(rows.dtype))
        return F.normalize(out, dim=1) if self.normalize else out

    def _forward_body(self, x: Any) -> torch.Tensor:
        if not (self.gradient_checkpointing and torch.is_grad_enabled()):
            return self.body(x)
        for part in self.body:
            x = checkpoint(part, x, use_reentrant=False)
        return x

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits (b, k)."""
        return self.head((self.embed(batch).float() - self.mean) * self.gain)

    def train(self, mode: bool = True) -> Learner:
        """As ever, but BatchNorm keeps its statistics unless they are to adapt."""
        super().train(mode)
        for module in self.body.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and self.batch_norm == "frozen":
                module.eval()
        return self


def _zero_linear(width: int, out: int) -> nn.Linear:
    layer = nn.Linear(width, out)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def resize_head(learner: Learner, width: int) -> None:
    """A head for embeddings of another width, at zero."""
    device = learner.mean.device
    learner.head = _zero_linear(width, learner.head.out_features).to(device)
    learner.mean, learner.gain = torch.zeros(width, device=device), torch.ones((), device=device)


def count_parameters(module: nn.Module) -> int:
    """How many numbers a module's parameters hold."""
    return sum(p.numel() for p in module.parameters())


def collate(x: Any, index: np.ndarray, pad: int = 0) -> Batch:
    """Examples `index` of features at a cut as a batch. Windows of texts stand one under the other, padded."""
    examples = x[index]
    if not isinstance(examples, Ragged):
        return {"x": np.ascontiguousarray(examples)}
    windows = [
        window
        for item, lengths in zip(examples.items, examples.windows, strict=True)
        for window in np.split(item, np.cumsum(lengths)[:-1])
    ]
    owner = np.repeat(np.arange(len(examples)), [len(lengths) for lengths in examples.windows])
    share = np.concatenate([np.array(lengths) / sum(lengths) for lengths in examples.windows]).astype(np.float32)
    longest = max(map(len, windows))
    are_ids = windows[0].dtype.kind == "i"
    shape, dtype = (len(windows), longest, *windows[0].shape[1:]), np.int64 if are_ids else windows[0].dtype
    padded = np.full(shape, pad if are_ids else 0, dtype)
    mask = np.zeros((len(windows), longest), np.int64)
    for row, window in enumerate(windows):
        padded[row, : len(window)], mask[row, : len(window)] = window, 1
    return {"x": padded, "mask": mask, "owner": owner, "share": share, "first": np.zeros(len(examples), np.int8)}


def split_batch(batch: Batch, count: int) -> list[tuple[Batch, float]]:
    """A labelled batch as so many micro-batches, at most one an example, with each one's share of the examples."""
    n = len(batch["y"])
    micro_batches = []
    for index in np.array_split(np.arange(n), min(count, n)):
        if "mask" not in batch:
            part = {name: array[index] for name, array in batch.items()}
        else:  # windows of texts stand one under the other
            windows = np.flatnonzero(np.isin(batch["owner"], index))
            part = {name: batch[name][windows] for name in ("x", "mask", "share")}
            part |= {name: batch[name][index] for name in ("first", "y")}
            part["owner"] = batch["owner"][windows] - index[0]
        micro_batches.append((part, len(index) / n))
    return micro_batches


def forward_in_batches(
    learner: Learner, x: Any, function: Callable[[dict[str, torch.Tensor]], torch.Tensor], *, mixed: bool = False
) -> np.ndarray:
    """(n, …) float32: `function` of every example, in eval mode. Texts go in order of length.

    function: `learner` for logits, `learner.embed` for embeddings.  mixed: in the precision of training
    """
    autocast = mixed_precision(learner) if mixed else lambda batch: nullcontext()
    device = next(learner.parameters()).device
    order = np.argsort([len(i) for i in x.items], kind="stable") if isinstance(x, Ragged) else np.arange(len(x))
    was_training, outputs = learner.training, []
    learner.eval()
    with torch.inference_mode():
        for start in range(0, len(order), INFERENCE_BATCH):
            arrays = collate(x, order[start : start + INFERENCE_BATCH], learner.pad)
            batch = {k: torch.from_numpy(v).to(device) for k, v in arrays.items()}
            with autocast(batch):
                outputs.append(function(batch).float().cpu().numpy())
    learner.train(was_training)
    if not outputs:
        return np.zeros((0, learner.card.width), np.float32)
    rows = np.concatenate(outputs)
    rows[order] = rows.copy()
    return rows
