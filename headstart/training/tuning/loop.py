"""The training loop: a generator of steps. A batch is a function of its step's number: a resumed run is the same run.

A checkpoint is one safetensors file with the weights, the optimizer's state and, as text, where the run stood.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from headstart.core import hardware
from headstart.core.errors import PlanError

if TYPE_CHECKING:
    from torch import nn


SHORT = 128  # tokens
AHEAD = 3  # batches drawn before they are needed

Batch = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was taken. index: from 0.  loss: of its batch.  rate: learning rate

    parts: in which its batch went through the network, one after the other, because memory did not hold all of it
    """

    index: int
    total: int
    loss: float
    rate: float
    parts: int = 1


def device() -> torch.device:
    """The accelerator where torch finds one, else the processor."""
    return (torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None) or torch.device(
        "cpu"
    )


def mixed(learner: nn.Module) -> Callable[[dict[str, torch.Tensor]], AbstractContextManager]:
    """A context for a batch: bfloat16 where the machine multiplies it faster than float32, else nothing.

    Weights stay in float32. A GPU, a processor with AMX: all networks. A processor with AVX-512's products of bfloat16:
    where matrices outweigh kernels, at twice the speed (ViT-tiny, MiniLM; MobileNetV2 would take 1.2 times as long).
    """
    place = next(learner.parameters()).device
    if place.type != "cpu":
        return lambda batch: torch.autocast(place.type, torch.bfloat16)
    flags = hardware.processor()[1]
    if "amx_bf16" in flags:
        return lambda batch: torch.autocast("cpu", torch.bfloat16)
    return _halved if "avx512_bf16" in flags and _matrices(learner) else lambda batch: nullcontext()


@contextmanager
def _halved(batch: dict[str, torch.Tensor]) -> Iterator[None]:
    """Short texts with attention in plain products: of 15 tokens the fused one takes 21 ms, 1.4 in float32, these 2."""
    plain = "mask" in batch and batch["mask"].shape[1] <= SHORT
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
        yield


def _matrices(learner: nn.Module) -> bool:
    """Whether more of the numbers stand in matrices than in kernels."""
    size = {2: 0, 4: 0}
    for parameter in learner.parameters():
        if parameter.ndim in size:
            size[parameter.ndim] += parameter.numel()
    return size[2] > size[4]


def steps(
    learner: nn.Module,
    draw: Callable[[int], Batch],
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    total: int,
    *,
    start: int = 0,
    spare: int = 1,
    split: Callable[[Batch, int], list[tuple[Batch, float]]] | None = None,
) -> Iterator[Step]:
    """Steps `start` to `total` - 1, each after it was taken.

    learner: a batch of tensors -> its loss.  draw: the batch of a step, a function of its number alone
    rate: learning rate of a step; a group of the optimizer with a "scale" takes that many times it
    spare: cores left for drawing
    split: a batch and a number -> so many parts of it and each one's share of the examples, where the loss is a mean
    over them; then a batch that memory does not hold goes in parts, whose gradients add up to the same
    Raises PlanError when the loss is no longer finite, or memory does not hold the batch.
    """
    place = next(learner.parameters()).device
    precise = mixed(learner)
    # One core is left for drawing views: torch's threads wait for each other at every layer, and on a busy machine
    # two of two cores took 2 pictures a second where one takes 100 (MobileNetV4-small at 96 px).
    threads = max(1, min(torch.get_num_threads(), (os.cpu_count() or 2) - spare))
    parts = 1
    with ThreadPoolExecutor(2) as pool, _threads(threads):
        waiting = deque(pool.submit(draw, i) for i in range(start, min(start + AHEAD, total)))
        for index in range(start, total):
            batch = waiting.popleft().result()
            if index + AHEAD < total:
                waiting.append(pool.submit(draw, index + AHEAD))
            for group in optimizer.param_groups:
                group["lr"] = rate(index) * group.get("scale", 1.0)
            value, parts = _slope(learner, optimizer, batch, parts, split, place, precise)
            nn.utils.clip_grad_norm_(learner.parameters(), CLIP)
            optimizer.step()
            if not np.isfinite(value):
                raise PlanError(f"The loss was {value} at step {index}: it diverged. Try a third of the learning rate.")
            yield Step(index, total, value, rate(index), parts)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for torch, and the former number again afterwards, also where a training is left early."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _slope(learner, optimizer, batch: Batch, parts: int, split, place, precise) -> tuple[float, int]:
    """Leaves a batch's gradients on the learner; gives its loss, and in how many parts memory held it."""
    while True:
        try:
            optimizer.zero_grad(set_to_none=True)
            value = 0.0
            for some, share in split(batch, parts) if split and parts > 1 else [(batch, 1.0)]:
                fed = {k: torch.from_numpy(v).to(place) for k, v in some.items()}
                with precise(fed):
                    loss = learner(fed) * share
                    with torch.autocast(place.type, enabled=False):  # what is computed again has its own precision back
                        loss.backward()
                value += float(loss.detach())
            return value, parts
        except RuntimeError as error:  # torch.OutOfMemoryError is one, and on a processor there is only the words
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            if split is None or len(split(batch, 2 * parts)) <= parts:
                raise PlanError(
                    "Memory does not hold a batch of this size. Try half of it, --set batch=8, or --save-memory."
                ) from error
            parts *= 2
            if place.type == "cuda":
                torch.cuda.empty_cache()


def save(file: Path, learner: nn.Module, optimizer: torch.optim.Optimizer, facts: dict) -> None:
    """A checkpoint, whole or not at all. facts: JSON; `load` gives it back."""
    from safetensors.torch import save_file

    tensors = {f"learner.{k}": v.detach().cpu().contiguous() for k, v in learner.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v).cpu().contiguous() for k, v in state.items()}
    temporary = file.with_name(f".{file.name}.tmp")
    save_file(tensors, temporary, metadata={"facts": json.dumps(facts)})
    temporary.replace(file)


def peek(file: Path) -> dict | None:
    """The facts of a checkpoint; None where there is none that can be read."""
    from safetensors import safe_open

    try:
        with safe_open(file, "numpy") as kept:
            return json.loads((kept.metadata() or {})["facts"])
    except Exception:  # a file that is absent, cut short or another's: safetensors has no one type for it
        return None


def load(file: Path, learner: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Puts a checkpoint back into a learner and an optimizer of the same making."""
    from safetensors.torch import load_file

    tensors = load_file(file)
    learner.load_state_dict({k.removeprefix("learner."): v for k, v in tensors.items() if k.startswith("learner.")})
    state: dict[int, dict] = {}
    learns = [p for group in optimizer.param_groups for p in group["params"]]
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            like = learns[int(number)]
            # A fused optimizer goes through memory as it lies: channels last beside channels first would be mixed up.
            laid = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
            state.setdefault(int(number), {})[name] = laid
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def turn(n: int, batch: int, index: int, seed: int) -> tuple[np.ndarray, int]:
    """(batch,) int64 positions for step `index`, every example once a pass in a new order, and the pass's number."""
    whole = max(1, n // batch)
    lap, at = divmod(index, whole)
    order = np.random.default_rng([seed, lap]).permutation(n)
    return order[at * batch : at * batch + batch], lap


CLIP = 1.0  # of the gradient's norm; AutoGluon's and FLYP's value, and without it bf16 diverges at 3e-3
