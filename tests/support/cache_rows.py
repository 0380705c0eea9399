"""Rows of a cache whose values follow from their number."""

import numpy as np

from headstart.core.backbone import Backbone, Block, Preprocess
from headstart.core.digest import of_bytes
from headstart.features.cache import store
from headstart.features.cache.segments import CacheEntry

__all__ = ["CARD", "TOP", "entries", "name", "row", "store"]
CARD = Backbone("own:tiny", "sha256:aa", Preprocess("image", (("crop", 0.9),)), (Block("one", (5,)),), 5)
TOP = CARD.cut(1)


def row(i: int) -> np.ndarray:
    return np.random.default_rng(i).standard_normal(5).astype(np.float32)


def name(i: int) -> str:
    return of_bytes(str(i).encode())


def entries(numbers) -> list[CacheEntry]:
    return [CacheEntry(name(i), row(i), i / 1000, b"jpeg%d" % i) for i in numbers]
