"""Where the real data and weights lie that benchmarks run on, and the backbones that most of them take."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("HEADSTART_SHARED", ROOT / ".." / "shared")).resolve()
MOBILENET = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
VIT = "timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k"
