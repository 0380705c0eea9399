"""Rasterises plots to PNG at twice their size, for slides and chats that take no SVG."""

from __future__ import annotations

import io
from functools import cache
from itertools import pairwise
from typing import Any

from headstart.core.errors import missing_extra
from headstart.reporting.canvas import MARGIN, THEMES, TITLE_HEIGHT, Circle, Line, PlotSpec, Rect, Text, title_mark

PIXEL_RATIO = 2  # of file pixels to CSS pixels
SUPERSAMPLING = 2  # anti-aliasing: Pillow draws hard edges, so plots are drawn larger and shrunk
LIGHT_THEME = THEMES["light"]
# Pillow's own font knows little more than ASCII; for other scripts the first of these that has all the letters.
FALLBACK_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "arial.ttf", "Arial Unicode.ttf")


def rasterise(plot: PlotSpec) -> bytes:
    """The plot with its title in the light theme, as a PNG file. Raises MissingExtra without Pillow."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise missing_extra("Pillow", "all", "Writing plots as PNG") from error
    scale = PIXEL_RATIO * SUPERSAMPLING
    size = (round(plot.width * scale), round(plot.height * scale))
    body = Image.new("RGB", size, LIGHT_THEME["paper"])
    draw = ImageDraw.Draw(body)
    for mark in plot.marks:
        if isinstance(mark, Rect):
            _draw_rect(draw, mark, scale)
        elif isinstance(mark, Circle):
            _draw_circle(draw, mark, scale)
        elif isinstance(mark, Line):
            _draw_line(draw, mark, scale)
        else:
            _draw_text(draw, mark, scale)
    full_size = (round(size[0] + 2 * MARGIN * scale), round(size[1] + (TITLE_HEIGHT + MARGIN) * scale))
    image = Image.new("RGB", full_size, LIGHT_THEME["paper"])
    image.paste(body, (round(MARGIN * scale), round(TITLE_HEIGHT * scale)))
    _draw_text(ImageDraw.Draw(image), title_mark(plot), scale)
    shrunk = (full_size[0] // SUPERSAMPLING, full_size[1] // SUPERSAMPLING)
    stream = io.BytesIO()
    image.resize(shrunk, Image.Resampling.BOX).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _draw_rect(draw: Any, mark: Rect, scale: int) -> None:
    box = (mark.x * scale, mark.y * scale, (mark.x + mark.width) * scale - 1, (mark.y + mark.height) * scale - 1)
    if box[2] < box[0] or box[3] < box[1]:
        return
    outline = LIGHT_THEME.get(mark.stroke)
    fill, width = _blend_with_paper(mark.fill, mark.opacity), scale if outline else 0
    draw.rounded_rectangle(box, mark.radius * scale, fill=fill, outline=outline, width=width)


def _draw_circle(draw: Any, mark: Circle, scale: int) -> None:
    radius = mark.radius + (1 if mark.stroke else 0)  # SVG strokes half inside, half outside
    box = tuple(v * scale for v in (mark.x - radius, mark.y - radius, mark.x + radius, mark.y + radius))
    outline = LIGHT_THEME.get(mark.stroke)
    fill = _blend_with_paper(mark.fill, mark.opacity)
    draw.ellipse(box, fill=fill, outline=outline, width=2 * scale if outline else 0)


def _draw_line(draw: Any, mark: Line, scale: int) -> None:
    points = [(x * scale, y * scale) for x, y in mark.points]
    width = max(1, round(mark.width * scale))
    for segment in _split_dashes(points, 4.0 * scale) if mark.dashed else [points]:
        draw.line(segment, fill=LIGHT_THEME[mark.stroke], width=width, joint="curve")


def _split_dashes(points: list[tuple[float, float]], on: float) -> list[list[tuple[float, float]]]:
    """Dashes of length `on` with gaps as long; each segment of the line starts a new dash."""
    dashes = []
    for (ax, ay), (bx, by) in pairwise(points):
        length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
        start = 0.0
        while start < length:
            ends = start / length, min(start + on, length) / length
            dashes.append([(ax + (bx - ax) * t, ay + (by - ay) * t) for t in ends])
            start += 2 * on
    return dashes


def _draw_text(draw: Any, mark: Text, scale: int) -> None:
    font_size = mark.font_size * scale
    text = mark.text.replace("\u00a0", " ").replace("−", "-").replace("–", "-")
    default = _default_font(font_size)
    font = default
    if not _has_glyphs(default, text):
        font = next((f for f in _system_fonts(font_size) if _has_glyphs(f, text)), default)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
    # The built-in font has one weight: a thin outline in the same colour makes it bold.
    stroke = round(font_size / 45) if mark.bold else 0
    position = (mark.x * scale, mark.y * scale)
    draw.text(position, text, fill=LIGHT_THEME[mark.fill], font=font, anchor=anchor, stroke_width=stroke)


@cache
def _default_font(font_size: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(font_size)


@cache
def _system_fonts(font_size: float) -> list[Any]:
    from PIL import ImageFont

    fonts: list[Any] = []
    for name in FALLBACK_FONTS:
        try:
            fonts.append(ImageFont.truetype(name, font_size))
        except OSError:
            continue  # this machine does not have it
    return fonts


def _has_glyphs(font: Any, text: str) -> bool:
    """Whether the font has a glyph for every character: a missing one is drawn like U+FFFF."""
    if text.isascii():
        return True
    missing = bytes(font.getmask("\uffff"))
    return all(c.isascii() or bytes(font.getmask(c)) != missing for c in set(text))


def _blend_with_paper(colour: str, opacity: float) -> tuple[int, ...] | None:
    """The RGB colour of a theme colour with opacity over white; None without a colour."""
    if not colour:
        return None
    return tuple(round(opacity * int(LIGHT_THEME[colour][i : i + 2], 16) + (1 - opacity) * 255) for i in (1, 3, 5))
