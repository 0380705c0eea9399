"""Pictures and texts of two classes that a small network learns in a few steps, and their features at a cut."""

import io

import numpy as np

from headstart.backbones.cards import find_card
from headstart.core.digest import of_bytes
from headstart.core.features import Features
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.features.cached_views import cached_views
from headstart.features.extract import embed

OBJECTIVE = member("objectives", "classes").of(["left", "right"])


def two_class_examples(kind: str, n: int = 32) -> tuple[list[Example], np.ndarray]:
    """Pictures that are bright on one side, or texts of letters of one half of the alphabet; some have windows."""
    from PIL import Image

    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    found: list[Example] = []
    for i, side in enumerate(y):
        if kind == "image":
            picture = rng.integers(0, 90, (48, 48, 3), dtype=np.uint8)
            picture[:, 24 * side : 24 * side + 24] += 120
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "PNG")
            content: bytes | str = buffer.getvalue()
        else:
            letters = "abcdefghijklm" if side else "nopqrstuvwxyz"
            content = " ".join(rng.choice(list(letters), 3 + i % 9))
        raw = content if isinstance(content, bytes) else content.encode()
        found.append(Example(str(i), content, of_bytes(raw), OBJECTIVE.decode(np.eye(2)[[side]])[0]))
    return found, y.astype(np.int64)


def features_at_cut(name: str, kind: str, cut, tmp_path, views: int = 0) -> tuple[Features, Features]:
    """What left that cut, as a part to learn from and one to choose by."""
    card = find_card(name, tmp_path)
    some, y = two_class_examples(kind)
    x = embed(some, card, cut, tmp_path).x
    more = cached_views(some, card, cut, views, 0, tmp_path)
    whole = Features(x, y, tuple(e.id for e in some), (), more)
    return whole.rows(np.arange(0, 24)), whole.rows(np.arange(24, 32))
