"""A timm architecture as a trunk: random weights, no classifier, no layers after its pooling."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from headstart.backbones.timm_arguments import check_architecture
from headstart.core.errors import NameNotFound, PlanError, missing_extra
from headstart.core.messages import type_and_first_line

if TYPE_CHECKING:
    from torch import nn


# Layers that some families have between pooling and classifier: half of a small network's weights.
POST_POOLING_LAYERS = ("conv_head", "norm_head", "act2")


def build_trunk(name: str, architecture: str, arguments: dict, file: str = "its card") -> nn.Module:
    """The network in eval mode. Random weights are drawn from torch's generator.

    name: of the backbone.  file: that names architecture and arguments; both for messages
    Raises NameNotFound with the nearest spelling, PlanError, MissingExtra.
    """
    check_architecture(name, architecture, arguments, file)
    try:
        import timm
        from torch import nn
    except ImportError as error:
        raise missing_extra(error.name or "timm", "torch", name) from error
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise NameNotFound(f"timm {timm.__version__} has no architecture {architecture!r}.{hint}")
    try:
        model = timm.create_model(architecture, **{**arguments, "num_classes": 0})
    except PlanError:
        raise  # it grew too large: see weights_file.building
    except Exception as error:  # a library raises anything for a network that cannot be
        raise PlanError(
            f"{name}: timm cannot build {architecture} with {arguments}: {type_and_first_line(error)}"
        ) from error
    children = dict(model.named_children())
    # MobileNetV3 and V4 widen after pooling; in EfficientNet and MobileNetV2 a conv_head comes before it, with bn2.
    if "conv_head" in children and "bn2" not in children:
        for layer in POST_POOLING_LAYERS:
            if layer in children:
                setattr(model, layer, nn.Identity())
    return model.eval()
