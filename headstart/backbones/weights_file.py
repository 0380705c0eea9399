"""Files of weights, which may be anybody's: read in words, and never more built than is stored in them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones.sealed import sealed
from headstart.core.errors import ArtifactError, HeadstartError, PlanError, import_extra
from headstart.core.messages import first_line, type_and_first_line

if TYPE_CHECKING:
    import torch

MAX_TENSORS = 100_000
SPARE_NUMBERS = 1 << 25  # of a network beside three times those stored: some libraries make
# each twice, of some networks layers are cut off, and there are heads and tables of positions
RESTORE_HINT = "Download it again, or restore it from a copy."


def load_arrays(file: Path) -> dict[str, np.ndarray]:
    """All arrays of a safetensors file. Raises ArtifactError where it is missing, cut short or no such file."""
    from safetensors.numpy import load_file

    with _reading(file):
        return load_file(file)


def load_tensors(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file. Raises ArtifactError as `load_arrays` does, MissingExtra without torch."""
    import_extra("torch", "torch", f"Opening {file.name}")
    from safetensors.torch import load_file

    with _reading(file):
        return load_file(file)


@contextmanager
def open_weights(file: Path, framework: str) -> Iterator[Any]:
    """A safetensors file whose tensors are read one by one. framework: "numpy" or "pt".  Raises ArtifactError."""
    from safetensors import safe_open

    with _reading(file), safe_open(file, framework) as state:
        yield state


def count_stored(file: Path) -> int:
    """Numbers in a safetensors file, by its header. Raises ArtifactError as `load_arrays` does."""
    with open_weights(file, "numpy") as state:
        names = list(state.keys())
        if len(names) > MAX_TENSORS:
            raise ArtifactError(f"{file} has {len(names):,} tensors; {MAX_TENSORS:,} at most are read.")
        return sum(int(np.prod(state.get_slice(name).get_shape(), dtype=np.float64)) for name in names)


@contextmanager
def building(name: str, weights: Path, described_by: str) -> Iterator[None]:
    """A context in which a library builds a network: it may take no more memory than its stored weights explain.

    Parameters and buffers are counted as they are made, so that a few numbers in a configuration cannot fill memory.

    name: of the backbone.  described_by: what describes the network, for messages
    Raises PlanError where it is larger than the file of weights, or where the library raises anything at all.
    """
    allowed, made, modules = 3 * count_stored(weights) + SPARE_NUMBERS, 0, 0
    from torch.nn.modules import module as registry

    thread = threading.get_ident()

    def count(owner: Any, tensor_name: str, tensor: Any) -> None:
        nonlocal made
        if tensor is not None and threading.get_ident() == thread:
            made += tensor.numel()
            if made > allowed:
                raise PlanError(f"{name}: {described_by} describes a network that is larger than its {weights.name}.")

    def count_module(owner: Any, module_name: str, module: Any) -> None:
        nonlocal modules
        modules += threading.get_ident() == thread
        if modules > MAX_TENSORS:
            raise PlanError(f"{name}: {described_by} describes a network of more than {MAX_TENSORS:,} parts.")

    hooks = [
        registry.register_module_parameter_registration_hook(count),
        registry.register_module_buffer_registration_hook(count),
        registry.register_module_module_registration_hook(count_module),
    ]
    try:
        with sealed(name):
            yield
    except HeadstartError:
        raise
    except Exception as error:  # a library raises anything for a network that cannot be
        raise PlanError(
            f"{name}: what {described_by} describes cannot be built: {type_and_first_line(error)}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:  # KeyError: a type of numbers
        raise ArtifactError(
            f"{file} is damaged, or no safetensors file ({first_line(error)}). {RESTORE_HINT}"
        ) from error
