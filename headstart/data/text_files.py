"""Files of one text each: their encoding is decided over all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headstart.core.errors import SourceError, Unreadable
from headstart.data.contents import read_file, text_digest
from headstart.data.text_encoding import UNKNOWN, DecodedText, WantedEncoding, decode_as, encoding_of, first_lost_byte

Text = tuple[str, str | Unreadable]  # a text and its digest, or why there is none


def read_text_files(
    paths: Sequence[str | Path], where: str, wanted: WantedEncoding = UNKNOWN
) -> tuple[list[Text], DecodedText]:
    """The text of every file, and how they were read. where: what holds the files, for messages

    Raises SourceError where their encoding is not clear.
    """
    contents: list[bytes | Unreadable] = []
    for path in paths:
        try:
            contents.append(read_file(path))
        except Unreadable as reason:
            contents.append(reason)
    try:
        encoding = wanted.name if wanted.certain else encoding_of([c for c in contents if isinstance(c, bytes)], wanted)
    except SourceError as error:
        raise SourceError(f"{where}: the text {error}") from error
    return [_text(c, encoding, wanted.certain) for c in contents], DecodedText("", encoding)


def _text(content: bytes | Unreadable, encoding: str, certain: bool) -> Text:
    if isinstance(content, Unreadable):
        return "", content
    text = decode_as(content, encoding, certain).text
    lost = first_lost_byte(text)
    return ("", Unreadable(lost)) if lost else (text, text_digest(text))
