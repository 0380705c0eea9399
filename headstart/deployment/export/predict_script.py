"""Programs that go with an export: they answer files or texts without Headstart, and are run by the tests.

Each is put together of pieces: how an input is read, how the file is opened and asked, how the answer is shown.
"""

from __future__ import annotations

import json
import math
from typing import Any

from headstart.core.plan import Model
from headstart.deployment.export.parity import remaining
from headstart.features.preprocess.image import LONGEST

PHOTO = '''
def read(path):
    """A photo as RGB pixels, upright, over white where it is transparent."""
    photo = Image.open(path)
    photo.draft(photo.mode, ({least}, {least}))  # a large JPEG at a part of its size, as those that it learned from
    photo = ImageOps.exif_transpose(photo)
    if photo.mode in ("RGBA", "LA", "PA") or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
    return photo.convert("RGB")
'''
PIECES = '''
tokenizer = BertWordPieceTokenizer(f"{HERE}/vocab.txt", lowercase=True)


def windows(text):
    """A text as one row of token ids."""
    return [tokenizer.encode(text.strip(), add_special_tokens=False).ids[:MOST]]
'''.replace("MOST", "{most}")
TOKENS = '''
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
WORDS = '''
def windows(text):
    """A text as hashes of its words, pairs of words, and runs of three and four characters."""
    words = re.findall(r"\\w+|[^\\w\\s]", text.lower())
    found = words + [f"{a} {b}" for a, b in zip(words, words[1:])]
    for word in words:
        found += [f"<{word}>"[i : i + n] for n in (3, 4) for i in range(len(word) + 3 - n)]
    return [[crc32(piece.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF for piece in found]]
'''
IMPORTS = {
    "image": "from PIL import Image, ImageOps",
    "pieces": "from tokenizers import BertWordPieceTokenizer",
    "text": "from tokenizers import Tokenizer",
    "words": "import re\nfrom zlib import crc32",
}
LIBRARIES = {"image": ("pillow",), "pieces": ("tokenizers",), "text": ("tokenizers",)}


def reading(model: Model) -> tuple[str, str, tuple[str, ...]]:
    """(imports, functions, libraries) that turn what is named on the line into what a network takes."""
    spec = model.backbone.preprocess
    facts: dict[str, Any] = dict(spec.settings)
    code = {"words": WORDS, "vector": ""}.get(spec.kind, "")
    if spec.kind == "image":
        code = PHOTO.replace("{least}", str(remaining(spec)))
    if spec.kind == "pieces":
        code = PIECES.replace("{most}", str(facts["most"]))
    if spec.kind == "text":
        lowered = "text.lower()" if facts["lower"] else "text"
        for name in ("max_length", "windows"):
            code = (code or TOKENS).replace(f"{{{name}}}", str(facts[name]))
        code = code.replace("{prompt!r}", repr(str(facts["prompt"]))).replace("{lowered}", lowered)
    return IMPORTS.get(spec.kind, ""), code, LIBRARIES.get(spec.kind, ())


def showing(model: Model) -> str:
    """How an answer is printed: probabilities by label, or the number in its own unit."""
    if model.objective.link == "identity":
        facts = model.objective.facts()
        return f'{{"number": float(p[0]) * {facts["spread"]!r} + {facts["mean"]!r}}}'
    names = json.dumps(list(model.objective.facts()["names"]), ensure_ascii=False)
    return f"dict(zip({names}, map(float, p)))"


def linked(model: Model) -> str:
    """Scores to probabilities, as a numpy function."""
    body = {
        "softmax": "    e = np.exp(s - s.max())\n    return e / e.sum()",
        "sigmoid": "    return 1 / (1 + np.exp(-s))",
        "identity": "    return s",
    }[model.objective.link]
    return f"\ndef probabilities(s):\n{body}\n"


def program(head: str, imports: list[str], opening: str, asking: str, model: Model, *, reads: bool = True) -> str:
    """A whole program. opening: code that opens the export; asking: what gives p (k,) of `item`, several lines.

    reads: whether photos or texts are read, and not embeddings
    """
    more, functions, _ = reading(model) if reads else ("", "", ())
    lines = [f'"""{head}"""', "", "import json", "import sys", "from pathlib import Path", "", *imports]
    lines += [more] if more else []
    asked = "\n".join(f"    {line}" if line else "" for line in asking.strip("\n").splitlines())
    text = "\n".join(lines) + "\n\nHERE = Path(__file__).resolve().parent\n"
    text += (
        f"{opening.strip(chr(10))}\n{chr(10) + functions if functions else ''}\n\nfor item in sys.argv[1:]:\n{asked}\n"
    )
    return text + f"    print(json.dumps({showing(model)}, ensure_ascii=False))\n"


HEAD = '''
head = dict(np.load(f"{HERE}/head.npz"))


def scores(x):
    """An embedding (d,) -> calibrated scores (k,)."""
    x = x / np.linalg.norm(x) if head["unit"][0] else x
    for i in range(sum(name.startswith("w") for name in head)):
        x = (np.maximum(x, 0) if i else x) @ head[f"w{i}"] + head[f"b{i}"]
    return x
'''
ONE = "p = ask(windows(item)[0])[2][0]"
SEVERAL = """
rows = windows(item)
said = [ask(ids) for ids in rows]
p = said[0][2][0]
if len(rows) > 1:  # a long text: the mean of its windows, by their number of tokens
    row = np.average([embedding[0] for embedding, _, _ in said], axis=0, weights=[len(ids) for ids in rows])
    p = probabilities(scores({row}))
"""


def texts(model: Model) -> tuple[str, str]:
    """(functions, asking) for a network that takes windows of token ids, through a function `ask` of its own."""
    spec = model.backbone.preprocess
    if spec.kind != "text":
        return "", ONE
    row = "row / np.linalg.norm(row)" if dict(spec.settings)["normalize"] else "row"
    return f"\n{HEAD.strip()}\n\n{linked(model)}", SEVERAL.replace("{row}", row)


FITTED = '''

def fitted(photo):
    """Resized and cropped to {width} x {height}."""
    w, h = photo.size
{size}
    photo = photo.resize(size, Image.Resampling.{filter}) if size != photo.size else photo
    w, h = photo.size
    if w < {width} or h < {height}:
        whole = Image.new("RGB", (max(w, {width}), max(h, {height})), {fill})
        whole.paste(photo, (max({width} - w, 0) // 2, max({height} - h, 0) // 2))
        photo, (w, h) = whole, whole.size
    top, left = round((h - {height}) / 2), round((w - {width}) / 2)
    return photo.crop((left, top, left + {width}, top + {height}))
'''
SQUASH = "    size = ({w}, {h})"
BORDER = """    ratio = max(h / {h}, w / {w})
    size = (max(1, round(w / ratio)), max(1, round(h / ratio)))"""
LONG = """    keep_w, keep_h = min(w, {longest} * h), min(h, {longest} * w)  # without the ends of a ribbon
    left, top = (w - keep_w) // 2, (h - keep_h) // 2
    photo = photo.crop((left, top, left + keep_w, top + keep_h))
    w, h = photo.size
"""
SQUARE = "    size = ({w}, int({w} * h / w)) if w <= h else (int({h} * w / h), {h})"
OBLONG = """    ratio = min(h / {h}, w / {w})
    size = (max(1, round(w / ratio)), max(1, round(h / ratio)))"""


def fitted(model: Model) -> str:
    """preprocess/image.py with this model's numbers, for formats that take photos after the crop."""
    facts: dict[str, Any] = dict(model.backbone.preprocess.settings)
    _, height, width = facts["input_size"]
    h, w = math.floor(height / facts["crop_pct"]), math.floor(width / facts["crop_pct"])
    border = facts["crop_mode"] == "border"
    center = LONG + (SQUARE if h == w else OBLONG)
    size = {"squash": SQUASH, "border": BORDER}.get(facts["crop_mode"], center)
    size = size.format(h=h, w=w, longest=LONGEST)
    fill = tuple(round(255 * m) for m in facts["mean"]) if border else (0, 0, 0)
    return FITTED.format(width=width, height=height, size=size, filter=facts["interpolation"].upper(), fill=fill)
