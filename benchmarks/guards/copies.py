"""Copies of photos as people make them before a split, and photos of real sets to make them of."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.paths import SHARED

if TYPE_CHECKING:
    from PIL.Image import Image

    Make = Callable[[Image, np.random.Generator], Image]

SETS = ("hymenoptera", "trashnet", "neu_defects")  # more: flowers102_64px, tiny_imagenet_30k, pacs/photo …
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


def load_photos(name: str, limit: int, seed: int) -> list[bytes]:
    """Distinct files of a set of the shared folder, drawn at random; "pacs/photo" is one table of a set."""
    folder, _, table = name.partition("/")
    root = SHARED / "data" / folder
    tables = sorted(root.glob(f"{table or '*'}.parquet"))
    found = _from_tables(tables) if tables else [p.read_bytes() for p in sorted(root.rglob("*")) if _is_photo(p)]
    found = list(dict.fromkeys(found))
    if not found:
        raise SystemExit(f"{root} holds no photos. HEADSTART_SHARED names the folder above data/{folder}.")
    order = np.random.default_rng(seed).permutation(len(found))
    return [found[i] for i in order[:limit]]


def make_copy(raw: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A copy of the kind, saved as JPEG of quality 90 where the kind is not about quality."""
    from PIL import Image

    with Image.open(io.BytesIO(raw)) as picture:
        copy = KINDS[kind](picture.convert("RGB"), rng)
    out = io.BytesIO()
    copy.save(out, "JPEG", quality=int(rng.integers(20, 50)) if kind == "recompressed" else 90)
    return out.getvalue()


def _transposed(name: str) -> Make:
    def make(picture: Image, rng: np.random.Generator) -> Image:
        from PIL import Image

        return picture.transpose(Image.Transpose[name])

    return make


def _cropped(low: float, high: float) -> Make:
    """To a share of the area, anywhere."""

    def make(picture: Image, rng: np.random.Generator) -> Image:
        side = float(np.sqrt(rng.uniform(low, high)))
        w, h = (max(8, round(side * s)) for s in picture.size)
        x, y = int(rng.integers(picture.width - w + 1)), int(rng.integers(picture.height - h + 1))
        return picture.crop((x, y, x + w, y + h))

    return make


def _turned(fill: str) -> Make:
    """By 4 to 12 degrees: corners black, corners white on a larger canvas, or cut so that none show."""

    def make(picture: Image, rng: np.random.Generator) -> Image:
        from PIL import Image

        angle = float(rng.uniform(4, 12) * rng.choice([-1, 1]))
        bicubic = Image.Resampling.BICUBIC
        if fill == "black":
            return picture.rotate(angle, bicubic)
        if fill == "white":
            return picture.rotate(angle, bicubic, expand=True, fillcolor=(255, 255, 255))
        w, h = picture.size
        s, c = np.sin(np.radians(abs(angle))), np.cos(np.radians(angle))
        scale = min(w / (w * c + h * s), h / (w * s + h * c))
        x, y = w * (1 - scale) / 2, h * (1 - scale) / 2
        return picture.rotate(angle, bicubic).crop((round(x), round(y), round(w - x), round(h - y)))

    return make


def _enhanced(name: str, low: float, high: float) -> Make:
    def make(picture: Image, rng: np.random.Generator) -> Image:
        from PIL import ImageEnhance

        return getattr(ImageEnhance, name)(picture).enhance(float(rng.choice([low, high])))

    return make


def _hue(picture: Image, rng: np.random.Generator) -> Image:
    """Turned by 20 to 60 degrees of the colour circle."""
    from PIL import Image

    hsv = np.asarray(picture.convert("HSV")).copy()
    hsv[..., 0] += np.uint8(rng.choice([-1, 1]) * rng.integers(14, 43) % 256)
    return Image.fromarray(hsv, "HSV").convert("RGB")


def _noise(picture: Image, rng: np.random.Generator) -> Image:
    from PIL import Image

    x = np.asarray(picture, np.float32)
    return Image.fromarray(np.clip(x + rng.normal(0, 12, x.shape), 0, 255).astype(np.uint8))


def _blurred(picture: Image, rng: np.random.Generator) -> Image:
    from PIL import ImageFilter

    return picture.filter(ImageFilter.GaussianBlur(min(picture.size) / 100))


def _resized(picture: Image, rng: np.random.Generator) -> Image:
    """To 35 to 70 % of each side, the two independently a little."""
    scale = rng.uniform(0.35, 0.7) * np.array([1, rng.uniform(0.8, 1.25)])
    return picture.resize((max(8, round(picture.width * scale[0])), max(8, round(picture.height * scale[1]))))


def _boxed(picture: Image, rng: np.random.Generator) -> Image:
    """Fitted into a square, with black bars."""
    from PIL import Image

    w, h = picture.size
    if w == h:
        h = round(h * 0.75)
        picture = picture.crop((0, 0, w, h))
    side = max(w, h)
    out = Image.new("RGB", (side, side))
    out.paste(picture, ((side - w) // 2, (side - h) // 2))
    return out


def _mixed(picture: Image, rng: np.random.Generator) -> Image:
    """What a library of augmentation writes: mirrored or turned by quarters, cropped, brighter or darker."""
    names = ("FLIP_LEFT_RIGHT", "FLIP_TOP_BOTTOM", "ROTATE_90", "ROTATE_180", "ROTATE_270")
    picture = _transposed(str(rng.choice(names)))(picture, rng)
    picture = _cropped(0.75, 0.95)(picture, rng)
    return _enhanced("Brightness", 0.7, 1.3)(picture, rng)


KINDS: dict[str, Make] = {
    "mirrored": _transposed("FLIP_LEFT_RIGHT"),
    "upside down": _transposed("FLIP_TOP_BOTTOM"),
    "quarter turn": _transposed("ROTATE_90"),
    "half turn": _transposed("ROTATE_180"),
    "transposed": _transposed("TRANSPOSE"),
    "cropped to 80-95 %": _cropped(0.8, 0.95),
    "cropped to 60-80 %": _cropped(0.6, 0.8),
    "turned, black corners": _turned("black"),
    "turned, white corners": _turned("white"),
    "turned and cut": _turned("cut"),
    "brightness": _enhanced("Brightness", 0.65, 1.4),
    "contrast": _enhanced("Contrast", 0.6, 1.5),
    "saturation": _enhanced("Color", 0.4, 1.8),
    "hue": _hue,
    "gray": lambda picture, rng: picture.convert("L"),
    "recompressed": lambda picture, rng: picture,
    "blurred": _blurred,
    "resized": _resized,
    "noise": _noise,
    "letterboxed": _boxed,
    "mirrored, cropped, brighter": _mixed,
}


def _from_tables(tables: list[Path]) -> list[bytes]:
    import pyarrow.parquet as pq

    return [row["bytes"] for path in tables for row in pq.read_table(path, columns=["image"])["image"].to_pylist()]


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES
