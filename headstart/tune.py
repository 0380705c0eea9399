"""What learns above a cut: the upper part of a backbone with a head, fed with what left the cut. For methods/.

Imports torch when it is imported: methods open it inside their functions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from headstart import loop
from headstart.features import Features, Ragged
from headstart.find import member
from headstart.head import Head
from headstart.network import Above, names_above
from headstart.pretext import normalised
from headstart.task import Objective

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


class Tuned:
    """What a method learned above a cut. notes: JSON"""

    def __init__(self, learner: Learner, settings: dict, temperature: float, notes: dict):
        self.learner, self.settings, self.temperature, self.notes = learner.eval(), settings, temperature, notes

    def scores(self, x: Any) -> np.ndarray:
        """What left the cut -> (n, k) float32 calibrated scores."""
        said = passed(self.learner, x, self.learner)
        return (said / self.temperature).astype(np.float32).reshape(len(x), self.learner.head.out_features)

    def head(self) -> Head:
        """One matrix, on rows as the network above the cut gives them."""
        learner = self.learner
        weight, bias, mean = (
            t.detach().cpu().numpy().astype(np.float64) for t in (learner.head.weight, learner.head.bias, learner.mean)
        )
        matrix = weight.T * (float(learner.gain) / self.temperature)
        return Head(((matrix, bias / self.temperature - mean @ matrix),))

    def state(self) -> dict[str, np.ndarray]:
        """Everything that changed by the library's own names, the head, and as JSON what must be built to take it."""
        names = names_above(self.learner.body)
        kept = {names[name]: tensor for name, tensor in changed(self.learner).items()}
        out = {f"body.{name}": t.detach().float().cpu().numpy() for name, t in kept.items()}
        recipe = json.dumps({"width": self.learner.head.out_features, "settings": self.settings})
        own = {name: getattr(self.learner, name).detach().cpu().numpy().reshape(-1) for name in ("mean", "gain")}
        head = {f"head.{name}": p.detach().cpu().numpy() for name, p in self.learner.head.named_parameters()}
        extra = {"temperature": np.array([self.temperature]), "recipe": np.frombuffer(recipe.encode(), np.uint8)}
        return {**out, **own, **head, **extra}

    def files(self) -> dict[str, bytes]:
        """Further files for the model folder."""
        from headstart import peftly

        return peftly.files(self.learner)


def resize(learner: Learner, width: int) -> None:
    """A head for rows of another width, as empty as a new one."""
    place = learner.mean.device
    learner.head = nn.Linear(width, learner.head.out_features).to(place)
    for parameter in learner.head.parameters():
        nn.init.zeros_(parameter)
    learner.mean, learner.gain = torch.zeros(width, device=place), torch.ones((), device=place)


def restored(state: dict[str, np.ndarray], above: Callable[[], Above], alter: Callable[[Learner, dict], None]) -> Tuned:
    """The Tuned whose `state()` this is. alter: what its method does to a learner before it learns."""
    recipe = json.loads(state["recipe"].tobytes())
    learner = Learner(above(), recipe["width"])
    alter(learner, recipe["settings"])
    if state["head.weight"].shape[1] != learner.head.in_features:
        resize(learner, state["head.weight"].shape[1])
    names = {theirs: ours for ours, theirs in names_above(learner.body).items()}
    own: dict[str, torch.Tensor] = {**dict(learner.body.named_parameters()), **dict(learner.body.named_buffers())}
    with torch.no_grad():
        for name, value in state.items():
            if name.startswith("body."):
                own[names[name.removeprefix("body.")]].copy_(torch.from_numpy(value))
        learner.mean.copy_(torch.from_numpy(state["mean"]))
        learner.gain.copy_(torch.from_numpy(state["gain"])[0])
        learner.head.weight.copy_(torch.from_numpy(state["head.weight"]))
        learner.head.bias.copy_(torch.from_numpy(state["head.bias"]))
    return Tuned(learner, recipe["settings"], float(state["temperature"][0]), {})


def changed(learner: Learner) -> dict[str, torch.Tensor]:
    """Tensors of the body that learn, by name in it; BatchNorm's statistics too where they adapt."""
    own = dict(learner.body.named_parameters())
    names = learner.learns if learner.learns is not None else [n for n, p in own.items() if p.requires_grad]
    out: dict[str, torch.Tensor] = {name: own[name] for name in names}
    if learner.norms == "adapt":
        for path, module in learner.body.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                out |= {f"{path}.{n}": b for n, b in module.named_buffers(recurse=False) if b.is_floating_point()}
    return out


def opened(
    above: Callable[[], Above],
    objective: Objective,
    train: Features,
    alter: Callable[[Learner], None] = lambda learner: None,
) -> tuple[Learner, np.ndarray]:
    """A learner that has seen how its rows are spread, and those rows (n, d) as they were before anything learned.

    alter: done to it first
    """
    learner = Learner(above(), objective.width)
    alter(learner)
    learner.to(loop.device())
    rows = passed(learner, train.x, learner.rows)
    if rows.shape[1] != learner.head.in_features:  # a backbone that gives more at its top than its network
        resize(learner, rows.shape[1])
    mean = rows.mean(0, dtype=np.float64)
    spread = math.sqrt(float(((rows - mean) ** 2).mean())) or 1.0
    learner.mean.copy_(torch.from_numpy(mean.astype(np.float32)))
    learner.gain.fill_(1 / spread)
    return learner, rows


def probed(learner: Learner, rows: np.ndarray, train: Features, objective: Objective, rng: np.random.Generator) -> dict:
    """Puts a head fitted to convergence on the learner; gives its notes. rows: (n, d) of `train`, before training."""
    head = plain(objective, Features(rows, train.y, train.ids, train.groups), rng)
    set_head(learner, *affine(head, rows.shape[1]))
    return head.notes


def plain(objective: Objective, data: Features, rng: np.random.Generator) -> Any:
    """The probe of these labels, on rows (n, d)."""
    name = "ridge" if objective.link == "identity" else "logistic"
    nothing = data.rows(np.zeros(0, np.int64))
    return member("methods", name).Settings().fit(data, nothing, objective, above=None, rng=rng)


def affine(head: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(d, k) and (k,) float64 of a head that is a matrix and a bias."""
    bias = head.scores(np.zeros((1, width), np.float32))[0].astype(np.float64)
    return head.scores(np.eye(width, dtype=np.float32)).astype(np.float64) - bias, bias


def set_head(learner: Learner, weight: np.ndarray, bias: np.ndarray) -> None:
    """(d, k) and (k,) for raw rows as the learner's head, which sees them centred and scaled."""
    gain, mean = float(learner.gain), learner.mean.cpu().numpy().astype(np.float64)
    with torch.no_grad():
        learner.head.weight.copy_(torch.from_numpy((weight / gain).T.astype(np.float32)))
        learner.head.bias.copy_(torch.from_numpy((bias + mean @ weight).astype(np.float32)))
