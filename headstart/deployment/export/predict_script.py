"""Writes predict.py, the program beside an export that answers files or texts without Headstart; tests run it.

It is assembled from templates: how an input is read, how the exported file is opened and run, how the answer is shown.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

from headstart.core.plan import Model
from headstart.data import deep_pixels
from headstart.data.image_formats import FORMATS
from headstart.deployment.export.parity import INPUT_NAMES
from headstart.features.preprocess.image import MAX_ASPECT_RATIO, min_decoded_side

READ_IMAGE = '''
def open_image(raw):
    return Image.open(io.BytesIO(raw), formats={formats})


def read(path):
    """A photo as RGB pixels, upright, over white where it is transparent."""
    raw = Path(path).read_bytes()
    photo = open_image(raw)
{deep}
    photo.draft(photo.mode, ({least}, {least}))  # a large JPEG at a fraction of its size, as in training
    photo = ImageOps.exif_transpose(photo)
    if photo.mode in ("RGBA", "LA", "PA") or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
    return photo.convert("RGB")
'''
# A model of pictures with more than 8 bits reads them by our own functions, of which the program holds the source.
DEEP = """    pixels = stored_pixels(raw, photo)
    if pixels is not None:  # more than 8 bits: {low:g} is black and {high:g} white, as in training
        orientation = photo.getexif().get(0x0112, 1)
        photo = Image.fromarray(to_eight_bits(pixels, {low!r}, {high!r}))
        photo.getexif()[0x0112] = orientation"""
SHALLOW = """    if photo.mode[:1] in "IF" or ";16" in str(photo.tile[:1]):
        sys.exit(f"{path} has more than 8 bits, and the model learned from 8. Save it in 8 bits.")"""
DEEP_FUNCTIONS = (deep_pixels.stored_pixels, deep_pixels.join_bytes, deep_pixels.decoded_as, deep_pixels.to_eight_bits)
WORDPIECE_WINDOWS = '''
tokenizer = BertWordPieceTokenizer(f"{HERE}/vocab.txt", lowercase=True)


def windows(text):
    """A text as one row of token ids."""
    return [tokenizer.encode(text.strip(), add_special_tokens=False).ids[:{most}]]
'''
TOKEN_WINDOWS = '''
tokenizer = Tokenizer.from_file(f"{HERE}/tokenizer.json")
tokenizer.no_truncation()
tokenizer.no_padding()


def windows(text):
    """A text as rows of at most {max_length} token ids: the first full, the others sharing the rest evenly."""
    text = {prompt!r} + text.strip()
    ids = tokenizer.encode({lowered}, add_special_tokens=False).ids
    bare, full = (tokenizer.encode("a", add_special_tokens=s).ids for s in (False, True))
    at = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    before, after = full[:at], full[at + len(bare) :]
    room = {max_length} - len(before) - len(after)
    first, more = min(len(ids), room), -(-max(len(ids) - room, 0) // room)
    edges = [0, first, *(first + (len(ids) - first) * (i + 1) // more for i in range(more))]
    return [before + ids[a:b] + after for a, b in zip(edges, edges[1:])][:{windows}]
'''
WORD_WINDOWS = '''
def windows(text):
    """A text as hashes of its words, pairs of words, and runs of three and four characters."""
    words = re.findall(r"\\w+|[^\\w\\s]", text.lower())
    pieces = words + [f"{a} {b}" for a, b in zip(words, words[1:])]
    for word in words:
        pieces += [f"<{word}>"[i : i + n] for n in (3, 4) for i in range(len(word) + 3 - n)]
    return [[crc32(piece.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF for piece in pieces]]
'''
HEAD = '''
head = dict(np.load(f"{HERE}/head.npz"))


def scores(x):
    """An embedding (d,) -> calibrated scores (k,)."""
    x = x / np.linalg.norm(x) if head["unit"][0] else x
    for i in range(sum(name.startswith("w") for name in head)):
        x = (np.maximum(x, 0) if i else x) @ head[f"w{i}"] + head[f"b{i}"]
    return x
'''
ASK_ONCE = "p = ask(windows(item)[0])[2][0]"
ASK_WINDOWS = """
rows = windows(item)
outputs = [ask(ids) for ids in rows]
p = outputs[0][2][0]
if len(rows) > 1:  # a long text: the mean of its windows, by their number of tokens
    row = np.average([embedding[0] for embedding, _, _ in outputs], axis=0, weights=[len(ids) for ids in rows])
    p = probabilities(scores({row}))
