"""The training loop: a generator of steps. A batch is a function of its step's number: a resumed run is the same run.

A checkpoint has the weights, the optimizer's state and, as text, where the run stood, as safetensors behind a digest.
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

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from headstart.core import hardware
from headstart.core.errors import ArtifactError, PlanError
from headstart.core.files import MAGIC, read_checked, write_checked

MAX_GRADIENT_NORM = 1.0  # AutoGluon's and FLYP's value; without it bf16 diverges at a learning rate of 3e-3
PREFETCH = 3  # batches that are drawn before they are needed
SHORT_TEXT = 128  # tokens

Batch = dict[str, np.ndarray]
Split = Callable[[Batch, int], list[tuple[Batch, float]]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was taken.

    index: from 0.  loss: of its batch.  micro_batches: in which its batch went through the network, one after the
    other, because memory did not hold all of it
    """

    index: int
    total: int
    loss: float
    learning_rate: float
    micro_batches: int = 1


def default_device() -> torch.device:
    """The accelerator where torch finds one, else the processor."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def mixed_precision(module: nn.Module) -> Callable[[dict[str, torch.Tensor]], AbstractContextManager]:
    """An autocast context for a batch: bfloat16 where the machine multiplies it faster than float32, else nothing.

    Weights stay in float32. A GPU, a processor with AMX: all networks. A processor with AVX-512's products of bfloat16:
    where matrices outweigh kernels, at twice the speed (ViT-tiny, MiniLM; MobileNetV2 would take 1.2 times as long).
    """
    device = next(module.parameters()).device
    if device.type != "cpu":
        return lambda batch: torch.autocast(device.type, torch.bfloat16)
    flags = hardware.processor_info()[1]
    if "amx_bf16" in flags:
        return lambda batch: torch.autocast("cpu", torch.bfloat16)
    return _cpu_bfloat16 if "avx512_bf16" in flags and _is_mostly_matrices(module) else lambda batch: nullcontext()


@contextmanager
def _cpu_bfloat16(batch: dict[str, torch.Tensor]) -> Iterator[None]:
    """Short texts with attention in plain products: of 15 tokens the fused one takes 21 ms, 1.4 in float32, these 2."""
    plain = "mask" in batch and batch["mask"].shape[1] <= SHORT_TEXT
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
        yield


def _is_mostly_matrices(module: nn.Module) -> bool:
    """Whether more parameters stand in matrices than in convolution kernels."""
    size = {2: 0, 4: 0}
    for parameter in module.parameters():
        if parameter.ndim in size:
            size[parameter.ndim] += parameter.numel()
    return size[2] > size[4]


def steps(
    loss: nn.Module,
    draw: Callable[[int], Batch],
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    total: int,
    *,
    start: int = 0,
    spare_cores: int = 1,
    split: Split | None = None,
) -> Iterator[Step]:
    """Steps `start` to `total` - 1, each after it was taken.

    loss: a batch of tensors -> a scalar.  draw: the batch of a step, a function of its number alone
    schedule: learning rate of a step; a parameter group with a "scale" takes that many times it
    spare_cores: left for drawing
    split: into so many micro-batches with each one's share of the examples, where the loss is a mean over them; then a
    batch that memory does not hold goes in parts, whose gradients are accumulated
    Raises PlanError when the loss is no longer finite, or memory does not hold the batch.
    """
    backward = _Backward(loss, optimizer, split)
    # One core is left for drawing views: torch's threads wait for each other at every layer, and on a busy machine
    # two of two cores took 2 pictures a second where one takes 100 (MobileNetV4-small at 96 px).
    threads = max(1, min(torch.get_num_threads(), (os.cpu_count() or 2) - spare_cores))
    with ThreadPoolExecutor(2) as pool, _torch_threads(threads):
        drawn = deque(pool.submit(draw, i) for i in range(start, min(start + PREFETCH, total)))
        for index in range(start, total):
            batch = drawn.popleft().result()
            if index + PREFETCH < total:
                drawn.append(pool.submit(draw, index + PREFETCH))
            for group in optimizer.param_groups:
                group["lr"] = schedule(index) * group.get("scale", 1.0)
            value = backward(batch)
            nn.utils.clip_grad_norm_(loss.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()
            if not np.isfinite(value):
                raise PlanError(f"The loss was {value} at step {index}: it diverged. Try a third of the learning rate.")
            yield Step(index, total, value, schedule(index), backward.micro_batches)


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """So many threads for torch, and the former number again afterwards, also where a training is left early."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Backward:
    """The backward pass of a batch. micro_batches: in which memory holds one; twice as many where it did not"""

    def __init__(self, loss: nn.Module, optimizer: torch.optim.Optimizer, split: Split | None):
        self.loss, self.optimizer, self.split = loss, optimizer, split
        self.device, self.autocast = next(loss.parameters()).device, mixed_precision(loss)
        self.micro_batches = 1

    def __call__(self, batch: Batch) -> float:
        """Leaves the gradients on the parameters; gives the loss."""
        while True:
            try:
                return self._accumulate(batch)
            except RuntimeError as error:  # torch.OutOfMemoryError is one, and on a processor there is only the words
                if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                    raise
                if self.split is None or len(self.split(batch, 2 * self.micro_batches)) <= self.micro_batches:
                    raise PlanError(
                        "Memory does not hold a batch of this size. Try half of it, --set batch_size=8, or "
                        "--save-memory."
                    ) from error
                self.micro_batches *= 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _accumulate(self, batch: Batch) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        value = 0.0
        divided = self.split is not None and self.micro_batches > 1
        for part, share in self.split(batch, self.micro_batches) if self.split and divided else [(batch, 1.0)]:
            tensors = {k: torch.from_numpy(v).to(self.device) for k, v in part.items()}
            with self.autocast(tensors):
                loss = self.loss(tensors) * share
                # Under gradient checkpointing the forward pass that is computed again has its own precision back.
                with torch.autocast(self.device.type, enabled=False):
                    loss.backward()
            value += float(loss.detach())
        return value


