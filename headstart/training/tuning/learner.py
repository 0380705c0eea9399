"""What learns above a cut: the upper part of a backbone with a head, fed with what left the cut. For methods/.

Imports torch when it is imported: methods open it inside their functions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from headstart.backbones.network import normalised
from headstart.core.features import Ragged
from headstart.core.plan import Above
from headstart.training.tuning import loop

BATCH = 32  # rows scored at once


class Learner(nn.Module):
    """What lies above a cut and a head: a batch of what left the cut -> scores (b, k).

    The head sees rows less their mean and at a mean square of 1, both taken once, before training.
    """

    mean: torch.Tensor
    gain: torch.Tensor

    def __init__(self, above: Above, width: int):
        super().__init__()
        self.card, self.cut, self.say = above.card, above.cut, above.say
        self.body = above.body.requires_grad_(False)
        self.body.to(memory_format=torch.channels_last)  # 1.6 times as fast in training (MobileNetV4, one thread)
        self.borrowed = numbers(self.body)
        self.head = nn.Linear(above.card.width, width)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.zeros(above.card.width))
        self.register_buffer("gain", torch.ones(()))
        self.norms = "frozen"
        self.thrifty = above.thrifty
        self.unit = bool(dict(above.card.preprocess.settings).get("normalize"))
        self.adapter: tuple[Any, ...] = ()  # of PEFT
        self.learns: tuple[str, ...] | None = None

    def rows(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """(b, d), one row an example: of several windows their mean, weighted by length."""
        x = batch["x"]
        if "mask" not in batch:
            pixels = self.cut.at == 0 and x.dtype == torch.uint8
            if pixels:
                return self._through({"pixels": normalised(x, self.card.preprocess)})
            maps = torch.channels_last if x.ndim == 4 else torch.contiguous_format
            return self._through(x.float().contiguous(memory_format=maps))
        mask = batch["mask"]
        rows = self._through({"input_ids": x, "attention_mask": mask} if self.cut.at == 0 else (x.float(), mask))
        out = rows.new_zeros(len(batch["first"]), rows.shape[1])
        out = out.index_add(0, batch["owner"], rows * batch["share"][:, None].to(rows.dtype))
        return F.normalize(out, dim=1) if self.unit else out

    def _through(self, x: Any) -> torch.Tensor:
        """The body; where memory is dear, each part's activations are computed again when its gradients are."""
        if not (self.thrifty and torch.is_grad_enabled()):
            return self.body(x)
        for part in self.body:
            x = checkpoint(part, x, use_reentrant=False)
        return x

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Scores."""
        return self.head((self.rows(batch).float() - self.mean) * self.gain)

    def train(self, mode: bool = True) -> Learner:
        """As ever, but BatchNorm keeps its statistics unless they are to adapt."""
        super().train(mode)
        for module in self.body.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and self.norms == "frozen":
                module.eval()
        return self


def numbers(module: nn.Module) -> int:
    """How many parameters a module has."""
    return sum(p.numel() for p in module.parameters())


def arrays(x: Any, index: np.ndarray, pad: int = 0) -> dict[str, np.ndarray]:
    """Rows `index` of what left a cut as a batch. Windows of texts stand one under the other, padded to the longest."""
    some = x[index]
    if not isinstance(some, Ragged):
        return {"x": np.ascontiguousarray(some)}
    units = [
        unit for item, w in zip(some.items, some.windows, strict=True) for unit in np.split(item, np.cumsum(w)[:-1])
    ]
    owner = np.repeat(np.arange(len(some)), [len(w) for w in some.windows])
    share = np.concatenate([np.array(w) / sum(w) for w in some.windows]).astype(np.float32)
    longest = max(map(len, units))
    whole = units[0].dtype.kind == "i"
    out = np.full(
        (len(units), longest, *units[0].shape[1:]), pad if whole else 0, np.int64 if whole else units[0].dtype
    )
    mask = np.zeros((len(units), longest), np.int64)
    for row, unit in enumerate(units):
        out[row, : len(unit)], mask[row, : len(unit)] = unit, 1
    return {"x": out, "mask": mask, "owner": owner, "share": share, "first": np.zeros(len(some), np.int8)}


def halved(batch: dict[str, np.ndarray], parts: int) -> list[tuple[dict[str, np.ndarray], float]]:
    """A batch with its labels as so many batches, at most one an example, and each one's share of the examples."""
    n = len(batch["y"])
    some = []
    for index in np.array_split(np.arange(n), min(parts, n)):
        if "mask" not in batch:
            part = {name: array[index] for name, array in batch.items()}
        else:  # windows of texts stand one under the other
            mine = np.flatnonzero(np.isin(batch["owner"], index))
            part = {name: batch[name][mine] for name in ("x", "mask", "share")}
            part |= {"owner": batch["owner"][mine] - index[0], "first": batch["first"][index], "y": batch["y"][index]}
        some.append((part, len(index) / n))
    return some


def passed(
    learner: Learner, x: Any, what: Callable[[dict[str, torch.Tensor]], torch.Tensor], *, roughly: bool = False
) -> np.ndarray:
    """(n, …) float32: what the learner says of every row, in eval mode. Texts go in order of length.

    roughly: in the precision of training
    """
    precise = loop.mixed(learner) if roughly else lambda batch: nullcontext()
    place = next(learner.parameters()).device
    pad = int(str(dict(learner.card.preprocess.settings).get("pad", 0)))
    order = np.argsort([len(i) for i in x.items], kind="stable") if isinstance(x, Ragged) else np.arange(len(x))
    was, out = learner.training, []
    learner.eval()
    with torch.inference_mode():
        for at in range(0, len(order), BATCH):
            batch = arrays(x, order[at : at + BATCH], pad)
            fed = {k: torch.from_numpy(v).to(place) for k, v in batch.items()}
            with precise(fed):
                out.append(what(fed).float().cpu().numpy())
    learner.train(was)
    if not out:
        return np.zeros((0, learner.card.width), np.float32)
    rows = np.concatenate(out)
    rows[order] = rows.copy()
    return rows


def resize(learner: Learner, width: int) -> None:
    """A head for rows of another width, as empty as a new one."""
    place = learner.mean.device
    learner.head = nn.Linear(width, learner.head.out_features).to(place)
    for parameter in learner.head.parameters():
        nn.init.zeros_(parameter)
    learner.mean, learner.gain = torch.zeros(width, device=place), torch.ones((), device=place)
