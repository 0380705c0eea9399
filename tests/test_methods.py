"""Methods that train above a cut: each keeps its contract on a vision and on a text backbone, small ones with random
weights, and every parameter learns at the rate that it should."""

import numpy as np
import pytest

from headstart import testing
from headstart.errors import PlanError
from headstart.extract import embed
from headstart.features import Features
from headstart.find import member, names
from headstart.planner import find_card
from headstart.task import Example

pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("transformers")

TUNERS = [n for n in names("methods") if hasattr(member("methods", n).Settings(), "steps")]
OBJECTIVE = member("objectives", "classes").of(["left", "right"])


def examples(kind: str, n: int = 32) -> tuple[list[Example], np.ndarray]:
    """Pictures that are bright on one side, or texts of letters of one half of the alphabet; some have windows."""
    import io

    from PIL import Image

    from headstart.digest import of_bytes

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


def crossed(name: str, kind: str, cut, tmp_path, views: int = 0) -> tuple[Features, Features]:
    """What left that cut, as a part to learn from and one to choose by."""
    from headstart.augment import views_of

    card = find_card(name, tmp_path)
    some, y = examples(kind)
    x = embed(some, card, cut, tmp_path).x
    more = views_of(some, card, cut, views, 0, tmp_path)
    whole = Features(x, y, tuple(e.id for e in some), (), more)
    return whole.rows(np.arange(0, 24)), whole.rows(np.arange(24, 32))


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("name", TUNERS)
def test_methods_that_train(name, kind, request, tmp_path):
    backbone = request.getfixturevalue({"image": "vision", "text": "text"}[kind])
    module, card = member("methods", name), find_card(backbone, tmp_path)
    try:
        train, val = crossed(
            backbone, kind, module.Settings().cut(card), tmp_path, getattr(module.Settings(), "views", 0)
        )
        testing.check_tuner(module, card, train, val, OBJECTIVE)
    except PlanError as refusal:
        assert kind == "text", f"{name} refuses images: {refusal}"
        pytest.skip(f"{name} declines texts: {refusal}")
