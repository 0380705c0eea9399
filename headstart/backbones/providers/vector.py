"""No backbone: the examples are feature vectors already. Named "vector:<width>"."""

from __future__ import annotations

import re

from headstart.backbones.providers import stats
from headstart.core.backbone import Backbone, Block, Preprocess
from headstart.core.digest import of_value
from headstart.core.errors import PlanError

# Nothing is loaded, classified or compared, as with the statistics.
files, runs, classifier, reference = stats.files, stats.runs, stats.classifier, stats.reference


def card(local: str) -> Backbone:
    """`local` is the number of features, as in "vector:384"."""
    if not re.fullmatch("[1-9][0-9]{0,6}", local):
        raise PlanError(f"vector:{local} is not a backbone: the number of features is expected, as in vector:384.")
    width = int(local)
    spec = Preprocess("vector", (("width", width),))
    weights = f"sha256:{of_value({'vector': width})}"
    return Backbone(f"vector:{width}", weights, spec, (Block("given", (width,)),), width, pretrained_on="nothing")


def parts(card: Backbone):
    """Three functions that pass the vectors on."""
    return _identity, [_identity], _identity


def _identity(x):
    return x["vectors"] if isinstance(x, dict) else x