"""
RESIZE_AND_CROP = '''

def resize_and_crop(photo):
    """Resized and cropped to {width} x {height}."""
    w, h = photo.size
{size}
    photo = photo.resize(size, Image.Resampling.{filter}) if size != photo.size else photo
    w, h = photo.size
    if w < {width} or h < {height}:
        padded = Image.new("RGB", (max(w, {width}), max(h, {height})), {fill})
        padded.paste(photo, (max({width} - w, 0) // 2, max({height} - h, 0) // 2))
        photo, (w, h) = padded, padded.size
    top, left = round((h - {height}) / 2), round((w - {width}) / 2)
    return photo.crop((left, top, left + {width}, top + {height}))
'''
SIZE_SQUASH = "    size = ({w}, {h})"
SIZE_BORDER = """    ratio = max(h / {h}, w / {w})
    size = (max(1, round(w / ratio)), max(1, round(h / ratio)))"""
TRIM_LONG_SIDE = """    keep_w, keep_h = min(w, {longest} * h), min(h, {longest} * w)  # of a very long photo the middle
    left, top = (w - keep_w) // 2, (h - keep_h) // 2
    photo = photo.crop((left, top, left + keep_w, top + keep_h))
    w, h = photo.size
"""
SIZE_SQUARE = "    size = ({w}, int({w} * h / w)) if w <= h else (int({h} * w / h), {h})"
SIZE_OBLONG = """    ratio = min(h / {h}, w / {w})
    size = (max(1, round(w / ratio)), max(1, round(h / ratio)))"""
IMPORTS = {
    "image": "import io\n\nfrom PIL import Image, ImageOps",
    "pieces": "from tokenizers import BertWordPieceTokenizer",
    "text": "from tokenizers import Tokenizer",
    "words": "import re\nfrom zlib import crc32",
}
LIBRARIES = {"image": ("pillow",), "pieces": ("tokenizers",), "text": ("tokenizers",)}


def input_code(model: Model) -> tuple[str, str, tuple[str, ...]]:
    """(imports, functions, libraries) that turn an argument into the network's input."""
    spec = model.backbone.preprocess
    facts: dict[str, Any] = dict(spec.settings)
    code = WORD_WINDOWS if spec.kind == "words" else ""
    if spec.kind == "image":
        code = READ_IMAGE.replace("{least}", str(min_decoded_side(spec))).replace("{formats}", repr(FORMATS))
        code = code.replace("{deep}\n", _deep_code(model))
        code = f"{deep_functions()}{code}" if spec.pixel_range else code
    if spec.kind == "pieces":
        code = WORDPIECE_WINDOWS.replace("{most}", str(facts["most"]))
    if spec.kind == "text":
        lowered = "text.lower()" if facts["lower"] else "text"
        length, windows = str(facts["max_length"]), str(facts["windows"])
        code = TOKEN_WINDOWS.replace("{max_length}", length).replace("{windows}", windows)
        code = code.replace("{lowered}", lowered).replace("{prompt!r}", ascii(str(facts["prompt"])))
    arrays = "import numpy as np\n" if spec.pixel_range else ""
    return arrays + IMPORTS.get(spec.kind, ""), code, LIBRARIES.get(spec.kind, ())


def _deep_code(model: Model) -> str:
    """What `read` does with a picture of more than 8 bits; "" where nobody knows how many the model learned from."""
    if model.backbone.preprocess.pixel_range:
        low, high = model.backbone.preprocess.pixel_range
        return DEEP.format(low=low, high=high) + "\n"
    return f"{SHALLOW}\n" if model.facts.get("input", {}).get("depth") == 8 else ""