def save_checkpoint(file: Path, learner: nn.Module, optimizer: torch.optim.Optimizer, facts: dict) -> None:
    """A checkpoint, whole or not at all. facts: JSON; `read_checkpoint_facts` gives it back. Raises OSError."""
    from safetensors.torch import save

    tensors = {f"learner.{k}": v.detach().cpu().contiguous() for k, v in learner.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v).cpu().contiguous() for k, v in state.items()}
    write_checked(file, save(tensors, {"facts": json.dumps(facts)}))


def read_checkpoint_facts(file: Path) -> dict | None:
    """The facts of a checkpoint; None where there is none. Raises ArtifactError for a damaged one."""
    raw = _checkpoint_bytes(file) if file.exists() else None
    if raw is None:
        return None
    try:
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        facts = json.loads(header["__metadata__"]["facts"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _damaged(file) from error
    if not isinstance(facts, dict):
        raise _damaged(file)
    return facts


def _checkpoint_bytes(file: Path) -> bytes:
    """A checkpoint in the format of safetensors. Those of version 0.1 have no digest before them."""
    raw = read_checked(file)
    if raw is None:
        raw = file.read_bytes()
        if raw.startswith(MAGIC):
            raise _damaged(file)
    return raw


def _damaged(file: Path) -> ArtifactError:
    return ArtifactError(f"{file} is damaged: the run cannot go on from it. Begin it anew with --restart.")


def load_checkpoint(file: Path, learner: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Puts a checkpoint back into a learner and an optimizer of the same making. Raises ArtifactError for another's."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(_checkpoint_bytes(file))
        _load_tensors(tensors, learner, optimizer)
    except (SafetensorError, LookupError, ValueError, RuntimeError) as error:
        raise _damaged(file) from error


def _load_tensors(tensors: dict[str, torch.Tensor], learner: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    learner.load_state_dict({k.removeprefix("learner."): v for k, v in tensors.items() if k.startswith("learner.")})
    state: dict[int, dict] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            parameter = parameters[int(number)]
            # A fused optimizer reads its state in the parameter's memory layout: channels last beside channels first
            # would be mixed up.
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def epoch_batch(n: int, batch_size: int, step: int, seed: int) -> tuple[np.ndarray, int]:
    """Indices (batch_size,) int64 of a step's examples, each once an epoch in a new order, and the epoch's number."""
    per_epoch = max(1, n // batch_size)
    epoch, position = divmod(step, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return order[position * batch_size : position * batch_size + batch_size], epoch
