"""No backbone: the examples are feature vectors already. Named "vector:<width>"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from headstart.core.backbone import Backbone, Block, Cut, Preprocess
from headstart.core.digest import of_value
from headstart.core.errors import PlanError


def card(local: str) -> Backbone:
    """`local` is the number of features, as in "vector:384"."""
    if not local.isdigit() or int(local) < 1:
        raise PlanError(f"vector:{local} is not a backbone: the number of features is expected, as in vector:384.")
    width = int(local)
    spec = Preprocess("vector", (("width", width),))
    weights = f"sha256:{of_value({'vector': width})}"
    return Backbone(f"vector:{width}", weights, spec, (Block("given", (width,)),), width, pretrained_on="nothing")


def files(local: str) -> list[Path]:
    """None: there are no weights."""
    return []


def runs(card: Backbone, cut: Cut) -> str:
    """What kind of engine its parts need: plain functions."""
    return "numpy"


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """None: nothing is known of their network."""
    return None


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """None: there is no library."""
    return None


def parts(card: Backbone):
    """Three functions that pass the vectors on."""
    return _identity, [_identity], _identity


def _identity(x):
    return x["vectors"] if isinstance(x, dict) else x
