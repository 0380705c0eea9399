"""A fine-tuned model as its library's own network, for formats that plain timm, transformers or PEFT open."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from headstart.backbones.network import open_network
from headstart.core.errors import PlanError
from headstart.core.head import Head
from headstart.core.plan import Model, Raced, Trained, traits_of, winner_of
from headstart.core.plugins import member, names
from headstart.deployment.export.head_matrices import head_of

if TYPE_CHECKING:
    from torch import nn


ALTERNATIVE = "Take --to onnx or --to torch, which hold it whole."


def require_library(model: Model, library: str) -> None:
    """Raises PlanError unless the backbone comes from that library."""
    card = model.backbone
    if card.family != library:
        raise PlanError(
            f"{card.name} is no network of {library}, so plain {library} code cannot open it. {ALTERNATIVE}"
        )


def method_name(model: Model) -> str:
    """The method that was fitted, also where `auto` chose it; "levels" for a head on intermediate features."""
    if not isinstance(model.fitted, Raced):
        return str(model.facts["method"])
    return model.fitted.by or "levels"


def merged_network(model: Model) -> nn.Module:
    """The library's own network with the trained weights, without a classifier, in eval mode.

    Raises PlanError for a method that adds layers which the library's network does not have.
    """
    trained = winner_of(model.fitted)
    if not isinstance(trained, Trained):
        return open_network(model.backbone).model.eval()
    method = method_name(model)
    if method not in names("methods") or not traits_of(member("methods", method).Settings).is_plain_network:
        raise PlanError(
            f"{method} adds layers to {model.backbone.name} that the library's own network lacks. {ALTERNATIVE}"
        )
    learner = copy.deepcopy(trained.learner).cpu()
    if learner.adapter:
        return learner.adapter[0].merge_and_unload().eval()
    return learner.body[-1].model.eval()


def linear_head(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The head as (d, k) and (k,) float32, calibrated. Raises PlanError where it is more than that."""
    head = head_of(model.fitted)
    if not isinstance(head, Head) or head.unit or len(head.layers) != 1:
        raise PlanError(
            f"The head that {method_name(model)} fitted is more than one matrix, which is all that a classifier of "
            f"this library has room for. {ALTERNATIVE}"
        )
    weight, bias = head.layers[0]
    return weight.astype(np.float32), bias.astype(np.float32)