def deep_functions() -> str:
    """The source of what reads pictures of more than 8 bits. A reason ends the program."""
    constants = f"\nUnreadable, UNIT_SLACK = SystemExit, {deep_pixels.UNIT_SLACK}\n"
    return constants + "".join(f"\n\n{inspect.getsource(function)}" for function in DEEP_FUNCTIONS) + "\n"


def answer_code(model: Model) -> str:
    """The expression that is printed: probabilities by label, or the number in its own unit."""
    if model.objective.link == "identity":
        facts = model.objective.facts()
        return f'{{"number": float(p[0]) * {facts["spread"]!r} + {facts["mean"]!r}}}'
    names = ascii([str(name) for name in model.objective.facts()["names"]])  # no mark in a name turns the code around
    return f"dict(zip({names}, map(float, p)))"


def link_code(model: Model) -> str:
    """A numpy function from scores to probabilities."""
    body = {
        "softmax": "    e = np.exp(s - s.max())\n    return e / e.sum()",
        "sigmoid": "    return 1 / (1 + np.exp(-s))",
        "identity": "    return s",
    }[model.objective.link]
    return f"\ndef probabilities(s):\n{body}\n"


def build_program(title: str, imports: list[str], setup: str, ask: str, model: Model, *, reads: bool = True) -> str:
    """A whole program. setup: code that opens the export.  ask: lines that set p (k,) for `item`

    reads: whether arguments are images or texts, and not embeddings
    """
    extra_imports, functions, _ = input_code(model) if reads else ("", "", ())
    lines = [f'"""{title}"""', "", "import json", "import sys", "from pathlib import Path", "", *imports]
    lines += [extra_imports] if extra_imports else []
    loop = "\n".join(f"    {line}" if line else "" for line in ask.strip("\n").splitlines())
    text = "\n".join(lines) + "\n\nHERE = Path(__file__).resolve().parent\n"
    text += f"{setup.strip(chr(10))}\n{chr(10) + functions if functions else ''}\n\nfor item in sys.argv[1:]:\n{loop}\n"
    return text + f"    print(json.dumps({answer_code(model)}))\n"


def graph_program(model: Model, title: str, imports: list[str], setup: str, ask: str, image: str, vector: str) -> str:
    """The program for a graph. ask: a function for texts.  image, vector: as `ask` of `build_program`"""
    kind = model.backbone.preprocess.kind
    if kind in INPUT_NAMES:
        return build_program(title, imports, setup, image if kind == "image" else vector, model)
    functions, ask_text = text_code(model)
    return build_program(title, imports, f"{setup.rstrip()}\n{ask}{functions}", ask_text, model)


def text_code(model: Model) -> tuple[str, str]:
    """(functions, lines for `ask`) for a network that takes windows of token ids through a function `ask(ids)`."""
    spec = model.backbone.preprocess
    if spec.kind != "text":
        return "", ASK_ONCE
    row = "row / np.linalg.norm(row)" if dict(spec.settings)["normalize"] else "row"
    return f"\n{HEAD.strip()}\n\n{link_code(model)}", ASK_WINDOWS.replace("{row}", row)


def crop_code(model: Model) -> str:
    """Resize and crop as in preprocess/image.py with this model's settings, for formats that take cropped images."""
    facts: dict[str, Any] = dict(model.backbone.preprocess.settings)
    _, height, width = facts["input_size"]
    h, w = math.floor(height / facts["crop_pct"]), math.floor(width / facts["crop_pct"])
    border = facts["crop_mode"] == "border"
    center = TRIM_LONG_SIDE + (SIZE_SQUARE if h == w else SIZE_OBLONG)
    size = {"squash": SIZE_SQUASH, "border": SIZE_BORDER}.get(facts["crop_mode"], center)
    size = size.format(h=h, w=w, longest=MAX_ASPECT_RATIO)
    fill = tuple(round(255 * m) for m in facts["mean"]) if border else (0, 0, 0)
    resampling = facts["interpolation"].upper()
    return RESIZE_AND_CROP.format(width=width, height=height, size=size, filter=resampling, fill=fill)
