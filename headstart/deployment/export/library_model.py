"""A tuned model as the library's own network again, for the formats that plain timm, transformers or PEFT open."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from headstart.backbones.network import open_network
from headstart.core.errors import PlanError
from headstart.core.head import Head
from headstart.core.plan import Model, Raced, Trained, learned
from headstart.deployment.export.head_matrices import head_of

if TYPE_CHECKING:
    from torch import nn


# What leaves the network in its own form, once adapters are merged. The others build something new into or beside it.
PLAIN = ("finetune", "full", "gradual", "lpft", "wise", "bias", "contrast", "lora", "ia3")
INSTEAD = "Take --to onnx or --to torch, which hold it whole."


def family(model: Model, wanted: str) -> None:
    """Raises PlanError unless the backbone is of that library."""
    card = model.backbone
    if card.family != wanted:
        raise PlanError(f"{card.name} is no network of {wanted}, so plain {wanted} code cannot open it. {INSTEAD}")


def method_of(model: Model) -> str:
    """The method that learned, also where a race chose it; "levels" for a head on levels."""
    if not isinstance(model.fitted, Raced):
        return str(model.facts["method"])
    return model.fitted.by or "levels"


def whole(model: Model) -> nn.Module:
    """The library's own network with what was learned in its place, without a classifier, in eval mode.

    Raises PlanError for a method that builds in what the library's network does not have.
    """
    fitted = learned(model.fitted)
    if not isinstance(fitted, Trained):
        return open_network(model.backbone).model.eval()
    method = method_of(model)
    if method not in PLAIN:
        raise PlanError(
            f"{method} builds parts into {model.backbone.name} that the library's own network lacks. {INSTEAD}"
        )
    learner = copy.deepcopy(fitted.learner).cpu()
    if learner.adapter:
        return learner.adapter[0].merge_and_unload().eval()
    return learner.body[-1].model.eval()


def one_matrix(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The head as (d, k) and (k,) float32, calibrated. Raises PlanError where it is more than that."""
    head = head_of(model.fitted)
    if not isinstance(head, Head) or head.unit or len(head.layers) != 1:
        raise PlanError(
            f"The head that {method_of(model)} fitted is more than one matrix, which is all that a classifier of this "
            f"library has room for. {INSTEAD}"
        )
    weight, bias = head.layers[0]
    return weight.astype(np.float32), bias.astype(np.float32)
