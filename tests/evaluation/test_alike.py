"""What differs and is one to the backbone is no data to learn from."""

import numpy as np
import pytest

import headstart
from headstart.core.errors import Stopped
from headstart.data.image_bytes import encode_array


def write_drawings(root, seen: int, count: int = 48) -> None:
    """White on white: the drawing is in the alpha channel. seen: how many of them are black instead"""
    for n in range(count):
        (root / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        picture = np.full((32, 32, 4), 0 if n < seen else 255, np.uint8)
        picture[:, :, 3] = 0
        picture[: 4 + n // 2, 2 + n % 2 : 20, 3] = 255
        (root / "ab"[n % 2] / f"{n}.png").write_bytes(encode_array(picture))


def test_all_alike_stops_and_many_alike_is_a_warning(tmp_path):
    write_drawings(tmp_path / "white", 0)
    with pytest.raises(Stopped, match=r"sees all \d+ images alike, though they differ.*alpha channel"):
        headstart.fit(tmp_path / "white", into=tmp_path / "r", root=tmp_path / "cache")
    write_drawings(tmp_path / "some", 24)
    found = headstart.fit(tmp_path / "some", into=tmp_path / "s", root=tmp_path / "cache").result["findings"]
    assert [f["level"] for f in found if f["guard"] == "alike"] == ["warn"]
    write_drawings(tmp_path / "black", 48)
    found = headstart.fit(tmp_path / "black", into=tmp_path / "b", root=tmp_path / "cache").result["findings"]
    assert not [f for f in found if f["guard"] == "alike"]
