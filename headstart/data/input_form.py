"""What the strings of a column are: texts, paths of images, ids beside a folder of images, or images in base64.

Nothing becomes a text unasked: text is what is called so, or looks like language where nothing speaks for a path, an id
or encoded bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from contextlib import suppress

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.messages import join_plain
from headstart.data.contents import IMAGE_SUFFIXES
from headstart.data.table_folders import (
    Place,
    StringForm,
    base_folder,
    describe_place,
    find_base,
    folders_beside,
    known_suffixes,
)

SAMPLE = 200  # strings that are looked at
MOST = 0.9  # of the strings: nearly all
COLUMN_WORDS = re.compile(r"[a-z]+")
IMAGE_WORDS = {
    *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pic", "pics", "path", "paths"),
    *("file", "files", "filename", "filepath", "filenames", "jpg", "jpeg", "png", "thumbnail"),
}
TEXT_WORDS = {
    *("text", "texts", "sentence", "sentences", "content", "contents", "utterance", "message", "messages", "review"),
    *("reviews", "tweet", "comment", "comments", "question", "questions", "document", "body", "query", "prompt"),
    *("description", "sms", "email", "title", "caption", "abstract", "summary", "headline", "transcript", "note"),
    *("notes", "subject", "answer", "alt", "word", "words", "name", "names"),
}
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")
DATA_ADDRESS = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE)
WEB = ("http://", "https://", "s3://", "gs://")
BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def form_of_strings(
    strings: Sequence[object], place: Place, kind: str | None, contract: InputContract | None
) -> StringForm:
    """What the strings are.

    kind: as the user says, or as the contract does: what was learned from
    Raises SourceError, with what to type, where it is not clear, or where they are web addresses.
    """
    filled = [s for s in (str(v).strip() for v in strings if v is not None) if s]
    sample = filled[:: max(1, len(filled) // SAMPLE)][:SAMPLE]
    if kind == "text":
        return StringForm("text")
    if sum(s.lower().startswith(WEB) for s in sample) > len(sample) / 2:
        looked = [s for s in sample if " " not in s]
        if kind == "image" or (len(looked) == len(sample) and (_names_images(place.column) or _share_of_paths(sample))):
            raise SourceError(f"{describe_place(place)} holds web addresses. Download the images first.")
    if _are_encoded_images(sample):
        return StringForm("base64", notes=("The images are written in base64.",))
    named = kind == "image" or _names_images(place.column)
    if _share_of_paths(sample) > (0.5 if place.column or kind == "image" else MOST):
        return find_base(sample, place, contract, ("",)) or _where_fitted(contract)
    bare = bool(sample) and sum(_is_bare(s) for s in sample) >= MOST * len(sample)
    if bare and (named or not _names_text(place.column)):
        found = find_base(sample, place, contract, ("", *known_suffixes(contract)), least=0.5)
        if found is not None:
            return found
    if kind == "image":
        return _where_fitted(contract)
    if not named and (_names_text(place.column) or _are_language(sample)):
        return StringForm("text")
    raise SourceError(_unclear(sample, place))


def decode_image_text(value: str) -> bytes:
    """The bytes of a file that was written in base64. Raises ValueError where they are none."""
    text = DATA_ADDRESS.sub("", value.strip(), count=1)
    text = "".join(text.split()).translate(str.maketrans("-_", "+/"))
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def looks_like_language(strings: Sequence[object]) -> bool:
    """Whether strings are words or sentences, and not numbers, ids or paths."""
    filled = [s for s in (str(v).strip() for v in strings if v is not None) if s]
    return _are_language(filled[:SAMPLE]) and not _share_of_paths(filled[:SAMPLE]) > MOST


def look_like_sentences(strings: Sequence[object]) -> bool:
    """Whether strings are language of several words each, and hardly two alike: no names of classes."""
    filled = [s for s in (str(v).strip() for v in strings if v is not None) if s][:SAMPLE]
    long = [s for s in filled if s.count(" ") >= 2 or (not s.isascii() and len(s) >= 8)]
    return len(long) >= 0.7 * len(filled) and len(set(filled)) > len(filled) / 2 and looks_like_language(filled)


def name_files(strings: Sequence[object], place: Place) -> bool:
    """Whether most of the strings are names of images in a folder beside their table, whole or without the suffix."""
    sample = [s for s in (str(v).strip() for v in strings if v is not None) if s][:SAMPLE]
    bare = bool(sample) and all(map(_is_bare, sample))
    with suppress(SourceError):  # in several folders
        return bare and find_base(sample, place, None, ("", *known_suffixes(None)), least=0.5) is not None
    return False


def hold_images(strings: Sequence[object]) -> bool:
    """Whether strings are paths of images, or images in base64."""
    filled = [s for s in (str(v).strip() for v in strings if v is not None) if s][:SAMPLE]
    return _share_of_paths(filled) > MOST or _are_encoded_images(filled)


def _names_images(column: str) -> bool:
    words = COLUMN_WORDS.findall(column.lower())
    return bool(words) and not set(words) & TEXT_WORDS - {"name", "names"} and bool(set(words) & IMAGE_WORDS)


def _names_text(column: str) -> bool:
    return bool(set(COLUMN_WORDS.findall(column.lower())) & TEXT_WORDS) and not _names_images(column)


def _share_of_paths(sample: list[str]) -> float:
    return sum(s.lower().endswith(IMAGE_SUFFIXES) for s in sample) / max(len(sample), 1)


def _is_bare(text: str) -> bool:
    """Whether a string could be the name of a file without its suffix."""
    return len(text) <= 255 and "\n" not in text and text.count(" ") <= 2 and "\0" not in text


def _is_wordy(text: str) -> bool:
    if text.isascii() and not any(c.isspace() for c in text):
        return text.rstrip(".!?,").replace("'", "").replace("-", "").isalpha() and len(text) < 40
    return any(c.isalpha() or ord(c) > 0x2000 for c in text)


def _are_language(sample: list[str]) -> bool:
    return bool(sample) and sum(map(_is_wordy, sample)) >= len(sample) / 2


def _are_encoded_images(sample: list[str]) -> bool:
    return bool(sample) and sum(map(_is_encoded_image, sample)) >= MOST * len(sample)


def _is_encoded_image(text: str) -> bool:
    if not DATA_ADDRESS.match(text) and (len(text) < 64 or not BASE64.fullmatch("".join(text[:80].split()))):
        return False
    try:
        head = decode_image_text("".join(DATA_ADDRESS.sub("", text, count=1)[:120].split())[:64])
    except (binascii.Error, ValueError):
        return False
    return head.startswith(MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or head[4:8] == b"ftyp"


def _where_fitted(contract: InputContract | None) -> StringForm:
    """Paths of which none is there: looked for where those were that were learned from."""
    return StringForm("path", contract.base, contract.suffixes) if contract is not None else StringForm("path")


def _unclear(sample: list[str], place: Place) -> str:
    first = join_plain((repr(s[:40]) for s in sample), 2) if sample else "nothing"
    endings = f"do not end like images ({', '.join(IMAGE_SUFFIXES[:5])} … are known)"
    if place.table:
        beside = [base_folder(place, b).name for b in folders_beside(place, None) if b]
        looked = f"in {place.folder}" + (f" and its folders {join_plain(beside, 5)}" if beside else "")
        endings += f", and no files of such names lie {looked}"
    seems = "seems to hold paths or names of images" if _names_images(place.column) else "holds no plain texts"
    return (
        f"{describe_place(place)} {seems}, but the values (first: {first}) {endings}. "
        f"Say {place.kind('image')} if they are paths, {place.kind('text')} if they are texts."
    )
