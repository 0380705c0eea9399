"""A drawing as a PNG file at twice its size, for slides and chats that take no SVG."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from headstart.core.errors import missing_extra
from headstart.reporting.canvas import MARGIN, THEMES, TOP, Circle, Drawing, Line, Rect, Text, heading

SCALE = 2  # of the file
FINE = 2  # Pillow draws hard edges: drawn this much larger still, then shrunk, they are smooth
LIGHT = THEMES["light"]
# Pillow's own font knows little more than ASCII; for other scripts the first of these that has all the letters.
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "arial.ttf", "Arial Unicode.ttf")


def write(drawing: Drawing, file: Path) -> Path:
    """The drawing with its title, in light tones on white. Raises MissingExtra without Pillow."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise missing_extra("Pillow", "all", "Writing plots as PNG") from error
    times = SCALE * FINE
    size = (round(drawing.width * times), round(drawing.height * times))
    picture = Image.new("RGB", size, LIGHT["paper"])
    pen = ImageDraw.Draw(picture)
    for mark in drawing.marks:
        if isinstance(mark, Rect):
            _rect(pen, mark, times)
        elif isinstance(mark, Circle):
            _circle(pen, mark, times)
        elif isinstance(mark, Line):
            _line(pen, mark, times)
        else:
            _text(pen, mark, times)
    whole = (round(size[0] + 2 * MARGIN * times), round(size[1] + (TOP + MARGIN) * times))
    sheet = Image.new("RGB", whole, LIGHT["paper"])
    sheet.paste(picture, (round(MARGIN * times), round(TOP * times)))
    _text(ImageDraw.Draw(sheet), heading(drawing), times)
    sheet.resize((whole[0] // FINE, whole[1] // FINE), Image.Resampling.BOX).save(file, optimize=True)
    return file


def _rect(pen: Any, mark: Rect, times: int) -> None:
    box = (mark.x * times, mark.y * times, (mark.x + mark.w) * times - 1, (mark.y + mark.h) * times - 1)
    if box[2] < box[0] or box[3] < box[1]:
        return
    outline = LIGHT.get(mark.stroke)
    pen.rounded_rectangle(
        box, mark.radius * times, fill=_blend(mark.fill, mark.alpha), outline=outline, width=times if outline else 0
    )


def _circle(pen: Any, mark: Circle, times: int) -> None:
    reach = mark.r + (1 if mark.stroke else 0)  # SVG strokes half inside, half outside
    box = tuple(v * times for v in (mark.x - reach, mark.y - reach, mark.x + reach, mark.y + reach))
    outline = LIGHT.get(mark.stroke)
    pen.ellipse(box, fill=_blend(mark.fill, mark.alpha), outline=outline, width=2 * times if outline else 0)


def _line(pen: Any, mark: Line, times: int) -> None:
    points = [(x * times, y * times) for x, y in mark.points]
    width = max(1, round(mark.width * times))
    for stretch in _dashes(points, 4.0 * times) if mark.dashed else [points]:
        pen.line(stretch, fill=LIGHT[mark.stroke], width=width, joint="curve")


def _dashes(points: list[tuple[float, float]], on: float) -> list[list[tuple[float, float]]]:
    """Stretches of length `on` with gaps as long between; each leg of the line begins afresh."""
    found = []
    for (ax, ay), (bx, by) in pairwise(points):
        length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
        at = 0.0
        while at < length:
            ends = at / length, min(at + on, length) / length
            found.append([(ax + (bx - ax) * t, ay + (by - ay) * t) for t in ends])
            at += 2 * on
    return found


def _text(pen: Any, mark: Text, times: int) -> None:
    points = mark.points * times
    words = mark.words.replace("\u00a0", " ").replace("−", "-").replace("–", "-")
    own = _own_font(points)
    font = own if _draws(own, words) else next((f for f in _machine_fonts(points) if _draws(f, words)), own)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
    # The built-in font has one weight: a thin outline in the same colour makes it bold.
    stroke = round(points / 45) if mark.bold else 0
    at = (mark.x * times, mark.y * times)
    pen.text(at, words, fill=LIGHT[mark.tone], font=font, anchor=anchor, stroke_width=stroke)


@cache
def _own_font(points: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(points)


@cache
def _machine_fonts(points: float) -> list[Any]:
    from PIL import ImageFont

    found: list[Any] = []
    for name in FONTS:
        try:
            found.append(ImageFont.truetype(name, points))
        except OSError:
            continue  # this machine does not have it
    return found


def _draws(font: Any, words: str) -> bool:
    """Whether the font has a shape of its own for every letter: a missing one gets the shape of U+FFFF."""
    if words.isascii():
        return True
    box = bytes(font.getmask("\uffff"))
    return all(c.isascii() or bytes(font.getmask(c)) != box for c in set(words))


def _blend(tone: str, alpha: float) -> tuple[int, ...] | None:
    """A tone that lets the white paper through."""
    if not tone:
        return None
    return tuple(round(alpha * int(LIGHT[tone][i : i + 2], 16) + (1 - alpha) * 255) for i in (1, 3, 5))
